"""Symbols stay whole in every segmentation, and come back as they were."""

import random
from pathlib import Path

import pytest
from german import WORDS
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import ConfigError
from nmt.text.pruning import UsedPieces, prune
from nmt.text.segmentation import Symbols
from nmt.text.subword import Subword
from nmt.text.vocabulary import SPECIAL_PIECES

KINDS = ("unigram", "bpe", "char")
SYMBOLS = ("<2it>", "⟨NUM1⟩", "⟨NUM12⟩", 'a,"b', "🐕")
# Parts of the symbols are frequent in the text, so that pieces for them are learned.
OTHERS = ("<2de>", "⟨NUM2⟩", "⟨NUM", "1⟩", "<2", "it>")


def lines(count: int = 600) -> list[str]:
    generator = random.Random(1)
    words = [*WORDS, *OTHERS * 3]
    made = [" ".join(generator.choices(words, k=generator.randint(2, 9))) for _ in range(count)]
    return [f"<2it> {line} ⟨NUM1⟩." if number % 3 else line for number, line in enumerate(made)]


@pytest.fixture(scope="module", params=KINDS)
def subword(request, tmp_path_factory) -> Subword:
    path = tmp_path_factory.mktemp("symbols") / request.param
    return Subword.train(lines(), path, kind=request.param, vocab_size=460, symbols=SYMBOLS)


def pieces_of(subword: Subword, text: str) -> list[str]:
    return subword.pieces(subword.encode(text))


def test_whole_symbols_follow_the_special_pieces(subword):
    first = len(SPECIAL_PIECES)
    assert subword.symbols.ids == {text: first + n for n, text in enumerate(SYMBOLS)}
    assert tuple(subword.pieces(subword.symbols.ids.values())) == SYMBOLS


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("<2it> der Hund ⟨NUM1⟩.", ["<2it>", "⟨NUM1⟩"]),
        ("Hund⟨NUM1⟩Hund", ["⟨NUM1⟩"]),
        ("⟨NUM12⟩⟨NUM1⟩<2it>", ["⟨NUM12⟩", "⟨NUM1⟩", "<2it>"]),
        ("⟨⟨NUM1⟩⟩ <<2it>>", ["⟨NUM1⟩", "<2it>"]),
        ('der a,"b-Hund 🐕', ['a,"b', "🐕"]),
        ("⟨NUM2⟩ <2de> NUM1 2it", []),
        ("", []),
    ],
)
def test_whole_symbols_are_never_split_wherever_they_stand_and_nothing_else_is_whole(
    subword, text, symbols
):
    assert [piece for piece in pieces_of(subword, text) if piece in SYMBOLS] == symbols
    assert subword.decode(subword.encode(text)) == text


@given(parts=st.lists(st.sampled_from([*SYMBOLS, *OTHERS, " ", "der", "Hund", "犬", "."])))
def test_any_text_round_trips_with_each_symbol_whole(subword, parts):
    text = "".join(parts)
    expected = [part for part in Symbols(subword.symbols.ids).split(text) if part in SYMBOLS]
    ways = [subword.encode(text), *subword.encode_sampled([text] * 3, alpha=0.4, seed=1)]
    for ids in ways:
        assert subword.decode(ids) == text
        assert [piece for piece in subword.pieces(ids) if piece in SYMBOLS] == expected


def test_a_lone_surrogate_beside_a_symbol_is_repaired(subword):
    assert pieces_of(subword, "\ud800⟨NUM1⟩")[-1] == "⟨NUM1⟩"


@pytest.mark.parametrize("kind", KINDS)
def test_a_pruned_model_keeps_them_even_where_the_text_has_none(kind, tmp_path):
    whole = Subword.train(lines(), tmp_path / "whole", kind=kind, vocab_size=460, symbols=SYMBOLS)
    used = UsedPieces(whole)
    used.add([whole.encode("der Hund")], ["der Hund"])
    rest = prune(tmp_path / "whole", used.needed(), tmp_path / "rest")
    assert rest.vocab_size < whole.vocab_size
    assert rest.symbols.ids == whole.symbols.ids
    assert pieces_of(rest, "der Hund <2it>")[-1] == "<2it>"


def test_whole_symbols_count_as_pieces_of_the_vocabulary(tmp_path: Path):
    with pytest.raises(ConfigError, match="the least is 266: 4 special pieces, 5 symbols, 256 byt"):
        Subword.train(lines(), tmp_path / "m", kind="bpe", vocab_size=265, symbols=SYMBOLS)
