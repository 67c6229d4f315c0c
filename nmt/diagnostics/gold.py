"""Alignments by hand, and how well those from attention agree with them.

Gold links count the words between spaces, from 0: "0-0 1-2", and "3p4" for a link that is possible
but not required. Attention is not trained to align: it may look at the neighbour of a word, or
where the next decision is prepared (Koehn and Knowles, 2017, sec. 3.5).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nmt.diagnostics.alignment import (
    Link,
    align_words,
    alignment_error_rate,
    parse_pharaoh,
)
from nmt.diagnostics.attention import AttentionMatrix
from nmt.errors import DataError
from nmt.text.vocabulary import EOS_PIECE

_POSSIBLE = re.compile(r"(\d+)[p?](\d+)")


@dataclass(frozen=True)
class GoldLinks:
    """Links of a sentence, by hand."""

    sure: set[Link]
    """Required links."""
    possible: set[Link]
    """Permitted links, besides the sure ones."""


def parse_gold(line: str) -> GoldLinks:
    """Read links such as "0-0 1-2 3p4"; "3?4" is possible as well.

    Raises:
        DataError: a field of the line is not a link.
    """
    fields = line.split()
    sure = [field for field in fields if not _POSSIBLE.fullmatch(field)]
    possible = [_POSSIBLE.sub(r"\1-\2", field) for field in fields if _POSSIBLE.fullmatch(field)]
    return GoldLinks(parse_pharaoh(" ".join(sure)), parse_pharaoh(" ".join(possible)))


def read_gold(lines: Sequence[str], pairs: Sequence[tuple[str, str]], name: str) -> list[GoldLinks]:
    """Return the links of each pair of sentences.

    Args:
        lines: one per pair.
        pairs: source and target, words between spaces.
        name: of the file, for messages.

    Raises:
        DataError: there are more or fewer lines than pairs, a line is no alignment, or links to a
            word that its sentence does not have.
    """
    if len(lines) != len(pairs):
        raise DataError(
            f"{name}: has {len(lines):,} line{'s' * (len(lines) != 1)}, but there are "
            f"{len(pairs):,} pairs of sentences; give the links of exactly these "
            "sentences, one line each."
        )
    gold = []
    for number, (line, pair) in enumerate(zip(lines, pairs, strict=True), start=1):
        try:
            gold.append(parse_gold(line))
        except DataError as error:
            raise DataError(f"{name}:{number}: {error}") from None
        _require_words(gold[-1], pair, f"{name}:{number}")
    return gold


def _require_words(gold: GoldLinks, pair: tuple[str, str], where: str) -> None:
    """Refuse links to words that a sentence does not have."""
    words = [len(side.split()) for side in pair]
    links = gold.sure | gold.possible
    beyond = sorted(link for link in links if link[0] >= words[0] or link[1] >= words[1])
    if beyond:
        is_swapped = all(link[1] < words[0] and link[0] < words[1] for link in links)
        advice = "it looks as if the sides were swapped" if is_swapped else "it is for other texts"
        raise DataError(
            f"{where}: links {beyond[0][0]}-{beyond[0][1]}, but there are {words[0]:,} source and "
            f"{words[1]:,} target words, counted from 0; {advice}, or counts from 1: give a file "
            "with source-target, from 0."
        )


@dataclass(frozen=True)
class AlignmentScore:
    """How well links agree with those by hand; fractions of 1."""

    error_rate: float
    """Alignment error rate (Och and Ney, 2003): 0 is best."""
    precision: float
    """Share of the links found that are sure or possible; 1 if there are none."""
    recall: float
    """Share of the sure links that were found; 1 if there are none."""
    found: int
    """Number of links found."""
    sure: int
    """Number of sure links."""
    possible: int
    """Number of links that are possible, but not sure."""


def score_links(found: Sequence[set[Link]], gold: Sequence[GoldLinks]) -> AlignmentScore:
    """Return the scores of the links of a corpus.

    Args:
        found: links of each sentence.
        gold: links by hand of each sentence.

    Raises:
        DataError: the numbers of sentences differ.
    """
    sure, possible = [each.sure for each in gold], [each.possible for each in gold]
    error_rate = alignment_error_rate(found, sure, possible)
    links, required = sum(map(len, found)), sum(map(len, sure))
    permitted = sum(len(a & (s | p)) for a, s, p in zip(found, sure, possible, strict=True))
    reached = sum(len(a & s) for a, s in zip(found, sure, strict=True))
    return AlignmentScore(
        error_rate,
        permitted / links if links else 1.0,
        reached / required if required else 1.0,
        found=links,
        sure=required,
        possible=sum(len(p - s) for s, p in zip(sure, possible, strict=True)),
    )


def along_the_diagonal(source: str, target: str) -> set[Link]:
    """Return what needs no model: each target word linked to the source word at the same share of
    its sentence.
    """
    left, right = len(source.split()), len(target.split())
    return {(int((word + 0.5) * left / right), word) for word in range(right if left else 0)}


def align_tokens(words: AttentionMatrix, source: str, target: str) -> list[Link]:
    """Link each target word to the source word it attends to most, words being between spaces.

    Args:
        words: attention by words, which may be smaller where a script has no spaces.
        source: the sentence.
        target: its translation.
    """
    weights = torch.tensor(words.weights).view(len(words.target), len(words.source))
    return align_words(weights, _tokens_of(words.source, source), _tokens_of(words.target, target))


def _tokens_of(words: Sequence[str], text: str) -> list[int | None]:
    """Return which of the tokens of `text` each word is a part of; None for the end symbol."""
    tokens, found = text.split(), list[int | None]()
    number, rest = -1, ""
    for word in words:
        if word == EOS_PIECE and not rest.startswith(word):
            found.append(None)
            continue
        while not rest.startswith(word) and number + 1 < len(tokens):
            number += 1
            rest = tokens[number]
        found.append(number)
        rest = rest[len(word) :]
    return found
