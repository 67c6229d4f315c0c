"""Attention of a translation as a matrix with named rows and columns: of pieces, and of words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from nmt.text.spans import PieceText
from nmt.text.vocabulary import EOS_PIECE


@dataclass(frozen=True)
class AttentionMatrix:
    """How much each unit of a translation attends to each unit of its source."""

    source: tuple[str, ...]
    """Columns, in the order of the line; the end symbol of each part has a column of its own."""
    target: tuple[str, ...]
    """Rows, in the order of the translation."""
    weights: tuple[tuple[float, ...], ...]
    """Each row sums to 1, [target, source]."""


@dataclass(frozen=True)
class SoftAttention:
    """Attention of a translation, by pieces and by words."""

    pieces: AttentionMatrix
    """Pieces as the subword model names them; "▁" is a space."""
    words: AttentionMatrix
    """Columns of a word's pieces are added, rows averaged. White space counts to the word after it;
    at the end, to the one before."""


def identity(units: Sequence[str]) -> SoftAttention:
    """Return the attention of a text that is its own translation: each unit to itself."""
    names = tuple(units)
    rows = tuple(
        tuple(float(row == column) for column in range(len(names))) for row in range(len(names))
    )
    matrix = AttentionMatrix(names, names, rows)
    return SoftAttention(matrix, matrix)


def soft_attention(
    attention: Tensor,
    source: PieceText,
    target: PieceText,
    *,
    source_pieces: Sequence[str],
    target_pieces: Sequence[str],
) -> SoftAttention:
    """Return the attention of a sentence with the names of its pieces and words.

    Args:
        attention: of the target pieces to the source pieces, the end symbol and padding,
            [at least tgt_len, at least src_len + 1].
        source: the sentence.
        target: its translation.
        source_pieces: names of the source pieces that the model read, without the end symbol; of a
            truncated sentence, fewer than `source` has, [src_len].
        target_pieces: names of the target pieces, without the end symbol, [tgt_len].
    """
    columns, rows = len(source_pieces), len(target_pieces)
    weights = attention[:rows, : columns + 1].double()  # [tgt_len, src_len + 1]
    source_words = _words(source, columns)
    target_words = _words(target, rows)
    ends = len(source_words.names)
    to_word = _membership([*source_words.of_each, ends], ends + 1)
    by_word = _membership(target_words.of_each, len(target_words.names))
    average = by_word.T / by_word.sum(dim=0).clamp(min=1).unsqueeze(1)  # [target words, tgt_len]
    return SoftAttention(
        _matrix([*source_pieces, EOS_PIECE], target_pieces, weights),
        _matrix([*source_words.names, EOS_PIECE], target_words.names, average @ weights @ to_word),
    )


def block_diagonal(parts: Sequence[SoftAttention]) -> SoftAttention:
    """Return the attention of a line from those of its parts, none of which sees another."""
    return SoftAttention(
        _block_diagonal([part.pieces for part in parts]),
        _block_diagonal([part.words for part in parts]),
    )


def _block_diagonal(parts: Sequence[AttentionMatrix]) -> AttentionMatrix:
    widths = [len(part.source) for part in parts]
    rows: list[tuple[float, ...]] = []
    for place, part in enumerate(parts):
        before, after = (0.0,) * sum(widths[:place]), (0.0,) * sum(widths[place + 1 :])
        rows += [before + row + after for row in part.weights]
    return AttentionMatrix(
        tuple(chain.from_iterable(part.source for part in parts)),
        tuple(chain.from_iterable(part.target for part in parts)),
        tuple(rows),
    )


def _matrix(source: Sequence[str], target: Sequence[str], weights: Tensor) -> AttentionMatrix:
    return AttentionMatrix(tuple(source), tuple(target), tuple(map(tuple, weights.tolist())))


@dataclass(frozen=True)
class _Words:
    """The words that some pieces belong to."""

    names: list[str]
    of_each: list[int]
    """Word of each piece; 0 if there is none."""


def _words(text: PieceText, count: int) -> _Words:
    """Return the words of the first `count` pieces of a text, white space included."""
    found = text.word_of_each[:count]
    known = sorted({word for word in found if word is not None})
    number = {word: place for place, word in enumerate(known)}
    of_each, following = list[int](), max(len(known) - 1, 0)
    for word in reversed(found):
        following = following if word is None else number[word]
        of_each.append(following)
    return _Words([text.text[slice(*text.words[word])] for word in known], of_each[::-1])


def _membership(groups: Sequence[int], count: int) -> Tensor:
    """Return 1 where piece i belongs to group j, [pieces, count]."""
    chosen = torch.tensor(groups, dtype=torch.long).unsqueeze(1)
    return (chosen == torch.arange(count)).double()
