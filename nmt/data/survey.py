"""What `nmt init` needs to know about a corpus, from one reading."""

import shlex
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np

from nmt.data.held_out import LETTERS
from nmt.data.sample import Sample
from nmt.data.shift import Shift, find_shifts
from nmt.errors import DataError
from nmt.text.filters import digest, is_empty
from nmt.text.lines import read_numbered_pairs, read_records
from nmt.text.normalize import Normalizer
from nmt.text.scripts import SPACELESS, has_letters, script_of

_FIRST_LINES = 1000


@dataclass(frozen=True)
class Side:
    """The text of one side; pairs with an empty side are left out."""

    characters: Mapping[str, int]
    """How often each character but the space occurs."""
    lengths: Mapping[int, int]
    """Number of lines of each length in characters."""
    words: int
    """Number of words, separated by spaces."""

    @cached_property
    def scripts(self) -> dict[str, float]:
        """Share of the letters that each script has, the largest first; empty without letters."""
        counts: Counter[str] = Counter()
        for character, count in self.characters.items():
            if script := script_of(character):
                counts[script] += count
        return {script: count / counts.total() for script, count in counts.most_common()}

    @property
    def is_spaceless(self) -> bool:
        """Whether the script does not separate words by spaces."""
        return next(iter(self.scripts), "") in SPACELESS

    @property
    def word_length(self) -> float:
        """Mean number of characters in a word."""
        return sum(self.characters.values()) / max(1, self.words)

    @property
    def words_per_line(self) -> float:
        """Mean number of words in a line."""
        return self.words / max(1, sum(self.lengths.values()))

    def longer_than(self, length: float) -> float:
        """Return the share of the text that is in lines of more characters than `length`."""
        every = sum(size * count for size, count in self.lengths.items())
        longer = sum(size * count for size, count in self.lengths.items() if size > length)
        return longer / max(1, every)


@dataclass(frozen=True)
class Survey:
    """A parallel corpus."""

    name: str
    """Of its files, for messages."""
    pairs: int
    """Number of pairs, empty ones included."""
    source: Side
    target: Side
    empty: int
    """Pairs with an empty side."""
    copies: int
    """Pairs whose two sides are the same text, with letters."""
    copies_but_case: int
    """Pairs whose two sides differ in nothing but capitals."""
    damaged: int
    """Pairs that `Normalizer.repair` changes."""
    duplicates: int
    """Pairs that also occur earlier."""
    different: int
    """Pairs left if repeated ones are dropped."""
    different_copies: int
    """How many of these have the same text on both sides, with letters or not."""
    sample: tuple[tuple[str, str], ...]
    """An even sample of the pairs."""
    shifts: tuple[Shift, ...] = ()
    """Parts whose targets seem to be some lines before or behind their sources."""

    @cached_property
    def shared_words(self) -> float:
        """Share of the target's words that their source lines have as well, without regard to case,
        in the sample; copied lines are left out."""
        shared = words = 0
        for source, target in ((one.casefold(), other.casefold()) for one, other in self.sample):
            if source != target:
                known, found = Counter(LETTERS.findall(source)), Counter(LETTERS.findall(target))
                shared += (found & known).total()
                words += found.total()
        return shared / max(1, words)


def survey(source: Path, target: Path) -> Survey:
    """Read a corpus, normalised as by default; bad lines are skipped, with a warning.

    It keeps 16 bytes per pair, and 8 per copied pair.

    Raises:
        DataError: a file cannot be read, the two have different numbers of lines, or no pair has
            text on both sides.
    """
    name = " and ".join(dict.fromkeys(map(str, (source, target))))
    normalize, repair = Normalizer().normalize, Normalizer(repair=True).normalize
    sides = _Counts(), _Counts()
    pairs = empty = copies = copies_but_case = damaged = 0
    digests, copied, sample = array("Q"), array("Q"), Sample()
    lengths = array("I"), array("I")
    for _, (left, right) in read_numbered_pairs(source, target, bad_lines="skip"):
        pairs += 1
        left, right = normalize(left), normalize(right)
        for every, text in zip(lengths, (left, right), strict=True):
            every.append(len(text))
        if is_empty(left, right):
            empty += 1
            continue
        copies += left == right and has_letters(left)
        damaged += repair(left) != left or repair(right) != right
        copies_but_case += left != right and left.casefold() == right.casefold()
        digests.append(digest(left, right))
        sample.add(len(digests), left, right)
        if left == right:
            copied.append(digests[-1])
        for side, text in zip(sides, (left, right), strict=True):
            side.add(text)
    if not digests:
        raise DataError(f"{name}: no pair has text on both sides; name other files.")
    different, different_copies = (
        len(np.unique(np.array(each, dtype=np.uint64))) for each in (digests, copied)
    )
    first, second = (side.total() for side in sides)
    return Survey(
        name=name,
        pairs=pairs,
        source=first,
        target=second,
        empty=empty,
        copies=copies,
        copies_but_case=copies_but_case,
        damaged=damaged,
        duplicates=len(digests) - different,
        different=different,
        different_copies=different_copies,
        sample=sample.pairs,
        shifts=tuple(find_shifts(*lengths)),
    )


def require_letters(path: Path) -> None:
    """Refuse a file of tab-separated columns whose text is not in the first two of them.

    Raises:
        DataError: one of these has no letters in the first lines, but a later column has.
    """
    columns: list[bool] = []
    for record in islice(read_records(path), _FIRST_LINES):
        found = [has_letters(text) for text in record.decode(errors="replace").split("\t")]
        columns = [any(pair) for pair in zip_longest(columns, found, fillvalue=False)]
    text = [f"{number}" for number, has_text in enumerate(columns, 1) if has_text]
    if len(text) < 2 or text[:2] == ["1", "2"]:
        return
    without = 2 if columns[0] else 1
    raise DataError(
        f"{path}: column {without} has no letters, but source and target must be the first two "
        f"columns; text is in columns {', '.join(text)}. Write two of them into a file of their "
        f"own: cut -f{','.join(text[:2])} {shlex.quote(str(path))} > pairs.tsv"
    )


class _Counts:
    """Counts the text of one side."""

    def __init__(self) -> None:
        self._characters: Counter[str] = Counter()
        self._lengths: Counter[int] = Counter()

    def add(self, text: str) -> None:
        self._characters.update(text)
        self._lengths[len(text)] += 1

    def total(self) -> Side:
        spaces = self._characters.pop(" ", 0)
        return Side(self._characters, self._lengths, spaces + self._lengths.total())
