"""What the lines of a corpus are, where they are not text on both sides: words, labels, numbers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nmt.config.decoders import TargetLines
from nmt.config.encoders import NumbersEncoderConfig, SourceLines
from nmt.config.model import ModelConfig
from nmt.config.outputs import NumbersOutputConfig
from nmt.data.corpus import EncodedPair, Ids
from nmt.errors import DataError
from nmt.text.subword import Subword
from nmt.text.vectors import Vectors, read_vectors
from nmt.text.vocabulary import EOS
from nmt.text.whole_lines import encode_positions, encode_words


@dataclass(frozen=True)
class Shape:
    """What the lines of both sides are."""

    source: SourceLines
    target: TargetLines
    features: int = 0
    """Numbers at each source position; 0 if the source is text."""
    values: int = 0
    """Numbers in a target line; 0 if it is text."""

    @classmethod
    def of(cls, model: ModelConfig) -> "Shape":
        """Return the shape that a model reads and writes."""
        encoder = model.encoder
        features = encoder.features if isinstance(encoder, NumbersEncoderConfig) else 0
        values = model.output.values if isinstance(model.output, NumbersOutputConfig) else 0
        return cls(model.source_lines, model.target_lines, features, values)

    @property
    def is_text(self) -> bool:
        """Whether both sides are text, such as a translation."""
        return self.source in ("none", "text") and self.target == "text"

    @property
    def has_source_pieces(self) -> bool:
        """Whether the source is cut into pieces."""
        return self.source in ("text", "words")

    @property
    def is_parallel(self) -> bool:
        """Whether source and target are about as long, and may share their pieces."""
        return self.target in ("text", "aligned") and self.source != "numbers"

    def encode(
        self, pairs: Sequence[tuple[str, str]], source: Subword, target: Subword
    ) -> Iterator[EncodedPair]:
        """Yield normalised pairs of lines with their ids."""
        sources, targets = zip(*pairs, strict=True) if pairs else ((), ())
        if self.source == "numbers":
            source_ids = [encode_positions(text) for text in sources]
        elif self.source == "words":
            source_ids = [encode_words(source, text) for text in sources]
        else:
            source_ids = source.encode_all(sources)
        if self.target == "text":
            target_ids = target.encode_all(targets)
        elif self.target == "numbers":
            target_ids = [[] for _ in targets]
        else:
            target_ids = [encode_words(target, text) for text in targets]
        for pair, left, right in zip(pairs, source_ids, target_ids, strict=True):
            yield EncodedPair(left, right, *pair)

    def read(
        self, source: str, target: str, subwords: tuple[Subword, Subword]
    ) -> tuple[Ids | Vectors, Ids | Vectors]:
        """Return what a model reads and writes of two normalised lines, as `Corpus.example`.

        Raises:
            DataError: a line does not fit.
        """
        for side, fault in self.faults(source, target):
            raise DataError(f"the {side} `{source if side == 'source' else target}`: {fault}.")
        (pair,) = self.encode([(source, target)], *subwords)
        return (
            read_vectors(source, self.features)
            if self.features
            else np.array([*pair.source, EOS], np.int64),
            read_vectors(target, self.values)
            if self.values
            else np.array([*pair.target, EOS], np.int64),
        )

    def faults(self, source: str, target: str) -> Iterator[tuple[str, str]]:
        """Yield the side, "source" or "target", and the fault of each line that does not fit.

        Args:
            source: normalised line.
            target: normalised line.
        """
        words = len(target.split())
        if self.source == "numbers" and (fault := _fault_of_numbers(source, self.features)):
            yield "source", f"{fault}; model.encoder.features is {self.features:,}"
        if self.target == "numbers":
            fault = f"has {words:,} words" if words != 1 else ""
            if fault := fault or _fault_of_numbers(target, self.values):
                yield "target", f"{fault}; model.output.values is {self.values:,}, between commas"
        if self.target == "label" and words != 1:
            yield "target", f'has {words:,} words, but model.decoder.kind "label" needs one a line'
        if self.target == "aligned" and words != len(source.split()):
            yield (
                "target",
                f"has {words:,} words and its source {len(source.split()):,}, but "
                'model.decoder.kind "aligned" needs as many on both sides',
            )


def _fault_of_numbers(line: str, features: int) -> str:
    """Return what is wrong with a line of numbers; "" if nothing is."""
    try:
        read_vectors(line, features)
    except ValueError as error:
        return str(error)
    return ""


@dataclass
class Misfits:
    """Counts the pairs of two files that do not fit a shape, and remembers the first."""

    shape: Shape
    files: tuple[str, str]
    """Source and target file."""
    first: str = ""
    """Message about the first; "" if there is none."""
    counts: Counter[str] = field(default_factory=Counter)
    """Pairs that were met, and lines that do not fit."""

    def meet(self, number: int, source: str, target: str) -> None:
        """Check the pair of lines `number`, from 1."""
        self.counts["pairs"] += 1
        for side, fault in self.shape.faults(source, target):
            self.counts["misfits"] += 1
            self.first = self.first or f"{self.files[side == 'target']}:{number}: {fault}"

    def refuse(self) -> None:
        """Refuse the files if a line did not fit.

        Raises:
            DataError: it names the first, and says how many there are.
        """
        if self.first:
            raise DataError(
                f"{self.first} ({self.counts['misfits']:,} of {self.counts['pairs']:,} lines are "
                "like that); correct them, or leave them out."
            )
