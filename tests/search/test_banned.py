"""No translation contains a banned word, and nothing else is lost."""

import itertools
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_scorers import TableScorer, batch_of, random_table, score_by_hand

from nmt.config.search import SearchConfig
from nmt.search.banned import BannedPieces, find_banned_pieces
from nmt.search.search import search
from nmt.text.vocabulary import SPECIAL_PIECES

PIECES = (*SPECIAL_PIECES, "▁a", "▁cat", "s", "b", "▁", ",", "▁a,", "▁new▁york,")
WITH_BYTES = (
    *SPECIAL_PIECES,
    "▁k",
    "i",
    "▁",
    ",",
    "<0xC5>",
    "<0xBD>",
    "<0xE2>",
    "<0x80>",
    "<0x94>",
)
"""C5 BD is Ž, and E2 80 94 an em dash."""
MOST = 4


def spell(tokens: tuple[int, ...], pieces: tuple[str, ...] = PIECES) -> str:
    """Return the text as sentencepiece decodes it."""
    spelled = [pieces[token].replace("▁", " ") for token in tokens]
    is_byte = [re.fullmatch("<0x..>", text) for text in spelled]
    each = zip(spelled, is_byte, strict=True)
    text = b"".join(bytes.fromhex(text[3:5]) if byte else text.encode() for text, byte in each)
    return text.decode("utf-8", "replace").strip()


def ids_of(*names: str, pieces: tuple[str, ...] = PIECES) -> list[int]:
    return [pieces.index(name) for name in names]


def closed_after(banned: BannedPieces, *names: str, pieces: tuple[str, ...] = PIECES) -> set[str]:
    closed = banned.closed(ids_of(*names, pieces=pieces))
    if closed is None:
        return set()
    return {name for name, is_closed in zip(pieces, closed, strict=True) if is_closed}


def contains(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


words = st.lists(
    st.sampled_from(["a", "cat", "cats", "a cat", "b", "new york", "york", "a b"]),
    min_size=1,
    max_size=3,
    unique=True,
)


def test_a_wide_beam_finds_the_best_translations_without_banned_words(examples):
    """All sequences of up to three pieces; beams are wide enough to drop none."""
    space = [
        tokens
        for length in range(MOST)
        for tokens in itertools.product(range(4, len(PIECES)), repeat=length)
    ]

    @given(ban=words, seed=st.integers(0, 2**32))
    @settings(max_examples=examples(quick=10, full=200))
    def hold(ban: list[str], seed: int) -> None:
        table = random_table(sentences=1, positions=MOST, vocab=len(PIECES), seed=seed)
        scorer, batch = TableScorer(table), batch_of([0], [2])
        options = SearchConfig(
            beam=9**MOST,
            n_best=3,
            max_length_factor=0.0,
            max_length_offset=MOST,
            ban=tuple(ban),
        )
        (found,) = search(scorer, *batch, options, pieces=PIECES)
        allowed = [
            score_by_hand(scorer, *batch, tokens, options)[1]
            for tokens in space
            if not any(contains(spell(tokens), word) for word in ban)
        ]
        best = sorted((score for score in allowed if score > -math.inf), reverse=True)[:3]
        assert [hypothesis.score for hypothesis in found] == pytest.approx(best, abs=1e-5)

    hold()


@pytest.mark.parametrize("sample", [True, False])
def test_samples_and_narrow_beams_contain_no_banned_words(sample):
    ban = ("cat", "a b")
    table = random_table(sentences=9, positions=6, vocab=len(PIECES), sharpness=1.0)
    options = SearchConfig(sample=sample, beam=2, n_best=2, max_length_offset=40, ban=ban)
    found = search(TableScorer(table), *batch_of(range(9), [3] * 9), options, pieces=PIECES)
    finished = [each for hypotheses in found for each in hypotheses if each.finished]
    assert finished
    for hypothesis in finished:
        assert not [word for word in ban if contains(spell(hypothesis.tokens), word)]


def test_a_longer_word_may_begin_with_a_banned_one():
    banned = find_banned_pieces(("cat",), PIECES)
    closed = closed_after(banned, "▁a", "▁cat")  # but not "s" and "b"
    assert closed == {"</s>", "▁a", "▁cat", "▁", ",", "▁a,", "▁new▁york,"}


@pytest.mark.parametrize("ban", [("Žk",), ("k",), ("kŽ", "i"), ("k i", "Ž"), ("i—k", "k")])
def test_words_spelled_by_byte_pieces_are_banned_as_well(ban):
    """All sequences of up to four pieces: those with a banned word are lost, and no others.

    A banned word counts once it is ended, by the end symbol or by what follows it.
    """
    banned = find_banned_pieces(ban, WITH_BYTES)
    ends = len(SPECIAL_PIECES) - 1
    for length in range(5):
        for tokens in itertools.product(range(4, len(WITH_BYTES)), repeat=length):
            written = [*tokens, ends]
            is_closed = any(
                banned.always[piece]
                or ((closed := banned.closed(written[:place])) is not None and closed[piece])
                for place, piece in enumerate(written)
            )
            text = spell(tokens, WITH_BYTES)
            assert is_closed == any(contains(text, word) for word in ban), (tokens, text)


def test_a_letter_with_a_combining_mark_goes_on():
    pieces = (*SPECIAL_PIECES, "▁e", "\u0301", "▁")
    banned = find_banned_pieces(("e",), pieces)
    assert closed_after(banned, "▁e", pieces=pieces) == {"</s>", "▁e", "▁"}


def test_a_piece_that_holds_a_whole_banned_word_is_always_closed():
    banned = find_banned_pieces(("york",), PIECES)
    assert [PIECES[piece] for piece in banned.always.nonzero()[0]] == ["▁new▁york,"]


def test_text_that_only_looks_like_a_banned_word_is_left_alone():
    banned = find_banned_pieces(("cats",), PIECES)
    assert not closed_after(banned, "b", "▁cat")
    assert not closed_after(banned, "▁a")
    assert closed_after(banned, "▁cat", "s")


def test_banned_words_need_the_spelling_of_the_pieces():
    table = random_table(sentences=1, positions=2, vocab=6)
    with pytest.raises(ValueError, match="banned words need the spelling of the pieces"):
        search(TableScorer(table), *batch_of([0], [2]), SearchConfig(ban=("a",)))
