"""The training pairs of a preparation, and why some of them are not trained on."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from nmt.config.experiment import Experiment
from nmt.data.folder import HELD_OUT
from nmt.data.held_out import KnownTexts
from nmt.data.pairs import PairReader, TextPair, named
from nmt.data.shape import Misfits, Shape
from nmt.data.valid_choice import ValidChoice
from nmt.errors import DataError
from nmt.storage.files import write_text
from nmt.text.filters import Reason, TextFilter, digest_of

LONGEST_VALID = 1024
"""Pieces per side of a validation pair, so that its loss fits into memory."""

_NORMALIZED = ".normalized"

_logger = logging.getLogger(__name__)


class TrainingPairs:
    """The pairs of the training files, normalised, in a file that lives as long as a preparation.

    Args:
        experiment: with absolute paths.
        folder: the file is in it.
        reader: reads the text files.
        report: called with a line of text at each step.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        reader: PairReader,
        report: Callable[[str], None],
    ) -> None:
        self._data = experiment.data
        self._shape = Shape.of(experiment.model)
        self._folder, self._file = folder, folder / _NORMALIZED
        self._reader, self._report = reader, report
        self._held_out: frozenset[int] = frozenset()  # digests of sources
        self.total = 0
        """Pairs of the training files."""
        self.dropped: Counter[Reason] = Counter()
        """Number of excluded pairs, by reason."""

    @property
    def kept(self) -> int:
        """Number of pairs that are not excluded so far."""
        return self.total - self.dropped.total()

    def __iter__(self) -> Iterator[TextPair]:
        """Yield all pairs, kept or not."""
        with self._file.open(encoding="utf-8", newline="\n") as file:
            for number in file:
                reason, source, target = (file.readline()[:-1] for _ in range(3))
                if not reason and self._is_held_out(*self._reader.sides(source, target)):
                    reason = "for validation"
                yield TextPair(int(number), source, target, reason or None)  # type: ignore[arg-type]

    def clean(self) -> Iterator[TextPair]:
        """Yield the pairs that are kept."""
        return (pair for pair in self if pair.reason is None)

    def _is_held_out(self, source: str, target: str) -> bool:
        return bool(self._held_out) and digest_of(source) in self._held_out

    def read(self) -> None:
        """Read the training files, and filter them by their text.

        Raises:
            DataError: no pair is left, or some do not fit the model.
        """
        data = self._data
        self._report(f"reading {' and '.join(dict.fromkeys(filter(None, data.train)))}")
        text_filter = TextFilter(drop_copies=data.drop_copies, drop_duplicates=data.drop_duplicates)
        files = {"validation": data.valid, "test": data.test}
        held_out = [_HeldOut(name, self._reader.read(each)) for name, each in files.items() if each]
        misfits = Misfits(self._shape, data.train)
        with self._file.open("x", encoding="utf-8", newline="\n") as file:
            for pair in self._reader.read(data.train):
                self.total += 1
                reason = text_filter.reason(*self._reader.sides(pair.source, pair.target))
                if reason is None and data.drop_held_out and any(o.has(pair) for o in held_out):
                    reason = "held out"
                if reason is not None:
                    self.dropped[reason] += 1
                else:
                    misfits.meet(pair.number, pair.source, pair.target)
                    for other in held_out:
                        other.meet(pair)
                file.write(f"{pair.number}\n{reason or ''}\n{pair.source}\n{pair.target}\n")
        misfits.refuse()
        for other in held_out:
            other.warn(named(data.train))
        self.require_some(self.kept)

    def hold_out(self) -> None:
        """Write validation files of sentences that are not trained on.

        All pairs of such a sentence are excluded; the first of them is validated on.

        Raises:
            DataError: there is only one sentence.
        """
        train = named(self._data.train)
        candidates = ValidChoice(longest=LONGEST_VALID)
        for pair in self.clean():
            candidates.add(*self._reader.sides(pair.source, pair.target))
        self._held_out = candidates.choose()
        if not self._held_out:
            raise DataError(
                f"{train}: has only one sentence, so that none can be held out to validate on; "
                "name validation files in data.valid."
            )
        first: dict[str, int] = {}
        lost = 0
        for pair in self:
            if pair.reason == "for validation":
                lost += 1
                first.setdefault(self._reader.sides(pair.source, pair.target)[0], pair.number)
        self.dropped["for validation"] = lost
        chosen = set(first.values())
        pairs = self._reader.read_raw(self._data.train)
        texts = [text for number, text in pairs if number in chosen]
        for name, lines in zip(HELD_OUT, zip(*texts, strict=True), strict=True):
            if self._data.has_source or name == HELD_OUT[1]:
                write_text(self._folder / name, "\n".join([*lines, ""]))
        self._report(
            f"data.valid names no files: {len(texts):,} of the sentences in {train} "
            "are held out to validate on"
        )

    def remove(self) -> None:
        """Remove the file, once nothing reads it any more."""
        self._file.unlink()

    def require_some(self, left: int) -> None:
        """Refuse the training files if no pair is `left`.

        Raises:
            DataError: it says why the pairs were excluded.
        """
        if left:
            return
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        raise DataError(
            f"{named(self._data.train)}: none of {self.total:,} pairs is left to learn from "
            f"({reasons or 'the file is empty'}); check the files, and the limits in [data]."
        )


class _HeldOut:
    """Pairs that should not be in the training data, and which of them occur there."""

    def __init__(self, name: str, pairs: Iterable[TextPair]) -> None:
        self._name = name
        self._texts = KnownTexts()
        for pair in pairs:
            self._texts.add(pair.number, *_texts(pair))

    def has(self, pair: TextPair) -> bool:
        """Whether a training pair is held out."""
        return _texts(pair) in self._texts

    def meet(self, pair: TextPair) -> None:
        """Compare a training pair with the held-out pairs."""
        self._texts.meet(pair.number, *_texts(pair))

    def warn(self, file: str) -> None:
        """Log how many held-out pairs were found, if any."""
        if found := self._texts.found:
            _logger.warning(
                f"{file}:{min(found.values())}: is also a {self._name} pair. {len(found):,} of "
                f"{self._texts.lines:,} {self._name} pairs are in the training files, so scores on "
                "them say little; set data.drop_held_out = true, or delete them there"
            )


def _texts(pair: TextPair) -> tuple[str, ...]:
    """Return the lines of a pair; only the target, of a language model."""
    return (pair.source, pair.target) if pair.source else (pair.target,)
