import errno
import fcntl
import os
import re
import socket
import subprocess
import sys

import pytest

from nmt.errors import ResourceError, UsageError
from nmt.storage.lock import LOCK, lock_folder


def test_a_second_run_in_one_folder_is_refused_with_pid_and_host(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from nmt.errors import UsageError; from nmt.storage.lock import lock_folder\n"
        "try:\n    with lock_folder(Path(sys.argv[1])): print('free')\n"
        "except UsageError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with lock_folder(tmp_path):
        held = subprocess.run(command, capture_output=True, text=True, check=True)
    free = subprocess.run(command, capture_output=True, text=True, check=True)

    owner = re.escape(f"process {os.getpid()} on {socket.gethostname()}")
    assert re.search(f"is in use by {owner}; wait until it ends", held.stdout)
    assert free.stdout == "free\n"


def test_a_folder_cannot_be_locked_twice_within_one_process(tmp_path):
    with lock_folder(tmp_path):
        owner = re.escape(f"process {os.getpid()} on {socket.gethostname()}")
        with (
            pytest.raises(UsageError, match=f": is in use by {owner}; wait until it ends"),
            lock_folder(tmp_path),
        ):
            pass
        (tmp_path / LOCK).write_bytes(b"")
        with (
            pytest.raises(UsageError, match=r": is in use by another process; wait until it ends"),
            lock_folder(tmp_path),
        ):
            pass


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(
            ResourceError,
            match=r"^cannot write .*/\.lock, .* free; the file system does not support locks; "
            r"choose a folder on a local disk\.$",
        ),
        lock_folder(tmp_path),
    ):
        pass


def test_a_folder_that_is_removed_while_it_is_being_locked_is_refused(tmp_path, monkeypatch):
    """Another process that could not begin has removed it; two could otherwise use a new one."""
    flock = fcntl.flock

    def remove_first(*arguments):
        (tmp_path / LOCK).unlink()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with (
        pytest.raises(UsageError, match=r": was removed by another process; start again\.$"),
        lock_folder(tmp_path),
    ):
        pytest.fail("it was locked")
