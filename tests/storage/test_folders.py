import ctypes
import errno
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from filled_folder import filled

from nmt.errors import ResourceError, UsageError
from nmt.storage import folders
from nmt.storage.checksums import CHECKSUMS, verify_checksums
from nmt.storage.files import temporary_beside, write_text
from nmt.storage.folders import make_folder, new_folder, require_replaceable, sweep_strays


def test_make_folder_says_when_a_file_is_in_the_way(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="a file is in the way"):
        make_folder(tmp_path / "file" / "run")


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / os.fsdecode(b"run-\xff")
    with pytest.raises(UsageError, match=r"run-\\udcff': the name is not UTF-8; rename it\."):
        make_folder(path)
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_appears_complete_with_its_manifest(tmp_path):
    final = tmp_path / "update-000010"
    with new_folder(final) as temporary:
        write_text(temporary / "state.json", "{}\n")
        assert not final.exists()
    assert list(verify_checksums(final)) == ["state.json"]
    assert list(tmp_path.iterdir()) == [final]


def test_a_failed_new_folder_leaves_nothing_and_keeps_the_old_one(tmp_path):
    final = filled(tmp_path / "model")
    with pytest.raises(IsADirectoryError), new_folder(final) as temporary:
        temporary.write_text("a folder is in the way")
    verify_checksums(final)
    assert list(tmp_path.iterdir()) == [final]


class Library:
    """The C library of a system whose renameat2 fails, as far as it is needed here."""

    def __init__(self, number):
        self.number = number

    def renameat2(self, *_):
        ctypes.set_errno(self.number)
        return -1


LIBRARIES = {
    "exchange": None,
    "no such call": object(),
    "not of this file system": Library(errno.EINVAL),
    "not of this kernel": Library(errno.ENOSYS),
}


@pytest.fixture(params=LIBRARIES)
def library(request, monkeypatch):
    """Simulate a system that can exchange two names, and others that cannot."""
    replacement = LIBRARIES[request.param]
    if replacement is not None:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: replacement)
    return request.param


def test_an_existing_folder_is_replaced(tmp_path, library):
    final = filled(tmp_path / "model")
    with new_folder(final) as temporary:
        write_text(temporary / "weights", "new")
    assert sorted(path.name for path in final.iterdir()) == ["SHA256SUMS", "weights"]
    verify_checksums(final)
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is of Linux")
def test_a_folder_exists_at_any_moment_while_it_is_replaced(tmp_path, monkeypatch):
    final = filled(tmp_path / "model")
    rename, exchange, seen = os.rename, folders._exchange, []

    def look_around(call):
        def looking(source, target):
            verify_checksums(final)
            outcome = call(source, target)
            verify_checksums(final)
            seen.append(call)
            return outcome

        return looking

    monkeypatch.setattr(os, "rename", look_around(rename))
    monkeypatch.setattr(folders, "_exchange", look_around(exchange))
    with new_folder(final) as temporary:
        (temporary / "weights").write_text("new")
    assert seen == [rename, exchange, rename]
    assert (final / "weights").read_text() == "new"


def replace_in_vain(final):
    """Try to replace a folder on a failing disk; check that only the old one remains."""
    filled(final)
    with (
        pytest.raises(ResourceError, match=r"need 2\.0 MB in .* the disk reports an input/out"),
        new_folder(final) as temporary,
    ):
        (temporary / "weights").write_bytes(bytes(2 * 10**6))
    verify_checksums(final)
    assert list(final.parent.iterdir()) == [final]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is of Linux")
def test_two_names_are_exchanged_also_with_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(name).write_text(name)
    assert folders._exchange(Path("a"), Path("b"))
    assert (Path("a").read_text(), Path("b").read_text()) == ("b", "a")
    ctypes.set_errno(0)
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: 'none'$"):
        folders._exchange(Path("a"), Path("none"))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_replacement_whose_rename_fails_restores_the_old_folder(tmp_path, monkeypatch, number):
    """On a system that cannot exchange two names."""
    rename, calls = os.rename, []

    def fail_once(source, target):
        calls.append(source)
        if len(calls) == number:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_once)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    replace_in_vain(tmp_path / "model")


def test_a_failed_exchange_restores_the_old_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Library(errno.EIO))
    replace_in_vain(tmp_path / "model")


def test_a_new_folder_that_cannot_be_renamed_is_removed(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "rename", fail)
    with (
        pytest.raises(ResourceError, match="the disk reports an input/output error"),
        new_folder(tmp_path / "new"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_every_file_and_folder_is_on_the_disk_before_the_name_appears(tmp_path, monkeypatch):
    synced, rename, fsync = [], os.rename, os.fsync

    def note_fsync(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def note_rename(source, target):
        synced.append("renamed")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    with new_folder(tmp_path / "run") as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "plain").write_text("not by this module")
        os.mkfifo(temporary / "pipe")  # not content: neither waited for nor in the manifest
    before = synced[: synced.index("renamed")]
    assert {str(temporary / name) for name in (".", "inner", "inner/plain")} <= set(before)
    assert not any("pipe" in name for name in synced)
    assert synced[-1] == str(tmp_path)


def test_strays_are_swept_and_everything_else_stays(tmp_path):
    (tmp_path / "kept.partial").touch()
    (tmp_path / ".hidden").touch()
    temporary_beside(tmp_path / "state.json").touch()
    stray_folder = temporary_beside(tmp_path / "update-000010")
    stray_folder.mkdir()
    (stray_folder / "model.safetensors").touch()

    strays = [path.name for path in tmp_path.iterdir() if re.search(r"\w{12}\.partial", path.name)]
    assert sweep_strays(tmp_path) == sorted(strays)
    assert len(strays) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "kept.partial"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_folder_lost_between_two_renames_is_restored(tmp_path, monkeypatch, number):
    """On a system that cannot exchange two names; the process dies before a rename."""
    final = filled(tmp_path / "model")
    rename, calls = os.rename, []

    def die(source, target):
        calls.append(source)
        if len(calls) >= number:
            raise SystemExit(137)
        rename(source, target)

    monkeypatch.setattr(os, "rename", die)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(SystemExit), new_folder(final):
        pass  # an empty folder is enough
    monkeypatch.undo()
    assert final.exists() == (number < 3)

    sweep_strays(tmp_path)
    verify_checksums(final)
    assert list(tmp_path.iterdir()) == [final]


def test_a_folder_with_foreign_files_is_not_replaced(tmp_path):
    folder = tmp_path / "data"
    require_replaceable(folder)
    with new_folder(folder) as made:
        (made / "train").mkdir()
        (made / "train" / "ids.bin").write_bytes(b"1")
    (folder / ".DS_Store").touch()
    require_replaceable(folder)
    (folder / "train" / "ids.bin").write_bytes(b"damaged")
    require_replaceable(folder)
    (folder / "train" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        UsageError,
        match=r"data: holds train/thesis\.txt, which nmt did not write, and the whole "
        r"folder would be replaced; move that away, or choose another folder\.$",
    ):
        require_replaceable(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UsageError, match=r"holds train/ids\.bin and 1 more, which"):
        require_replaceable(folder)


@pytest.mark.parametrize("content", ["", "no checksum\n", f"{'0' * 64}  gone\n"])
def test_a_folder_whose_manifest_is_damaged_is_replaced_and_kept(tmp_path, caplog, content):
    """Without a valid manifest, foreign files cannot be recognised."""
    folder = filled(tmp_path / "model")
    (folder / CHECKSUMS).write_text(content)
    require_replaceable(folder)
    with new_folder(folder) as made:
        (made / "weights").write_bytes(b"new")
    (kept,) = tmp_path.glob("model.kept.*")
    assert (kept / "weights").stat().st_size == 256 * 64
    assert (folder / "weights").read_bytes() == b"new"
    assert caplog.messages == [f"{folder}: held files that nmt did not write; kept as {kept.name}"]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_or_a_file_in_place_of_a_folder_is_not_replaced(tmp_path, kind):
    place = tmp_path / "model"
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.touch()
    with pytest.raises(
        UsageError,
        match=rf"model: is a {kind}, where nmt writes a folder; move it away\.$",
    ):
        require_replaceable(place)


def test_foreign_files_are_kept_when_a_folder_is_replaced(tmp_path):
    folder = tmp_path / "model"
    for content in (b"old", b"new"):
        with new_folder(folder) as made:
            (made / "weights").write_bytes(content)
        if content == b"old":
            (folder / "notes.txt").write_text("mine")
    assert (folder / "weights").read_bytes() == b"new"
    assert not (folder / "notes.txt").exists()
    (kept,) = tmp_path.glob("model.kept.*")
    assert (kept / "notes.txt").read_text() == "mine"


def test_half_deleted_folders_are_not_taken_for_foreign_files(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    with new_folder(folder) as made:
        (made / "weights").touch()

    def delete_a_part(doomed, **_):
        (doomed / CHECKSUMS).unlink(missing_ok=True)
        raise SystemExit(137)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):  # noqa: PT012
        patch.setattr(shutil, "rmtree", delete_a_part)
        with new_folder(folder) as made:
            (made / "weights").write_bytes(b"new")
    assert len(list(tmp_path.iterdir())) == 2
    sweep_strays(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "weights").read_bytes() == b"new"


@pytest.mark.parametrize("foreign", [False, True])
def test_sweeping_keeps_foreign_files_of_a_replaced_folder(tmp_path, foreign):
    """A process that is killed after the second rename leaves such a folder."""
    aside = tmp_path / ".model.0123456789ab.replaced"
    for folder in (tmp_path / "model", aside):
        with new_folder(folder) as made:
            (made / "weights").touch()
    if foreign:
        (aside / "notes.txt").write_text("mine")
    assert sweep_strays(tmp_path) == [aside.name]
    kept = [path / "notes.txt" for path in tmp_path.glob("model.kept.*")]
    assert [path.read_text() for path in kept] == ["mine"] * foreign
    assert not aside.exists()
