"""The pairs of a corpus as preparation reads them: line by line, normalised."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from nmt.config.experiment import Experiment
from nmt.text.filters import Reason
from nmt.text.lines import BadLines, read_lines, read_numbered_pairs
from nmt.text.normalize import Normalizer

_CHUNK = 4096  # pairs encoded at once

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TextPair:
    """A pair of normalised lines."""

    number: int
    """Line number in the files, from 1."""
    source: str
    target: str
    reason: Reason | None = None
    """Why the pair is excluded from training; None if it is kept."""


class PairReader:
    """Reads the text files that a configuration names.

    Args:
        experiment: with absolute paths.
        bad_lines: what to do with pairs that are not UTF-8.
    """

    def __init__(self, experiment: Experiment, bad_lines: BadLines) -> None:
        self._has_source = experiment.data.has_source
        self._bad_lines = bad_lines
        self._normalizer = Normalizer(**experiment.normalization.model_dump())
        self.symbols = [self._normalizer.normalize(text) for text in experiment.tokenizer.symbols]
        """The symbols of the configuration, normalised as the text is."""

    def read(self, files: tuple[str, str]) -> Iterator[TextPair]:
        """Yield the pairs of two text files, or of one .tsv, normalised."""
        normalize = self._normalizer.normalize
        for number, (source, target) in self.read_raw(files):
            yield TextPair(number, normalize(source), normalize(target))

    def read_raw(self, files: tuple[str, str]) -> Iterator[tuple[int, tuple[str, str]]]:
        """Return (line number from 1, pair) of two text files; the source is empty without one."""
        source, target = map(Path, files)
        if files[0]:
            return read_numbered_pairs(source, target, bad_lines=self._bad_lines)
        lines = read_lines(target, bad_lines=self._bad_lines)
        return ((number, ("", line)) for number, line in enumerate(lines, start=1))

    def sides(self, source: T, target: T) -> tuple[T, T]:
        """Return the two sides for the filters; without a source, the target twice."""
        return (source if self._has_source else target), target


def named(files: tuple[str, str]) -> str:
    """Return the file to name in messages about a pair of files."""
    return files[0] or files[1]


def chunks(pairs: Iterator[TextPair]) -> Iterator[list[TextPair]]:
    """Yield pairs in lists that are encoded at once."""
    while chunk := list(islice(pairs, _CHUNK)):
        yield chunk
