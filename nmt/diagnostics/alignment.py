"""Alignments from attention, of words and of pieces, and their error rate.

Words are separated by spaces, or are pieces where a script has none (`nmt.text.spans`). An
alignment is a list of (source word, target word), both counted from 0; in Pharaoh form "0-0 1-2".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.errors import DataError
from nmt.text.spans import PieceText, Span

Link = tuple[int, int]
"""Source word, target word."""

_LONGEST_LINK = 30
"""Characters; Python does not read numbers with thousands of digits."""


@dataclass(frozen=True)
class SpanLink:
    """A target piece and the source piece that it attends to most, as `[start, end)`."""

    source: Span
    """Code points of the source line."""
    target: Span
    """Code points of the translation."""

    def moved(self, *, source: int = 0, target: int = 0) -> "SpanLink":
        """Return the link in texts with that many code points more before it."""
        return SpanLink(
            (self.source[0] + source, self.source[1] + source),
            (self.target[0] + target, self.target[1] + target),
        )


def align_pieces(attention: Tensor, source: PieceText, target: PieceText) -> list[SpanLink]:
    """Link each target piece to the source piece that it attends to most.

    White space and the end symbol are left out; pieces that spell a character together count as
    one.

    Args:
        attention: of pieces, [tgt_len, at least src_len].
        source: source pieces.
        target: target pieces.
    """
    links = align_words(attention, source.unit_of_each, target.unit_of_each)
    return [SpanLink(source.units[left], target.units[right]) for left, right in links]


def align_words(
    attention: Tensor,
    source_words: Sequence[int | None],
    target_words: Sequence[int | None],
    *,
    least: float = 0.0,
) -> list[Link]:
    """Link each target word to the source word that its pieces attend to most.

    Attention to the end symbol and to spaces is ignored; ties go to the first word.

    Args:
        attention: of pieces, [tgt_len, at least src_len].
        source_words: word of each source piece, [src_len].
        target_words: word of each target piece, [tgt_len].
        least: share of a target word's attention below which it has no link.

    Returns:
        Links in the order of target words; none if a side is empty.
    """
    weights = attention[:, : len(source_words)].double()
    by_source = weights @ _membership(source_words)  # [tgt_len, source words]
    by_word = _membership(target_words).T @ by_source  # [target words, source words]
    if 0 in by_word.shape:
        return []
    most, best = by_word.max(dim=1)
    whole = _membership(target_words).T @ attention.double().sum(dim=1)  # [target words]
    is_clear = (most >= least * whole).tolist()
    linked = sorted({word for word in target_words if word is not None})
    return [(int(best[target]), target) for target in linked if is_clear[target]]


def _membership(words: Sequence[int | None]) -> Tensor:
    """Return 1 where piece i belongs to word j, [pieces, words]."""
    number = torch.tensor([-1 if word is None else word for word in words])
    count = int(number.max()) + 1 if len(words) else 0
    return (number.unsqueeze(1) == torch.arange(count)).double()


def parse_pharaoh(line: str) -> set[Link]:
    """Read links such as "0-0 1-2".

    Raises:
        DataError: a field of the line is not a link.
    """
    links = set()
    for field in line.split():
        source, dash, target = field.partition("-")
        numbers_like = source.isdecimal() and target.isdecimal() and len(field) < _LONGEST_LINK
        if not (dash and numbers_like):
            raise DataError(
                f'"{field[:_LONGEST_LINK]}" is not a link; an alignment looks like "0-0 1-2".'
            )
        links.add((int(source), int(target)))
    return links


def alignment_error_rate(
    found: Sequence[set[Link]], sure: Sequence[set[Link]], possible: Sequence[set[Link]]
) -> float:
    """Return AER = 1 - (|A & S| + |A & P|) / (|A| + |S|) over a corpus (Och and Ney, 2003).

    Args:
        found: links to evaluate, per sentence (A).
        sure: required links (S).
        possible: permitted links (P); the sure ones are always included.

    Raises:
        DataError: the numbers of sentences differ.
    """
    if not len(found) == len(sure) == len(possible):
        raise DataError(
            f"{len(found):,} alignments, {len(sure):,} sure and {len(possible):,} possible ones; "
            "there must be one line per sentence in each."
        )
    agreed = total = 0
    for links, must, may in zip(found, sure, possible, strict=True):
        agreed += len(links & must) + len(links & (may | must))
        total += len(links) + len(must)
    return 1.0 - agreed / total if total else 0.0
