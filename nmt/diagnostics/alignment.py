"""Word alignments from attention, and their error rate.

Words are separated by spaces in plain text. An alignment is a list of (source word, target
word), both counted from 0; in Pharaoh form "0-0 1-2".
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from nmt.errors import DataError
from nmt.text.vocabulary import SPECIAL_PIECES, UNK

Link = tuple[int, int]
"""Source word, target word."""

_LONGEST_LINK = 30
"""Characters; Python does not read numbers with thousands of digits."""
_SPACE = "▁"
_UNK_PIECE = SPECIAL_PIECES[UNK]
_UNSPOKEN = frozenset(SPECIAL_PIECES) - {_UNK_PIECE}


def words_of_pieces(pieces: Iterable[str], *, one_each: bool = False) -> list[int | None]:
    """Return the word that each piece belongs to; None for spaces and special pieces.

    A piece that spans several words belongs to its first.

    Args:
        pieces: names of pieces, in which "▁" stands for a space.
        one_each: every piece is a word of its own, even one without a space in its name, as an
            unknown word is in a vocabulary of whole words.
    """
    words: list[int | None] = []
    word, inside = -1, False
    for piece in pieces:
        belongs = None
        if piece in _UNSPOKEN:
            words.append(None)
            continue
        if one_each and piece == _UNK_PIECE:
            inside = False
        for character in piece:
            is_space = character == _SPACE or character.isspace()
            if not is_space and not inside:
                word += 1
            if not is_space and belongs is None:
                belongs = word
            inside = not is_space
        words.append(belongs)
    return words


def align_words(
    attention: Tensor, source_words: Sequence[int | None], target_words: Sequence[int | None]
) -> list[Link]:
    """Link each target word to the source word that its pieces attend to most.

    Attention to the end symbol and to spaces is ignored; ties go to the first word.

    Args:
        attention: of pieces, [tgt_len, at least src_len].
        source_words: word of each source piece, [src_len].
        target_words: word of each target piece, [tgt_len].

    Returns:
        Links in the order of target words; none if a side is empty.
    """
    weights = attention[:, : len(source_words)].double()
    by_source = weights @ _membership(source_words)  # [tgt_len, source words]
    by_word = _membership(target_words).T @ by_source  # [target words, source words]
    if 0 in by_word.shape:
        return []
    return [(source, target) for target, source in enumerate(by_word.argmax(dim=1).tolist())]


def _membership(words: Sequence[int | None]) -> Tensor:
    """Return 1 where piece i belongs to word j, [pieces, words]."""
    number = torch.tensor([-1 if word is None else word for word in words])
    count = int(number.max()) + 1 if len(words) else 0
    return (number.unsqueeze(1) == torch.arange(count)).double()


def format_pharaoh(links: Iterable[Link]) -> str:
    """Return links as "0-0 1-2"."""
    return " ".join(f"{source}-{target}" for source, target in links)


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
