import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.text.normalize import Normalizer

ALL = [Normalizer(unicode, space) for unicode in ("off", "nfc", "nfkc") for space in (True, False)]


@given(text=st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"])))
def test_normalising_twice_changes_nothing_more(text):
    for normalizer in ALL:
        once = normalizer.normalize(text)
        assert normalizer.normalize(once) == once


@given(lines=st.lists(st.text(st.characters(exclude_characters="\n\0"))))
def test_a_line_stays_one_line(lines):
    for normalizer in ALL:
        normal = [normalizer.normalize(line) for line in lines]
        assert not any("\n" in line for line in normal)
        assert [normalizer.normalize(f" {line}\t") for line in lines] == normal or (
            not normalizer.whitespace
        )


def test_no_character_becomes_a_line_feed():
    for code in range(0x110000):
        if chr(code) != "\n":
            assert "\n" not in unicodedata.normalize("NFKC", chr(code))


def test_nfc_composes_and_keeps_compatibility_characters():
    assert Normalizer("nfc").normalize("e\u0301 ﬁ") == "é ﬁ"


def test_nfkc_replaces_compatibility_characters():
    assert Normalizer("nfkc").normalize("e\u0301 ﬁ Ⅳ") == "é fi IV"


def test_off_leaves_characters_alone():
    text = "e\u0301 ﬁ"
    assert Normalizer("off").normalize(text) == text
    assert unicodedata.normalize("NFC", text) != text


@pytest.mark.parametrize("space", [" ", "\t", "\r", "\u00a0", "\u2028", "\u3000", " \t "])
def test_any_white_space_becomes_one_space_and_the_ends_are_trimmed(space):
    assert Normalizer("off").normalize(f"{space}a{space}b{space}") == "a b"


def test_white_space_can_be_left_alone():
    assert Normalizer("nfc", whitespace=False).normalize("  a \t b ") == "  a \t b "
