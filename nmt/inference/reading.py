"""From lines to what models read: ids or numbers, truncated with a warning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nmt.errors import DataError
from nmt.inference.engine import Source
from nmt.text.copied import CopyIds
from nmt.text.normalize import Normalizer
from nmt.text.reading import FirstWarnings, LineReader, Segment, Split
from nmt.text.subword import Subword
from nmt.text.training_text import TrainingText
from nmt.text.vectors import Vectors, read_vectors
from nmt.text.vocabulary import EOS
from nmt.text.whole_lines import WholeLineReader, encode_positions, encode_words


@dataclass(frozen=True)
class ReadPairs:
    """Pairs as the models read and write them, by number."""

    sources: Mapping[int, Source]
    """Ids or numbers of each source."""
    targets: Mapping[int, list[int]]
    """Ids of each target."""
    beyond: Mapping[int, tuple[str, ...]]
    """Spelling of the target ids beyond the vocabulary; see `CopyIds.read`."""


@dataclass(frozen=True)
class Reading:
    """How the lines of both sides are read."""

    source: Subword
    """Subword model of the source side."""
    target: Subword
    """Subword model of the target side."""
    normalizer: Normalizer
    """Applied to each line first."""
    training_text: TrainingText | None
    """What the training text looked like; None if that is unknown."""
    language: str
    """Code of the source language."""
    features: int
    """Numbers at each source position; 0 if the source is text."""
    target_lines: str
    """What a target line is, see `EncoderDecoder.target_lines`."""
    copy_ids: CopyIds | None
    """Ids of what the models can copy; None if they cannot."""

    def reader(self, split: Split, max_source: int) -> LineReader | WholeLineReader:
        """Return what cuts source lines into segments.

        Args:
            split: whether a line is cut into sentences.
            max_source: most pieces of a segment, EOS included.
        """
        if self.features:
            return WholeLineReader(self.normalizer, encode_positions)
        if self.target_lines == "aligned":
            return WholeLineReader(self.normalizer, partial(encode_words, self.source))
        if self.target_lines in ("label", "numbers"):
            return WholeLineReader(self.normalizer, self.source.encode)
        return LineReader(
            self.source,
            self.normalizer,
            self.training_text,
            split=split,
            most=max_source - 1,
            language=self.language,
        )

    def read_segment(self, segment: Segment, most: int, name: str, cut: FirstWarnings) -> Source:
        """Return the ids of a segment with EOS, or its numbers, truncated to `most`."""
        if self.features:
            return self._numbers(segment.text, most, name, cut)
        return _limit(segment.ids, most, name, cut, "translated")

    def read_sources(
        self, texts: Mapping[int, str], most: int, cut: FirstWarnings
    ) -> dict[int, Source]:
        """Return the ids or numbers of each source line by line number, to be scored."""
        if not self.features:
            encode = self.source.encode_all
            if self.target_lines == "aligned":
                encode = partial(_encode_words, self.source)
            return dict(self._read(encode, texts, most, "source line", cut))
        normalised = {number: self.normalizer.normalize(line) for number, line in texts.items()}
        return {
            number: self._numbers(line, most, f"source line {number:,}", cut)
            for number, line in normalised.items()
        }

    def read_targets(
        self, texts: Mapping[int, str], most: int, cut: FirstWarnings
    ) -> dict[int, list[int]]:
        """Return the ids of each target line by line number, to be scored."""
        encode = self.target.encode_all
        if self.target_lines != "text":
            encode = partial(_encode_words, self.target)
        return self._read(encode, texts, most, "target line", cut)

    def copyable(
        self, numbers: Sequence[int], sources: Mapping[int, Source], texts: Mapping[int, str]
    ) -> tuple[list[Source], list[tuple[str, ...]]]:
        """Return the ids of sentences as the models read them, and the spelling of those beyond
        the target vocabulary; see `CopyIds.read`.

        Args:
            numbers: of the sentences.
            sources: ids by number.
            texts: what the ids spell, or begin to spell, by number.
        """
        if self.copy_ids is None:
            return [sources[number] for number in numbers], [()] * len(numbers)
        ids = {number: np.asarray(sources[number], dtype=np.int64) for number in numbers}
        read = [self.copy_ids.read(ids[number], texts[number]) for number in numbers]
        return [found.tolist() for found, _ in read], [beyond for _, beyond in read]

    def copied(
        self,
        texts: Sequence[Mapping[int, str]],
        sources: Mapping[int, Source],
        targets: Mapping[int, list[int]],
    ) -> ReadPairs:
        """Return given pairs as the models read and write them; texts and ids by number."""
        if self.copy_ids is None:
            return ReadPairs(sources, targets, dict.fromkeys(sources, ()))
        source_texts, target_texts = (
            {number: self.normalizer.normalize(text) for number, text in side.items()}
            for side in texts
        )
        read, spelled = self.copyable(list(sources), sources, source_texts)
        beyond = dict(zip(sources, spelled, strict=True))
        written = {
            number: self.copy_ids.write(targets[number], target_texts[number], names).tolist()
            for number, names in beyond.items()
        }
        return ReadPairs(dict(zip(sources, read, strict=True)), written, beyond)

    def _read(
        self,
        encode_all: Callable[[Sequence[str]], list[list[int]]],
        texts: Mapping[int, str],
        most: int,
        side: str,
        cut: FirstWarnings,
    ) -> dict[int, list[int]]:
        """Return the ids of each line by line number, ending in EOS; a blank line has only EOS.

        Args:
            encode_all: returns the ids of normalised lines.
            texts: lines by number.
            most: maximum number of pieces kept, EOS included; longer lines cause a warning.
            side: name of a line in the warning.
            cut: warnings about truncated lines.
        """
        normalised = [self.normalizer.normalize(line) for line in texts.values()]
        encoded = encode_all(["" if text.isspace() else text for text in normalised])
        return {
            number: _limit(ids, most, f"{side} {number:,}", cut, "scored")
            for number, ids in zip(texts, encoded, strict=True)
        }

    def _numbers(self, text: str, most: int, name: str, cut: FirstWarnings) -> Vectors:
        """Return the numbers of a normalised line, truncated to `most` positions.

        Raises:
            DataError: it has something else.
        """
        try:
            numbers = read_vectors(text, self.features)
        except ValueError as error:
            raise DataError(f"{name}: {error}; correct the line.") from None
        if len(numbers) > most:
            cut.warn(f"{name}: has {len(numbers):,} positions, only the first {most:,} are read")
        return numbers[:most]


def _encode_words(subword: Subword, texts: Sequence[str]) -> list[list[int]]:
    return [encode_words(subword, text) for text in texts]


def _limit(ids: Sequence[int], most: int, name: str, cut: FirstWarnings, done: str) -> list[int]:
    """Return ids with EOS, truncated to `most`, with a warning that names the line.

    Args:
        ids: of the line.
        most: ids that are kept, EOS included.
        name: of the line.
        cut: warnings about truncated lines.
        done: what is done with the others, "translated" or "scored".
    """
    if len(ids) >= most:
        cut.warn(
            f"{name}: has {len(ids) + 1:,} pieces, only the first {most:,} are {done}; "
            "split the line"
        )
    return [*ids[: most - 1], EOS]
