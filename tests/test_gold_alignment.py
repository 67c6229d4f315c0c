"""Alignments against those by hand."""

import pytest

from nmt.diagnostics.attention import AttentionMatrix
from nmt.diagnostics.gold import (
    GoldLinks,
    align_tokens,
    along_the_diagonal,
    parse_gold,
    read_gold,
    score_links,
)
from nmt.errors import DataError


def test_sure_and_possible_links_are_told_apart():
    assert parse_gold("0-0 1p2 10-1 3?4\n") == GoldLinks({(0, 0), (10, 1)}, {(1, 2), (3, 4)})
    assert parse_gold("") == GoldLinks(set(), set())


@pytest.mark.parametrize("wrong", ["1:2", "p2", "1p", "1p2p3", "1-2p", "1p" + "9" * 5000])
def test_a_field_that_is_no_link_is_named(wrong):
    with pytest.raises(DataError, match=r'^gold:2: ".*" is not a link; an alignment looks like'):
        read_gold(["0-0", f"0-0 {wrong}"], [("a", "b"), ("a", "b")], "gold")


def test_scores_by_hand():
    found = [{(0, 0), (1, 1), (2, 2)}, set()]
    gold = [GoldLinks({(0, 0), (3, 3)}, {(0, 0), (1, 1)}), GoldLinks({(0, 0)}, set())]
    score = score_links(found, gold)
    # |A & S| = 1, |A & P| = 2, |A| = 3, |S| = 3
    assert score.error_rate == pytest.approx(1 - 3 / 6)
    assert (score.precision, score.recall) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (score.found, score.sure, score.possible) == (3, 3, 1)


def test_nothing_to_find_and_nothing_found_is_perfect():
    score = score_links([set()], [GoldLinks(set(), set())])
    assert (score.error_rate, score.precision, score.recall) == (0.0, 1.0, 1.0)


def test_another_number_of_lines_is_refused():
    with pytest.raises(
        DataError, match=r"gold: has 1 line, but there are 2 pairs of sentences; give the links"
    ):
        read_gold(["0-0"], [("a", "b"), ("c", "d")], "gold")


@pytest.mark.parametrize(
    ("line", "advice"),
    [("2-0", "the sides were swapped"), ("5-5", "for other texts"), ("0p9", "for other texts")],
)
def test_a_link_to_a_word_that_is_not_there_is_refused(line, advice):
    pair = ("two words", "und drei worte")
    with pytest.raises(DataError) as raised:
        read_gold([line], [pair], "gold")
    said = str(raised.value)
    assert said.startswith(f"gold:1: links {line.replace('p', '-')}, but there are 2 source and 3")
    assert " target words, counted from 0; " in said
    assert f"{advice}, or counts from 1: give a file with source-target, from 0." in said


def test_parts_of_a_word_between_spaces_count_as_one():
    words = AttentionMatrix(
        ("我", "有", "猫", "</s>"),
        ("I", "have", "it"),
        ((0.6, 0.1, 0.3, 0.0), (0.3, 0.3, 0.4, 0.0), (0.1, 0.1, 0.2, 0.6)),
    )
    assert align_tokens(words, "我有 猫", "I have it") == [(0, 0), (0, 1), (0, 2)]
    swapped = AttentionMatrix(("I", "</s>"), ("我", "有", "猫"), ((1.0, 0.0),) * 3)
    assert align_tokens(swapped, "I", "我有 猫") == [(0, 0), (0, 1)]


def test_a_word_that_is_written_like_the_end_symbol_is_a_word():
    words = AttentionMatrix(("</s>", "a", "</s>"), ("x",), ((0.5, 0.4, 0.1),))
    assert align_tokens(words, "</s> a", "x") in ([(0, 0)], [(1, 0)])
    empty = AttentionMatrix((), (), ())
    assert align_tokens(empty, "", "") == []


def test_the_diagonal_links_words_at_the_same_share_of_their_sentence():
    assert along_the_diagonal("a b c", "x y z") == {(0, 0), (1, 1), (2, 2)}
    assert along_the_diagonal("a b", "w x y z") == {(0, 0), (0, 1), (1, 2), (1, 3)}
    assert along_the_diagonal("a b c d", "x y") == {(1, 0), (3, 1)}
    assert along_the_diagonal("", "x") == along_the_diagonal("a", "") == set()
