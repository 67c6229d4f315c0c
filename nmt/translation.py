"""Translations and scores of lines, as values, and how they are made from hypotheses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nmt.diagnostics.alignment import Link, align_words, words_of_pieces
from nmt.search.hypothesis import Hypothesis
from nmt.search.repetition import is_loop
from nmt.text.addresses import find_lost
from nmt.text.casing import upper
from nmt.text.layout import space_between
from nmt.text.reading import Segment, unseen_of
from nmt.text.sentences import Span
from nmt.text.subword import Subword
from nmt.text.training_text import TrainingText


@dataclass(frozen=True)
class TranslatedText:
    """One of the translations of a line."""

    text: str
    """Plain text, one line."""
    log_prob: float
    """Natural logarithm of its probability."""
    score: float
    """Score that ranks translations: `log_prob` after length and coverage penalties."""
    finished: bool
    """Whether it ended with the end symbol; False if it was cut at the length limit."""
    alignment: tuple[Link, ...] | None
    """(source word, target word), both counted from 0; None unless requested."""
    repeats: bool = False
    """True if some words are repeated in a loop, more often than in the source."""


@dataclass(frozen=True)
class Translation:
    """A line and its translations."""

    source: str
    """The line as it was given."""
    hypotheses: tuple[TranslatedText, ...]
    """At least one, best first."""
    sentences: int = 1
    """Number of sentences, or other parts, that were translated one by one; 0 for a blank line."""
    unseen: tuple[str, ...] = ()
    """Characters of the line that the model never saw in training."""
    unknown_pieces: int = 0
    """Number of pieces of the line that are unknown or spell a single byte."""
    lost: tuple[str, ...] = ()
    """Web addresses, e-mail addresses and long numbers of the line that `text` lacks."""

    @property
    def text(self) -> str:
        """The best translation."""
        return self.hypotheses[0].text

    @property
    def log_prob(self) -> float:
        """See `TranslatedText`."""
        return self.hypotheses[0].log_prob

    @property
    def score(self) -> float:
        """See `TranslatedText`."""
        return self.hypotheses[0].score

    @property
    def finished(self) -> bool:
        """See `TranslatedText`."""
        return self.hypotheses[0].finished

    @property
    def alignment(self) -> tuple[Link, ...] | None:
        """See `TranslatedText`."""
        return self.hypotheses[0].alignment


@dataclass(frozen=True)
class ScoredPair:
    """Log-probabilities of a given translation."""

    pieces: tuple[str, ...]
    """Target pieces, the end symbol last; an empty pair has none."""
    log_probs: tuple[float, ...]
    """Natural log-probability of each."""
    words: int
    """Number of target words, plus one for the end of the line; 0 for an empty pair."""

    @property
    def log_prob(self) -> float:
        """Their sum."""
        return sum(self.log_probs, start=0.0)

    @property
    def mean(self) -> float:
        """Their mean; 0 for an empty pair."""
        return self.log_prob / max(1, len(self.log_probs))


class LineWriter:
    """Writes translations of lines from the hypotheses of their segments.

    Args:
        source: subword model of the source side.
        target: subword model of the target side.
        training_text: what the training text looked like; None if the model does not say.
        language: code of the target language.
        align: whether to add word alignments.
    """

    def __init__(
        self,
        source: Subword,
        target: Subword,
        training_text: TrainingText | None,
        *,
        language: str,
        align: bool,
    ) -> None:
        self._source, self._target, self._language = source, target, language
        self._align = align
        self._keeps_numbers = training_text is None or training_text.keeps_numbers
        self._has_capitals = training_text is None or any(
            map(str.isupper, training_text.target_characters)
        )

    def write(
        self,
        line: str,
        segments: Sequence[Segment],
        found: Sequence[Sequence[Hypothesis] | None],
    ) -> Translation:
        """Return the translation of a line.

        Args:
            line: the line.
            segments: its segments; none if nothing of the line is visible.
            found: hypotheses of each segment, best first; None if it is copied.
        """
        if not segments:
            blank = TranslatedText("", 0.0, 0.0, True, () if self._align else None)
            return Translation(line, (blank,), sentences=0)
        translated = [
            [self._copy(line[segment.span.start : segment.span.end])]
            if hypotheses is None
            else [self._text(segment, hypothesis) for hypothesis in hypotheses]
            for segment, hypotheses in zip(segments, found, strict=True)
        ]
        joined = join_segments(line, [segment.span for segment in segments], translated)
        lost = find_lost(line, joined[0].text, numbers=self._keeps_numbers)
        return Translation(
            line,
            tuple(joined),
            sentences=len(segments),
            unseen=unseen_of(segments),
            unknown_pieces=sum(segment.unknown for segment in segments),
            lost=tuple(lost),
        )

    def _copy(self, text: str) -> TranslatedText:
        """Return `text` as its own translation, word by word."""
        words = range(len(text.split()))
        links = tuple((word, word) for word in words) if self._align else None
        return TranslatedText(text, 0.0, 0.0, True, links)

    def _text(self, segment: Segment, hypothesis: Hypothesis) -> TranslatedText:
        """Return a hypothesis of a segment as text."""
        text = self._target.decode(hypothesis.tokens)
        if segment.in_capitals and self._has_capitals:
            text = upper(text, self._language)
        links: tuple[Link, ...] | None = None
        if hypothesis.attention is not None:
            words = _words(self._source, segment.ids), _words(self._target, hypothesis.tokens)
            links = tuple(align_words(hypothesis.attention, *words))
        return TranslatedText(
            text,
            hypothesis.log_prob,
            hypothesis.score,
            hypothesis.finished,
            links,
            repeats=is_loop(hypothesis.tokens, segment.ids),
        )


def _words(subword: Subword, ids: Sequence[int]) -> list[int | None]:
    return words_of_pieces(subword.pieces(ids), one_each=subword.kind == "word")


def join_segments(
    line: str, spans: Sequence[Span], translated: Sequence[Sequence[TranslatedText]]
) -> list[TranslatedText]:
    """Return the translations of a line from those of its segments.

    The first joins the first of every segment, the second the second, and so on; a segment with
    fewer contributes its last. Log-probabilities are added, scores averaged. White space around
    the line, and more than a space between segments, is as in the line.

    Args:
        line: the line.
        spans: place of each segment in the line.
        translated: translations of each segment, best first.
    """
    count = max(map(len, translated))
    return [
        _join(line, spans, [each[min(rank, len(each) - 1)] for each in translated])
        for rank in range(count)
    ]


def _join(line: str, spans: Sequence[Span], segments: Sequence[TranslatedText]) -> TranslatedText:
    text = line[: spans[0].start]
    links: list[Link] | None = []
    for place, (span, segment) in enumerate(zip(spans, segments, strict=True)):
        if place:
            space = line[spans[place - 1].end : span.start]
            text += space_between(text.strip(), segment.text, space)
        if segment.alignment is None:
            links = None
        if links is not None:
            source, target = _first_word(line, span.start), _first_word(text, len(text))
            links += [(source + left, target + right) for left, right in segment.alignment or ()]
        text += segment.text
    return replace(
        segments[0],
        text=text + line[spans[-1].end :],
        log_prob=sum(segment.log_prob for segment in segments),
        score=sum(segment.score for segment in segments) / len(segments),
        finished=all(segment.finished for segment in segments),
        alignment=None if links is None else tuple(links),
        repeats=any(segment.repeats for segment in segments),
    )


def _first_word(text: str, place: int) -> int:
    """Return the number of the word at a place of a text, counted from 0."""
    before = text[:place]
    words = len(before.split())
    return words - bool(before and not before[-1].isspace())
