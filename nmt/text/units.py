"""Words of a text, or characters where its script has none between spaces: what losses are per."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from nmt.text.scripts import SPACELESS, script_of

Unit = Literal["word", "character"]
"""What is counted: words between spaces, or characters that are no spaces."""


class Units:
    """Counts words and characters of lines; the end of each line counts as one more."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._characters: Counter[str] = Counter()
        self._words = self._lines = 0
        for line in lines:
            self.add(line)

    def add(self, line: str) -> None:
        """Count a line."""
        words = line.split()
        self._lines += 1
        self._words += len(words)
        self._characters.update("".join(words))

    @property
    def name(self) -> Unit:
        """ "character" if most letters are of scripts without spaces between words."""
        letters: Counter[bool] = Counter()
        for character, count in self._characters.items():
            if script := script_of(character):
                letters[script in SPACELESS] += count
        return "character" if letters[True] > letters[False] else "word"

    @property
    def count(self) -> int:
        """Number of these units, ends of lines included."""
        text = self._characters.total() if self.name == "character" else self._words
        return text + self._lines
