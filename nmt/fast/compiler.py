"""Compile the C++ kernels into the user's cache, once per machine.

The shared library is specific to the CPU it was compiled on, so it is never shipped. Compiling
takes a second or two, and later processes reuse the library. Its name contains a digest of its
content: a damaged library, which could crash the process silently, is compiled again.
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
"""Environment variable; "off" disables the kernels."""

_FOLDER = Path(__file__).parent / "cpp"
_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = ["-std=gnu++17", "-O3", "-fno-math-errno", "-fno-exceptions", "-shared", "-fPIC"]
_VARIANTS: tuple[list[str], ...] = (
    ["-march=native", "-fopenmp"],
    ["-march=native"],
    ["-mcpu=native", "-fopenmp"],
    ["-mcpu=native"],
)
"""Flags to try, in order: not every compiler has OpenMP, and they select the CPU by different
flags. Kernels compiled for a generic CPU would be slower than torch."""
_PATIENCE = 120.0
"""Time limit for one variant, in seconds."""
_SCRATCH = "compiling-"
"""Prefix of the temporary folders that compilers write to."""


def compile_kernels() -> Path | None:
    """Return the shared library, compiled if necessary; None if that is not possible.

    A failure is logged, unless there is simply no compiler.
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
            "the kernels were not compiled (%s); continuing without them, which is slower. Fix "
            "this, or set %s=off to do without kernels.",
            _reason(error),
            SWITCH,
        )
        return None


def _reason(error: Exception) -> str:
    """Return the compiler's first error message, or another reason, in one line."""
    if not isinstance(error, subprocess.CalledProcessError):
        return " ".join(str(error).split())
    said: list[str] = error.stderr.decode(errors="replace").split("\n")
    code = error.returncode
    end = f"code {code}" if code > 0 else f"signal {-code}"
    return f"{error.cmd[0]}: {next((line.strip() for line in said if 'error' in line), end)}"


def _find_compiler() -> list[str] | None:
    """Return the compiler and its arguments, from `CXX` if set; None if there is no compiler.

    Raises:
        ValueError: `CXX` names a program that does not exist.
    """
    if given := os.environ.get("CXX", "").strip():
        program, *arguments = shlex.split(given)
        if (path := shutil.which(program)) is None:
            raise ValueError(f"there is no program {program}, which CXX names")
        return [path, *arguments]
    return next(([path] for name in _COMPILERS if (path := shutil.which(name))), None)


def _cache() -> Path:
    """Return nmt's folder in the user's cache.

    Raises:
        RuntimeError: the user has no home directory.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nmt"


def _sources() -> list[Path]:
    return sorted(_FOLDER.glob("*.cpp"))


def _fingerprint(compiler: list[str]) -> str:
    """Return a digest of everything the library depends on: sources, flags, compiler and CPU."""
    digest = hashlib.sha256()
    for path in sorted([*_sources(), *_FOLDER.glob("*.h")]):
        digest.update(path.read_bytes())
    program = os.stat(compiler[0])
    digest.update(repr((_FLAGS, _VARIANTS, compiler, program.st_size, program.st_mtime)).encode())
    digest.update(_processor())
    return digest.hexdigest()[:16]


def _processor() -> bytes:
    """Return a description of this CPU, because machines may share a home directory."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return repr(platform.uname()).encode()
    kinds = (b"model name", b"flags", b"Features", b"CPU part")
    return b"\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def _digest(library: Path) -> str:
    return hashlib.sha256(library.read_bytes()).hexdigest()[:16]


def _compile(compiler: list[str], folder: Path, name: str) -> Path:
    """Compile in a temporary folder, then rename: several processes may compile at once.

    Returns:
        The path of the library, `NAME.DIGEST.so`.

    Raises:
        OSError: the library could not be written.
        subprocess.SubprocessError: every variant failed.
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
    """Remove temporary folders of killed processes, older than any compiler could run."""
    for scratch in cache.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):  # another process may be sweeping as well
            if time.time() - scratch.stat().st_mtime > 2 * _PATIENCE * len(_VARIANTS):
                shutil.rmtree(scratch)
