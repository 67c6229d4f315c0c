"""A line as a model reads it: which parts it translates, which are copied, what it cannot know.

A line is cut into segments: sentences where the model was trained on fewer of them in a line, or
on shorter lines. A segment without letters, or of addresses only, is copied. In the others, what
the model has never seen is replaced by what it has: invisible characters are removed, text in
capitals, in Title Case or without capitals is spelled as usual, names are in small letters if
training text has them so, and the apostrophe of words is the one that training text has.
"""

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from nmt.text import casing
from nmt.text.addresses import is_address
from nmt.text.normalize import Normalizer
from nmt.text.repair import INNER_APOSTROPHE
from nmt.text.scripts import has_letters, has_visible, is_invisible
from nmt.text.sentences import Span, cut_at_clauses, find_sentences
from nmt.text.subword import Subword
from nmt.text.training_text import TrainingText
from nmt.text.vocabulary import UNK

Style = Literal["as usual", "capitals", "names", "title", "small"]
"""How a text is written, if the model has hardly seen text written like that; else as usual."""
Split = Literal["auto", "never", "always"]
"""When a line is cut into sentences: where it has more or is longer than training lines, or not."""

_USUAL_SENTENCES, _USUAL_LONGEST = 1, 128  # of models that do not say
_MOST_TIMES_LONGER = 1.5
"""Longest sentence that is not cut, relative to the longest one in training."""
_LINE_ENDS = "\t\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_BULLETS = "•‣▪●◦|"
_SEEN = 0.02  # share of training lines from which a model knows a way of writing
_LIKELIER = 2.0  # nats
_FIRST_WARNINGS = 3
_PLAIN = {
    **dict.fromkeys("’‘‚‛′`´ʼ＇", "'"),
    **dict.fromkeys("“”„‟«»″＂", '"'),
    **dict.fromkeys("‐‑‒–—―−﹣－", "-"),
    **dict.fromkeys("\u00a0\u2007\u202f\u2800\u3164\uffa0\u115f\u1160", " "),
}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a line that is translated or copied as a whole."""

    span: Span
    """Its place in the line."""
    ids: Sequence[int] = ()
    """What the model reads, without the end symbol; nothing if the segment is copied."""
    text: str = ""
    """The same as text."""
    in_capitals: bool = False
    """Whether the translation is to be put in capitals."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Words that lost their capitals, which their translations are to have, by their small
    letters."""
    unseen: tuple[str, ...] = ()
    """Characters that were never seen in training."""
    unknown: int = 0
    """Number of unknown and byte pieces."""

    @property
    def is_copied(self) -> bool:
        """Whether the segment is copied as it is."""
        return not self.ids


class LineReader:
    """Reads lines for a model.

    Args:
        subword: subword model of the source side.
        normalizer: applied to each segment.
        training_text: what the training text looked like; None if the model does not say.
        split: when to cut a line into sentences.
        most: pieces of the longest sentence; longer ones are cut, unless `split` is "never".
        language: code of the source language.
    """

    def __init__(
        self,
        subword: Subword,
        normalizer: Normalizer,
        training_text: TrainingText | None,
        *,
        split: Split = "auto",
        most: int,
        language: str = "",
    ) -> None:
        self._subword, self._normalizer, self._seen = subword, normalizer, training_text
        self._split, self._language = split, language
        self._known = frozenset(
            training_text.source_characters if training_text else subword.characters
        )
        # A model may translate the bullets that it has seen.
        bullets = "".join(bullet for bullet in _BULLETS if bullet not in self._known)
        self._cell_ends = re.compile(
            f"[{_LINE_ENDS}]" + (rf"|(?<!\S)[{bullets}](?!\S)" if bullets else "")
        )
        self._usual_sentences, self._usual_longest = _USUAL_SENTENCES, _USUAL_LONGEST
        self._part = self._longest = most
        if training_text is not None:
            self._usual_sentences = training_text.usual_sentences
            self._usual_longest = training_text.usual_longest
            self._part = min(most, training_text.longest)
            self._longest = min(most, int(_MOST_TIMES_LONGER * training_text.longest))
        self._capitalizes = training_text is None or training_text.capitalized > 0.5
        self._cut_lines = FirstWarnings()

    def read(self, line: str, number: int) -> list[Segment]:
        """Return the segments of a line in order; none if nothing of it is visible.

        Args:
            line: the line.
            number: its number, for a warning if a sentence is too long for the model.
        """
        if not has_visible(line):
            return []
        style = self._style(line)
        if self._split == "never":
            spans = [self._strip(line, Span(0, len(line)))]
        else:
            whole = [span for cell in self._cells(line) for span in self._divide(line, cell)]
            spans = [part for span in whole for part in self._shorten(line, span)]
            if len(spans) > len(whole):
                self._cut_lines.warn(
                    f"line {number:,}: has a sentence of more than {self._longest:,} pieces, which "
                    f"is translated in parts of at most {self._part:,}; shorten it"
                )
        return [self._segment(line, span, style) for span in spans]

    def report(self) -> None:
        """Log how many lines had too long a sentence, besides those that were named."""
        self._cut_lines.report("lines have such a sentence")

    def _cells(self, line: str) -> list[Span]:
        """Return the parts of a line between tabs, line ends and bullets never seen in training."""
        if not self._normalizer.whitespace:
            return [Span(0, len(line))]
        cells, begin = [], 0
        for text in self._cell_ends.split(line):
            if text.strip():
                cells.append(self._strip(line, Span(begin, begin + len(text))))
            begin += len(text) + 1
        return cells or [self._strip(line, Span(0, len(line)))]

    def _strip(self, line: str, span: Span) -> Span:
        """Return a span without the white space around its text, unless the model reads that."""
        if not self._normalizer.whitespace:
            return span
        text = line[span.start : span.end]
        begin = span.start + len(text) - len(text.lstrip())
        return Span(begin, begin + len(text.strip()))

    def _divide(self, line: str, cell: Span) -> list[Span]:
        """Return the sentences of a cell, or the cell itself if it can be translated whole."""
        text = line[cell.start : cell.end]
        sentences = find_sentences(text, self._language)
        if len(sentences) < 2 or self._is_copied(text):
            return [cell]
        is_usual = len(sentences) <= self._usual_sentences
        if self._split == "auto" and is_usual and self._size(text) <= self._usual_longest:
            return [cell]
        return [Span(cell.start + each.start, cell.start + each.end) for each in sentences]

    def _shorten(self, line: str, span: Span) -> list[Span]:
        """Return the parts of a sentence that is too long for the model, or the sentence."""
        text = line[span.start : span.end]
        if len(text.encode("utf-8", "replace")) < self._longest or self._is_copied(text):
            return [span]
        if self._size(text) <= self._longest:
            return [span]
        return cut_at_clauses(line, span, size=self._size, most=self._part)

    def _size(self, text: str) -> int:
        """Return the number of pieces of a text."""
        return self._pieces(self._as_seen(text, self._style(text)))

    def _style(self, text: str) -> Style:
        """Return how a text is written."""
        seen = self._seen
        if casing.is_in_capitals(text) and (seen is None or seen.capitals < _SEEN):
            return "capitals"
        if seen is None:
            return "as usual"
        if not seen.has_names and casing.has_inner_capital(text):
            return "names"
        if casing.has_title_case(text) and seen.title_case < _SEEN:
            return "title"
        if casing.has_no_capitals(text) and seen.capitalized > 1 - _SEEN:
            return "small"
        return "as usual"

    def _segment(self, line: str, span: Span, style: Style) -> Segment:
        text = line[span.start : span.end]
        if self._is_copied(text):
            return Segment(span)
        if style == "as usual" and len(text) < len(line) and self._style(text) == "capitals":
            style = "capitals"  # a sentence in capitals between others
        text = self._as_seen(text, style)
        ids = self._subword.encode(text)
        return Segment(
            span,
            ids,
            text,
            in_capitals=style == "capitals",
            names=casing.names_in(line[span.start : span.end]) if style == "names" else {},
            unseen=self._unseen(text),
            unknown=sum(map(self._unknown_ids.__contains__, ids)),
        )

    def _is_copied(self, text: str) -> bool:
        """Whether a text is copied rather than translated."""
        if has_letters(text):
            return is_address(text)
        if self._seen is not None:
            return not self._seen.translates_letterless
        return any(map(self._is_unseen, text)) or not any(map(str.isdigit, text))

    def _as_seen(self, text: str, style: Style) -> str:
        """Return a text, normalised, with what the model has seen in place of what it has not."""
        text = self._normalizer.normalize(text)
        if self._seen is not None and self._seen.apostrophe:
            text = INNER_APOSTROPHE.sub(self._seen.apostrophe, text)
        if style != "as usual":
            usual = casing.respell(
                text, self._most_usual, language=self._language, capitalized=self._capitalizes
            )
            # A list of names may look like a title.
            if style != "title" or self._pieces(usual) < self._pieces(text):
                text = usual
        if not self._known.issuperset(text):
            text = "".join(c if c in self._known else self._replacement(c) for c in text)
        return self._normalizer.normalize(text)

    def _replacement(self, character: str) -> str:
        """Return what stands for a character that was never seen; itself if nothing does."""
        candidates = (
            _PLAIN.get(character),
            unicodedata.normalize("NFKC", character),
            character.lower(),
            character.upper(),
        )
        for candidate in candidates:
            if candidate and self._known.issuperset(candidate):
                return candidate
        return "" if is_invisible(character) and not character.isspace() else character

    def _unseen(self, text: str) -> tuple[str, ...]:
        """Return the visible characters of a text that training never showed, each once."""
        if self._known.issuperset(text):
            return ()
        return tuple(dict.fromkeys(c for c in text if self._is_unseen(c)))

    def _is_unseen(self, character: str) -> bool:
        return not (character in self._known or is_invisible(character))

    def _most_usual(self, spellings: Sequence[str]) -> str:
        """Return the spelling with the fewest pieces; the first, unless another is far likelier."""
        read = {spelling: self._subword.encode(spelling) for spelling in spellings}
        fewest = min(map(len, read.values()))
        first, *others = [spelling for spelling, ids in read.items() if len(ids) == fewest]
        if self._subword.kind != "unigram":
            return first
        likelihood = {each: sum(self._scores[i] for i in read[each]) for each in (first, *others)}
        likeliest = max(likelihood, key=likelihood.__getitem__)
        return likeliest if likelihood[likeliest] > likelihood[first] + _LIKELIER else first

    def _pieces(self, text: str) -> int:
        return len(self._subword.encode(text))

    @cached_property
    def _scores(self) -> Sequence[float]:
        return self._subword.piece_table.scores

    @cached_property
    def _unknown_ids(self) -> frozenset[int]:
        return frozenset([UNK, *self._subword.piece_table.bytes])


class FirstWarnings:
    """Logs the first few warnings of a kind, and counts the others."""

    def __init__(self) -> None:
        self._count = 0

    def warn(self, message: str) -> None:
        """Log a warning, unless there were several."""
        self._count += 1
        if self._count <= _FIRST_WARNINGS:
            _logger.warning("%s", message)

    def report(self, what: str) -> None:
        """Log how many were not: "497 more lines are too long"."""
        if self._count > _FIRST_WARNINGS:
            _logger.warning("%s more %s", f"{self._count - _FIRST_WARNINGS:,}", what)
        self._count = 0


def unseen_of(segments: Iterable[Segment]) -> tuple[str, ...]:
    """Return the unseen characters of several segments, each once."""
    return tuple(dict.fromkeys(c for segment in segments for c in segment.unseen))
