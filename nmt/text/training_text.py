"""What the lines a model was trained on looked like, as far as translation needs to know."""

from collections import Counter
from operator import itemgetter

from pydantic import BaseModel, ConfigDict

from nmt.text.addresses import has_number, lost_numbers
from nmt.text.casing import (
    begins_with_capital,
    has_inner_capital,
    has_title_case,
    is_in_capitals,
)
from nmt.text.repair import INNER_APOSTROPHE
from nmt.text.scripts import has_letters
from nmt.text.sentences import find_sentences

_RARE = 0.001
_UNUSUAL = 0.005
_RARE_NAMES = 0.002  # many texts have few
_MOSTLY = 0.2
_NEARLY_ALL = 0.8
FEWEST_COMPARED = 8
"""Pieces of a source whose translation says something by its length."""


class TrainingText(BaseModel):
    """The training pairs that were kept, in a few figures; part of the model folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    lines: int
    """Number of pairs."""
    source_characters: str
    """Every character of the source side, in order."""
    target_characters: str
    """Every character of the target side, in order."""
    longest: int
    """Pieces of the longest source line."""
    usual_longest: int
    """Pieces that at most one source line in 1,000 exceeds."""
    usual_sentences: int
    """Sentences that at most one source line in 200 exceeds."""
    capitals: float
    """Share of source lines in capitals, from 0 to 1."""
    title_case: float
    """Share of source lines In Which Every Word Has A Capital."""
    capitalized: float
    """Share of source lines that begin with a capital, among those with letters."""
    letterless: float
    """Share of source lines without letters, such as "42"."""
    letterless_copied: float
    """Share of source lines without letters whose translation is the same."""
    numbers: float
    """Share of source lines with a number of three digits or more."""
    numbers_lost: float
    """Share of source lines with such a number that the target line lacks."""
    inner_capitals: float = 1.0
    """Share of source lines in which a word within a sentence begins with a capital."""
    target_inner_capitals: float = 1.0
    """The same of target lines."""
    usual_ratio: float = 0.0
    """Target pieces per source piece; at most one line in 200 has fewer, among those of at least 8
    source pieces. 0 if there are none."""
    apostrophe: str = ""
    """What nearly always is the apostrophe within source words; "" if several are usual, or none
    is."""

    @property
    def translates_letterless(self) -> bool:
        """Whether lines without letters mean something else in the target: dates, numbers."""
        translated = self.letterless - self.letterless_copied
        return translated > max(_RARE, self.letterless_copied)

    @property
    def has_names(self) -> bool:
        """Whether names have capitals on the source side."""
        return self.inner_capitals >= _RARE_NAMES

    @property
    def has_target_names(self) -> bool:
        """Whether names have capitals on the target side, so that a model learns them."""
        return self.target_inner_capitals >= _RARE_NAMES

    @property
    def keeps_numbers(self) -> bool:
        """Whether numbers of three digits or more mostly stay as they are."""
        return self.numbers_lost <= _MOSTLY * self.numbers


class TrainingTextSurvey:
    """Collects a `TrainingText`, pair by pair.

    Args:
        language: code of the source language.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._source: set[str] = set()
        self._target: set[str] = set()
        self._lengths: Counter[int] = Counter()
        self._sentences: Counter[int] = Counter()
        self._ratios: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()
        self._apostrophes: Counter[str] = Counter()

    def add(self, source: str, target: str, *, pieces: tuple[int, int]) -> None:
        """Add a pair of normalised lines, which have this many pieces."""
        self._source.update(source)
        self._target.update(target)
        self._apostrophes.update(INNER_APOSTROPHE.findall(source))
        source_pieces, target_pieces = pieces
        self._lengths[source_pieces] += 1
        if source_pieces >= FEWEST_COMPARED:
            self._ratios[-round(100 * target_pieces / source_pieces)] += 1
        self._counts["target_inner_capitals"] += has_inner_capital(target)
        self._sentences[len(find_sentences(source, self._language))] += 1
        if has_number(source):
            self._counts["numbers"] += 1
            self._counts["numbers_lost"] += bool(lost_numbers(source, target))
        if not has_letters(source):
            self._counts["letterless"] += 1
            self._counts["letterless_copied"] += source == target
            return
        self._counts["capitals"] += is_in_capitals(source)
        self._counts["title_case"] += has_title_case(source)
        self._counts["inner_capitals"] += has_inner_capital(source)
        self._counts["capitalized"] += begins_with_capital(source)

    def result(self) -> TrainingText | None:
        """Return the figures; None if there were no pairs."""
        lines = self._lengths.total()
        if not lines:
            return None

        apostrophe, count = max(self._apostrophes.items(), key=itemgetter(1), default=("", 0))

        def share(name: str, total: int = lines) -> float:
            return round(self._counts[name] / total, 6)

        return TrainingText(
            lines=lines,
            source_characters="".join(sorted(self._source)),
            target_characters="".join(sorted(self._target)),
            longest=max(self._lengths),
            usual_longest=_exceeded_by(self._lengths, _RARE),
            usual_sentences=_exceeded_by(self._sentences, _UNUSUAL),
            capitals=share("capitals"),
            title_case=share("title_case"),
            capitalized=share("capitalized", max(1, lines - self._counts["letterless"])),
            letterless=share("letterless"),
            letterless_copied=share("letterless_copied"),
            numbers=share("numbers"),
            numbers_lost=share("numbers_lost"),
            inner_capitals=share("inner_capitals"),
            target_inner_capitals=share("target_inner_capitals"),
            usual_ratio=-_exceeded_by(self._ratios, _UNUSUAL) / 100 if self._ratios else 0.0,
            apostrophe=apostrophe if count > _NEARLY_ALL * self._apostrophes.total() else "",
        )


def _exceeded_by(counts: Counter[int], share: float) -> int:
    """Return the least value that at most this share of the counted ones exceed."""
    most, above = share * counts.total(), 0
    for value in sorted(counts, reverse=True):
        above += counts[value]
        if above > most:
            return value
    return min(counts)
