"""Pieces, words and units are where they are said to be, in every script."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.text.normalize import Normalizer
from nmt.text.spans import PieceText, origins, spans_of_pieces
from nmt.text.subword import Subword

TEXT = ["a cat eats a mouse.", "the small dog sleeps", "我有三个苹果。", "žluťoučký kůň", "แมวกินหนู"]
KINDS = [(kind, bf) for kind in ("bpe", "unigram", "char", "word") for bf in (True, False)]
ANY = st.text(
    st.one_of(st.sampled_from("a cat ⁇我有ž▁ ก่😀\u0301\u200b"), st.characters()), max_size=12
)


@pytest.fixture(scope="module", params=KINDS, ids=str)
def subword(request, tmp_path_factory) -> Subword:
    kind, byte_fallback = request.param
    size = 40 if kind == "word" else 320 if byte_fallback else 60
    path: Path = tmp_path_factory.mktemp("pieces") / "subword.model"
    return Subword.train(TEXT * 20, path, kind=kind, vocab_size=size, byte_fallback=byte_fallback)


def test_pieces_of_a_given_text_cover_it_without_gaps(subword):
    @given(text=ANY)
    @settings(max_examples=60)
    def hold(text: str) -> None:
        text = text.encode("utf-8", "replace").decode()
        ids, spans = subword.encode(text), subword.encode_spans(text)
        assert len(ids) == len(spans)
        assert covered(spans, len(text))
        for piece, (start, end) in zip(subword.pieces(ids), spans, strict=True):
            if start and not piece.startswith("<"):
                assert text[start:end].replace(" ", "▁") == piece.replace(" ", "▁")

    hold()


def test_pieces_of_a_translation_spell_its_parts(subword):
    size = subword.vocab_size

    @given(ids=st.lists(st.integers(0, size - 1), max_size=10))
    @settings(max_examples=100)
    def hold(ids: list[int]) -> None:
        text, spans = subword.decode(ids), subword.decode_spans(ids)
        assert len(ids) == len(spans)
        assert covered(spans, len(text))
        for piece, name, (start, end) in zip(ids, subword.pieces(ids), spans, strict=True):
            if start and piece > 3 and not name.startswith("<0x"):
                assert text[start:end] == name.replace("▁", " ")

    hold()


def covered(spans: list[tuple[int, int]], length: int) -> bool:
    """Whether ascending spans cover a text; those of bytes of one character are equal."""
    reached = 0
    for start, end in spans:
        if start not in (reached, reached - 1) or end < start:
            return False
        reached = max(reached, end)
    return reached == length


def test_bytes_that_spell_a_character_share_its_place():
    text, spans = spans_of_pieces(["a", 0xE6, 0x88, 0x91, 0xFF, " b"])
    assert text == "a我\ufffd b"
    assert spans == [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3), (3, 5)]


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_every_character_of_a_normalised_text_comes_from_what_it_was_made_of(form):
    @given(text=ANY)
    @settings(max_examples=100)
    def hold(text: str) -> None:
        read = unicodedata.normalize(form, text)
        found = origins(text, read)
        assert len(found) == len(read)
        starts = [start for start, _ in found]
        assert starts == sorted(starts)
        for character, (start, end) in zip(read, found, strict=True):
            if not character.isspace() and unicodedata.category(character)[0] in "LN":
                assert character in unicodedata.normalize(form, text[start:end])

    hold()


@pytest.mark.parametrize(
    ("text", "read", "parts"),
    [
        ("  a\t cat ", "a cat", ["a", None, "c", "a", "t"]),
        ("cafe\u0301 ﬁn", "café fin", ["c", "a", "f", "e\u0301", None, "ﬁ", "ﬁ", "n"]),
        ("ÉTÉ", "été", ["É", "T", "É"]),
        ("ma\u00adno", "mano", ["m", "a\u00ad", "n", "o"]),
        ("한국", unicodedata.normalize("NFD", "한국"), ["한"] * 3 + ["국"] * 3),
        ("\u1100\u1161\u11a8x", "각x", ["\u1100\u1161\u11a8", "x"]),
        ("“Hi”", '"Hi"', ["“", "H", "i", "”"]),
        ("½㎏", "1⁄2kg", ["½", "½", "½", "㎏", "㎏"]),
        ("Straße", "STRASSE", ["S", "t", "r", "a", "ß", "ß", "e"]),
        ("", "", []),
    ],
)
def test_changed_characters_are_found_again(text, read, parts):
    found = [text[start:end] for start, end in origins(text, read)]
    expected = [part if part is not None else "" for part in parts]
    assert found == expected


def words(*pieces: str) -> tuple[list[str], list[int | None]]:
    text, spans = spans_of_pieces(pieces)
    found = PieceText(text, spans)
    return [text[start:end] for start, end in found.words], found.word_of_each


@pytest.mark.parametrize(
    ("pieces", "expected", "of_each"),
    [
        ([" Schlaf", "sack", ".", " ", "ja"], ["Schlafsack.", "ja"], [0, 0, 0, None, 1]),
        (["a b", "c"], ["a", "bc"], [0, 1]),
        ([" ", " ", "a", " ", "b"], ["a", "b"], [None, None, 0, None, 1]),
        (["我", "有", "三个", "苹果", "。"], ["我", "有", "三个", "苹果", "。"], [0, 1, 2, 3, 4]),
        (["我", "有 i", "Pho", "ne", "手机"], ["我", "有", "iPhone", "手机"], [0, 1, 2, 2, 3]),
        (["ที", "่", "นี", "่"], ["ที่", "นี่"], [0, 0, 1, 1]),
        (["저", "는", " 학생"], ["저는", "학생"], [0, 0, 1]),
        (["カ", "ー", "ド"], ["カ", "ー", "ド"], [0, 1, 2]),
        ([], [], []),
    ],
)  # fmt: skip
def test_words_end_at_spaces_or_are_pieces_where_there_are_none(pieces, expected, of_each):
    assert words(*pieces) == (expected, of_each)


def test_words_of_spaced_text_are_those_between_spaces(subword):
    text = "a cat  eats žluťoučký mouse.dog"
    found = PieceText(text, subword.encode_spans(text))
    assert [text[start:end] for start, end in found.words] == text.split()


@pytest.mark.parametrize("unicode", ["off", "nfc", "nfkc"])
def test_units_of_a_line_are_found_in_it_as_it_was_given(unicode, subword):
    line = " 我\u3000有 ﬁve  cafe\u0301s "
    read = Normalizer(unicode=unicode).normalize(line)
    found = PieceText.of(line, read, subword.encode_spans(read))
    assert all(line[start:end].strip() == line[start:end] != "" for start, end in found.units)
    assert "".join(line[start:end] for start, end in dict.fromkeys(found.units)).replace(
        "\u3000", ""
    ).replace(" ", "") in ("".join(line.split()), "".join(line.split()).replace("ﬁ", "ﬁﬁ"))
    assert [line[start:end] for start, end in found.words][-1] in ("cafe\u0301s", "s")
