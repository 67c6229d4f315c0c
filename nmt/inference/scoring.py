"""Log-probabilities of given translations of many lines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from nmt.data.batch import right_to_left
from nmt.diagnostics.attention import identity, soft_attention
from nmt.inference.engine import Engine, Source
from nmt.inference.reading import Reading
from nmt.inference.translating import Batches
from nmt.search.forced import score_targets
from nmt.search.plan import SentenceBatch, plan_batches
from nmt.text.reading import FirstWarnings
from nmt.translation import ScoredPair, sum_words
from nmt.writing import Details, align_texts, read_text


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is done with pairs that are to be scored."""

    engine: Engine
    reading: Reading
    batches: Batches
    max_length: int
    """Most pieces of a line, EOS included."""
    details: Details
    """What is told beside log-probabilities."""

    def run(self, windows: Iterable[Sequence[tuple[str, str]]]) -> Iterator[ScoredPair]:
        """Yield the scores of each pair, in order; `windows` are scored one by one."""
        first, cut, most = 1, FirstWarnings(), self.max_length
        for window in windows:
            numbers = range(first, first + len(window))
            texts = [dict(zip(numbers, side, strict=True)) for side in zip(*window, strict=True)]
            sources = self.reading.read_sources(texts[0], most, cut)
            targets = self.reading.read_targets(texts[1], most, cut)
            pairs = self.reading.copied(texts, sources, targets)
            found = self._score(pairs.sources, pairs.targets)
            for number in numbers:
                if number in found:
                    names = self.reading.target.pieces(pairs.targets[number], pairs.beyond[number])
                    given = texts[0][number], texts[1][number]
                    yield self._describe(given, sources[number], names, *found[number])
                else:
                    yield self._nothing()
            first += len(window)
        cut.report("lines are too long; split them")

    def _score(
        self, sources: Mapping[int, Source], targets: Mapping[int, list[int]]
    ) -> dict[int, tuple[list[float], Tensor | None]]:
        """Return log-probabilities and attention of each pair that is not empty, by number."""
        lengths = {n: max(len(source), len(targets[n])) for n, source in sources.items()}
        lengths = {number: length for number, length in lengths.items() if length > 1}
        found: dict[int, tuple[list[float], Tensor | None]] = {}
        for batch in plan_batches(
            lengths, batch_size=self.batches.size, batch_tokens=self.batches.tokens
        ):
            found |= self._score_batch(batch, sources, targets)
        return found

    def _score_batch(
        self,
        batch: SentenceBatch,
        sources: Mapping[int, Source],
        targets: Mapping[int, list[int]],
    ) -> dict[int, tuple[list[float], Tensor | None]]:
        """Return log-probabilities and attention of each pair's pieces, by number."""
        engine = self.engine
        places = {number: self._places(len(targets[number])) for number in batch.rows}
        with engine.computing(batch, " or --max-length"):
            source, source_mask = engine.pad([sources[number] for number in batch.rows])
            target, target_mask = engine.pad(
                [[targets[number][place] for place in places[number]] for number in batch.rows]
            )
            scored = score_targets(
                engine.scorer,
                source,
                source_mask,
                target,
                target_mask,
                keep_attention=self.details.keep_attention,
            )
        found = {}
        for row, number in enumerate(batch.rows):
            order = places[number]
            attention = None if scored.attention is None else scored.attention[row, order]
            found[number] = scored.log_probs[row, order].tolist(), attention
        return found

    def _places(self, length: int) -> list[int]:
        """Return the places of a target's ids in the order in which the models write them; the same
        order turns them back."""
        return right_to_left(length) if self.engine.right_to_left else list(range(length))

    def _describe(
        self,
        given: tuple[str, str],
        ids: Source,
        pieces: list[str],
        log_probs: list[float],
        weights: Tensor | None,
    ) -> ScoredPair:
        """Return the scores of a pair.

        Args:
            given: source and target as they were given.
            ids: of the source, in its vocabulary, or its numbers.
            pieces: of the target, the end symbol last; copied ones as they are spelled.
            log_probs: of each of them.
            weights: of attention, [tgt_len, src_len]; None if they were not kept.
        """
        reading, details = self.reading, self.details
        source = target = attention = None
        if weights is not None and isinstance(ids, list):
            source = read_text(given[0], reading.normalizer, reading.source, len(ids))
        if details != Details():
            target = read_text(given[1], reading.normalizer, reading.target, len(pieces))
        alignment = align_texts(weights if details.align else None, source, target)
        if details.attention and not (weights is None or source is None or target is None):
            attention = soft_attention(
                weights,
                source,
                target,
                source_pieces=reading.source.pieces_of(reading.normalizer.normalize(given[0]))[
                    : len(ids) - 1
                ],
                target_pieces=pieces[:-1],
            )
        return ScoredPair(
            tuple(pieces),
            tuple(log_probs),
            len(given[1].split()) + 1,
            alignment.words,
            alignment.pieces,
            sum_words(target, log_probs) if details.score_words and target is not None else None,
            attention,
        )

    def _nothing(self) -> ScoredPair:
        """Return the scores of an empty pair."""
        details = self.details
        return replace(
            ScoredPair((), (), 0),
            alignment=() if details.align else None,
            piece_alignment=() if details.align else None,
            word_scores=() if details.score_words else None,
            attention=identity(()) if details.attention else None,
        )
