import math
import random
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from nmt.text import segmentation
from nmt.text.segmentation import (
    BpeDropout,
    PieceTable,
    Symbols,
    UnigramSampler,
    sample_segmentation,
)
from nmt.text.subword import Subword
from nmt.text.vocabulary import UNK

FIRST = 4


def table(scores: dict[str, float], *, with_bytes: bool = False) -> PieceTable:
    """Return pieces with ids from 4 on, behind the special ones, and then the bytes."""
    ids = {piece: FIRST + number for number, piece in enumerate(scores)}
    end = FIRST + len(ids)
    return PieceTable(
        ids=ids,
        scores=[0.0] * FIRST + list(scores.values()) + [0.0] * 256,
        bytes=list(range(end, end + 256)) if with_bytes else [],
    )


def every_segmentation(word: str, pieces: PieceTable) -> list[tuple[int, ...]]:
    if not word:
        return [()]
    return [
        (pieces.ids[word[:end]], *rest)
        for end in range(1, len(word) + 1)
        if word[:end] in pieces.ids
        for rest in every_segmentation(word[end:], pieces)
    ]


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_unigram_segmentations_have_the_frequency_of_their_smoothed_probability(alpha):
    pieces = table({"▁": -1.0, "a": -1.5, "b": -2.0, "▁a": -2.5, "ab": -2.2, "aba": -4.0})
    word, draws = "▁abab", 20_000
    weights = {
        ids: math.exp(alpha * sum(pieces.scores[i] for i in ids))
        for ids in every_segmentation(word, pieces)
    }
    assert len(weights) == 7
    sampler, generator = UnigramSampler(pieces, alpha), random.Random(0)
    seen = Counter(tuple(sampler(word, generator)) for _ in range(draws))

    assert seen.keys() <= weights.keys()
    for ids, weight in weights.items():
        probability = weight / sum(weights.values())
        deviation = math.sqrt(draws * probability * (1 - probability))
        assert abs(seen[ids] - draws * probability) < 4 * deviation


def test_an_unknown_character_is_spelled_in_bytes_or_is_unknown():
    for sampler_of in (UnigramSampler, BpeDropout):
        spelled = table({"▁": -1.0, "a": -1.0}, with_bytes=True)
        euro = [spelled.bytes[value] for value in "€".encode()]
        sampler = sampler_of(spelled, 0.1)
        assert sampler("▁€a", random.Random(0)) == [spelled.ids["▁"], *euro, spelled.ids["a"]]

        unknown = table({"▁": -1.0, "a": -1.0})
        sampler = sampler_of(unknown, 0.1)
        assert sampler("▁€a", random.Random(0)) == [unknown.ids["▁"], UNK, unknown.ids["a"]]


def test_neighbouring_unknowns_become_one_as_in_sentencepiece():
    pieces = table({"a": -1.0})
    sampler = BpeDropout(pieces, 0.0)
    a = pieces.ids["a"]
    assert sample_segmentation("xya z", sampler, random.Random(0), Symbols({})) == [UNK, a, UNK]


def test_bpe_dropout_drops_merges_at_the_given_rate():
    pieces = table({"a": -9.0, "b": -9.0, "ab": 0.0})
    sampler, generator = BpeDropout(pieces, 0.3), random.Random(0)
    whole = sum(len(sampler("ab", generator)) == 1 for _ in range(10_000))
    assert abs(whole - 7000) < 4 * math.sqrt(10_000 * 0.3 * 0.7)


def dropout_probabilities(
    symbols: tuple[str, ...], pieces: PieceTable, rate: float
) -> dict[tuple[str, ...], float]:
    """Return the probability of each segmentation, over every subset of dropped merges."""
    places = [p for p in range(len(symbols) - 1) if symbols[p] + symbols[p + 1] in pieces.ids]
    ends: dict[tuple[str, ...], float] = {}
    for dropped in product([True, False], repeat=len(places)):
        share = math.prod(rate if drop else 1 - rate for drop in dropped)
        left = [place for place, drop in zip(places, dropped, strict=True) if not drop]
        if not left:
            ends[symbols] = ends.get(symbols, 0.0) + share
            continue
        best = max(left, key=lambda p: (pieces.scores[pieces.ids[symbols[p] + symbols[p + 1]]], -p))
        merged = (*symbols[:best], symbols[best] + symbols[best + 1], *symbols[best + 2 :])
        for end, probability in dropout_probabilities(merged, pieces, rate).items():
            ends[end] = ends.get(end, 0.0) + share * probability
    return ends


def test_bpe_dropout_draws_each_segmentation_as_often_as_the_algorithm_of_the_paper():
    scores = {"a": -9.0, "b": -9.0, "ab": -1.0, "ba": -2.0, "aba": -3.0, "abab": -4.0}
    pieces, draws = table(scores), 20_000
    expected = dropout_probabilities(tuple("ababa"), pieces, 0.3)
    assert len(expected) > 5
    sampler, generator = BpeDropout(pieces, 0.3), random.Random(0)
    seen = Counter(tuple(sampler("ababa", generator)) for _ in range(draws))

    for end, probability in expected.items():
        count = seen.pop(tuple(pieces.ids[symbol] for symbol in end), 0)
        spread = math.sqrt(draws * probability * (1 - probability))
        assert abs(count - draws * probability) < 4.5 * spread, end
    assert not seen


def test_bpe_dropout_draws_the_same_when_its_cache_evicts_words(monkeypatch):
    pieces = table({"a": -9.0, "b": -9.0, "ab": -1.0, "ba": -2.0, "aba": -3.0})
    words = ["abab", "aabba", "baba"] * 50

    def drawn() -> list[list[int]]:
        sampler, generator = BpeDropout(pieces, 0.3), random.Random(1)
        return [sampler(word, generator) for word in words]

    kept = drawn()
    monkeypatch.setattr(segmentation, "_CACHED_WORDS", 2)
    assert drawn() == kept


TEXTS = [
    "der Hund läuft",
    "die  Katzen über der Straße",
    " Männer",
    "x",
    "",
    "日本 Hund",
    "nein nein",
]


@pytest.fixture(scope="module", params=[True, False], ids=["bytes", "unknown"])
def trained(request, tmp_path_factory) -> dict[str, Subword]:
    folder: Path = tmp_path_factory.mktemp("segmentation")
    words = [
        "der",
        "die",
        "Hund",
        "Katze",
        "Katzen",
        "läuft",
        "laufen",
        "über",
        "Straße",
        "Männer",
        "Mann",
    ]
    generator = random.Random(2)
    lines = [" ".join(generator.choices(words, k=5)) for _ in range(300)]
    return {
        kind: Subword.train(
            lines, folder / kind, kind=kind, vocab_size=310, byte_fallback=request.param
        )
        for kind in ("unigram", "bpe")
    }


def test_without_dropout_merges_equal_those_of_sentencepiece(trained):
    subword = trained["bpe"]
    generator = random.Random(0)
    sampler = BpeDropout(subword.piece_table, 0.0)
    for text in TEXTS:
        assert sample_segmentation(text, sampler, generator, Symbols({})) == subword.encode(text)


def test_a_very_long_word_is_merged_in_parts_of_512_characters():
    """Merging all of it at once would take time quadratic in its length."""
    sampler = BpeDropout(table({"a": -3.0, "b": -2.0, "ba": -1.0}), 0.0)
    a, b, ba = FIRST, FIRST + 1, FIRST + 2
    whole, rest = [a, *[ba] * 255, b], [a, *[ba] * 87, b]
    assert sampler("ab" * 600, random.Random(0)) == [*whole, *whole, *rest]


def test_with_a_huge_alpha_only_the_best_segmentation_of_sentencepiece_is_left(trained):
    subword = trained["unigram"]
    sampled = subword.encode_sampled(TEXTS, alpha=1000.0, seed=1)
    assert sampled == subword.encode_all(TEXTS)
