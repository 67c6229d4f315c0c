"""Row 19: loading a model folder runs nothing, writes nothing, and stays within bounds."""

import contextlib
import json
import os
import pickle
import random
import resource
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from evil_models import ATTACKS, HARMLESS, PIECES, UNSUMMED
from processes import Process

from nmt.cli.main import run
from nmt.errors import ModelError, NmtError
from nmt.storage.checksums import write_checksums
from nmt.text.subword import Subword

MEGA = 1 << 20
MOST_MEMORY = 700 * MEGA
"""What loading may take beside what the process has; the largest attack brings 90 MB."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_READS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk")
_FORBIDDEN = ("exec", "compile", "pickle.", "subprocess.", "os.", "socket.", "shutil.", "tempfile.")
_ALSO_FORBIDDEN = ("ctypes.dlopen", "marshal.loads", "code.__new__", "import")


@dataclass(frozen=True)
class Watched:
    """Load a model folder while an audit hook watches; print what it saw as JSON."""

    folder: Path
    good: Path
    outside: Path

    def __call__(self) -> int:
        from nmt.translator import Translator

        list(Translator.load(self.good).translate(["a cat"]))  # triggers lazy imports
        for missing in (self.outside, self.outside / "empty"):
            try:
                Translator.load(missing)
            except ModelError:
                continue
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        most = _address_space() + 8 * 1024 * MEGA
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        os.chdir(self.folder)
        seen: list[str] = []
        is_watching = True

        def watch(event: str, arguments: tuple) -> None:
            if is_watching and (fault := self._fault(event, arguments)):
                seen.append(fault)

        sys.addaudithook(watch)
        code, message = 0, ""
        begun = time.monotonic()
        try:
            list(Translator.load(self.folder).translate(["a cat"]))
        except NmtError as error:
            code, message = error.exit_code, str(error)
        is_watching = False
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used
        seconds = time.monotonic() - begun
        report = {"message": message, "seen": seen, "memory": taken, "seconds": seconds}
        print(json.dumps(report))
        return code

    def _fault(self, event: str, arguments: tuple) -> str | None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int):
                return None
            place = os.path.realpath(os.fsdecode(path))
            is_secret = place.startswith((str(self.outside), "/dev/", "/etc/"))
            return f"open {place}" if flags & _WRITES or is_secret else None
        if event.startswith(_FORBIDDEN) and event not in _READS:
            return f"{event} {arguments!r:.200}"
        return f"{event} {arguments!r:.200}" if event in _ALSO_FORBIDDEN else None


def _address_space() -> int:
    pages = Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()


@pytest.fixture
def folder(model_folder, tmp_path) -> Path:
    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret\n")
    return tmp_path / "model"


@pytest.mark.parametrize("name", ATTACKS)
def test_an_evil_folder_is_refused_and_does_nothing(name, folder, model_folder, programme):
    outside = folder.parent / "outside"
    ATTACKS[name](folder, outside)
    if name not in UNSUMMED:
        write_checksums(folder)
    before = {path: path.lstat() for path in sorted(folder.parent.rglob("*"))}
    watched = Process(Watched(folder, model_folder, outside), folder.parent / "log")
    ended = watched.go().end()

    assert ended.code == (0 if name in HARMLESS else 4), f"{ended.output!r}\n{ended.errors}"
    report = json.loads(ended.output)
    assert report["seen"] == []
    assert report["memory"] < MOST_MEMORY
    assert name in HARMLESS or str(folder) in report["message"]
    assert "secret\n" not in report["message"]
    after = {path: path.lstat() for path in sorted(folder.parent.rglob("*"))}
    after = {path: status for path, status in after.items() if path.parent.name != "log"}
    changed = [
        p
        for p in before
        if (before[p].st_size, before[p].st_mtime_ns) != (after[p].st_size, after[p].st_mtime_ns)
    ]
    assert {path.name for path in after} - {path.name for path in before} <= {"log"}
    assert changed == []
    text = "evil model folders (code, archives, links, pipes, giant sizes): nothing run or written"
    programme.record(19, text, tries=1, worst_seconds=report["seconds"])


@pytest.mark.parametrize("name", ["weights_that_are_a_pickle", "weights_that_are_a_link"])
def test_the_command_line_refuses_an_evil_folder_with_code_4(name, folder, capsys):
    ATTACKS[name](folder, folder.parent / "outside")
    write_checksums(folder)
    text = folder.parent / "text"
    text.write_text("a cat\n")
    assert run(["translate", str(folder), "-i", str(text)]) == 4
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {folder}/model.safetensors: is ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("suffix", ["zip", "tar", "pt2", "pt", "safetensors"])
def test_an_archive_is_not_unpacked(suffix, model_folder, tmp_path, capsys):
    archive = tmp_path / f"model.{suffix}"
    kind = suffix if suffix in ("zip", "tar") else "zip"
    Path(shutil.make_archive(str(tmp_path / "made"), kind, model_folder)).rename(archive)
    text = tmp_path / "text"
    text.write_text("a cat\n")
    before = sorted(tmp_path.iterdir())
    assert run(["translate", str(archive), "-i", str(text)]) == 4
    assert f"error: {archive}: is a file; name a run folder or a model" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_files_shared_by_a_hard_link_are_never_written(folder):
    """Replacing a model does not write to the files of the old one."""
    from nmt.storage.files import write_text
    from nmt.storage.folders import new_folder

    shared = folder.parent / "outside" / "config.json"
    os.link(folder / "config.json", shared)
    before = shared.read_bytes()
    with new_folder(folder) as fresh:
        write_text(fresh / "config.json", "{}")
    write_text(folder / "config.json", "[]")
    assert shared.read_bytes() == before


@dataclass(frozen=True)
class Mutated:
    """Load damaged subword models, one after another; the process must survive them all."""

    pieces: Path
    count: int

    def __call__(self) -> int:
        good, chance = self.pieces.read_bytes(), random.Random(6)
        for _ in range(self.count):
            bad = bytearray(good)
            for _ in range(chance.choice((1, 4, 64))):
                bad[chance.randrange(len(bad))] = chance.randrange(256)
            if chance.random() < 0.2:
                del bad[chance.randrange(len(bad)) :]
            with contextlib.suppress(ModelError):
                subword = Subword(bytes(bad), name="evil.model")
                subword.decode(subword.encode("a cat \x00 日本"))
        return 0


def test_no_damage_of_a_subword_model_ends_the_process(model_folder, tmp_path, programme):
    tries = programme.count(quick=300, full=10_000)
    ended = Process(Mutated(model_folder / PIECES, tries), tmp_path).go().end()
    assert ended.code == 0, ended.errors
    programme.record(19, "damaged subword models: refused or harmless, no crash", tries=tries)


def test_the_audit_hook_detects_what_it_watches_for(tmp_path):
    """The hook that reports nothing for model folders detects each of these when really done."""
    watched, seen = Watched(tmp_path, tmp_path, tmp_path / "outside"), []
    is_watching = True

    def watch(event: str, arguments: tuple) -> None:
        if is_watching and (fault := watched._fault(event, arguments)):
            seen.append(fault.split()[0])

    sys.addaudithook(watch)
    (tmp_path / "canary").write_text("")
    os.rename(tmp_path / "canary", tmp_path / "renamed")
    subprocess.run(["true"], check=True)
    pickle.loads(pickle.dumps(Path))
    with socket.socket():
        pass
    eval("1")
    is_watching = False
    assert {"open", "os.rename", "subprocess.Popen", "pickle.find_class", "socket.__new__"} <= set(
        seen
    )
    assert {"exec", "compile"} <= set(seen)
