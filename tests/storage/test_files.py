import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.errors import ModelError, ResourceError, UsageError
from nmt.storage.files import read_json, write_bytes, write_json, write_text


def test_a_written_file_is_complete_and_readable_by_all_and_leaves_no_stray(tmp_path):
    path = tmp_path / "state.json"
    write_text(path, "old\n")
    write_text(path, "new ü\n")

    assert path.read_bytes() == "new ü\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def test_json_round_trips(tmp_path):
    value = {"update": 3, "best": [1.5, None], "name": "è"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_json_is_human_readable(tmp_path):
    write_json(tmp_path / "a.json", {"name": "è", "best": [1]})
    expected = '{\n  "name": "è",\n  "best": [\n    1\n  ]\n}\n'
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == expected


def test_names_that_are_not_utf8_are_written_as_they_are(tmp_path):
    write_text(tmp_path / "a", os.fsdecode(b"run-\xff\n"))
    assert (tmp_path / "a").read_bytes() == b"run-\xff\n"


def test_a_missing_or_damaged_json_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"a\.json: is missing; restore it from a copy\."):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b'{"update": 3')
    with pytest.raises(ModelError, match=r"a\.json: is damaged, not JSON \(.*\); restore it\."):
        read_json(tmp_path / "a.json")


def test_a_pipe_or_folder_is_never_replaced_by_a_file(tmp_path):
    # A pipe stands in for a device, so that a failing test never deletes /dev/null.
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(UsageError) as caught:
            write_bytes(tmp_path / name, b"x")
        assert str(caught.value) == (
            f"{tmp_path / name}: is not a regular file and is left alone; choose another name."
        )
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("ENOSPC", "the disk is full"),
        ("EDQUOT", "quota"),
        ("EROFS", "read-only"),
        ("EACCES", "permission denied"),
        ("EIO", "input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_failing_disk_is_explained_and_the_old_file_stays(
    tmp_path, monkeypatch, code, reason, call
):
    path = tmp_path / "model.safetensors"
    write_bytes(path, b"old")

    def fail(*args, **options):
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(ResourceError, match=f"need 44 MB in .*, .* free; .*{reason}") as caught:
        write_bytes(path, bytes(44 * 10**6))
    monkeypatch.undo()

    assert caught.value.exit_code == 5
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_real_write_failure_is_explained(tmp_path):
    """The kernel itself cuts the write short, by a limit on the size of files."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from nmt.errors import ResourceError; from nmt.storage.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_bytes(Path(sys.argv[1]) / 'x', bytes(5000))\n"
        "except ResourceError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"need 5.0 kB in {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_error_is_not_disguised_and_names_the_file_itself(tmp_path):
    path = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="name too long") as caught:
        write_bytes(path, b"")
    assert caught.value.filename == str(path)


def test_a_file_in_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"absent: no such folder; create it, .* place for x\."):
        write_bytes(tmp_path / "absent" / "x", b"")


def test_too_many_open_files_are_not_blamed_on_one_of_them(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.EMFILE, "Too many open files")

    path = tmp_path / "state.json"
    write_json(path, {})
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        read_json(path)


def test_a_pipe_in_place_of_a_json_file_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(ModelError, match=r"a\.json: is not a regular file; copy the file itself"):
        read_json(tmp_path / "a.json")


def test_a_huge_json_file_is_not_read(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(40 * 10**6)
    with pytest.raises(ModelError) as caught:
        read_json(tmp_path / "a.json")
    assert str(caught.value) == (
        f"{tmp_path}/a.json: is damaged, 40 MB are too much for its content; restore it."
    )
    os.truncate(tmp_path / "a.json", 32 << 20)
    with pytest.raises(ModelError, match=r"a\.json: is damaged, not JSON \(.*\); restore it\."):
        read_json(tmp_path / "a.json")
