"""Locks on open files, on every platform: released when the file is closed or the process dies."""

import sys

if sys.platform == "win32":
    import msvcrt
    import os

    _BEYOND = 1 << 30  # bytes; a locked byte cannot be read, so one that no file has is locked

    def lock_at_once(descriptor: int) -> None:
        """Lock an open file.

        Raises:
            BlockingIOError: another process holds the lock.
        """
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)

else:
    import fcntl

    def lock_at_once(descriptor: int) -> None:
        """Lock an open file.

        Raises:
            BlockingIOError: another process holds the lock.
            OSError: the file system does not support locks.
        """
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
