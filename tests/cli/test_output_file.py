"""Writing an output file destroys no text: neither input files nor output of other processes."""

import fcntl
import os
from pathlib import Path

import pytest

from nmt.cli import output_file
from nmt.cli.output_file import line_writer, require_output
from nmt.errors import UsageError


def test_an_input_file_is_not_overwritten(tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    for path in (out, other):
        path.write_text("text\n")
    require_output(None, out)
    require_output(out, None, Path("-"), other, tmp_path / "none")
    with pytest.raises(UsageError) as caught:
        require_output(out, None, other, out)
    assert str(caught.value) == (f"{out}: is an input of this command; choose another output.")


@pytest.mark.parametrize(("ending", "packer"), [(".gz", "gzip"), (".XZ", "xz"), (".zst", "zstd")])
def test_an_output_named_like_a_packed_file_is_refused(ending, packer):
    with pytest.raises(UsageError) as caught:
        require_output(Path(f"out.txt{ending}"))
    assert str(caught.value) == (
        f"out.txt{ending}: what this command writes is plain text; name it out.txt, or leave the "
        f"output out and add `| {packer} > out.txt{ending}`."
    )


def test_an_output_in_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError) as caught:
        require_output(tmp_path / "none" / "out")
    assert str(caught.value) == (
        f"{tmp_path}/none: no such folder; create it, or choose another place for out."
    )


def test_an_input_named_like_the_partial_output_is_not_overwritten(tmp_path):
    text, link = tmp_path / "out.partial", tmp_path / "link"
    text.write_text("text\n")
    link.symlink_to(text)
    for read in (text, link):
        with pytest.raises(UsageError) as caught:
            require_output(tmp_path / "out", read)
        assert str(caught.value) == (
            f"{tmp_path}/out: is written as {text} first, which is an input of this command; "
            "choose another output."
        )


def test_a_file_has_one_writer(tmp_path):
    out = tmp_path / "out"
    with line_writer(out) as write:
        write("first")
        with pytest.raises(UsageError) as caught, line_writer(out):
            pass
        write("second")
    assert str(caught.value) == (
        f"{out}.partial: another process is writing it; wait until it ends, or choose another file."
    )
    with line_writer(out) as write:
        write("third")
    assert out.read_text() == "third\n"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError, "the error"), (KeyboardInterrupt, "the interruption")]
)
def test_lines_written_before_the_end_are_kept_and_an_empty_file_is_not(
    tmp_path, caplog, error, said
):
    def end_early(count):
        with line_writer(tmp_path / f"out{count}") as write:
            for _ in range(count):
                write("text")
            raise error

    for count in range(3):
        with pytest.raises(error):
            end_early(count)
    assert {path.name for path in tmp_path.iterdir()} == {"out1.partial", "out2.partial"}
    assert caplog.messages == [
        f"{tmp_path}/out1.partial: holds the 1 line written before {said}",
        f"{tmp_path}/out2.partial: holds the 2 lines written before {said}",
    ]


def test_a_partial_file_of_an_earlier_process_is_overwritten(tmp_path):
    (tmp_path / "out.partial").write_text("left over\n" * 9)
    with line_writer(tmp_path / "out") as write:
        write("new")
    assert (tmp_path / "out").read_text() == "new\n"


@pytest.mark.parametrize("meanwhile", ["published", "gone"])
def test_a_file_that_another_process_finishes_meanwhile_is_kept(tmp_path, monkeypatch, meanwhile):
    """The other process ends between the opening of the file and the lock on it."""
    out, partial, lock, seen = tmp_path / "out", tmp_path / "out.partial", fcntl.flock, []
    partial.write_text("of another\n")

    def end_first(file, how):
        if not seen:
            os.rename(partial, tmp_path / "kept") if meanwhile == "published" else partial.unlink()
        seen.append(how)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", end_first)
    with line_writer(out) as write:
        write("mine")
    assert len(seen) == 2
    assert out.read_text() == "mine\n"
    if meanwhile == "published":
        assert (tmp_path / "kept").read_text() == "of another\n"


def test_a_file_system_without_locks_can_be_written(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(output_file.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with line_writer(tmp_path / "out") as write:
        write("text")
    assert (tmp_path / "out").read_text() == "text\n"
