"""Excerpts show the offending place, and what cannot be seen."""

from nmt.text.excerpt import excerpt, spell_out


def test_a_short_text_is_shown_whole():
    assert excerpt("un gatto", 3, 8) == "un gatto"


def test_a_long_text_is_cut_around_the_place():
    text = "a" * 200 + "HERE" + "b" * 200
    shown = excerpt(text, 200, 204)
    assert "aHEREb" in shown
    assert shown.startswith("…a")
    assert shown.endswith("b…")
    assert len(shown) == 62


def test_the_ends_of_a_text_are_shown_in_full_width():
    text = "a" * 100 + "b" * 100
    assert excerpt(text, 0, 1) == "a" * 60 + "…"
    assert excerpt(text, 199, 200) == "…" + "b" * 60


def test_invisible_characters_are_spelled_out():
    assert spell_out("a\u200bb\tc\x07d\u00a0e") == "a⟨U+200B⟩b⟨U+0009⟩c⟨U+0007⟩d⟨U+00A0⟩e"


def test_only_spaces_beside_spaces_are_spelled_out():
    assert spell_out("a b  c") == "a b ⟨U+0020⟩c"
