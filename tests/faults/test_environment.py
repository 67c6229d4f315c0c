"""Row 30: nmt runs on a machine that lacks what others have, or that uses strange names."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE, become_nobody, folder_of_all, nmt
from tiny import write_corpus
from trial_runs import AHEAD, Run, resumed_from

import nmt as package
from nmt.fast.compiler import SWITCH

ROOT = Path(package.__file__).parents[1]
SETTINGS = ("--set", f"training.max_updates={AHEAD}", "--set", "validation.every=2")


def shell(
    folder: Path,
    script: str,
    *,
    environment: dict[str, str],
    root: Path = ROOT,
    python: str = sys.executable,
) -> None:
    """Train, then translate, each in a fresh interpreter, and check that both worked."""
    paths = os.pathsep.join([str(root), *filter(None, sys.path)])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, **environment}
    environment.setdefault("OMP_NUM_THREADS", "1")
    done = subprocess.run(
        ["sh", "-ec", script, "sh", python, str(folder)],
        env=environment,
        cwd=folder,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    errors = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, errors
    assert "Traceback" not in errors
    assert done.stdout.count(b"\n") == 10, errors


SCRIPT = f"""
"$1" -m nmt.cli train tiny.toml --run run {" ".join(SETTINGS)}
"$1" -m nmt.cli translate run -i valid.xx
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TMPDIR": "/nowhere"},
        {"LC_ALL": "no_SUCH.locale", "PYTHONIOENCODING": "ascii:strict", "HOME": "/nowhere"},
    ],
    ids=["POSIX, no TMPDIR", "unknown locale, ascii, no HOME"],
)
def test_a_strange_locale_and_missing_folders_do_no_harm(tmp_path, environment, programme):
    if "HOME" in environment:
        programme.require_full()
    folder = tmp_path / "è"
    folder.mkdir()
    write_corpus(folder)
    for path in folder.glob("*.??"):
        path.write_text(path.read_text(encoding="utf-8").replace("a", "à"), encoding="utf-8")
    shell(folder, SCRIPT, environment=environment)
    programme.record(30, "a strange locale; no HOME, no TMPDIR", tries=1)


def test_a_run_works_without_network_and_tmp(tmp_path, programme):
    """In a namespace whose only network is down, and where /tmp cannot be written."""
    programme.require_full()
    namespace = ["unshare", "--mount", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*namespace, "true"]).returncode:
        pytest.skip("only root can unshare the network; the audit hook of row 19 sees no socket")
    write_corpus(tmp_path)
    inside = f"""
mount -t tmpfs none /mnt
mkdir /mnt/root /mnt/python /mnt/work
mount --bind "{ROOT}" /mnt/root
mount --bind "{sys.prefix}" /mnt/python
mount --bind "{tmp_path}" /mnt/work
for folder in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o ro none "$folder"; done
cd /mnt/work
{SCRIPT}
"""
    script = f"exec {' '.join(namespace)} sh -ec '{inside}' sh \"$1\""
    python = f"/mnt/python/bin/{Path(sys.executable).name}"
    shell(tmp_path, script, environment={}, root=Path("/mnt/root"), python=python)
    programme.record(30, "no network, /tmp not to be written, empty environment", tries=1)


def no_home() -> None:
    """Become a user without a home, a name or a cache."""
    for name in ("HOME", "XDG_CACHE_HOME", "USER", "LOGNAME", "TMPDIR"):
        os.environ.pop(name, None)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(54321)
        os.setuid(54321)


@pytest.mark.parametrize("setup", [no_home, become_nobody], ids=["nameless", "nobody"])
def test_a_user_without_rights_or_home_can_train_and_translate(setup, programme):
    with folder_of_all() as folder:
        write_corpus(folder)
        own = folder / "own"
        own.mkdir()
        own.chmod(0o777)
        options = ("--run", own / "run", *SETTINGS)
        log = folder / "log"
        ended = nmt(log, "train", folder / "tiny.toml", *options, setup=setup)
        assert ended.code == 0, ended.errors
        ended = nmt(log, "translate", own / "run", "-i", folder / "valid.xx", setup=setup)
        assert (ended.code, ended.output.count(b"\n")) == (0, 10), ended.errors
    programme.record(30, "a user without rights, without a home or a name", tries=1)


@pytest.mark.parametrize(
    "name",
    ["two words", "日本語 ünï 😀", "a 'quoted' \"name\" $HOME `x` *", "#[x]=1", "-v", "new\nline"],
)
def test_a_folder_may_have_any_name(tmp_path, name, programme):
    run = Run(tmp_path / name)
    for updates in (AHEAD, AHEAD + 1):
        ended = run.train(updates)
        assert ended.code == 0, ended.errors
    assert resumed_from(ended.errors) == AHEAD
    text = run.config.parent / "valid.xx"
    ended = nmt(run.log, "translate", run.folder, "-i", text, "-o", tmp_path / f"{name}.out")
    assert ended.code == 0, ended.errors
    assert (tmp_path / f"{name}.out").read_bytes().count(b"\n") == 10
    programme.record(30, "a folder of a strange name", tries=1)


def test_a_name_that_is_not_utf8_is_refused(tmp_path, programme):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xff"))
    ended = Run(folder, log=tmp_path / "log").train(AHEAD)
    assert ended.code == 2
    assert "f\\udcff/train.xx is not UTF-8; rename the folder or the file\n" in ended.errors
    assert not (folder / "run").exists()
    programme.record(30, "a folder whose name is not UTF-8", tries=1)


def test_text_and_model_may_be_read_only(programme):
    with folder_of_all() as folder:
        run = Run(folder)
        assert run.train(AHEAD).code == 0
        for path in [*folder.glob("*.??"), *run.folder.rglob("*"), run.folder]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        text = folder / "valid.xx"
        ended = nmt(folder / "log", "translate", run.folder, "-i", text, setup=become_nobody)
        for path in (run.folder, *(p for p in run.folder.rglob("*") if p.is_dir())):
            path.chmod(0o755)
        assert (ended.code, ended.output.count(b"\n")) == (0, 10), ended.errors
    programme.record(30, "text and model that must not be written", tries=1)


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
extern "C" int clock_gettime(clockid_t clock, struct timespec* now) {
  static int (*real)(clockid_t, struct timespec*);
  static int calls;
  if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += (++calls % 2 ? -1 : 1) * 315360000L;  // ten years
  return result;
}
"""


def test_a_clock_that_jumps_by_years_changes_nothing(tmp_path, programme):
    """The wall clock jumps back or forth by ten years at each reading; no duration uses it."""
    programme.require_full()
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("a clock that jumps has to be compiled, and there is no compiler")
    (tmp_path / "clock.cpp").write_text(CLOCK)
    library = tmp_path / "clock.so"
    source = str(tmp_path / "clock.cpp")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), source, "-ldl"], check=True)
    write_corpus(tmp_path)
    script = f"""
"$1" -m nmt.cli train tiny.toml --run run {" ".join(SETTINGS)} --max-time 1h
test "$(cat run/last)" = checkpoints/update-{AHEAD:06d}
"$1" -m nmt.cli translate run -i valid.xx
"""
    environment = {"LD_PRELOAD": str(library), SWITCH: "off"}
    shell(tmp_path, script, environment=environment)
    programme.record(30, "a wall clock that jumps by ten years at each look", tries=1)


@pytest.mark.parametrize("seconds", [0, 4_102_444_800], ids=["1970", "2100"])
def test_files_with_odd_timestamps_are_accepted(tmp_path, seconds):
    run = Run(tmp_path)
    assert run.train(AHEAD).code == 0
    for path in tmp_path.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            os.utime(path, (seconds, seconds))
    ended = run.train(AHEAD + 1)
    assert ended.code == 0, ended.errors
    assert resumed_from(ended.errors) == AHEAD
