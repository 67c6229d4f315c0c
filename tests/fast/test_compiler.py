"""Kernels are compiled once, and their absence is not an error."""

import ctypes
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from nmt.fast import compiler
from nmt.fast.compiler import SWITCH, compile_kernels

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="there is no C++ compiler"
)


def use_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set only a cache inside `folder` in the environment; return the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "a cache é"))
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.delenv("CXX", raising=False)
    return folder / "a cache é" / "nmt"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return use_cache(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the library once for all tests that damage or replace it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_cache(tmp_path_factory.mktemp("compiled"), monkeypatch)
        return compile_kernels()


@pytest.fixture
def library(compiled: Path, own_cache: Path) -> Path:
    """Return the library in the cache of the test."""
    own_cache.mkdir(parents=True)
    return Path(shutil.copy(compiled, own_cache))


@needs_compiler
def test_the_library_is_compiled_once_and_kept_in_the_cache(own_cache):
    library = compile_kernels()
    made = library.stat().st_mtime_ns

    assert library.parent == own_cache
    assert compile_kernels() == library
    assert library.stat().st_mtime_ns == made
    assert [path.name for path in own_cache.iterdir()] == [library.name]


@needs_compiler
@pytest.mark.parametrize("left", [0.0, 0.5, 1.0])
def test_a_damaged_library_is_compiled_again(library, left):
    """A process that uses a truncated library dies of SIGBUS."""
    whole = library.read_bytes()
    kept = bytearray(whole[: int(left * len(whole))])
    if kept:
        kept[-1] ^= 1
    library.write_bytes(kept)

    assert compile_kernels().read_bytes() != kept
    assert ctypes.CDLL(str(compile_kernels())).to_bytes_float32
    assert len(list(library.parent.iterdir())) == 1


@needs_compiler
def test_another_processor_gets_another_library(library, monkeypatch):
    assert compile_kernels() == library
    monkeypatch.setattr(compiler, "_processor", lambda: b"another")

    assert compile_kernels() != library


def test_the_switch_turns_kernels_off(monkeypatch):
    monkeypatch.setenv(SWITCH, "off")

    assert compile_kernels() is None


def test_without_a_compiler_there_are_no_kernels(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert compile_kernels() is None


def test_a_compiler_that_fails_leaves_nothing_behind(monkeypatch, tmp_path, own_cache, caplog):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho so >&2\necho sorry, error 7 >&2\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(broken))

    assert compile_kernels() is None
    assert list(own_cache.iterdir()) == []
    assert f"the kernels were not compiled ({broken}: sorry, error 7); continuing" in caplog.text
    assert f"Fix this, or set {SWITCH}=off to do without kernels." in caplog.text


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("no-such-compiler -m64", "there is no program no-such-compiler, which CXX names"),
        ("g++ '", "No closing quotation"),
    ],
)
def test_a_missing_compiler_is_named(given, why, monkeypatch, caplog):
    monkeypatch.setenv("CXX", given)

    assert compile_kernels() is None
    assert f"the kernels were not compiled ({why})" in caplog.text


@needs_compiler
def test_a_compiler_may_need_arguments_and_lack_openmp(monkeypatch, tmp_path):
    """Without OpenMP the kernels are still compiled for this particular machine."""
    compilers = (shutil.which(name) for name in ("c++", "g++", "clang++"))
    real = next(filter(None, compilers))
    picky, calls = tmp_path / "picky", tmp_path / "calls"
    picky.write_text(
        f'#!/bin/sh\necho "$@" >> {calls}\n'
        f'case "$*" in *-fopenmp*) exit 1;; esac\nshift\nexec {real} "$@"\n'
    )
    picky.chmod(picky.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", f"{picky} --its-own")

    assert ctypes.CDLL(str(compile_kernels())).to_bytes_float32
    first, second = calls.read_text().splitlines()
    assert first.startswith("--its-own ")
    assert first.replace(" -fopenmp", "").rsplit(" -o ")[0] == second.rsplit(" -o ")[0]
    assert "-march=native" in second


@needs_compiler
def test_leftovers_of_a_killed_compiler_are_removed_once_old(own_cache):
    for name, age in (("compiling-old", 3600), ("compiling-now", 0)):
        (own_cache / name).mkdir(parents=True)
        (own_cache / name / "kernels.so").touch()
        made = time.time() - age
        os.utime(own_cache / name, (made, made))
    library = compile_kernels()

    assert {path.name for path in own_cache.iterdir()} == {library.name, "compiling-now"}


@needs_compiler
@pytest.mark.skipif(os.name != "posix", reason="a file for a folder")
def test_a_cache_that_cannot_be_written_is_not_an_error(own_cache, caplog):
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("not a folder")

    assert compile_kernels() is None
    assert str(own_cache) in caplog.text
