"""The only reader of text. Only a line feed ends a line.

Text is read as UTF-8 (see `opening`) and split on `\\n` before it is decoded, so that a carriage
return, a form feed or U+2028 never splits a line, whether the text comes from a file, plain or
packed, or from standard input. Decoding is strict: errors name file, line and byte.

Two sides of a corpus are two files, line by line, or one file of tab-separated pairs, which is then
named for both sides.
"""

import io
import logging
from array import array
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from textwrap import shorten
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmt.errors import DataError, UsageError
from nmt.paths import holds_pairs, is_same_file, is_stream, why_not_sides
from nmt.text.opening import Encoding, name_of, open_text

BadLines = Literal["error", "skip", "replace"]
"""What to do with a line that is not UTF-8 or holds NUL: stop, skip it (each reader documents what
takes its place), or replace the wrong bytes by U+FFFD."""

FloatArray = NDArray[np.float64]

_BOM = "\ufeff"
_CHUNK = 1 << 20  # bytes read at once when only line feeds are counted
_LONGEST_LINE = 64 << 20  # bytes; a small gzip file must not unpack to a line that fills memory
_NAMED_BAD_LINES = 10  # further ones are only counted

_logger = logging.getLogger(__name__)


def read_records(path: Path | None) -> Iterator[bytes]:
    """Yield the lines of a text in UTF-8, each with its line feed; `read_lines` decodes them.

    Args:
        path: a file, plain or packed; None or "-" reads standard input.

    Raises:
        DataError: the file cannot be read, is no text, or a line is endless.
    """
    with open_text(path) as text:
        yield from _split(text.stream, name_of(path))


def _split(stream: io.BufferedIOBase, name: str) -> Iterator[bytes]:
    """Yield the lines of a stream as soon as they come; lines of bytes end in \\n only."""
    records = iter(lambda: stream.readline(_LONGEST_LINE + 1), b"")
    for number, record in enumerate(records, start=1):
        if len(record) > _LONGEST_LINE:
            raise DataError(
                f"{name}:{number}: is a line of more than {_LONGEST_LINE >> 20} MiB; "
                "is this text? Put one sentence on each line."
            )
        yield record


def read_lines(path: Path | None, *, bad_lines: BadLines = "error") -> Iterator[str]:
    """Yield the lines of a text, without their line feeds.

    A carriage return before the line feed is dropped (with one warning per file), and so is a
    byte order mark at the beginning. Text after the last line feed counts as a line.

    Args:
        path: a file, plain or packed; None or "-" reads standard input.
        bad_lines: what to do with lines that are not UTF-8 or hold NUL; "skip" yields an empty
            line instead, which keeps the line numbers.

    Raises:
        DataError: the file cannot be read, or a line is bad and `bad_lines` is "error"; or it holds
            pairs, see `holds_pairs`.
    """
    if path is not None and holds_pairs(path):
        raise DataError(
            f"{path}: is called .tsv, so it holds both sides of a corpus; name a file of one side, "
            "as `cut -f1` writes it, or give it another ending if it holds one side."
        )
    return (line or "" for line in _decoded_lines(path, bad_lines))


def read_parallel(
    source: Path, target: Path, *, bad_lines: BadLines = "error"
) -> Iterator[tuple[str, str]]:
    """Yield the pairs of two files that translate each other line by line, or of one .tsv.

    The call itself counts the lines of both files, before the first pair is read.

    Args:
        source: file of the source side, see `read_lines`.
        target: file of the target side; the same for tab-separated pairs.
        bad_lines: "skip" yields two empty lines if either is bad, which keeps the line numbers.

    Raises:
        DataError: as `read_lines`; or the files have different numbers of lines, or a line of pairs
            has no tab.
        UsageError: the two cannot be sides of a corpus, see `why_not_sides`.
    """
    return (pair or ("", "") for pair in _decoded_pairs(source, target, bad_lines))


def read_numbered_pairs(
    source: Path, target: Path, *, bad_lines: BadLines = "error"
) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield (line number from 1, pair) of two files, or of one .tsv.

    As `read_parallel`, but "skip" leaves out a pair if either line is bad.
    """
    for number, pair in enumerate(_decoded_pairs(source, target, bad_lines), start=1):
        if pair is not None:
            yield number, pair


def _decoded_pairs(
    source: Path, target: Path, bad_lines: BadLines
) -> Iterator[tuple[str, str] | None]:
    """Compare the counts of lines; return every pair, None in place of a skipped one."""
    if is_one_file(source, target):
        return _columns(source, bad_lines)
    require_equal_counts(source, target)
    return _zip_lines(source, target, bad_lines)


def _columns(path: Path, bad_lines: BadLines) -> Iterator[tuple[str, str] | None]:
    """Yield the first two columns of each line; a blank line is a pair of empty lines."""
    has_warned = False
    for number, line in enumerate(_decoded_lines(path, bad_lines), start=1):
        if line is None:
            yield None
            continue
        source, *others = line.split("\t", 2)
        if line.strip() and not others:
            raise DataError(
                f"{path}:{number}: has no tab; each line must be a source, a tab and its "
                "translation."
            )
        if len(others) > 1 and not has_warned:
            _logger.warning(
                "%s: only the first two columns are read, as in line %s: %s",
                path,
                f"{number:,}",
                " and ".join(f'"{shorten(column, 40)}"' for column in (source, others[0])),
            )
            has_warned = True
        yield source, others[0] if others else ""


def _zip_lines(source: Path, target: Path, bad_lines: BadLines) -> Iterator[tuple[str, str] | None]:
    ended = object()
    sides = _decoded_lines(source, bad_lines), _decoded_lines(target, bad_lines)
    for number, (left, right) in enumerate(zip_longest(*sides, fillvalue=ended), start=1):
        if left is ended or right is ended:
            shorter, longer = (source, target) if left is ended else (target, source)
            raise DataError(
                f"{shorter}: ends after {number - 1:,} lines while {longer} continues; "
                "the two must be translations of each other line by line."
            )
        yield (left, right) if isinstance(left, str) and isinstance(right, str) else None


def require_equal_counts(source: Path, target: Path) -> int | None:
    """Return the number of lines of both files; None for pipes, which can be read only once.

    Raises:
        DataError: they have different numbers of lines, or cannot be read.
        UsageError: they cannot be sides of a corpus.
    """
    is_one = is_one_file(source, target)
    if is_stream(source) or is_stream(target):
        return None
    if is_one:
        return count_lines(source)
    counts = count_lines(source), count_lines(target)
    if counts[0] != counts[1]:
        raise _unequal(source, target, counts)
    return counts[0]


def is_one_file(source: Path, target: Path) -> bool:
    """Whether two names are those of one file of tab-separated pairs.

    Raises:
        UsageError: they cannot be sides of a corpus, see `why_not_sides`.
    """
    is_one = source == target or is_same_file(source, target)
    if reason := why_not_sides(source, source if is_one else target):
        raise UsageError(f"{reason}.")
    return is_one


def count_lines(path: Path) -> int:
    """Return the number of lines that `read_lines` finds in a file, bad ones included.

    Raises:
        DataError: the file cannot be read.
    """
    count, last = 0, b"\n"
    with open_text(path) as text:
        while chunk := text.stream.read1(_CHUNK):
            count += chunk.count(b"\n")
            last = chunk[-1:]
    return count + (last != b"\n")


def require_file(path: Path) -> None:
    """Refuse a path that is not a readable file, or that can be read only once.

    Raises:
        DataError: it is missing, a folder or a pipe, or reading it is not permitted.
    """
    if is_stream(path):
        raise DataError(
            f"{path}: is a pipe or device and can be read only once; save it as a file."
        )
    with open_text(path):
        pass


def _decoded_lines(path: Path | None, bad_lines: BadLines) -> Iterator[str | None]:
    """Yield every line, None in place of a skipped one."""
    name = name_of(path)
    with open_text(path) as text:
        decoder = _Decoder(name, bad_lines, text.encoding)
        for number, record in enumerate(_split(text.stream, name), start=1):
            yield decoder.decode(number, record)
        decoder.report()


class _Decoder:
    """Turns the records of one text into lines and counts the bad ones."""

    def __init__(self, name: str, bad_lines: BadLines, encoding: Encoding) -> None:
        self._name = name
        self._bad_lines = bad_lines
        self._encoding: Encoding = encoding
        self._bad = 0
        self._said: set[str] = set()

    def decode(self, number: int, record: bytes) -> str | None:
        """Return line `number`, counted from 1; None if it is skipped."""
        if record.endswith(b"\r\n"):
            self._warn("lines end in CR LF; the CR is dropped")
        record = record.removesuffix(b"\n").removesuffix(b"\r")
        if record.count(b"\r") > 1:
            self._warn(
                "lines end in CR alone, as on old Macs, and are read as one; convert the file, for "
                "example with tr '\\r' '\\n'"
            )
        text = self._strict(number, record)
        if number == 1 and text is not None:
            text = text.removeprefix(_BOM)
        return text

    def report(self) -> None:
        """Log how many lines were bad, if any."""
        if self._bad:
            done = "skipped" if self._bad_lines == "skip" else "repaired with U+FFFD"
            what = "1 bad line was" if self._bad == 1 else f"{self._bad:,} bad lines were"
            _logger.warning("%s: %s %s", self._name, what, done)

    def _strict(self, number: int, record: bytes) -> str | None:
        try:
            if b"\0" not in record:
                return record.decode("utf-8")
        except UnicodeDecodeError:
            pass
        message = f"{self._name}:{number}: {_first_fault(record, self._encoding)}"
        if self._bad_lines == "error":
            raise DataError(f"{message}; {_REMEDIES[self._encoding]}")
        self._bad += 1
        if self._bad <= _NAMED_BAD_LINES:
            _logger.warning("%s", message)
        if self._bad_lines == "skip":
            return None
        return record.decode("utf-8", errors="replace").replace("\0", "\ufffd")

    def _warn(self, of_ends: str) -> None:
        """Log what is unusual about the ends of lines, once."""
        if of_ends not in self._said:
            _logger.warning("%s: %s", self._name, of_ends)
            self._said.add(of_ends)


_MOST_LOST = 0.1
"""Share of the lines of a text that may be missing within its translation."""
_REMEDIES: dict[Encoding, str] = {
    "UTF-8": "convert the text to UTF-8, for example with `iconv -f latin1 -t utf-8`.",
    "UTF-16": "repair the line, or save the text as UTF-8.",
    "UTF-32": "repair the line, or save the text as UTF-8.",
}


def _first_fault(record: bytes, encoding: Encoding) -> str:
    """Return what is wrong first in a bad record and where, counted from 1.

    Places are bytes in UTF-8 and characters in other encodings, whose bytes were converted.
    """
    nul = record.find(b"\0")
    start, value = nul, "0x00 (NUL), which is not allowed in text"
    try:
        record[: nul if nul >= 0 else None].decode("utf-8")
    except UnicodeDecodeError as error:
        start, value = error.start, f"0x{record[error.start]:02x}, not UTF-8"
    if encoding == "UTF-8":
        return f"byte {start + 1} is {value}"
    place = len(record[:start].decode("utf-8")) + 1
    return f"character {place} is {value if start == nul else f'not {encoding}'}"


def _unequal(source: Path, target: Path, counts: tuple[int, int]) -> DataError:
    lengths = _line_lengths(source), _line_lengths(target)
    where = describe_shift(*lengths, names=(str(source), str(target)))
    found = f"{source} has {counts[0]:,} line{'s' * (counts[0] != 1)}, {target} {counts[1]:,}"
    advice = "the two must be translations of each other line by line."
    return DataError("; ".join(filter(None, (found, where, advice))))


def _line_lengths(path: Path) -> FloatArray:
    """Return the length of every line in bytes, float64 [lines]."""
    return np.array(array("q", map(len, read_records(path))), dtype=np.float64)


def describe_shift(
    source: FloatArray, target: FloatArray, *, names: tuple[str, str] = ("source", "target")
) -> str:
    """Return where two texts with different numbers of lines most likely get out of step.

    "" if too many lines are missing elsewhere than at the end: such texts are probably no
    translations of each other.

    Args:
        source: length of each line, above 0, [source lines].
        target: length of each line, above 0, [target lines].
        names: of the two texts.
    """
    shift = _likely_shift(source, target)
    shorter, longer = sorted((len(source), len(target)))
    if shift < shorter and longer - shorter > _MOST_LOST * longer:
        return ""
    if shift < shorter:
        return f"first likely shift near line {shift + 1:,}"
    return f"{names[len(target) < len(source)]} seems to be cut off at its end"


def _likely_shift(source: FloatArray, target: FloatArray) -> int:
    """Return after how many lines two texts most likely get out of step, by their line lengths.

    One block of lines is assumed to be missing from the shorter text: lines before it pair up
    with the same number, lines after it with that number plus the difference. The best place for
    the block has the smallest sum of |log(length ratio) - its median|.
    """
    shorter, longer = sorted((np.log(source), np.log(target)), key=len)
    missing = len(longer) - len(shorter)
    before = shorter - longer[: len(shorter)]
    after = shorter - longer[missing:]
    usual = np.median(longer) - np.median(shorter) if len(shorter) else 0.0
    cost_before = np.concatenate([[0.0], np.cumsum(np.abs(before + usual))])
    cost_after = np.concatenate([[0.0], np.cumsum(np.abs(after + usual)[::-1])])[::-1]
    return int(np.argmin(cost_before + cost_after))
