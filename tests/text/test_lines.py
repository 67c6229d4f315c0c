import errno
import gzip
import io
import logging
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmt.errors import DataError, UsageError
from nmt.text import lines as lines_module
from nmt.text.formats import kind_of
from nmt.text.lines import (
    count_lines,
    describe_shift,
    read_lines,
    read_numbered_pairs,
    read_parallel,
    read_records,
    require_equal_counts,
    require_file,
)

SEPARATORS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\r\n"
"""Everything that some program or other takes for the end of a line."""


@pytest.fixture
def write(tmp_path):
    def write_file(data: bytes | str, name: str = "in.de") -> Path:
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write_file


@given(
    data=st.lists(st.one_of(st.binary(), st.sampled_from([b"\n", b"\r\n", b"a\n"])))
    .map(b"".join)
    .filter(lambda data: not data.startswith((b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff")))
    .filter(lambda data: kind_of(data, "in.de") is None)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bad_lines_count_as_lines(data, write, caplog):
    """However they are handled, the number of lines and the good lines stay the same."""
    path = write(data)
    count = count_lines(path)
    skipped, replaced = (list(read_lines(path, bad_lines=way)) for way in ("skip", "replace"))
    assert len(skipped) == len(replaced) == count
    pairs = list(zip(skipped, replaced, strict=True))
    assert all(one == other for one, other in pairs if "\ufffd" not in other)
    assert all(not one for one, other in pairs if one != other)
    try:
        strict = list(read_lines(path))
    except DataError as error:
        said = str(error)
    else:
        assert strict == skipped == replaced
        return
    named = re.match(rf"{re.escape(str(path))}:(\d+): byte (\d+) is 0x([0-9a-f]{{2}})", said)
    line, place, value = int(named[1]), int(named[2]), int(named[3], 16)
    assert data.split(b"\n")[line - 1][place - 1] == value
    assert "\ufffd" in replaced[line - 1]
    assert not any("\ufffd" in other and not one for one, other in pairs[: line - 1])


@pytest.mark.parametrize("separator", sorted(set(SEPARATORS) - {"\n"}))
def test_other_separators_stay_inside_a_line(separator, write):
    assert list(read_lines(write(f"a{separator}b\nc\n"))) == [f"a{separator}b", "c"]


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb")))
    assert list(read_lines(Path("-"))) == ["a", "b"]


def test_an_empty_file_has_no_lines_and_a_line_feed_one_empty_line(write):
    assert list(read_lines(write(""))) == []
    assert list(read_lines(write("\n"))) == [""]


def test_crlf_is_stripped_with_one_warning(write, caplog):
    path = write("a\r\nb\r\r\n")
    assert list(read_lines(path)) == ["a", "b\r"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: lines end in CR LF; the CR is dropped"
    ]


def test_lines_that_end_in_cr_alone_are_named_once(write, caplog):
    path = write("a\rb\rc\r\nd\re\rf\r")
    assert list(read_lines(path)) == ["a\rb\rc", "d\re\rf"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: lines end in CR LF; the CR is dropped",
        f"{path}: lines end in CR alone, as on old Macs, and are read as one; convert the file, "
        "for example with tr '\\r' '\\n'",
    ]


def test_a_byte_order_mark_is_dropped_at_the_beginning_only(write):
    assert list(read_lines(write("\ufeffa\n\ufeffb\n"))) == ["a", "\ufeffb"]


def test_a_very_long_line_is_one_line(write):
    assert [len(line) for line in read_lines(write("x" * 1_000_000 + "\ny"))] == [1_000_000, 1]


@pytest.mark.parametrize(
    ("line", "place", "value"),
    [
        (b"abcd\xff", 5, "0xff"),
        (b"\xed\xa0\x80", 1, "0xed"),  # a lone surrogate
        (b"ab\xc0\xaf", 3, "0xc0"),  # an overlong "/"
        (b"a\xf4\x90\x80\x80", 2, "0xf4"),  # beyond U+10FFFF
        ("é".encode()[:1], 1, "0xc3"),  # half a character
        (b"\xc3\0", 1, "0xc3"),
    ],
)
def test_bad_utf8_is_named_by_file_line_and_byte(line, place, value, write):
    path = write(b"good\n" * 16 + line + b"\ngood\n")
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    assert str(caught.value) == (
        f"{path}:17: byte {place} is {value}, not UTF-8; "
        "convert the text to UTF-8, for example with `iconv -f latin1 -t utf-8`."
    )


def test_byte_positions_include_a_byte_order_mark(write):
    with pytest.raises(DataError, match=r":1: byte 5 is 0xff"):
        list(read_lines(write(b"\xef\xbb\xbfa\xff\n")))


def test_nul_is_refused_by_name(write):
    with pytest.raises(DataError, match=r"in\.de:1: byte 2 is 0x00 \(NUL\)"):
        list(read_lines(write(b"a\0\xff\n")))


@pytest.mark.parametrize(
    ("record", "place"), [(b"a\0b\0", 2), (b"\0\xff", 1)], ids=["two", "before bad UTF-8"]
)
def test_the_first_nul_is_named(record, place, write):
    with pytest.raises(DataError, match=rf":1: byte {place} is 0x00 \(NUL\), which is not allowed"):
        list(read_lines(write(record)))


@pytest.mark.parametrize("mark", [b"\x1f\x8b", b"\xff\xfe"])
def test_magic_bytes_of_other_formats_count_only_at_the_beginning(mark, write):
    with pytest.raises(DataError, match=r":2: .* not UTF-8; convert the text to UTF-8, for"):
        list(read_lines(write(b"a\n" + mark)))


def test_bad_bytes_of_a_dash_are_reported_for_stdin(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    with pytest.raises(DataError, match=r"^stdin:1: byte 1 is 0xff"):
        list(read_lines(Path("-")))


def test_bad_lines_are_emptied_or_repaired_and_counted(write, caplog):
    path = write(b"a\nb\xff\nc\0\nd\n")
    assert list(read_lines(path, bad_lines="skip")) == ["a", "", "", "d"]
    assert list(read_lines(path, bad_lines="replace")) == ["a", "b\ufffd", "c\ufffd", "d"]
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:3] == [
        f"{path}:2: byte 2 is 0xff, not UTF-8",
        f"{path}:3: byte 2 is 0x00 (NUL), which is not allowed in text",
        f"{path}: 2 bad lines were skipped",
    ]
    assert messages[-1] == f"{path}: 2 bad lines were repaired with U+FFFD"


def test_many_bad_lines_are_not_all_named(write, caplog):
    with caplog.at_level(logging.WARNING):
        list(read_lines(write(b"\xff\n" * 1000), bad_lines="skip"))
    assert len(caplog.records) == 11
    assert "1,000 bad lines" in caplog.records[-1].getMessage()


def test_skipping_a_bad_line_drops_its_pair_and_keeps_the_numbers(write):
    source, target = write(b"a\nb\xff\nc\n"), write(b"1\n2\n3\n", "in.en")
    pairs = list(read_numbered_pairs(source, target, bad_lines="skip"))
    assert pairs == [(1, ("a", "1")), (3, ("c", "3"))]


@pytest.mark.parametrize("bad", ["de", "en"])
def test_a_bad_line_on_either_side_is_handled(bad, write):
    texts = {"de": b"a\nb\n", "en": b"1\n2\n"} | {bad: b"x\n\xff\n"}
    source, target = (write(data, f"in.{side}") for side, data in texts.items())
    for read in (read_parallel, read_numbered_pairs):
        with pytest.raises(DataError, match=rf"in\.{bad}:2: byte 1 is 0xff, not UTF-8"):
            list(read(source, target))
    assert len(list(read_numbered_pairs(source, target, bad_lines="skip"))) == 1
    assert list(read_parallel(source, target, bad_lines="skip"))[1] == ("", "")


def test_a_pair_with_a_skipped_line_becomes_two_empty_lines(write):
    source, target = write(b"a\nb\xff\nc\n"), write(b"1\n2\n3\n", "in.en")
    pairs = list(read_parallel(source, target, bad_lines="skip"))
    assert pairs == [("a", "1"), ("", ""), ("c", "3")]


def test_a_missing_file_is_named_with_similar_names(write):
    meant = write("a", "train.de")
    with pytest.raises(DataError) as caught:
        list(read_lines(meant.with_name("trian.de")))
    assert str(caught.value) == (
        f"{meant.with_name('trian.de')}: no such file; did you mean {meant}?"
    )


def test_a_missing_file_without_similar_names_is_named_alone(write):
    with pytest.raises(DataError) as caught:
        list(read_lines(write("a", "train.de").with_name("xyz")))
    assert str(caught.value).endswith("xyz: no such file; check its name.")


def test_at_most_three_files_are_suggested_for_a_missing_one(write):
    paths = [write("a", f"train.{number}.de") for number in range(5)]
    with pytest.raises(DataError) as caught:
        count_lines(paths[0].with_name("train.de"))
    offered = str(caught.value).removesuffix("?").split("did you mean ")[1].split(" or ")
    assert len(offered) == 3
    assert set(offered) < set(map(str, paths))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*gone either"):
        count_lines(tmp_path / "gone" / "a.de")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="is a folder; name a file in it"):
        list(read_lines(tmp_path))


def test_a_file_that_may_not_be_read_is_named(write, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write("a")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"reading it is not permitted; change its mode"):
        list(read_lines(path))


def test_a_file_in_a_folder_that_may_not_be_entered_is_named(no_rights):
    (no_rights / "shut").mkdir()
    (no_rights / "shut").chmod(0)
    path = no_rights / "shut" / "in.de"
    other = path.with_name("in.en")
    for read in (count_lines, require_file, lambda path: list(read_parallel(path, other))):
        with pytest.raises(DataError, match=r"in\.de: reading it is not permitted; change its"):
            read(path)


def test_a_missing_file_of_a_folder_that_may_not_be_listed_is_named(no_rights):
    (no_rights / "unlisted").mkdir()
    (no_rights / "unlisted").chmod(0o300)
    with pytest.raises(DataError, match=r"in\.de: no such file; check its name\."):
        count_lines(no_rights / "unlisted" / "in.de")


def test_a_link_to_itself_is_named(tmp_path):
    path = tmp_path / "in.de"
    path.symlink_to(path)
    with pytest.raises(
        DataError, match=r"in\.de: cannot be read: Too many .*; take a copy of it\."
    ):
        list(read_lines(path))


@pytest.mark.parametrize("keep", [3, 15, -4])
def test_a_damaged_gzip_file_is_named(keep, write):
    path = write(gzip.compress(b"line\n" * 1000)[:keep], "in.gz")
    for read in (count_lines, lambda path: list(read_lines(path))):
        with pytest.raises(
            DataError, match=r"in\.gz: is a damaged gzip file \(.*\); fetch it again\."
        ):
            read(path)


def test_lines_of_a_large_file_are_counted_to_the_end(write):
    assert count_lines(write(b"x\n" * 1_300_000)) == 1_300_000
    assert count_lines(write(b"x" * (1 << 20) + b"\n" + b"y")) == 2


def test_a_pipe_cannot_be_read_twice(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(
        DataError, match="is a pipe or device and can be read only once; save it as a file"
    ):
        require_file(tmp_path / "pipe")


def test_a_plain_or_gzip_file_can_be_read_twice(write):
    for path in (write("a\n"), write(gzip.compress(b"a\n"), "in.gz")):
        require_file(path)
        assert list(read_lines(path)) == list(read_lines(path)) == ["a"]


def test_records_keep_their_bytes(write):
    assert list(read_records(write(b"a\r\n\xff\nb"))) == [b"a\r\n", b"\xff\n", b"b"]


def test_pairs_come_in_order(write):
    source, target = write("a\nb\n"), write("1\n2", "in.en")
    assert list(read_parallel(source, target)) == [("a", "1"), ("b", "2")]


def long_and_short(number: int) -> str:
    return "x" * (5 + number * 7919 % 97)


PAIRS = [("ein Wort", "a word"), ("zwei", "two")]


@pytest.mark.parametrize("name", ["c.tsv", "c.TSV", "c.tsv.gz", "c.tsv.xz", "c.de-en.tsv.bz2"])
def test_a_file_of_tab_separated_pairs_is_both_sides(name, write, caplog):
    path = write("ein Wort\ta word\nzwei\ttwo\n", name)
    assert list(read_parallel(path, path)) == PAIRS
    assert list(read_numbered_pairs(path, path)) == [(1, PAIRS[0]), (2, PAIRS[1])]
    assert require_equal_counts(path, path) == 2
    assert not caplog.records


def test_packed_pairs_and_a_link_to_them_are_one_file(write, tmp_path):
    path = write(gzip.compress("\ufeffein Wort\ta word\r\nzwei\ttwo".encode()), "c.tsv.gz")
    (tmp_path / "link.tsv").symlink_to(path)
    assert list(read_parallel(path, tmp_path / "link.tsv")) == PAIRS
    assert list(read_parallel(path, tmp_path / "." / "c.tsv.gz")) == PAIRS


def test_further_columns_are_left_out_and_mentioned_once(write, caplog):
    path = write("x\ty\n1276\tLet's try.\t2\tEssayons !\na\tb\tc\n", "c.tsv")
    assert list(read_parallel(path, path)) == [("x", "y"), ("1276", "Let's try."), ("a", "b")]
    assert caplog.messages == [
        f'{path}: only the first two columns are read, as in line 2: "1276" and "Let\'s try."'
    ]


def test_a_line_of_pairs_without_a_tab_is_refused_by_its_number(write):
    path = write("a\tb\n\nc d\n", "c.tsv")
    pairs = read_parallel(path, path)
    assert [next(pairs), next(pairs)] == [("a", "b"), ("", "")]
    with pytest.raises(DataError) as caught:
        next(pairs)
    assert str(caught.value) == (
        f"{path}:3: has no tab; each line must be a source, a tab and its translation."
    )


def test_a_bad_line_of_pairs_is_handled_as_one_of_two_files_is(write):
    path = write(b"a\tb\n\xff\tb\nc\td\n", "c.tsv")
    with pytest.raises(DataError, match=r"c\.tsv:2: byte 1 is 0xff, not UTF-8"):
        list(read_parallel(path, path))
    assert list(read_parallel(path, path, bad_lines="skip")) == [("a", "b"), ("", ""), ("c", "d")]
    assert [number for number, _ in read_numbered_pairs(path, path, bad_lines="skip")] == [1, 3]


def test_pairs_are_read_from_a_pipe_once(tmp_path):
    import os
    import threading

    pipe = tmp_path / "c.tsv"
    os.mkfifo(pipe)
    feeder = threading.Thread(target=lambda: pipe.write_bytes(b"a\tb\n"))
    feeder.start()
    assert list(read_parallel(pipe, pipe)) == [("a", "b")]
    feeder.join()
    assert require_equal_counts(pipe, pipe) is None


def test_a_file_that_is_named_for_both_sides_is_refused(write, tmp_path):
    path = write("a\n")
    (tmp_path / "link.en").hardlink_to(path)
    for other in (path, tmp_path / "." / "in.de", tmp_path / "link.en"):
        for read in (read_parallel, read_numbered_pairs, require_equal_counts):
            with pytest.raises(UsageError) as caught:
                list(read(path, other))
            assert str(caught.value) == (
                f"{path}: is named for both sides; name two files that are translations of each "
                "other, or one .tsv of tab-separated pairs."
            )


@pytest.mark.parametrize("names", [("c.tsv", "in.en"), ("in.de", "c.tsv"), ("c.tsv", "d.tsv")])
def test_a_file_of_pairs_is_not_one_side(names, write):
    source, target = (write("a\tb\n", name) for name in names)
    with pytest.raises(UsageError) as caught:
        read_parallel(source, target)
    assert str(caught.value) == (
        f"{source if names[0] == 'c.tsv' else target}: is called .tsv, so it holds both sides of a "
        "corpus; name it alone, or give it another ending if it holds one side."
    )


def test_unequal_counts_are_refused_before_the_first_pair_with_a_guess_where(write):
    lines = [long_and_short(number) for number in range(2000)]
    source = write("".join(f"{line}\n" for line in lines), "train.de")
    shifted = [f"{line}yy\n" for line in lines[:1206] + lines[1207:]]
    target = write("".join(shifted), "train.en")
    with pytest.raises(DataError) as caught:
        next(read_parallel(source, target))
    message = str(caught.value)
    assert message.startswith(
        f"{source} has 2,000 lines, {target} 1,999; first likely shift near line 1,20"
    )
    assert message.endswith("the two must be translations of each other line by line.")


def test_a_truncated_file_is_distinguished_from_one_that_lost_a_line(write):
    lines = [f"{long_and_short(number)}\n" for number in range(2000)]
    source, target = write("".join(lines), "a.de"), write("".join(lines[:1500]), "a.en")
    for sides in ((source, target), (target, source)):
        with pytest.raises(DataError, match=r"a\.en seems to be cut off at its end"):
            next(read_parallel(*sides))


def test_no_place_is_named_in_texts_that_have_nothing_in_common(write):
    source = write("".join(f"{long_and_short(number)}\n" for number in range(2000)), "a.de")
    target = write("".join(f"{long_and_short(7 * number)}\n" for number in range(300)), "b.en")
    with pytest.raises(DataError) as caught:
        next(read_parallel(source, target))
    assert str(caught.value) == (
        f"{source} has 2,000 lines, {target} 300; the two must be translations of each other line "
        "by line."
    )


LENGTHS = np.array([10, 12, 90, 33, 20, 75, 14, 50, 41, 64, 28, 83, 11, 12], dtype=np.float64)


@pytest.mark.parametrize("ratio", [1, 3])
@pytest.mark.parametrize("lost", range(len(LENGTHS) - 2))
def test_any_lost_line_is_located(lost, ratio):
    shorter = ratio * np.delete(LENGTHS, lost)
    # The median moves with the line that is missing: a text of a hundred lines would not notice.
    allowed = {lost + 1} if ratio == 1 else {lost, lost + 1, lost + 2}
    for sides in ((LENGTHS, shorter), (shorter, LENGTHS)):
        found = re.fullmatch(r"first likely shift near line (\d+)", describe_shift(*sides))
        assert int(found[1]) in allowed


@pytest.mark.parametrize("missing", [1, 3])
def test_lines_lost_at_the_end_are_reported_as_truncation(missing):
    cut = LENGTHS[:-missing]
    assert describe_shift(LENGTHS, cut) == "target seems to be cut off at its end"
    assert describe_shift(cut, LENGTHS) == "source seems to be cut off at its end"


def test_an_empty_side_is_refused(write):
    with pytest.raises(DataError, match=r"has 2 lines, .* 0;"):
        next(read_parallel(write("a\nb\n"), write("", "in.en")))


@pytest.mark.parametrize("shorter", ["file", "pipe"])
def test_pipes_of_unequal_length_are_refused_at_the_end(shorter, write, tmp_path):
    import os
    import threading

    os.mkfifo(tmp_path / "pipe")
    feeder = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(b"1\n2\n3\n"))
    feeder.start()
    source = write("a\nb\n" if shorter == "file" else "a\nb\nc\nd\n")
    names = (source, tmp_path / "pipe") if shorter == "file" else (tmp_path / "pipe", source)
    with pytest.raises(DataError) as caught:
        list(read_parallel(source, tmp_path / "pipe"))
    feeder.join()
    assert str(caught.value) == (
        f"{names[0]}: ends after {2 if shorter == 'file' else 3} lines while {names[1]} continues; "
        "the two must be translations of each other line by line."
    )


def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path):
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(b"one\n")
        for _ in range(70):
            file.write(bytes(1 << 20))
    lines = read_lines(bomb, bad_lines="replace")
    assert next(lines) == "one"
    refusal = r"more than 64 MiB; is this text\? Put one sentence on each line\."
    with pytest.raises(DataError, match=rf"bomb\.gz:2: is a line of {refusal}"):
        next(lines)


def test_the_longest_line_is_read_and_a_longer_one_is_refused(monkeypatch):
    monkeypatch.setattr(lines_module, "_LONGEST_LINE", 5)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1234\n12345\n123456\n")))
    lines = read_lines(None)
    assert next(lines) == "1234"
    with pytest.raises(DataError, match=r"^stdin:2: is a line of more than 0 MiB; is this text"):
        next(lines)


def test_no_more_than_the_longest_allowed_line_is_read_at_once(monkeypatch):
    class Endless(io.RawIOBase):
        def read1(self, size):
            assert size <= 1 << 16
            return bytes(size)

    monkeypatch.setattr(sys, "stdin", type("Stream", (), {"buffer": Endless()}))
    with pytest.raises(DataError, match=r"^stdin:1: is a line of more than 64 MiB"):
        next(read_lines(None))


def test_a_standard_input_that_cannot_be_read_is_named(monkeypatch):
    class Closed(io.RawIOBase):
        def read1(self, *_):
            raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Closed()))
    refusal = r"^stdin: cannot be read: Bad file descriptor; name a file, or redirect one\.$"
    with pytest.raises(DataError, match=refusal):
        next(read_lines(None))
