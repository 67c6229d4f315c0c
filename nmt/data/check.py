"""Examine the text files of a parallel corpus and report everything unusual about them.

A damaged line is reported and the next one is read. No text is kept, only 24 bytes per pair, so
that a corpus need not fit into memory.
"""

import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmt.data.report import FileFacts, Finding, Level, Report, Tally
from nmt.errors import DataError
from nmt.text.filters import digest, digest_of
from nmt.text.lines import read_parallel, read_records

LONG_LINE = 4192
"""Bytes; far longer than a sentence."""
RATIO = 9.0
"""Of the characters of the longer side to those of the shorter."""

_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff]")

_LINE_FINDINGS: dict[str, tuple[Level, str]] = {
    "not-utf8": ("fault", "not UTF-8; convert the file, or repair or delete these"),
    "nul": ("fault", "with a NUL byte; repair or delete these"),
    "replacement": ("warning", "with U+FFFD, left by a faulty conversion; repair or delete these"),
    "control": ("warning", "with control characters or Unicode line ends; delete those characters"),
    "lone-cr": ("warning", "with a carriage return inside; some tools see two lines there"),
    "crlf": ("note", "ending in CR LF; the CR is dropped when reading"),
    "bom": ("note", "starting with a byte order mark; it is dropped when reading"),
    "empty": ("warning", "empty; their pairs are dropped"),
    "long": ("warning", f"longer than {LONG_LINE:,} bytes; perhaps sentences that were not split"),
    "not-nfc": ("note", 'not in Unicode NFC; normalization.unicode = "nfc" converts them'),
}
_PAIR_FINDINGS: dict[str, tuple[Level, str]] = {
    "half-empty": ("warning", "empty on one side only; perhaps the files are shifted"),
    "ratio": ("warning", f"over {RATIO:g} times as long on one side; perhaps not translations"),
    "copy": ("warning", "the same on both sides; data.drop_copies leaves them out"),
}


def check(source: Path, target: Path, *, against: tuple[Path, Path] | None = None) -> Report:
    """Examine a training corpus, and find sentences of a test set in it.

    Args:
        source: text file, one sentence per line.
        target: its translation, line by line.
        against: source and target of a test set that must not be in the corpus.

    Raises:
        DataError: a file cannot be opened.
    """
    train = _Corpus(source, target)
    findings = [*train.findings()]
    files = [*train.facts()]
    if against is not None:
        test = _Corpus(*against)
        files += test.facts()
        findings += [*test.findings(), *_leaks(train, test)]
    return Report(tuple(files), tuple(findings))


@dataclass
class _Side:
    """One file, examined line by line."""

    path: Path
    lines: int = 0
    words: int = 0
    characters: int = 0
    longest: tuple[int, int] = (0, 0)
    """Words and number of the longest line."""
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    first_bad_byte: str = ""
    digests: "array[int]" = field(default_factory=lambda: array("Q"))

    def read(self) -> Iterator[str]:
        """Yield each line without white space at its ends, and count what is unusual."""
        for number, record in enumerate(read_records(self.path), 1):
            text = self._examine(number, record.removesuffix(b"\n"))
            words = len(text.split())
            self.lines = number
            self.words += words
            self.characters += len(text)
            self.longest = max(self.longest, (words, -number))
            self.digests.append(digest_of(_plain(text)))
            yield text

    def _examine(self, number: int, record: bytes) -> str:
        if record.endswith(b"\r"):
            self.tallies["crlf"].add(number)
            record = record[:-1]
        if number == 1 and record.startswith(b"\xef\xbb\xbf"):
            self.tallies["bom"].add(number)
            record = record[3:]
        if len(record) > LONG_LINE:
            self.tallies["long"].add(number)
        try:
            text = record.decode()
        except UnicodeDecodeError as error:
            text = record.decode(errors="replace")
            self.tallies["not-utf8"].add(number)
            self.first_bad_byte = self.first_bad_byte or (
                f"first {self.path}:{number}: byte {error.start + 1} is 0x{record[error.start]:02x}"
            )
        else:
            if "\ufffd" in text:
                self.tallies["replacement"].add(number)
        odd = {
            "nul": "\0" in text,
            "lone-cr": "\r" in text,
            "control": _CONTROL.search(text) is not None,
            "empty": not text.strip(),
            "not-nfc": not unicodedata.is_normalized("NFC", text),
        }
        for name, is_odd in odd.items():
            if is_odd:
                self.tallies[name].add(number)
        return text.strip()

    def facts(self) -> FileFacts:
        return FileFacts(
            path=str(self.path),
            lines=self.lines,
            words=self.words,
            characters=self.characters,
            longest_line=-self.longest[1],
            longest_words=self.longest[0],
        )

    def findings(self) -> Iterator[Finding]:
        for name, (level, message) in _LINE_FINDINGS.items():
            if name in self.tallies:
                extra = f"; {self.first_bad_byte}" if name == "not-utf8" else ""
                yield _finding(level, name, str(self.path), self.tallies[name], message + extra)


class _Corpus:
    """Both sides of a corpus, examined."""

    def __init__(self, source: Path, target: Path) -> None:
        self.source, self.target = _Side(source), _Side(target)
        self.where = f"{source} + {target}"
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self.pair_digests = array("Q")
        for number, (left, right) in enumerate(
            zip_longest(self.source.read(), self.target.read()), 1
        ):
            if left is not None and right is not None:
                self._examine(number, left, right)

    def _examine(self, number: int, left: str, right: str) -> None:
        self.pair_digests.append(digest(_plain(left), _plain(right)))
        if bool(left) != bool(right):
            self.tallies["half-empty"].add(number)
        elif left and left == right:
            self.tallies["copy"].add(number)
        elif left and max(len(left), len(right)) > RATIO * min(len(left), len(right)):
            self.tallies["ratio"].add(number)

    def facts(self) -> list[FileFacts]:
        return [self.source.facts(), self.target.facts()]

    def findings(self) -> Iterator[Finding]:
        yield from self.source.findings()
        yield from self.target.findings()
        if self.source.lines != self.target.lines:
            count = abs(self.source.lines - self.target.lines)
            yield Finding("fault", "unequal", self.where, count, self._unequal())
        if not self.source.lines or not self.target.lines:
            yield Finding("fault", "no-lines", self.where, 0, "no lines at all on one side")
        for name, (level, message) in _PAIR_FINDINGS.items():
            if name in self.tallies:
                yield _finding(level, name, self.where, self.tallies[name], message)
        yield from self._duplicates()

    def _unequal(self) -> str:
        """Return the reader's message about unequal line counts, with the likely position."""
        try:
            next(read_parallel(self.source.path, self.target.path))
        except DataError as error:
            return str(error)
        return "not as many lines on both sides"

    def _duplicates(self) -> Iterator[Finding]:
        digests = _as_numpy(self.pair_digests)
        _, first = np.unique(digests, return_index=True)
        is_repeated = np.ones(len(digests), dtype=bool)
        is_repeated[first] = False
        yield from _from_mask(
            "note",
            "duplicate",
            self.where,
            is_repeated,
            "repeating an earlier pair; data.drop_duplicates leaves them out",
        )


def _leaks(train: _Corpus, test: _Corpus) -> Iterator[Finding]:
    """Find test pairs, test sources and test targets inside the training corpus."""
    is_leak = _known(test.pair_digests, train.pair_digests)
    message = f"also in {train.where}, on both sides: scores would be too good; delete them there"
    yield from _from_mask("fault", "test-in-train", test.where, is_leak, message)
    for name, tested, trained in (
        ("test-source-in-train", test.source, train.source),
        ("test-target-in-train", test.target, train.target),
    ):
        is_known = _known(tested.digests, trained.digests)
        is_known[: len(is_leak)] &= ~is_leak[: len(is_known)]
        message = f"also in {trained.path}, in another pair"
        yield from _from_mask("note", name, str(tested.path), is_known, message)


def _from_mask(
    level: Level, name: str, where: str, mask: NDArray[np.bool_], message: str
) -> Iterator[Finding]:
    """Yield a finding about the lines where `mask` is True, if any."""
    tally = Tally()
    for row in np.flatnonzero(mask):
        tally.add(int(row) + 1)
    if tally.count:
        yield _finding(level, name, where, tally, message)


def _finding(level: Level, name: str, where: str, tally: Tally, message: str) -> Finding:
    return Finding(level, name, where, tally.count, message, tuple(tally.first))


def _plain(text: str) -> str:
    """Normalise white space."""
    return " ".join(text.split())


_EMPTY = (digest_of(""), digest("", ""))
"""Digests of an empty line and of a pair of empty lines, which are no leak."""


def _known(tested: "array[int]", trained: "array[int]") -> NDArray[np.bool_]:
    """Whether each test text is among the training texts, [tested]."""
    mine = _as_numpy(tested)
    return np.isin(mine, _as_numpy(trained)) & ~np.isin(mine, _EMPTY)


def _as_numpy(digests: "array[int]") -> NDArray[np.uint64]:
    return np.frombuffer(digests, dtype=np.uint64) if digests else np.empty(0, dtype=np.uint64)
