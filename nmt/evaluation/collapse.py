"""Outputs of a model that has collapsed: one sentence for all, nothing, loops, or the source."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["same", "empty", "repeats", "copies"]

_LEAST_GAP = {"same": 0.2, "empty": 0.1, "repeats": 0.2, "copies": 0.2}
_FEWEST_LINES = 3
_WORDS, _CHARACTERS = 4, 8
_LONGEST_WORD = 15  # mean; longer ones are text without spaces
_RUN = re.compile(r"(\S{1,4}?)\1{5,}")
_SHOWN = 40


@dataclass(frozen=True)
class Collapse:
    """What many outputs have in common and few references do."""

    kind: Kind
    share: float
    """Fraction of the lines."""
    example: str
    """One of the outputs."""

    def __str__(self) -> str:
        what = {
            "same": "are the same sentence",
            "empty": "are empty",
            "repeats": "repeat themselves",
            "copies": "are copies of the source",
        }[self.kind]
        return f"{100 * self.share:.0f} % of the lines {what}"

    @property
    def quoted(self) -> str:
        """The example in brackets, shortened; "" if it is empty."""
        text = self.example.strip()
        if len(text) > _SHOWN:
            text = f"{text[:_SHOWN]}..."
        return f' ("{text}")' if text else ""


def find_collapse(
    hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str] | None = None
) -> list[Collapse]:
    """Return each way in which the outputs have collapsed, the most frequent first.

    References tell what is normal: a property counts by how much more often the outputs have it.

    Args:
        hypotheses: outputs of a model.
        references: one per output.
        sources: what was translated; None = not compared.
    """
    [(most_common, _)] = Counter(hypotheses).most_common(1) or [("", 0)]
    [(usual, _)] = Counter(references).most_common(1) or [("", 0)]
    found = [
        _compare("empty", hypotheses, references, lambda line: not line.strip()),
        _compare("repeats", hypotheses, references, repeats_itself),
    ]
    if most_common.strip():
        are_usual = [line == usual for line in references]
        found.append(
            _judge("same", [line == most_common for line in hypotheses], are_usual, hypotheses)
        )
    if sources is not None:
        ours, theirs = (
            [line == source for line, source in zip(text, sources, strict=True)]
            for text in (hypotheses, references)
        )
        found.append(_judge("copies", ours, theirs, hypotheses))
    return sorted((one for one in found if one), key=lambda one: -one.share)


def repeats_itself(line: str) -> bool:
    """Whether a line has four words twice, a word three times in a row, or a run of letters.

    In text without spaces between words, eight characters count instead of four words.
    """
    if _RUN.search(line):
        return True
    words = line.split()
    if len(line) > _LONGEST_WORD * len(words):
        return _has_twice(line, _CHARACTERS)
    is_threefold = any(a == b == c for a, b, c in zip(words, words[1:], words[2:], strict=False))
    return is_threefold or _has_twice(words, _WORDS)


def _has_twice(items: Sequence[str], count: int) -> bool:
    """Whether some sequence of `count` items occurs at two places."""
    runs = list(zip(*(items[start:] for start in range(count)), strict=False))
    return len(set(runs)) < len(runs)


def _compare(
    kind: Kind, hypotheses: Sequence[str], references: Sequence[str], is_so: Callable[[str], bool]
) -> Collapse | None:
    ours, theirs = ([is_so(line) for line in text] for text in (hypotheses, references))
    return _judge(kind, ours, theirs, hypotheses)


def _judge(
    kind: Kind, ours: Sequence[bool], theirs: Sequence[bool], hypotheses: Sequence[str]
) -> Collapse | None:
    """Return the collapse if far more outputs than references have a property."""
    share, normal = (sum(each) / max(1, len(each)) for each in (ours, theirs))
    if sum(ours) < _FEWEST_LINES or share - normal <= _LEAST_GAP[kind]:
        return None
    return Collapse(kind, share, hypotheses[ours.index(True)])
