"""Translations begin with the given text, and nothing else is lost."""

import itertools
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_scorers import TableScorer, batch_of, random_table, score_by_hand

from nmt.config.search import SearchConfig
from nmt.search.decoding import start
from nmt.search.prefix import Beginning, spellings_of
from nmt.search.search import advance, search
from nmt.text.vocabulary import SPECIAL_PIECES

PIECES = (*SPECIAL_PIECES, "▁a", "▁cat", "c", "at", "▁", "t", "▁a▁cat", "cats")
WITH_BYTES = (
    *(*SPECIAL_PIECES, "▁", "k", "▁k", "<0xC5>", "<0xBD>", "<0xE2>", "<0x80>", "<0x94>", "<0x20>"),
)
"""C5 BD is Ž, and E2 80 94 an em dash."""
MOST = 4


def spell(tokens: tuple[int, ...], pieces: tuple[str, ...] = PIECES) -> str:
    """Return the text as sentencepiece decodes it: one leading "▁" is dropped."""
    data = b""
    for place, name in enumerate(pieces[token] for token in tokens):
        is_byte = re.fullmatch("<0x(..)>", name)
        text = name.removeprefix("▁") if place == 0 else name
        data += bytes.fromhex(is_byte[1]) if is_byte else text.replace("▁", " ").encode()
    return data.decode("utf-8", "replace")


texts = st.sampled_from(["a", "a ", "a c", "cat", "ca", " a", "a cat", "t", "cats", "a  c", "c a"])


def test_a_wide_beam_finds_the_best_translations_with_the_prefix(examples):
    """All sequences of up to three pieces; beams are wide enough to drop none."""
    space = [
        tokens
        for length in range(MOST)
        for tokens in itertools.product(range(4, len(PIECES)), repeat=length)
    ]

    @given(prefix=texts, seed=st.integers(0, 2**32))
    @settings(max_examples=examples(quick=10, full=200))
    def hold(prefix: str, seed: int) -> None:
        table = random_table(sentences=1, positions=MOST, vocab=len(PIECES), seed=seed)
        scorer, batch = TableScorer(table), batch_of([0], [2])
        options = SearchConfig(
            beam=9**MOST,
            n_best=3,
            length_penalty="none",
            max_length_factor=0.0,
            max_length_offset=MOST,
        )
        (found,) = search(scorer, *batch, options, pieces=PIECES, prefixes=[prefix])
        allowed = {
            tokens: score_by_hand(scorer, *batch, tokens, options)[0]
            for tokens in space
            if spell(tokens).startswith(prefix)
        }
        short = [each for each in found if len(each.tokens) < MOST]  # a prefix lengthens the limit
        best = sorted((score for score in allowed.values() if score > -math.inf), reverse=True)
        assert [each.log_prob for each in short] == pytest.approx(best[: len(short)], abs=1e-5)
        for each in found:
            assert spell(each.tokens).startswith(prefix)
            assert sum(each.log_probs) == pytest.approx(each.log_prob)

    hold()


@pytest.mark.parametrize("prefix", ["Ž", "kŽ", "k Ž", "—k", " k", "ŽŽ", "k ", "k—"])
def test_exactly_the_pieces_that_can_be_completed_are_allowed(prefix):
    """All sequences of up to four pieces of a vocabulary with bytes; a space may be a byte."""
    beginning = Beginning(prefix, spellings_of(WITH_BYTES))
    assert beginning.unspellable is None
    space = (
        tokens
        for length in range(5)
        for tokens in itertools.product(range(4, len(WITH_BYTES)), repeat=length)
    )
    lengths = spellings_of(WITH_BYTES).lengths
    spaced = spellings_of(WITH_BYTES).drops_space
    for tokens in space:
        place, is_allowed = 0, True
        for piece in tokens:
            if place >= beginning.length:
                break
            is_allowed = is_allowed and bool(beginning.allowed(place)[piece])
            place += int(lengths[piece]) + (place == 0 and not spaced[piece])
        text = spell(tokens, WITH_BYTES)
        if place >= beginning.length:
            assert is_allowed == text.startswith(prefix), (tokens, text)
        elif is_allowed and "\N{REPLACEMENT CHARACTER}" not in text:
            assert prefix.startswith(text)


@pytest.mark.parametrize(
    ("prefix", "character"),
    [("dog", "d"), ("a dog", "d"), ("a猫", "猫"), ("Ža", "Ž"), ("catst", None), ("", None)],
)
def test_a_character_that_no_pieces_spell_is_named(prefix, character):
    assert Beginning(prefix, spellings_of(PIECES)).unspellable == character


def test_no_hypothesis_comes_to_a_dead_end():
    """ "c" would be followed by "a" alone, which is no piece."""
    beginning = Beginning("ca", spellings_of((*SPECIAL_PIECES, "c", "cat", "▁c", "▁cats")))
    assert beginning.allowed(0).nonzero()[0].tolist() == [5, 7]


@pytest.mark.parametrize("sample", [False, True])
def test_sentences_of_a_batch_have_their_own_prefixes(sample):
    prefixes = ["a", "", "cat", "a c"]
    table = random_table(sentences=4, positions=8, vocab=len(PIECES), sharpness=1.0)
    scorer, options = TableScorer(table), SearchConfig(beam=3, n_best=3, sample=sample)
    batch = batch_of(range(4), [3, 2, 4, 3])
    together = search(scorer, *batch, options, pieces=PIECES, prefixes=prefixes)
    for number, prefix in enumerate(prefixes):
        for each in together[number]:
            assert spell(each.tokens).startswith(prefix)
        alone = search(
            scorer,
            *batch_of([number], [[3, 2, 4, 3][number]]),
            options,
            pieces=PIECES,
            prefixes=[prefix],
            streams=[number],
        )
        assert alone == [together[number]]
    fixed = search(scorer, *batch, options, pieces=PIECES, prefixes=prefixes, fixed_shape=True)
    assert fixed == together
    assert together[1] == search(scorer, *batch, options, pieces=PIECES)[1]


def test_a_sentence_with_a_prefix_joins_others_in_progress():
    table = random_table(sentences=2, positions=8, vocab=len(PIECES), sharpness=1.0)
    scorer, options = TableScorer(table), SearchConfig(beam=2)
    found = {}
    decoding = start(
        scorer, *batch_of([0], [3]), options, keys=[0], pieces=PIECES, prefixes=["a cat"]
    )
    decoding, done = advance(decoding)
    found |= done
    decoding = decoding.concat(
        start(scorer, *batch_of([1], [2]), options, keys=[1], pieces=PIECES, prefixes=["cats"])
    )
    while len(found) < 2:
        decoding, done = advance(decoding)
        found |= done
    assert spell(found[0][0].tokens).startswith("a cat")
    assert spell(found[1][0].tokens).startswith("cats")


def test_a_prefix_longer_than_the_limit_is_written_whole():
    table = random_table(sentences=1, positions=8, vocab=len(PIECES))
    options = SearchConfig(beam=2, max_length_factor=0.0, max_length_offset=1)
    prefix = "cats a cat a cat c at t"
    (found,) = search(
        TableScorer(table), *batch_of([0], [2]), options, pieces=PIECES, prefixes=[prefix]
    )
    assert spell(found[0].tokens).startswith(prefix)


def test_prefixes_need_the_spelling_of_the_pieces():
    table = random_table(sentences=1, positions=2, vocab=6)
    with pytest.raises(ValueError, match="prefixes need the spelling of the pieces"):
        search(TableScorer(table), *batch_of([0], [2]), SearchConfig(), prefixes=["a"])
