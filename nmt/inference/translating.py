"""Translations of many lines: windows of lines, segments of lines, batches of segments."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from nmt.config.search import SearchConfig
from nmt.inference.engine import Engine, Source
from nmt.inference.reading import Reading
from nmt.search.hypothesis import Hypothesis
from nmt.search.plan import SentenceBatch, plan_batches, plan_blocks
from nmt.search.scorers import Scorer
from nmt.search.search import search as search_sentences
from nmt.text.reading import FirstWarnings, Segment, Split
from nmt.text.vectors import write_numbers
from nmt.translation import TranslatedText, Translation
from nmt.writing import LineWriter, Prefix, Prefixes

Hypotheses: TypeAlias = dict[int, list[Hypothesis]]
"""Hypotheses of sentences by the keys of these, best first."""
Rerank: TypeAlias = Callable[[Mapping[int, str], Hypotheses], Hypotheses]
"""Takes sentences and their hypotheses, and returns the latter with new scores, best first."""

_NEXT_SEGMENT = 1 << 40


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How sentences are put together."""

    size: int
    """Most sentences at once."""
    tokens: int
    """Most source pieces at once, padding included."""
    exact: bool = False
    """Bit-identical results in any batch and order, see `nmt.search.plan`."""

    def plan(self, sources: Mapping[int, Source]) -> list[SentenceBatch]:
        """Return the batches of sentences, which are given by number."""
        if self.exact:
            return plan_blocks(sources, batch_size=self.size)
        lengths = {number: len(ids) for number, ids in sources.items()}
        return plan_batches(lengths, batch_size=self.size, batch_tokens=self.tokens)


@dataclass(frozen=True)
class _Window:
    """The lines that are translated together, by number, and the parts that are searched."""

    lines: dict[int, str]
    segments: dict[int, list[Segment]]
    prefixes: dict[int, Prefix]
    sources: dict[int, Source] = field(default_factory=dict)
    """What the models read of each segment that is translated, by its key."""
    spelled: dict[int, str] = field(default_factory=dict)
    """The text of these segments."""


@dataclass(frozen=True, kw_only=True)
class Translating:
    """What is done with lines that are to be translated."""

    engine: Engine
    reading: Reading
    writer: LineWriter
    scorer: Scorer
    options: SearchConfig
    """Options of the search, whose number of hypotheses may exceed that of translations."""
    batches: Batches
    max_source: int
    """Most pieces of a segment, EOS included."""
    split: Split
    """Whether lines are cut into sentences."""
    prefixes: Prefixes | None
    """What each translation begins with; None = anything."""
    keep_attention: bool
    rerank: Rerank | None = None
    """Reorders the hypotheses of each sentence, by its key; None = the order of the search."""

    def run(self, windows: Iterable[Sequence[str]]) -> Iterator[Translation]:
        """Yield the translation of each line, in order; `windows` are translated one by one."""
        reader = self.reading.reader(self.split, self.max_source)
        whole = self.reading.reader("never", self.max_source)
        first, cut, joined = 1, FirstWarnings(), FirstWarnings()
        for lines in windows:
            texts = dict(enumerate(lines, first))
            given = self.prefixes.take(list(texts)) if self.prefixes else {}
            window = _Window(texts, {n: reader.read(t, n) for n, t in texts.items()}, given)
            for number, prefix in given.items():
                if prefix.given and len(window.segments[number]) > 1:
                    joined.warn(
                        f"line {number:,}: has several parts, which are translated as one "
                        "because of its prefix; give each a line of its own"
                    )
                if prefix.given:
                    window.segments[number] = whole.read(texts[number], number)
            self._read(window, cut)
            yield from self._translate(window)
            first += len(lines)
        if self.prefixes:
            self.prefixes.end(first - 1)
        reader.report()
        cut.report("lines are too long; split them")
        joined.report("lines with a prefix have several parts")

    def _read(self, window: _Window, cut: FirstWarnings) -> None:
        """Fill in what the models read of the segments that are not copied."""
        for number, segments in window.segments.items():
            for key, segment in _keyed(number, segments):
                if not segment.is_copied:
                    name = f"line {number:,}"
                    source = self.reading.read_segment(segment, self.max_source, name, cut)
                    window.sources[key], window.spelled[key] = source, segment.text

    def _translate(self, window: _Window) -> Iterator[Translation]:
        """Yield the translations of a window in the order of its lines."""
        found: Hypotheses = {}
        for batch in self.batches.plan(window.sources):
            found |= self._search(batch, window)
        if self.rerank is not None:
            found = self.rerank(window.spelled, found)
        for number, line in window.lines.items():
            segments = window.segments[number]
            hypotheses = [found.get(key) for key, _ in _keyed(number, segments)]
            prefix = window.prefixes.get(number, Prefix())
            yield self.writer.write(line, segments, hypotheses, prefix)

    def _search(self, batch: SentenceBatch, window: _Window) -> Hypotheses:
        """Return the hypotheses of each segment of a batch, by its key."""
        engine = self.engine
        with engine.computing(batch, ", --max-source or --beam"):
            read, beyond = self.reading.copyable(batch.rows, window.sources, window.spelled)
            source, mask = engine.pad(read, batch.width)
            found = search_sentences(
                self.scorer,
                source,
                mask,
                self.options,
                streams=batch.rows,
                keep_attention=self.keep_attention,
                fixed_shape=self.batches.exact,
                rank=engine.rank,
                pieces=engine.pieces,
                prefixes=[window.prefixes.get(key, Prefix()).read for key in batch.rows],
            )
        if engine.right_to_left:
            found = [[hypothesis.reversed() for hypothesis in each] for each in found]
        return {
            key: [replace(each, beyond=spelled) for each in hypotheses] if spelled else hypotheses
            for key, hypotheses, spelled in zip(batch.members, found, beyond, strict=True)
            if key is not None
        }


def _keyed(number: int, segments: Sequence[Segment]) -> Iterator[tuple[int, Segment]]:
    """Yield each segment of a line with a key of its own; the first has the line's number."""
    for place, segment in enumerate(segments):
        yield number + place * _NEXT_SEGMENT, segment


def predictions(
    engine: Engine,
    reading: Reading,
    windows: Iterable[Sequence[str]],
    batches: Batches,
    max_source: int,
) -> Iterator[Translation]:
    """Yield the numbers that are predicted for each line, the mean of all models.

    There is nothing to search among: log-probabilities are 0.

    Args:
        engine: models that predict numbers.
        reading: how lines are read.
        windows: lines that are read together.
        batches: how sentences are put together.
        max_source: source pieces or positions that are read of a line.
    """
    reader, cut, first = reading.reader("never", max_source), FirstWarnings(), 1
    for window in windows:
        sources: dict[int, Source] = {}
        for number, line in enumerate(window, first):
            for segment in reader.read(line, number):
                name = f"line {number:,}"
                sources[number] = reading.read_segment(segment, max_source, name, cut)
        found: dict[int, str] = {}
        for batch in batches.plan(sources):
            with engine.computing(batch, " or --max-source"):
                source, mask = engine.pad([sources[number] for number in batch.rows])
                predicted = engine.predict(source, mask).tolist()
            found |= dict(zip(batch.rows, map(write_numbers, predicted), strict=True))
        for number, line in enumerate(window, first):
            text = TranslatedText(found.get(number, line), 0.0, 0.0, True, None)
            yield Translation(line, (text,), sentences=int(number in found))
        first += len(window)
    cut.report("lines are too long; split them")
