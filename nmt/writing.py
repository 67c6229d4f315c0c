"""From hypotheses to text: without duplicates, with prefixes, attention and scores of words."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from torch import Tensor

from nmt.diagnostics.alignment import Link, SpanLink, align_pieces, align_words
from nmt.diagnostics.attention import SoftAttention, identity, soft_attention
from nmt.errors import DataError, UsageError
from nmt.search.hypothesis import Hypothesis
from nmt.search.prefix import Beginning, spellings_of
from nmt.search.repetition import is_loop
from nmt.text.addresses import find_lost
from nmt.text.casing import first_name, upper, with_linked_names, with_names
from nmt.text.normalize import Normalizer
from nmt.text.reading import Segment, unseen_of
from nmt.text.spans import PieceText, Span
from nmt.text.subword import Subword
from nmt.text.training_text import FEWEST_COMPARED, TrainingText
from nmt.translation import (
    TranslatedText,
    Translation,
    WordScore,
    copy_of,
    join_segments,
    sum_words,
)

_CLEARLY_LESS = 0.8
_CLEARLY_LINKED = 0.4  # recipes/loresmt21-en-ga, dev: 7.20 BLEU; 0.2 and 0.5: 7.06 and 7.16


@dataclass(frozen=True)
class Details:
    """What is requested besides texts and their scores."""

    align: bool = False
    """Alignments of words and pieces."""
    attention: bool = False
    """Soft attention of pieces and words."""
    score_words: bool = False
    """The log-probability of each word."""

    @property
    def keep_attention(self) -> bool:
        """Whether the search is to keep attention weights."""
        return self.align or self.attention


@dataclass(frozen=True)
class Prefix:
    """Text that a translation begins with."""

    given: str = ""
    """As it was given; "" = any."""
    read: str = ""
    """As the model writes it: normalised, but a space at its end stays."""


class Prefixes:
    """The prefix of each line, in order.

    Args:
        texts: one for each line; blank = any.
        target: pieces of the translations.
        normalizer: how training text was normalised.
    """

    def __init__(self, texts: Iterable[str], target: Subword, normalizer: Normalizer) -> None:
        self._texts, self._normalizer = iter(texts), normalizer
        self._spellings = spellings_of(tuple(target.pieces(range(target.vocab_size))))

    def take(self, numbers: Sequence[int]) -> dict[int, Prefix]:
        """Return the next prefixes by number, those of lines `numbers`.

        Raises:
            DataError: there are fewer, or the pieces of the model cannot spell one.
        """
        texts = list(islice(self._texts, len(numbers)))
        if len(texts) < len(numbers):
            raise DataError(
                f"prefix: line {numbers[len(texts)]:,} has none; give one per line, blank where a "
                "translation may begin as it likes."
            )
        return {
            number: self._read(text, number) for number, text in zip(numbers, texts, strict=True)
        }

    def end(self, lines: int) -> None:
        """Refuse prefixes without a line.

        Raises:
            DataError: there are more of them than `lines`.
        """
        if next(self._texts, None) is not None:
            raise DataError(
                f"prefix: there are more of them than lines, {lines:,}; give one per line."
            )

    def _read(self, text: str, number: int) -> Prefix:
        if not text.strip():
            return Prefix()
        read = self._normalizer.normalize(text)
        if text[-1].isspace() and not read[-1].isspace():
            read += " "  # the word before it is complete
        character = Beginning(read, self._spellings).unspellable
        if character is not None:
            raise DataError(
                f"prefix {number:,}: `{text}` cannot be written, the model has no piece for "
                f"`{character}`; leave that out, or train with tokenizer.byte_fallback = true."
            )
        return Prefix(text, read)


class LineWriter:
    """Writes translations of lines from the hypotheses of their segments.

    Args:
        source: subword model of the source side.
        target: subword model of the target side.
        training_text: what the training text looked like; None if the model does not say.
        language: code of the target language.
        n_best: most translations of a line.
        keep_repeated: keep translations that repeat the text of a better one, as samples do.
        details: what is requested besides texts.
        max_source: most pieces of a segment that the model reads, end symbol included.
        is_translation: whether numbers should stay, and loops are faults; not so of tags.
    """

    def __init__(
        self,
        source: Subword,
        target: Subword,
        training_text: TrainingText | None,
        *,
        language: str,
        n_best: int,
        keep_repeated: bool,
        details: Details,
        max_source: int,
        is_translation: bool = True,
    ) -> None:
        self._is_translation = is_translation
        self._source, self._target, self._language = source, target, language
        self._n_best, self._keep_repeated = n_best, keep_repeated
        self._details, self._max_source = details, max_source
        self._longest = math.inf if training_text is None else training_text.longest
        self._usual_ratio = 0.0 if training_text is None else training_text.usual_ratio
        self._keeps_numbers = training_text is None or training_text.keeps_numbers
        self.links_names = training_text is not None and not (
            training_text.has_names or training_text.has_target_names
        )
        """Whether names are only told from other words by the source that is attended to."""
        self._has_capitals = training_text is None or any(
            map(str.isupper, training_text.target_characters)
        )

    def write(
        self,
        line: str,
        segments: Sequence[Segment],
        found: Sequence[Sequence[Hypothesis] | None],
        prefix: Prefix,
    ) -> Translation:
        """Return the translation of a line.

        Args:
            line: the line.
            segments: its segments; none if nothing of the line is visible.
            found: hypotheses of each segment, best first; None if it is copied.
            prefix: what the translation begins with; the line is then a single segment.

        Raises:
            UsageError: no hypothesis begins with the prefix, since the search forbids it.
        """
        if not segments:
            alone = replace(copy_of(prefix.given), attention=identity(()))
            return Translation(line, (self._requested(alone),), sentences=0)
        translated = [
            self._copy(line, segment, prefix)
            if hypotheses is None
            else self._texts(line, segment, hypotheses, prefix)
            for segment, hypotheses in zip(segments, found, strict=True)
        ]
        spans = [segment.span for segment in segments]
        joined = join_segments(
            line,
            spans,
            translated,
            n_best=self._n_best,
            are_samples=self._keep_repeated,
            indent=not prefix.given,
        )
        lost: Sequence[str] = ()
        if self._is_translation:
            lost = find_lost(line, joined[0].text, numbers=self._keeps_numbers)
        return Translation(
            line,
            tuple(joined),
            sentences=len(segments),
            too_long=any(len(segment.ids) > self._longest for segment in segments),
            too_short=any(map(self._is_too_short, segments, found)),
            unseen=unseen_of(segments),
            unknown_pieces=sum(segment.unknown for segment in segments),
            lost=tuple(lost),
        )

    def _is_too_short(self, segment: Segment, found: Sequence[Hypothesis] | None) -> bool:
        """Whether the best translation of a segment is unusually short."""
        pieces = len(segment.ids)
        if found is None or not self._is_translation or pieces < FEWEST_COMPARED:
            return False
        return len(found[0].tokens) < _CLEARLY_LESS * self._usual_ratio * pieces

    def _copy(self, line: str, segment: Segment, prefix: Prefix) -> list[TranslatedText]:
        """Return a segment as its own translation, or the prefix if it does not begin with that."""
        text = line[segment.span.start : segment.span.end]
        if not text.startswith(prefix.given):
            copied = replace(
                copy_of(prefix.given), alignment=(), piece_alignment=(), attention=identity(())
            )
            return [self._requested(copied)]
        return [self._requested(copy_of(text, segment.span.start))]

    def _requested(self, copied: TranslatedText) -> TranslatedText:
        """Return a copy with the fields that were requested."""
        if not self._details.align:
            copied = replace(copied, alignment=None, piece_alignment=None)
        if not self._details.attention:
            copied = replace(copied, attention=None)
        return copied if self._details.score_words else replace(copied, word_scores=None)

    def _texts(
        self, line: str, segment: Segment, hypotheses: Iterable[Hypothesis], prefix: Prefix
    ) -> list[TranslatedText]:
        """Return the translations of a segment, best first.

        Of hypotheses that differ in their pieces or white space alone, the best counts. Samples
        are all kept, since their number says how likely a text is.
        """
        read: PieceText | None = None
        if self._details.keep_attention or segment.names:
            given = line[segment.span.start : segment.span.end]
            pieces = self._source.encode_spans(segment.text)[: self._max_source - 1]
            read = PieceText.of(given, segment.text, pieces)
        found: dict[str | int, TranslatedText] = {}
        for number, hypothesis in enumerate(hypotheses):
            text = self._target.decode(hypothesis.tokens, hypothesis.beyond)
            if not text.startswith(prefix.read):
                continue
            rest = text[len(prefix.read) :]
            is_in_capitals = segment.in_capitals and prefix.given == prefix.given.upper()
            if is_in_capitals and self._has_capitals:
                rest = upper(rest, self._language)
            elif segment.names and self._has_capitals:
                rest = self._with_names(text, len(prefix.read), hypothesis, segment, read)
            written = prefix.given + rest
            key = number if self._keep_repeated else " ".join(written.split())
            if key not in found and len(found) < self._n_best:
                found[key] = self._describe(hypothesis, text, written, read, segment)
        if not found:
            raise UsageError(
                f"no translation may begin with `{prefix.given}`: other search options, such as "
                "ban, forbid it; change them, or the prefix."
            )
        return list(found.values())

    def _with_names(
        self,
        text: str,
        begin: int,
        hypothesis: Hypothesis,
        segment: Segment,
        read: PieceText | None,
    ) -> str:
        """Return a translation from `begin` on with the capitals that the source's names had."""
        rest = text[begin:]
        if self.links_names and read is not None and hypothesis.attention is not None:
            spans = self._target.decode_spans(hypothesis.tokens, hypothesis.beyond)
            spoken = PieceText.of(text, text, spans)
            links = align_texts(hypothesis.attention, read, spoken, least=_CLEARLY_LINKED).words
            linked: dict[int, list[Span]] = defaultdict(list)
            for source, target in links or ():
                start, end = spoken.words[target]
                if start >= begin:
                    linked[source].append((start - begin, end - begin))
            names = [
                (first_name(read.text[slice(*read.words[source])], segment.names), words)
                for source, words in linked.items()
            ]
            rest = with_linked_names(rest, names, language=self._language)
        return with_names(rest, segment.names)

    def _describe(
        self,
        hypothesis: Hypothesis,
        text: str,
        written: str,
        read: PieceText | None,
        segment: Segment,
    ) -> TranslatedText:
        """Return a hypothesis as text, with what was requested."""
        spoken: PieceText | None = None
        if self._details != Details():
            spoken = PieceText.of(
                written, text, self._target.decode_spans(hypothesis.tokens, hypothesis.beyond)
            )
        weights = hypothesis.attention
        alignment = align_texts(
            weights if self._details.align else None, read, spoken, start=segment.span.start
        )
        attention: SoftAttention | None = None
        if self._details.attention and not (weights is None or read is None or spoken is None):
            attention = soft_attention(
                weights,
                read,
                spoken,
                source_pieces=self._source.pieces_of(segment.text)[: self._max_source - 1],
                target_pieces=self._target.pieces(hypothesis.tokens, hypothesis.beyond),
            )
        words: tuple[WordScore, ...] | None = None
        if self._details.score_words and spoken is not None:
            words = sum_words(spoken, hypothesis.log_probs)
        return TranslatedText(
            written,
            hypothesis.log_prob,
            hypothesis.score,
            hypothesis.finished,
            alignment.words,
            repeats=self._is_translation and is_loop(hypothesis.tokens, segment.ids),
            piece_alignment=alignment.pieces,
            word_scores=words,
            source_words=len(read.words) if read is not None else 0,
            target_words=len(spoken.words) if spoken is not None else 0,
            attention=attention,
        )


@dataclass(frozen=True)
class Alignment:
    """Links of a translation; None where they were not requested."""

    words: tuple[Link, ...] | None
    pieces: tuple[SpanLink, ...] | None


def align_texts(
    attention: Tensor | None,
    source: PieceText | None,
    target: PieceText | None,
    *,
    start: int = 0,
    least: float = 0.0,
) -> Alignment:
    """Return the alignment by attention [tgt_len, src_len] of two texts.

    Args:
        attention: None = not requested.
        source: source text, and the pieces that were read of it.
        target: translation.
        start: place of the source text in its line.
        least: share of a word's attention below which it has no link.
    """
    if attention is None or source is None or target is None:
        return Alignment(None, None)
    attention = attention[: len(target.spans)]
    links = align_words(attention, source.word_of_each, target.word_of_each, least=least)
    pieces = align_pieces(attention, source, target)
    return Alignment(tuple(links), tuple(link.moved(source=start) for link in pieces))


def read_text(text: str, normalizer: Normalizer, subword: Subword, count: int) -> PieceText:
    """Return a given text with the place of its pieces.

    Args:
        text: as it was given.
        normalizer: applied to it.
        subword: cuts it into pieces.
        count: number of pieces that were read, with the end symbol.
    """
    read = normalizer.normalize(text)
    return PieceText.of(text, read, subword.encode_spans(read)[: count - 1])
