"""Joining: of translated sentences, and of lines that were broken at a width."""

import pytest

from nmt.text.layout import margins, space_between, unwrap


def test_margins_are_the_white_space_around_a_line():
    assert margins("\t  a b \u3000") == ("\t  ", " \u3000")
    assert margins("  ") == ("  ", "")
    assert margins("") == ("", "")


@pytest.mark.parametrize(
    ("left", "right", "original", "expected"),
    [
        ("I come.", "He goes.", "", " "),  # from a script without spaces
        ("我来了。", "他走了。", " ", ""),
        ("我来了。", "Tom 走了。", " ", " "),
        ("ฉันมา", "เขาไป", " ", " "),
        ("One.", "Two.", "  ", "  "),
        ("One.", "Two.", "\t", "\t"),
    ],
)
def test_the_space_between_sentences_follows_the_target_script(left, right, original, expected):
    assert space_between(left, right, original) == expected


def test_paragraphs_of_broken_lines_are_joined_and_blank_lines_stay():
    lines = ["A cat", "ate a mouse.  ", "", "We were", "not here.", "", "", "End."]
    assert list(unwrap(lines)) == ["A cat ate a mouse.", "", "We were not here.", "", "", "End."]
    assert list(unwrap([])) == []
    assert list(unwrap(["one"])) == ["one"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a trans-", "lation of"], ["a translation of"]),
        (["the Jean-", "Paul Sartre"], ["the Jean- Paul Sartre"]),
        (["pages 3-", "4 of it"], ["pages 3- 4 of it"]),
        (["我有三个，", "苹果。"], ["我有三个，苹果。"]),
        (["나는 사과를", "먹었다."], ["나는 사과를 먹었다."]),
        (["- one", "  more", "- two"], ["- one more", "- two"]),
        (["1. one", "2. two"], ["1. one", "2. two"]),
        (["One", "two.", "   Three", "four."], ["One two.", "   Three four."]),
        (["   Three", "four."], ["   Three four."]),
    ],
)
def test_words_items_and_indented_paragraphs_are_told_apart(lines, expected):
    assert list(unwrap(lines)) == expected
