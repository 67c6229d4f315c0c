"""Explaining a translation: the sentence, and a given translation, read as the model reads them."""

import reprlib
from dataclasses import dataclass

from nmt.config.search import SearchConfig
from nmt.diagnostics.explanation import Explanation, Sentence, explain
from nmt.errors import UsageError
from nmt.inference.engine import Engine
from nmt.inference.reading import Reading
from nmt.search.plan import SentenceBatch
from nmt.text.reading import Segment
from nmt.text.vocabulary import EOS, EOS_PIECE

MOST_EXPLAINED = 200
"""Pieces of the longest sentence that is explained."""


@dataclass(frozen=True)
class Explaining:
    """Explains translations of a single model."""

    engine: Engine
    reading: Reading
    options: SearchConfig
    """Search options."""
    top: int
    """Number of alternatives at each step."""

    def run(self, line: str, target: str | None) -> Explanation:
        """Explain the best translation of a line, or `target`.

        Raises:
            UsageError: there are several models, or one that does not translate; or the line has
                nothing to translate, or too much.
        """
        engine = self.engine
        if len(engine.models) > 1:
            raise UsageError("only a single model can be explained; name one.")
        if not engine.has_source:
            raise UsageError(
                "a language model translates nothing that could be explained; its probabilities "
                "are printed by `nmt score`."
            )
        if engine.features:
            raise UsageError(
                "the model reads numbers, which have no pieces to show; name a model of text."
            )
        if not engine.is_translation:
            raise UsageError(
                "the model does not read what it writes, so there is no search to explain; its "
                "probabilities are printed by `nmt score`."
            )
        if engine.right_to_left:
            raise UsageError(
                "this model writes translations from right to left, which cannot be explained; "
                "name one that writes from left to right."
            )
        segments = self.reading.reader("never", MOST_EXPLAINED).read(line, 1)
        if not segments or segments[0].is_copied:
            raise UsageError(
                f"{reprlib.repr(line)}: has nothing to translate, it is copied as it is; give a "
                "sentence."
            )
        sentence = self._read(line, segments[0])
        given = None if target is None else self._read_target(target, sentence)
        longest = max(len(sentence.ids), len(given or ())) - 1
        if longest > MOST_EXPLAINED:
            raise UsageError(
                f"the sentence has {longest:,} pieces, and at most {MOST_EXPLAINED} can be "
                "explained; give a shorter one."
            )
        with engine.computing(SentenceBatch((1,), longest + 1)):
            return explain(
                engine.models[0],
                sentence,
                self.reading.target,
                self.options,
                target=None if given is None else (target or "", given),
                top=self.top,
            )

    def _read(self, line: str, segment: Segment) -> Sentence:
        """Return a line as the model reads it."""
        ids, beyond = [*segment.ids, EOS], tuple[str, ...]()
        pieces = (*self.reading.source.pieces_of(segment.text)[: len(segment.ids)], EOS_PIECE)
        if self.reading.copy_ids is not None:
            read, beyond = self.reading.copy_ids.read(ids, segment.text)
            ids = read.tolist()
        return Sentence(line, pieces, ids, beyond)

    def _read_target(self, target: str, sentence: Sentence) -> list[int]:
        """Return the ids of a given translation."""
        normalised = self.reading.normalizer.normalize(target)
        ids = [*self.reading.target.encode(normalised), EOS]
        if self.reading.copy_ids is not None:
            written = self.reading.copy_ids.write(ids, normalised, sentence.beyond)
            ids = [int(piece) for piece in written]
        return ids
