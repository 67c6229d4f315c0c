"""Translations and scores of lines, as values, and how those of a line's segments are joined."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import accumulate, product
from operator import itemgetter

from nmt.diagnostics.alignment import Link, SpanLink
from nmt.diagnostics.attention import SoftAttention, block_diagonal, identity
from nmt.text.layout import space_between
from nmt.text.sentences import Span
from nmt.text.spans import PieceText, is_spaceless


@dataclass(frozen=True)
class WordScore:
    """A word of a translation."""

    text: str
    """The word, as it is written."""
    log_prob: float
    """Sum of the natural log-probabilities of its pieces, spaces before it included."""


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
    piece_alignment: tuple[SpanLink, ...] | None = None
    """Which pieces of the line those of `text` attend to most; None unless requested."""
    word_scores: tuple[WordScore, ...] | None = None
    """Each word of `text`, in order; None unless requested. Words are separated by spaces, or are
    pieces where a script has none. What they lack of `log_prob` is that of the end symbol."""
    source_words: int = 0
    """Number of words of the source that `alignment` counts."""
    target_words: int = 0
    """Number of words of `text` that `alignment` counts."""
    attention: SoftAttention | None = None
    """How much each piece and word of `text` attends to each of the line; None unless requested."""


@dataclass(frozen=True)
class Translation:
    """A line and its translations."""

    source: str
    """The line as it was given."""
    hypotheses: tuple[TranslatedText, ...]
    """At least one, best first."""
    sentences: int = 1
    """Number of sentences, or other parts, that were translated one by one; 0 for a blank line."""
    too_long: bool = False
    """Whether a part of the line has more pieces than any line that the model was trained on."""
    too_short: bool = False
    """Whether the translation of a part of the line has far fewer pieces than usual in training, so
    that some of it may be missing."""
    unseen: tuple[str, ...] = ()
    """Characters of the line that the model never saw in training."""
    unknown_pieces: int = 0
    """Number of pieces of the line that are unknown or spell a single byte."""
    lost: tuple[str, ...] = ()
    """Web addresses, e-mail addresses and numbers of the line that `text` lacks; those of one or
    two digits only where `text` has another one, since they may be written out."""

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
    alignment: tuple[Link, ...] | None = None
    """See `TranslatedText`."""
    piece_alignment: tuple[SpanLink, ...] | None = None
    """See `TranslatedText`."""
    word_scores: tuple[WordScore, ...] | None = None
    """See `TranslatedText`."""
    attention: SoftAttention | None = None
    """See `TranslatedText`."""

    @property
    def log_prob(self) -> float:
        """Their sum."""
        return sum(self.log_probs, start=0.0)

    @property
    def mean(self) -> float:
        """Their mean; 0 for an empty pair."""
        return self.log_prob / max(1, len(self.log_probs))


def copy_of(text: str, start: int = 0) -> TranslatedText:
    """Return `text`, which begins at `start` of the line, as its own translation, word by word."""
    copied = PieceText(text, [match.span() for match in re.finditer(r"\S+", text)])
    words, names = range(len(copied.words)), [text[slice(*each)] for each in copied.words]
    return TranslatedText(
        text,
        0.0,
        0.0,
        True,
        tuple((word, word) for word in words),
        piece_alignment=tuple(SpanLink(each, each).moved(source=start) for each in copied.words),
        word_scores=tuple(WordScore(name, 0.0) for name in names),
        source_words=len(words),
        target_words=len(words),
        attention=identity(names),
    )


def sum_words(spoken: PieceText, log_probs: Sequence[float]) -> tuple[WordScore, ...]:
    """Return the words of a translation with the sum of their pieces.

    White space belongs to the word after it; at the end, or without any word, to the one before.

    Args:
        spoken: the translation.
        log_probs: log-probability of each piece; more, as of the end symbol, are ignored.
    """
    sums, pending, last = [0.0] * len(spoken.words), 0.0, 0
    for word, log_prob in zip(spoken.word_of_each, log_probs, strict=False):
        if word is None:
            pending += log_prob
            continue
        sums[word] += pending + log_prob
        pending, last = 0.0, word
    if sums:
        sums[last] += pending
    return tuple(
        WordScore(spoken.text[start:end], total)
        for (start, end), total in zip(spoken.words, sums, strict=True)
    )


def join_segments(
    line: str,
    spans: Sequence[Span],
    translated: Sequence[Sequence[TranslatedText]],
    *,
    n_best: int = 1,
    are_samples: bool = False,
    indent: bool = True,
) -> list[TranslatedText]:
    """Return the translations of a line from those of its segments, best first.

    These are the combinations with the best mean scores. Samples are drawn, not chosen: the first
    of the line joins the first of every segment, the second the second, and so on.
    Log-probabilities are added, scores averaged. White space around the line, and more than a space
    between segments, is as in the line.

    Args:
        line: the line.
        spans: place of each segment in the line.
        translated: translations of each segment, best first.
        n_best: number of translations of the line.
        are_samples: whether they are samples; each segment then has `n_best`, or one if it is
            copied.
        indent: keep white space before the line.
    """
    if are_samples:
        count = max(map(len, translated))
        ranks = range(count)
        combined = [[each[min(rank, len(each) - 1)] for each in translated] for rank in ranks]
    else:
        combined = _best_combinations(translated, n_best)
    return [_join(line, spans, segments, indent=indent) for segments in combined]


def _best_combinations(
    translated: Sequence[Sequence[TranslatedText]], n_best: int
) -> list[list[TranslatedText]]:
    """Return the combinations of a translation of each segment with the best sums of scores."""
    best: list[tuple[float, list[TranslatedText]]] = [(0.0, [])]
    for segment in translated:
        # Not every order is that of the scores: a worse rank never counts for more.
        scores = accumulate((each.score for each in segment), min)
        longer = [
            (total + score, [*combined, each])
            for (total, combined), (score, each) in product(best, zip(scores, segment, strict=True))
        ]
        best = nlargest(n_best, longer, key=itemgetter(0))
    return [combined for _, combined in best]


def _join(
    line: str, spans: Sequence[Span], segments: Sequence[TranslatedText], *, indent: bool
) -> TranslatedText:
    text, source, target = line[: spans[0].start] * indent, 0, 0
    links: list[Link] = []
    pieces: list[SpanLink] = []
    for place, (span, segment) in enumerate(zip(spans, segments, strict=True)):
        if place:
            space = line[spans[place - 1].end : span.start]
            text += space_between(text.strip(), segment.text, space)
            source -= _is_one_word(line[: span.start], line[span.start :])
        links += [(source + left, target + right) for left, right in segment.alignment or ()]
        pieces += [link.moved(target=len(text)) for link in segment.piece_alignment or ()]
        text, source = text + segment.text, source + segment.source_words
        target += segment.target_words
    is_aligned = all(segment.alignment is not None for segment in segments)
    return replace(
        segments[0],
        text=text + line[spans[-1].end :],
        log_prob=sum(segment.log_prob for segment in segments),
        score=sum(segment.score for segment in segments) / len(segments),
        finished=all(segment.finished for segment in segments),
        alignment=tuple(links) if is_aligned else None,
        repeats=any(segment.repeats for segment in segments),
        piece_alignment=tuple(pieces) if is_aligned else None,
        word_scores=_join_scores(segments),
        attention=_join_attention(segments),
        source_words=source,
        target_words=target,
    )


def _join_scores(segments: Sequence[TranslatedText]) -> tuple[WordScore, ...] | None:
    if any(segment.word_scores is None for segment in segments):
        return None
    return tuple(word for segment in segments for word in segment.word_scores or ())


def _join_attention(segments: Sequence[TranslatedText]) -> SoftAttention | None:
    parts = [segment.attention for segment in segments if segment.attention is not None]
    return block_diagonal(parts) if len(parts) == len(segments) else None


def _is_one_word(before: str, after: str) -> bool:
    """Whether the last word of a text goes on in the text after it."""
    ends = before[-1:] + after[:1]
    return len(ends) == 2 and not any(end.isspace() or is_spaceless(end) for end in ends)
