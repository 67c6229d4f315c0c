"""How many words of a test set the training text hardly has: they limit any model of it."""

import unicodedata
from collections import Counter
from collections.abc import Iterator

from nmt.data.report import Finding
from nmt.text.units import Units

FEW = 5
"""A word that occurs less often in the training text is rare."""
MANY = 0.1
"""Share of rare words from which the finding is a warning."""
_FEWEST_WORDS = 500  # of a test set; the share of fewer is chance
_MOST_SHOWN = 5


class RareWords:
    """Counts the words of one side of a test set in the training text, without regard to case.

    Memory is that of the test set's vocabulary.
    """

    def __init__(self) -> None:
        self._units = Units()
        self._tests: Counter[str] = Counter()
        self._trains: Counter[str] = Counter()
        self._spelled: dict[str, str] = {}

    def add(self, line: str) -> None:
        """Count the words of a line of the test set; all before the first call of `meet`."""
        self._units.add(line)
        for word in words_of(line):
            self._tests[word.casefold()] += 1
            self._spelled.setdefault(word.casefold(), word)

    def meet(self, line: str) -> None:
        """Count the words of a line of the training text."""
        words = map(str.casefold, words_of(line))
        self._trains.update(word for word in words if word in self._tests)

    def findings(self, test: str, train: str) -> Iterator[Finding]:
        """Yield the share of rare words, if there are any and `test` is long enough.

        Args:
            test: name of this side of the test set.
            train: name of this side of the training text.
        """
        total = self._tests.total()
        rare = [word for word in self._tests if self._trains[word] < FEW]
        count = sum(self._tests[word] for word in rare)
        if not count or total < _FEWEST_WORDS or self._units.name != "word":
            return
        shown = sorted(rare, key=lambda word: (-self._tests[word], word))[:_MOST_SHOWN]
        examples = ", ".join(self._spelled[word] for word in shown)
        yield Finding(
            level="warning" if count >= MANY * total else "note",
            name="rare-words",
            where=test,
            count=count,
            message=f"{count / total:.1%} of the words occur fewer than {FEW} times in {train}, "
            f"such as {examples}",
            remedy="a model can hardly know how to translate them: more text of this kind, even a "
            "few thousand pairs, helps more than other settings",
        )


class _LettersAlone(dict[int, str]):
    """Maps letters and the marks on them to themselves, invisible characters to nothing, and all
    else to a space."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        category = unicodedata.category(letter)
        self[code] = letter if category[0] in "LM" else "" if category == "Cf" else " "
        return self[code]


_LETTERS_ALONE = _LettersAlone()


def words_of(line: str) -> list[str]:
    """Return the runs of letters of a line."""
    return line.translate(_LETTERS_ALONE).split()
