"""Compile the kernels, once for each machine, into the user's cache.

The shared library is for the very CPU it was compiled on, so it is never shipped. It takes a
second or two, and the next process finds it. Its name says what it holds: a damaged one, which
would end the process without a word, is compiled anew.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

SWITCH = "NMT_NATIVE"
"""Environment variable; "off" leaves the kernels alone."""

_FOLDER = Path(__file__).parent
_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = ["-std=gnu++17", "-O3", "-fno-math-errno", "-fno-exceptions", "-shared", "-fPIC"]
_VARIANTS: tuple[list[str], ...] = (["-march=native", "-fopenmp"], ["-mcpu=native"], [])
"""What is tried, in order: not every compiler knows every machine, and not each has OpenMP."""
_PATIENCE = 120.0
"""Seconds that one variant may take."""
_SCRATCH = "compiling-"
"""How the name of a folder begins in which a compiler writes."""


def compile_kernels() -> Path | None:
    """Return the shared library, compiled now if need be; None if that cannot be done."""
    compiler = _find_compiler()
    if compiler is None or os.environ.get(SWITCH) == "off":
        return None
    try:
        folder = _cache()
        name = f"kernels-{_fingerprint(compiler)}"
        for library in folder.glob(f"{name}.*.so"):
            if library.name == f"{name}.{_digest(library)}.so":
                return library
            library.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        return _compile(compiler, folder, name)
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return None


def _find_compiler() -> str | None:
    names = (os.environ["CXX"],) if os.environ.get("CXX") else _COMPILERS
    return next((path for name in names if (path := shutil.which(name))), None)


def _cache() -> Path:
    """Return the folder of the user's cache.

    Raises:
        RuntimeError: the user has no home.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nmt"


def _sources() -> list[Path]:
    return sorted(_FOLDER.glob("*.cpp"))


def _fingerprint(compiler: str) -> str:
    """Return what changes if the library must be another: sources, flags, compiler or CPU."""
    digest = hashlib.sha256()
    for path in sorted([*_sources(), *_FOLDER.glob("*.h")]):
        digest.update(path.read_bytes())
    program = os.stat(compiler)
    digest.update(repr((_FLAGS, _VARIANTS, compiler, program.st_size, program.st_mtime)).encode())
    digest.update(_processor())
    return digest.hexdigest()[:16]


def _processor() -> bytes:
    """Return what this CPU can do; a home may be shared among machines."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return repr(platform.uname()).encode()
    kinds = (b"model name", b"flags", b"Features", b"CPU part")
    return b"\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def _digest(library: Path) -> str:
    return hashlib.sha256(library.read_bytes()).hexdigest()[:16]


def _compile(compiler: str, folder: Path, name: str) -> Path:
    """Write the library under another name first: several processes may be at it.

    Returns:
        Where it is, `NAME.DIGEST.so`.

    Raises:
        OSError: there is no room for it.
        subprocess.SubprocessError: the compiler takes none of the variants.
    """
    _sweep(folder)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
        made = Path(scratch, name)
        for variant in _VARIANTS:
            command = [compiler, *_FLAGS, *variant, *map(str, _sources()), "-o", str(made)]
            finished = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
            if finished.returncode == 0:
                return made.replace(folder / f"{name}.{_digest(made)}.so")
    raise subprocess.CalledProcessError(finished.returncode, command)


def _sweep(cache: Path) -> None:
    """Remove what killed processes have left, which no compiler can still be writing."""
    for scratch in cache.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):  # another process may be sweeping as well
            if time.time() - scratch.stat().st_mtime > 2 * _PATIENCE * len(_VARIANTS):
                shutil.rmtree(scratch)
