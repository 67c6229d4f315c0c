"""Compile the kernels, once for each machine, into the user's cache.

The shared library is for the very CPU it was compiled on, so it is never shipped. It takes a
second or two, and the next process finds it. Its name says what it holds: a damaged one, which
would end the process without a word, is compiled anew.
"""

import contextlib
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

logger = logging.getLogger(__name__)

SWITCH = "NMT_NATIVE"
"""Environment variable; "off" leaves the kernels alone."""

_FOLDER = Path(__file__).parent
_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = ["-std=gnu++17", "-O3", "-fno-math-errno", "-fno-exceptions", "-shared", "-fPIC"]
_VARIANTS: tuple[list[str], ...] = (
    ["-march=native", "-fopenmp"],
    ["-march=native"],
    ["-mcpu=native", "-fopenmp"],
    ["-mcpu=native"],
)
"""What is tried, in order: not each compiler has OpenMP, or calls the machine by the same name.
Kernels for any machine at all would be slower than torch."""
_PATIENCE = 120.0
"""Seconds that one variant may take."""
_SCRATCH = "compiling-"
"""How the name of a folder begins in which a compiler writes."""


def compile_kernels() -> Path | None:
    """Return the shared library, compiled now if need be; None if that cannot be done.

    Where there is a compiler, the reason is logged.
    """
    if os.environ.get(SWITCH) == "off":
        return None
    try:
        compiler = _find_compiler()
        if compiler is None:
            return None
        folder = _cache()
        name = f"kernels-{_fingerprint(compiler)}"
        for library in folder.glob(f"{name}.*.so"):
            if library.name == f"{name}.{_digest(library)}.so":
                return library
            library.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        return _compile(compiler, folder, name)
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        logger.warning(
            "the kernels were not compiled (%s); going on without them, which is slower. Mend it, "
            "or set %s=off and nothing is tried.",
            *(_reason(error), SWITCH),
        )
        return None


def _reason(error: Exception) -> str:
    """Return the compiler's first complaint, or what else went wrong, in one line."""
    if not isinstance(error, subprocess.CalledProcessError):
        return " ".join(str(error).split())
    said: list[str] = error.stderr.decode(errors="replace").split("\n")
    code = error.returncode
    end = f"code {code}" if code > 0 else f"signal {-code}"
    return f"{error.cmd[0]}: {next((line.strip() for line in said if 'error' in line), end)}"


def _find_compiler() -> list[str] | None:
    """Return the beginning of its command: what `CXX` says, which may have arguments.

    Raises:
        ValueError: there is no such program.
    """
    if given := os.environ.get("CXX", "").strip():
        program, *arguments = shlex.split(given)
        if (path := shutil.which(program)) is None:
            raise ValueError(f"there is no program {program}, which CXX names")
        return [path, *arguments]
    return next(([path] for name in _COMPILERS if (path := shutil.which(name))), None)


def _cache() -> Path:
    """Return the folder of the user's cache.

    Raises:
        RuntimeError: the user has no home.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nmt"


def _sources() -> list[Path]:
    return sorted(_FOLDER.glob("*.cpp"))


def _fingerprint(compiler: list[str]) -> str:
    """Return what changes if the library must be another: sources, flags, compiler or CPU."""
    digest = hashlib.sha256()
    for path in sorted([*_sources(), *_FOLDER.glob("*.h")]):
        digest.update(path.read_bytes())
    program = os.stat(compiler[0])
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


def _compile(compiler: list[str], folder: Path, name: str) -> Path:
    """Write the library under another name first: several processes may be at it.

    Returns:
        Where it is, `NAME.DIGEST.so`.

    Raises:
        OSError: there is no room for it.
        subprocess.SubprocessError: the compiler takes none of the variants.
    """
    _sweep(folder)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
        made, failures = Path(scratch, name), []
        for variant in _VARIANTS:
            command = [*compiler, *_FLAGS, *variant, *map(str, _sources()), "-o", str(made)]
            finished = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
            if finished.returncode == 0:
                return made.replace(folder / f"{name}.{_digest(made)}.so")
            failures.append((finished.returncode, command, None, finished.stderr))
    raise subprocess.CalledProcessError(*failures[0])


def _sweep(cache: Path) -> None:
    """Remove what killed processes have left, which no compiler can still be writing."""
    for scratch in cache.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):  # another process may be sweeping as well
            if time.time() - scratch.stat().st_mtime > 2 * _PATIENCE * len(_VARIANTS):
                shutil.rmtree(scratch)
