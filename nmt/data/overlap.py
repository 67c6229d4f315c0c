"""Findings of `nmt check` about a test set that is in the training data, in whole or nearly."""

from collections.abc import Iterable, Iterator

from nmt.data.held_out import KnownTexts, NearPairs
from nmt.data.report import Check, Finding, Tally

_LEAK = Check(
    name="test-in-train",
    level="fault",
    message="also in",
    remedy="scores would be too good; set data.drop_held_out = true, which leaves pairs of "
    "data.valid and data.test out of training, or delete those lines of the training files",
)
_NEAR = Check(
    name="test-near-train",
    level="warning",
    message="found, but for case, punctuation, digits or a word, in",
    remedy="scores would be too good; delete those lines of the training files, or take another "
    "test set",
    often=0.05,
)
_SIDES = (
    Check(name="test-source-in-train", level="note", message="also in"),
    Check(name="test-target-in-train", level="note", message="also in"),
)


class Overlap:
    """Which lines of a test set are in the training data."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []
        self._pairs = KnownTexts()
        self._sides = (KnownTexts(), KnownTexts())
        self._near = NearPairs()

    def add(self, number: int, source: str, target: str) -> None:
        """Add a pair of the test set, normalised; all before the first call of `meet`."""
        self._lines.append((source, target))
        self._pairs.add(number, source, target)
        self._near.add(number, source, target)
        for known, text in zip(self._sides, (source, target), strict=True):
            known.add(number, text)

    def meet(self, number: int, source: str, target: str) -> None:
        """Compare a training pair, normalised, with the test set."""
        self._pairs.meet(number, source, target)
        self._near.meet(number, source, target)
        for known, text in zip(self._sides, (source, target), strict=True):
            known.meet(number, text)

    def findings(
        self, test: str, train: str, *, test_files: tuple[str, str], train_files: tuple[str, str]
    ) -> Iterator[Finding]:
        """Yield what was found.

        Args:
            test: name of the test set.
            train: name of the training data.
            test_files: its source and its target.
            train_files: likewise.
        """
        same = self._pairs.found
        near = {line: place for line, place in self._near.found.items() if line not in same}
        yield from self._finding(_LEAK, test, same, train)
        yield from self._finding(_NEAR, test, near, train)
        for side, (check, known) in enumerate(zip(_SIDES, self._sides, strict=True)):
            other = {line: place for line, place in known.found.items() if line not in same}
            where = f"{train_files[side]}, in another pair"
            yield from self._finding(check, test_files[side], other, where, side=side)

    def _finding(
        self, check: Check, where: str, found: dict[int, int], train: str, *, side: int = 0
    ) -> Iterator[Finding]:
        tally = Tally()
        for line in sorted(found):
            tally.add(line, self._lines[line - 1][side])
        extra = f" {train} ({listed(found.values())})"
        yield from check.findings(where, tally, len(self._lines), extra=extra)


def listed(numbers: Iterable[int], *, most: int = 5) -> str:
    """Return "line 7" or "lines 7, 12, ..."."""
    ordered = sorted({*numbers})
    more = ", ..." if len(ordered) > most else ""
    shown = ", ".join(f"{number:,}" for number in ordered[:most])
    return f"{'line' if len(ordered) == 1 else 'lines'} {shown}{more}"
