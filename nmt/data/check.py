"""Examine the text files of a parallel corpus and report everything unusual about them.

A damaged line is reported and the next one is read. Of the corpus, only examples, a sample and 16
bytes per pair are kept, so that it need not fit into memory; a test set must.

Tables say what is looked for: `LINE_CHECKS`, `PAIR_CHECKS` and, for what is decided before a line
is text or needs no pattern, `RECORD_CHECKS` below. `sides` finds what is wrong with whole files.
"""

import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from nmt.data.exchange import are_exchanged, find_exchange
from nmt.data.line_checks import LINE_CHECKS, LONG_LINE
from nmt.data.overlap import Overlap
from nmt.data.pair_checks import PAIR_CHECKS
from nmt.data.rare_words import RareWords
from nmt.data.report import Check, FileFacts, Finding, Report, Tally
from nmt.data.sample import Sample
from nmt.data.shift import SHIFT_REMEDY, find_shifts
from nmt.data.side_checks import SideStatistics
from nmt.data.sides import Sides
from nmt.errors import DataError
from nmt.text.excerpt import excerpt
from nmt.text.filters import digest
from nmt.text.lines import read_parallel
from nmt.text.normalize import Normalizer

RECORD_CHECKS = (
    Check(
        name="not-utf8",
        level="fault",
        message="not UTF-8",
        remedy="convert the file, for example with iconv -f latin1 -t utf-8, or repair these",
        lists_places=True,
    ),
    Check(
        name="crlf",
        level="note",
        message="ending in CR LF; the CR is dropped when reading",
    ),
    Check(
        name="cr-ends",
        level="fault",
        message="holding several lines that end in CR alone, as on old Macs; they are read as one",
        remedy="convert the file with tr '\\r' '\\n'",
    ),
    Check(
        name="bom",
        level="note",
        message="starting with a byte order mark; it is dropped when reading",
    ),
    Check(
        name="empty",
        level="warning",
        message="empty; their pairs are dropped",
        remedy="nothing if both sides are empty; else compare the lines around them",
    ),
    Check(
        name="long",
        level="warning",
        message=f"longer than {LONG_LINE:,} bytes; perhaps sentences that were not split",
        remedy="split them on both sides; data.max_length leaves them out",
    ),
    Check(
        name="not-nfc",
        level="note",
        message='not in Unicode NFC; normalization.unicode = "nfc" converts them',
    ),
)
_DUPLICATE = Check(
    name="duplicate",
    level="note",
    message="repeating an earlier pair; data.drop_duplicates leaves them out of training",
)
_normalize = Normalizer().normalize


def check(source: Path, target: Path, *, against: tuple[Path, Path] | None = None) -> Report:
    """Examine a training corpus, and find sentences of a test set in it.

    Args:
        source: text file, one sentence per line, or a file of tab-separated pairs.
        target: its translation, line by line, or the same file.
        against: source and target of a test set that must not be in the corpus.

    Raises:
        DataError: a file cannot be opened.
        UsageError: two files cannot be sides of a corpus.
    """
    overlap, rare = Overlap(), (RareWords(), RareWords())

    def add(number: int, source: str, target: str) -> None:
        overlap.add(number, source, target)
        for side, line in zip(rare, (source, target), strict=True):
            side.add(line)

    def meet(number: int, source: str, target: str) -> None:
        overlap.meet(number, source, target)
        for side, line in zip(rare, (source, target), strict=True):
            side.meet(line)

    test = None if against is None else _Corpus(*against, visit=add)
    train = _Corpus(source, target, visit=None if test is None else meet)
    if test is None:
        return Report((*train.facts(),), (*train.findings(),), sample=train.sample.pairs)
    leaks = overlap.findings(
        test.where,
        train.where,
        test_files=test.sides.names,
        train_files=train.sides.names,
    )
    names = zip(test.sides.names, train.sides.names, strict=True)
    rare_words = [
        finding
        for side, (test_file, train_file) in zip(rare, names, strict=True)
        for finding in side.findings(test_file, train_file)
    ]
    exchanged = []
    if are_exchanged(train.sample.pairs, test.sample.pairs):
        exchanged.append(
            Finding(
                level="warning",
                name="exchanged-test",
                where=test.where,
                count=test.source.lines,
                message=f"source and target seem to be exchanged, in comparison with {train.where}",
                remedy="name them in the order of the training files",
            )
        )
    return Report(
        (*train.facts(), *test.facts()),
        (
            *train.findings(),
            *test.findings(),
            *exchanged,
            *leaks,
            *rare_words,
        ),
        sample=test.sample.pairs,
    )


@dataclass
class _Side:
    """One side, examined line by line."""

    name: str
    records: Iterator[bytes]
    lines: int = 0
    words: int = 0
    characters: int = 0
    longest: tuple[int, int] = (0, 0)
    """Words and number of the longest line."""
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    first_bad_byte: str = ""
    carriage_returns: int = 0
    """Not counting those before a line feed."""
    statistics: SideStatistics = field(default_factory=SideStatistics)

    def read(self) -> Iterator[str]:
        """Yield each line without white space at its ends, and count what is unusual."""
        for number, record in enumerate(self.records, 1):
            text = self._decode(number, record.removesuffix(b"\n"))
            self._examine(number, text.strip(" "))
            text = text.strip()
            words = len(text.split())
            self.lines = number
            self.words += words
            self.characters += len(text)
            self.longest = max(self.longest, (words, -number))
            self.statistics.add(number, text)
            yield text

    def _decode(self, number: int, record: bytes) -> str:
        """Return the text of a record, and count what is seen before it is decoded."""
        if record.endswith(b"\r"):
            self.tallies["crlf"].add(number)
            record = record[:-1]
        self.carriage_returns += record.count(b"\r")
        if number == 1 and record.startswith(b"\xef\xbb\xbf"):
            self.tallies["bom"].add(number)
            record = record[3:]
        if len(record) > LONG_LINE:
            self.tallies["long"].add(number, record[:LONG_LINE].decode(errors="ignore"))
        try:
            return record.decode()
        except UnicodeDecodeError as error:
            text = record.decode(errors="backslashreplace")
            start = len(record[: error.start].decode())
            self.tallies["not-utf8"].add(number, text, (start, start + len("\\xff")))
            self.first_bad_byte = self.first_bad_byte or (
                f"; first {self.name}:{number}: byte {error.start + 1} is "
                f"0x{record[error.start]:02x}"
            )
            return text

    def _examine(self, number: int, text: str) -> None:
        if not text.strip():
            self.tallies["empty"].add(number)
            text = text.strip(" \t")  # other white space is a control character
        is_ascii = text.isascii()
        for check in LINE_CHECKS:
            if (check.in_ascii or not is_ascii) and (place := check.find(text)):
                self.tallies[check.name].add(number, text, place.span())
        if not is_ascii and not unicodedata.is_normalized("NFC", text):
            self.tallies["not-nfc"].add(number)

    def facts(self) -> FileFacts:
        return FileFacts(
            path=self.name,
            lines=self.lines,
            words=self.words,
            characters=self.characters,
            longest_line=-self.longest[1],
            longest_words=self.longest[0],
        )

    def findings(self) -> Iterator[Finding]:
        if self.carriage_returns >= max(2, self.lines):
            self.tallies["cr-ends"] = self.tallies.pop("lone-cr", Tally())
        for check in (*RECORD_CHECKS, *LINE_CHECKS):
            extra = self.first_bad_byte if check.name == "not-utf8" else ""
            tally = self.tallies.get(check.name, Tally())
            yield from check.findings(self.name, tally, self.lines, extra=extra)
        yield from self.statistics.findings(
            self.name, lines=self.lines, words=self.words, characters=self.characters
        )


class _Corpus:
    """Both sides of a corpus, examined.

    Args:
        source: text file, or a file of tab-separated pairs.
        target: its translation, line by line, or the same file.
        visit: called with the number of each pair and its two lines, normalised; None = nothing.
    """

    def __init__(
        self, source: Path, target: Path, *, visit: Callable[[int, str, str], None] | None
    ):
        self.sides = Sides(source, target)
        self.where = self.sides.where
        self.source, self.target = map(
            _Side, self.sides.names, (self.sides.source, self.sides.target)
        )
        self.sample = Sample()
        self._visit = visit
        self._pairs = 0
        self._tallies: dict[str, Tally] = defaultdict(Tally)
        self._looked_at: Counter[str] = Counter()
        self._digests = array("Q")
        self._lengths = array("I"), array("I")
        for number, (left, right) in enumerate(
            zip_longest(self.source.read(), self.target.read()), 1
        ):
            if left is not None and right is not None:
                self._examine(number, left, right)

    def _examine(self, number: int, left: str, right: str) -> None:
        self._pairs = number
        for lengths, line in zip(self._lengths, (left, right), strict=True):
            lengths.append(len(line))
        self.sample.add(number, left, right)
        for check in PAIR_CHECKS:
            if check.among(left, right):
                self._looked_at[check.name] += 1
                what = check.find(left, right)
                if what is not None:
                    self._tallies[check.name].add_pair(number, left, right, what)
        left, right = _normalize(left), _normalize(right)
        self._digests.append(digest(left, right))
        if self._visit is not None:
            self._visit(number, left, right)

    @property
    def _read(self) -> list[_Side]:
        """The sides that are text."""
        sides = zip((self.source, self.target), self.sides.is_text, strict=True)
        return [side for side, is_text in sides if is_text]

    def facts(self) -> list[FileFacts]:
        """Return the sizes of the sides that are text."""
        return [side.facts() for side in self._read]

    def findings(self) -> Iterator[Finding]:
        yield from self.sides.findings()
        for side in self._read:
            yield from side.findings()
        if not all(self.sides.is_text):
            return
        yield from self._exchanged()
        yield from self._shifted()
        if self.source.lines != self.target.lines:
            count = abs(self.source.lines - self.target.lines)
            yield Finding(
                level="fault",
                name="unequal",
                where=self.where,
                count=count,
                message=self._unequal(),
                remedy="look for a line that is missing, or one too many, or name other files",
            )
        if not self.source.lines or not self.target.lines:
            yield Finding(
                level="fault",
                name="no-lines",
                where=self.where,
                count=0,
                message=self._no_lines(),
                remedy="name files that hold text",
            )
        for check in PAIR_CHECKS:
            tally = self._tallies.get(check.name, Tally())
            yield from check.findings(self.where, tally, self._looked_at[check.name])
        yield from self._duplicates()

    def _exchanged(self) -> Iterator[Finding]:
        """Yield from which pair the sides seem to be exchanged, if from any."""
        place = find_exchange(self.sample.pairs)
        if place is None:
            return
        number = self.sample.numbers[place]
        count = self._pairs - number + 1
        yield Finding(
            level="warning",
            name="exchanged",
            where=self.where,
            count=count,
            message=f"from about line {number:,} on, source and target seem to be exchanged "
            f"({count:,} of {self._pairs:,} lines)",
            remedy="exchange the two sides of these lines",
        )

    def _shifted(self) -> Iterator[Finding]:
        """Yield which targets seem to be some lines before or behind their sources."""
        for shift in find_shifts(*self._lengths):
            count = shift.end - shift.first
            yield Finding(
                level="warning",
                name="shifted",
                where=self.where,
                count=count,
                message=f"{shift} ({count:,} of {self._pairs:,} lines)",
                remedy=SHIFT_REMEDY,
            )

    def _unequal(self) -> str:
        """Return the reader's message about unequal line counts, with the likely position."""
        try:
            next(read_parallel(*self.sides.files))
        except DataError as error:
            return str(error)
        return "not as many lines on both sides"

    def _no_lines(self) -> str:
        sides = zip(self.sides.files, (self.source, self.target), strict=True)
        empty = dict.fromkeys(str(file) for file, side in sides if not side.lines)
        return f"{' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty"

    def _duplicates(self) -> Iterator[Finding]:
        digests = np.array(self._digests, dtype=np.uint64)
        _, first = np.unique(digests, return_index=True)
        is_repeated = digests != digest("", "")
        is_repeated[first] = False
        repeated = np.flatnonzero(is_repeated) + 1
        tally = Tally(len(repeated), repeated[:5].tolist())
        if tally.count:
            tally.example = excerpt(self.sides.source_line(tally.first[0]))
        yield from _DUPLICATE.findings(self.where, tally, self._pairs)
