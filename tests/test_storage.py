import ctypes
import errno
import json
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nmt import storage
from nmt.errors import ModelError, ResourceError, UsageError

OUTSIDE = "points outside the folder; refused, trust no such file."


def test_importing_storage_does_not_import_torch():
    code = "import sys, nmt.storage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_written_file_is_whole_readable_by_all_and_leaves_no_stray(tmp_path):
    path = tmp_path / "state.json"
    storage.write_text(path, "old\n")
    storage.write_text(path, "new ü\n")

    assert path.read_bytes() == "new ü\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def test_json_round_trips(tmp_path):
    value = {"update": 3, "best": [1.5, None], "name": "è"}
    storage.write_json(tmp_path / "a.json", value)
    assert storage.read_json(tmp_path / "a.json") == value


def test_json_is_written_for_people(tmp_path):
    storage.write_json(tmp_path / "a.json", {"name": "è", "best": [1]})
    expected = '{\n  "name": "è",\n  "best": [\n    1\n  ]\n}\n'
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == expected


def test_names_that_are_not_utf8_are_written_as_they_are(tmp_path):
    storage.write_text(tmp_path / "a", os.fsdecode(b"run-\xff\n"))
    assert (tmp_path / "a").read_bytes() == b"run-\xff\n"


def test_a_missing_or_damaged_json_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"a\.json: is missing; the folder is not complete\."):
        storage.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b'{"update": 3')
    with pytest.raises(ModelError, match=r"a\.json: is damaged, not JSON \(.*\); restore it\."):
        storage.read_json(tmp_path / "a.json")


def test_what_is_no_plain_file_is_never_replaced_by_one(tmp_path):
    # A pipe stands in for a device: should the rule be broken, no machine loses its /dev/null.
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(UsageError) as caught:
            storage.write_bytes(tmp_path / name, b"x")
        assert str(caught.value) == (
            f"{tmp_path / name}: is not a plain file and is left alone; choose another name."
        )
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("ENOSPC", "the disk is full"),
        ("EDQUOT", "quota"),
        ("EROFS", "read-only"),
        ("EACCES", "not permitted"),
        ("EIO", "input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_failing_disk_is_explained_and_the_old_file_stays(
    tmp_path, monkeypatch, code, reason, call
):
    path = tmp_path / "model.safetensors"
    storage.write_bytes(path, b"old")

    def fail(*args, **options):
        number = getattr(storage.errno, code)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(storage.os, call, fail)
    with pytest.raises(ResourceError, match=f"need 44 MB in .*, .* free; .*{reason}") as caught:
        storage.write_bytes(path, bytes(44 * 10**6))
    monkeypatch.undo()

    assert caught.value.exit_code == 5
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_in_earnest_is_explained(tmp_path):
    """The kernel itself cuts the write short, by a limit on the size of files."""
    code = (
        "import resource, sys; from pathlib import Path; from nmt import storage\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: storage.write_bytes(Path(sys.argv[1]) / 'x', bytes(5000))\n"
        "except storage.ResourceError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"need 5.0 kB in {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_error_is_not_disguised(tmp_path):
    with pytest.raises(FileNotFoundError):
        storage.write_bytes(tmp_path / "absent" / "x", b"")


def test_a_full_disk_is_explained_where_nobody_knows_what_is_free(tmp_path):
    with pytest.raises(ResourceError) as caught, storage.explain_failures(tmp_path / "gone" / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value) == (
        f"cannot write {tmp_path}/gone/x; the disk is full; free some space or choose a folder "
        "on another disk."
    )


def test_writing_where_one_may_not_go_is_explained(no_rights):
    shut = no_rights / "shut"
    shut.mkdir()
    shut.chmod(0)
    with pytest.raises(
        ResourceError, match=r"cannot write .*/shut/run, .* free; writing there is not"
    ):
        storage.make_folder(shut / "run")
    with pytest.raises(ResourceError, match=r"need 3 B in .*/shut, .* free; writing there is"):
        storage.write_bytes(shut / "state.json", b"{}\n")
    with pytest.raises(ResourceError, match=r"cannot write .*/shut, .* free; writing there is not"):
        storage.sweep_strays(shut)


def test_too_many_open_files_are_not_blamed_on_one_of_them(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.EMFILE, "Too many open files")

    path = tmp_path / "state.json"
    storage.write_json(path, {})
    monkeypatch.setattr(storage.Path, "read_bytes", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        storage.read_json(path)


def test_reading_where_one_may_not_go_is_explained(no_rights):
    storage.write_json(no_rights / "state.json", {})
    storage.write_manifest(no_rights)
    (no_rights / "state.json").chmod(0)
    refused = r"/state\.json: cannot be read \(Permission denied\); mend its mode, or restore it"
    with pytest.raises(ModelError, match=refused):
        storage.read_json(no_rights / "state.json")
    with pytest.raises(ModelError, match=refused):
        storage.verify_manifest(no_rights)
    (no_rights / "SHA256SUMS").chmod(0)
    with pytest.raises(ModelError, match=r"/SHA256SUMS: cannot be read \(Permission denied\)"):
        storage.verify_manifest(no_rights)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (5000, "5.0 kB"),
        (10_000, "10 kB"),
        (10_500, "10 kB"),
        (10**6, "1.0 MB"),
        (44 * 10**6, "44 MB"),
        (2 * 10**9, "2.0 GB"),
    ],
)
def test_sizes_read_as_people_say_them(size, text):
    assert storage.format_size(size) == text


def test_make_folder_says_when_a_file_is_in_the_way(tmp_path):
    assert storage.make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="a file is in the way"):
        storage.make_folder(tmp_path / "file" / "run")


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / os.fsdecode(b"run-\xff")
    with pytest.raises(UsageError, match=r"run-\\udcff': is no name in UTF-8; rename it\."):
        storage.make_folder(path)
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_in_place_of_a_json_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(ModelError, match=r"a\.json: is not a plain file; refused, copy the folder"):
        storage.read_json(tmp_path / "a.json")


def test_a_huge_json_file_is_not_read(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(40 * 10**6)
    with pytest.raises(ModelError) as caught:
        storage.read_json(tmp_path / "a.json")
    assert str(caught.value) == (
        f"{tmp_path}/a.json: is damaged, 40 MB are too much for what it says; restore it."
    )
    os.truncate(tmp_path / "a.json", 32 << 20)
    with pytest.raises(ModelError, match=r"a\.json: is damaged, not JSON \(.*\); restore it\."):
        storage.read_json(tmp_path / "a.json")


# --- checksums


def filled(folder):
    storage.make_folder(folder)
    storage.write_bytes(folder / "weights", bytes(range(256)) * 64)
    storage.write_text(folder / "state.json", "{}\n")
    storage.write_manifest(folder)
    return folder


def test_the_manifest_is_what_sha256sum_reads(tmp_path):
    folder = filled(tmp_path / "model")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "state.json: OK\nweights: OK\n"
    assert list(storage.verify_manifest(folder)) == ["state.json", "weights"]


def test_every_flipped_bit_is_found(tmp_path):
    folder = filled(tmp_path / "model")
    good = (folder / "weights").read_bytes()
    for position in range(0, len(good), 4096):
        bad = bytearray(good)
        bad[position] ^= 1
        (folder / "weights").write_bytes(bad)
        with pytest.raises(ModelError) as caught:
            storage.verify_manifest(folder)
        assert str(caught.value) == (
            f"{folder}/weights: is damaged or was changed, its SHA-256 is not the one in "
            "SHA256SUMS; restore the file from a copy."
        )


def test_an_empty_line_ends_no_manifest(tmp_path):
    folder = filled(tmp_path / "model")
    first, rest = (folder / "SHA256SUMS").read_text().split("\n", maxsplit=1)
    (folder / "SHA256SUMS").write_text(f"{first}\n\n{rest}")
    assert list(storage.verify_manifest(folder)) == ["state.json", "weights"]


def test_hidden_files_are_not_promised(tmp_path):
    folder = filled(tmp_path / "model")
    (folder / ".lock").touch()
    storage.write_manifest(folder)
    assert list(storage.verify_manifest(folder)) == ["state.json", "weights"]


def test_a_name_may_be_as_long_as_a_file_system_takes(tmp_path):
    folder = filled(tmp_path / "model")
    storage.write_text(folder / ("x" * 200), "")
    (folder / ("x" * 200)).rename(folder / ("x" * 255))
    storage.write_manifest(folder)
    assert "x" * 255 in storage.verify_manifest(folder)


def test_missing_files_and_manifests_are_named(tmp_path):
    folder = filled(tmp_path / "model")
    (folder / "weights").unlink()
    with pytest.raises(
        ModelError, match=r"weights: is missing, though SHA256SUMS lists it; restore it\."
    ):
        storage.verify_manifest(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(ModelError) as caught:
        storage.verify_manifest(folder)
    assert str(caught.value) == (
        f"{folder}: has no SHA256SUMS; it is no checkpoint or model folder, or not complete."
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "is damaged, not `sha256  name`; restore it."),
        ("0" * 64 + "  ../secret", f"`../secret` {OUTSIDE}"),
        ("0" * 64 + "  /etc/passwd", f"`/etc/passwd` {OUTSIDE}"),
    ],
)
def test_a_damaged_or_hostile_manifest_is_refused(tmp_path, line, message):
    folder = filled(tmp_path / "model")
    (folder / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(ModelError) as caught:
        storage.verify_manifest(folder)
    assert str(caught.value) == f"{folder}/SHA256SUMS:1: {message}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"weights\0", "1: is damaged, no file has such a name; restore it."),
        (b"a/" + b"x" * 256, "1: is damaged, no file has such a name; restore it."),
        (b"w\xff", " is damaged, not UTF-8; restore it."),
    ],
    ids=["nul", "long", "not UTF-8"],
)
def test_a_manifest_of_impossible_names_is_refused(tmp_path, name, message):
    folder = filled(tmp_path / "model")
    (folder / "SHA256SUMS").write_bytes(b"0" * 64 + b"  " + name + b"\n")
    with pytest.raises(ModelError) as caught:
        storage.verify_manifest(folder)
    assert str(caught.value) == f"{folder}/SHA256SUMS:{message}"


@pytest.mark.parametrize("name", ["weights", "SHA256SUMS"])
def test_a_link_out_of_the_folder_is_not_followed(tmp_path, name):
    folder = filled(tmp_path / "model")
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        ModelError,
        match=rf"/{name}: is a link that leads out of the folder; refused, "
        r"put the file itself there\.$",
    ):
        storage.verify_manifest(folder)


def test_a_link_to_itself_is_refused(tmp_path):
    folder = filled(tmp_path / "model")
    (folder / "SHA256SUMS").unlink()
    (folder / "SHA256SUMS").symlink_to("SHA256SUMS")
    with pytest.raises(ModelError, match=r"/SHA256SUMS: cannot be read \(Too many levels of symb"):
        storage.verify_manifest(folder)


# --- folders


def test_a_new_folder_appears_complete_with_its_manifest(tmp_path):
    final = tmp_path / "update-000010"
    with storage.new_folder(final) as temporary:
        storage.write_text(temporary / "state.json", "{}\n")
        assert not final.exists()
    assert list(storage.verify_manifest(final)) == ["state.json"]
    assert list(tmp_path.iterdir()) == [final]


def test_a_folder_that_fails_leaves_nothing_and_keeps_the_old_one(tmp_path):
    final = filled(tmp_path / "model")
    with pytest.raises(IsADirectoryError), storage.new_folder(final) as temporary:
        temporary.write_text("a folder is in the way")
    storage.verify_manifest(final)
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
    """Let the test see a system that can exchange two names, and others that cannot."""
    replacement = LIBRARIES[request.param]
    if replacement is not None:
        monkeypatch.setattr(storage.ctypes, "CDLL", lambda *_, **__: replacement)
    return request.param


def test_an_existing_folder_is_replaced(tmp_path, library):
    final = filled(tmp_path / "model")
    with storage.new_folder(final) as temporary:
        storage.write_text(temporary / "weights", "new")
    assert sorted(path.name for path in final.iterdir()) == ["SHA256SUMS", "weights"]
    storage.verify_manifest(final)
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is of Linux")
def test_a_folder_that_is_replaced_is_there_at_any_moment(tmp_path, monkeypatch):
    final = filled(tmp_path / "model")
    rename, exchange, seen = os.rename, storage._exchange, []

    def look_around(call):
        def looking(source, target):
            storage.verify_manifest(final)
            outcome = call(source, target)
            storage.verify_manifest(final)
            seen.append(call)
            return outcome

        return looking

    monkeypatch.setattr(storage.os, "rename", look_around(rename))
    monkeypatch.setattr(storage, "_exchange", look_around(exchange))
    with storage.new_folder(final) as temporary:
        (temporary / "weights").write_text("new")
    assert seen == [rename, exchange, rename]
    assert (final / "weights").read_text() == "new"


def replace_in_vain(final):
    """Replace a folder, which the disk is to refuse; the old one is then there, and alone."""
    filled(final)
    with (
        pytest.raises(ResourceError, match=r"need 2\.0 MB in .* the disk reports an input/out"),
        storage.new_folder(final) as temporary,
    ):
        (temporary / "weights").write_bytes(bytes(2 * 10**6))
    storage.verify_manifest(final)
    assert list(final.parent.iterdir()) == [final]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is of Linux")
def test_two_names_change_places_also_seen_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(name).write_text(name)
    assert storage._exchange(Path("a"), Path("b"))
    assert (Path("a").read_text(), Path("b").read_text()) == ("b", "a")
    ctypes.set_errno(0)
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: 'none'$"):
        storage._exchange(Path("a"), Path("none"))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_replacement_whose_rename_fails_gives_the_old_folder_back(tmp_path, monkeypatch, number):
    """On a system that cannot exchange two names."""
    rename, calls = os.rename, []

    def fail_once(source, target):
        calls.append(source)
        if len(calls) == number:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(storage.os, "rename", fail_once)
    monkeypatch.setattr(storage.ctypes, "CDLL", lambda *_, **__: object())
    replace_in_vain(tmp_path / "model")


def test_an_exchange_that_fails_gives_the_old_folder_back(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.ctypes, "CDLL", lambda *_, **__: Library(errno.EIO))
    replace_in_vain(tmp_path / "model")


def test_a_new_folder_that_cannot_get_its_name_vanishes(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(storage.os, "rename", fail)
    with (
        pytest.raises(ResourceError, match="the disk reports an input/output error"),
        storage.new_folder(tmp_path / "new"),
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

    monkeypatch.setattr(storage.os, "fsync", note_fsync)
    monkeypatch.setattr(storage.os, "rename", note_rename)
    with storage.new_folder(tmp_path / "run") as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "plain").write_text("not by this module")
        os.mkfifo(temporary / "pipe")  # is no content: neither waited for nor in the manifest
    before = synced[: synced.index("renamed")]
    assert {str(temporary / name) for name in (".", "inner", "inner/plain")} <= set(before)
    assert not any("pipe" in name for name in synced)
    assert synced[-1] == str(tmp_path)


def test_strays_are_swept_and_everything_else_stays(tmp_path):
    (tmp_path / "kept.partial").touch()
    (tmp_path / ".hidden").touch()
    storage.temporary_beside(tmp_path / "state.json").touch()
    stray_folder = storage.temporary_beside(tmp_path / "update-000010")
    stray_folder.mkdir()
    (stray_folder / "model.safetensors").touch()

    strays = [path.name for path in tmp_path.iterdir() if re.search(r"\w{12}\.partial", path.name)]
    assert storage.sweep_strays(tmp_path) == sorted(strays)
    assert len(strays) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "kept.partial"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_folder_lost_between_two_renames_comes_back(tmp_path, monkeypatch, number):
    """On a system that cannot exchange two names; the process dies before a rename."""
    final = filled(tmp_path / "model")
    rename, calls = os.rename, []

    def die(source, target):
        calls.append(source)
        if len(calls) >= number:
            raise SystemExit(137)
        rename(source, target)

    monkeypatch.setattr(storage.os, "rename", die)
    monkeypatch.setattr(storage.ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(SystemExit), storage.new_folder(final):
        pass  # an empty folder is enough
    monkeypatch.undo()
    assert final.exists() == (number < 3)

    storage.sweep_strays(tmp_path)
    storage.verify_manifest(final)
    assert list(tmp_path.iterdir()) == [final]


def test_a_second_run_in_one_folder_is_refused_with_pid_and_host(tmp_path):
    code = (
        "import sys; from pathlib import Path; from nmt import storage\n"
        "try:\n    with storage.lock_folder(Path(sys.argv[1])): print('free')\n"
        "except storage.UsageError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with storage.lock_folder(tmp_path):
        held = subprocess.run(command, capture_output=True, text=True, check=True)
    free = subprocess.run(command, capture_output=True, text=True, check=True)

    owner = re.escape(f"process {os.getpid()} on {socket.gethostname()}")
    assert re.search(f"is in use by {owner}; wait until it ends", held.stdout)
    assert free.stdout == "free\n"


def test_a_folder_is_in_use_within_one_process_too(tmp_path):
    with storage.lock_folder(tmp_path):
        owner = re.escape(f"process {os.getpid()} on {socket.gethostname()}")
        with (
            pytest.raises(UsageError, match=f": is in use by {owner}; wait until it ends"),
            storage.lock_folder(tmp_path),
        ):
            pass
        (tmp_path / storage.LOCK).write_bytes(b"")
        with (
            pytest.raises(UsageError, match=r": is in use by another process; wait until it ends"),
            storage.lock_folder(tmp_path),
        ):
            pass


# --- tensors


def test_tensors_round_trip_bitwise_and_write_equal_bytes(tmp_path):
    tensors = {
        "weight": torch.randn(3, 5),
        "half": torch.randn(4).bfloat16(),
        "step": torch.tensor(7.0),
        "slice": torch.arange(10)[::2],
        "empty": torch.empty(0, 3),
    }
    metadata = {"update": 3, "kind": "adam", "a": {"b": [1]}}
    digests = set()
    for number in range(5):
        path = tmp_path / f"{number}.safetensors"
        order = {"reverse": number % 2 == 0}
        ordered = (dict(sorted(table.items(), **order)) for table in (tensors, metadata))
        storage.save_tensors(path, *ordered)
        digests.add(storage.sha256_of(path))

    assert len(digests) == 1
    assert storage.load_metadata(path) == metadata
    loaded = storage.load_tensors(path)
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_loaded_tensors_can_be_written_and_outlive_their_file(tmp_path):
    path = tmp_path / "a.safetensors"
    storage.save_tensors(path, {"a": torch.ones(4)})
    loaded = storage.load_tensors(path)["a"]
    path.write_bytes(b"")
    loaded += 1
    assert loaded.tolist() == [2, 2, 2, 2]


def test_no_metadata_reads_as_an_empty_table(tmp_path):
    storage.save_tensors(tmp_path / "a.safetensors", {"a": torch.ones(1)})
    assert storage.load_metadata(tmp_path / "a.safetensors") == {}


def test_damaged_weights_are_refused_by_name(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match=r"safetensors: is missing; the folder is not complete\."):
        storage.load_tensors(path)
    storage.save_tensors(path, {"a": torch.ones(100)})
    whole = path.read_bytes()
    for size in (0, 5, 60, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"model\.safetensors: is not a readable"):
            storage.load_tensors(path)
    path.write_bytes(json.dumps({"a": 1}).encode())
    with pytest.raises(ModelError, match=r"model\.safetensors: is not a readable"):
        storage.load_metadata(path)


def test_tensors_too_large_for_memory_are_an_error_that_says_so(tmp_path):
    huge = torch.zeros(1).expand(2**50)
    with pytest.raises(ResourceError) as caught:
        storage.save_tensors(tmp_path / "a.safetensors", {"a": huge})
    assert str(caught.value) == (
        f"memory is too small for writing {tmp_path}/a.safetensors, which takes 13510798 GB; "
        "end other programs, then retry."
    )
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    storage.save_tensors(path, {"a": torch.ones(1)}, [1, 2])
    with pytest.raises(ModelError, match=r"a\.safetensors: holds no table of metadata; restore"):
        storage.load_metadata(path)


def test_weights_that_are_no_plain_file_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for load in (storage.load_tensors, storage.load_metadata):
        for path in (tmp_path, tmp_path / "pipe"):
            with pytest.raises(
                ModelError, match=": is not a plain file; point to a file of weights"
            ):
                load(path)
        with pytest.raises(ModelError, match=r"loop: cannot be read \(Too many levels of symbol"):
            load(tmp_path / "loop")


@pytest.mark.parametrize("name", ["/".join(["a" * 200] * 30), "a" * 300, "a\0b"])
def test_checksums_of_a_file_that_cannot_be_are_refused(tmp_path, name):
    (tmp_path / storage.MANIFEST).write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(ModelError, match=r"SHA256SUMS:1: is damaged, no file has such a name"):
        storage.verify_manifest(tmp_path)


def test_a_link_that_leads_in_a_circle_is_missing(tmp_path):
    (tmp_path / "weights").symlink_to("weights")
    (tmp_path / storage.MANIFEST).write_text(f"{'0' * 64}  weights\n")
    with pytest.raises(ModelError, match=r"weights: is missing, though SHA256SUMS lists it"):
        storage.verify_manifest(tmp_path)


def test_a_folder_with_files_of_somebody_else_is_not_replaced(tmp_path):
    folder = tmp_path / "data"
    storage.require_replaceable(folder)
    with storage.new_folder(folder) as made:
        (made / "train").mkdir()
        (made / "train" / "ids.bin").write_bytes(b"1")
    (folder / ".DS_Store").touch()
    storage.require_replaceable(folder)
    (folder / "train" / "ids.bin").write_bytes(b"damaged")
    storage.require_replaceable(folder)
    (folder / "train" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        UsageError,
        match=r"data: holds train/thesis\.txt, which nmt did not write, and would be replaced "
        r"as a whole; move that away, or choose another folder\.$",
    ):
        storage.require_replaceable(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UsageError, match=r"holds train/ids\.bin and 1 more, which"):
        storage.require_replaceable(folder)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_or_a_file_in_the_place_of_a_folder_is_not_replaced(tmp_path, kind):
    place = tmp_path / "model"
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.touch()
    with pytest.raises(
        UsageError,
        match=rf"of its own but a {kind}; it would be replaced as a whole, so move it away\.$",
    ):
        storage.require_replaceable(place)


def test_what_somebody_put_into_a_folder_is_kept_when_it_is_replaced(tmp_path):
    folder = tmp_path / "model"
    for content in (b"old", b"new"):
        with storage.new_folder(folder) as made:
            (made / "weights").write_bytes(content)
        if content == b"old":
            (folder / "notes.txt").write_text("mine")
    assert (folder / "weights").read_bytes() == b"new"
    assert not (folder / "notes.txt").exists()
    (kept,) = tmp_path.glob("model.kept.*")
    assert (kept / "notes.txt").read_text() == "mine"


def test_what_was_half_deleted_is_not_taken_for_files_of_somebody_else(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    with storage.new_folder(folder) as made:
        (made / "weights").touch()

    def delete_a_part(doomed, **_):
        (doomed / storage.MANIFEST).unlink(missing_ok=True)
        raise SystemExit(137)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):  # noqa: PT012
        patch.setattr(storage.shutil, "rmtree", delete_a_part)
        with storage.new_folder(folder) as made:
            (made / "weights").write_bytes(b"new")
    assert len(list(tmp_path.iterdir())) == 2
    storage.sweep_strays(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "weights").read_bytes() == b"new"


def test_a_manifest_that_was_cut_short_is_refused(tmp_path):
    folder = filled(tmp_path / "model")
    assert storage.verify_manifest(folder, needed=["weights"])
    (folder / storage.MANIFEST).write_text("")
    storage.verify_manifest(folder)
    refusal = r"model/weights: is missing from SHA256SUMS; copy the folder again\.$"
    with pytest.raises(ModelError, match=refusal):
        storage.verify_manifest(folder, needed=["weights"])


@pytest.mark.parametrize("foreign", [False, True])
def test_sweeping_keeps_what_somebody_put_into_a_folder_that_was_replaced(tmp_path, foreign):
    """As a process leaves it that is killed after the second rename."""
    aside = tmp_path / ".model.0123456789ab.replaced"
    for folder in (tmp_path / "model", aside):
        with storage.new_folder(folder) as made:
            (made / "weights").touch()
    if foreign:
        (aside / "notes.txt").write_text("mine")
    assert storage.sweep_strays(tmp_path) == [aside.name]
    kept = [path / "notes.txt" for path in tmp_path.glob("model.kept.*")]
    assert [path.read_text() for path in kept] == ["mine"] * foreign
    assert not aside.exists()


def test_shapes_are_read_without_the_tensors(tmp_path):
    path = tmp_path / "x.safetensors"
    storage.save_tensors(path, {"b": torch.ones(2, 3), "a": torch.ones(())})
    assert storage.tensor_shapes(path) == {"a": (), "b": (2, 3)}
    path.write_bytes(b"no tensors")
    with pytest.raises(
        ModelError, match=r"is not a readable safetensors file \(.*\); restore it from a copy\."
    ):
        storage.tensor_shapes(path)
