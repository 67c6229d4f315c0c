"""One process per folder."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import UsageError
from nmt.storage.exclusive import lock_at_once
from nmt.storage.os_errors import explain_write_errors

LOCK = ".lock"
"""Name of the lock file of a folder in use."""


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Reserve `folder` for this process until the block ends or the process dies.

    Raises:
        UsageError: another process uses it; its id and host are named.
        ResourceError: the lock file cannot be written or locked.
    """
    path = folder / LOCK
    with explain_write_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            with explain_write_errors(path):
                lock_at_once(descriptor)
        except BlockingIOError as error:
            owner = os.read(descriptor, 256).decode("utf-8", "replace").strip()
            raise UsageError(
                f"{folder}: is in use by {owner or 'another process'}; "
                "wait until it ends, stop it, or choose another folder."
            ) from error
        if not os.path.exists(path) or not os.path.samestat(os.fstat(descriptor), os.stat(path)):
            raise UsageError(f"{folder}: was removed by another process; start again.")
        with explain_write_errors(path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        # Closing releases the lock. The file stays: if it were deleted, a third process could
        # lock a new file of the same name while a second one waits for this one.
        os.close(descriptor)
