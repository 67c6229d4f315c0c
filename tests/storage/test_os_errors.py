import errno
import os

import pytest

from nmt.errors import ResourceError
from nmt.storage.files import write_bytes
from nmt.storage.folders import make_folder, sweep_strays
from nmt.storage.os_errors import explain_write_errors, format_size


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (
            errno.ENOSPC,
            "the disk is full; free some space or choose a folder on another disk.",
        ),
        (
            errno.ESTALE,  # an unforeseen error, in the words of the system
            "the system says: Stale file handle; check its log, or choose another disk.",
        ),
    ],
)
def test_an_error_is_explained_where_free_space_is_unknown(tmp_path, number, reason):
    with pytest.raises(ResourceError) as caught, explain_write_errors(tmp_path / "gone" / "x"):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"cannot write {tmp_path}/gone/x; {reason}"


def test_writing_without_permission_is_explained(no_rights):
    shut = no_rights / "shut"
    shut.mkdir()
    shut.chmod(0)
    with pytest.raises(
        ResourceError, match=r"cannot write .*/shut/run, .* free; permission denied; change"
    ):
        make_folder(shut / "run")
    with pytest.raises(ResourceError, match=r"need 3 B in .*/shut, .* free; permission denied"):
        write_bytes(shut / "state.json", b"{}\n")
    with pytest.raises(ResourceError, match=r"cannot write .*/shut, .* free; permission denied"):
        sweep_strays(shut)


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
def test_sizes_are_human_readable(size, text):
    assert format_size(size) == text
