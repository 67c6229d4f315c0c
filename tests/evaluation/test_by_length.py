"""Scores by length: each line in exactly one group."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import DataError
from nmt.evaluation.by_length import as_table, score_by_length
from nmt.evaluation.metrics import score


@given(st.lists(st.integers(0, 80), min_size=1, max_size=30))
def test_every_line_is_in_one_group(lengths):
    lines = [" ".join("w" * length) for length in lengths]
    groups = score_by_length(lines, lines, ["exact"])
    assert sum(group.lines for group in groups) == len(lines)
    for group in groups:
        longest = group.longest or max(lengths)
        assert group.lines == sum(group.shortest <= length <= longest for length in lengths)


def test_a_group_scores_what_its_lines_score_alone():
    references = ["a b c", "a b c d e f g", "a b"]
    hypotheses = ["a b c", "a b c d e f x", "a x"]
    short, long = score_by_length(hypotheses, references, ["wer"], edges=[3])
    assert (short.name, long.name) == ("0-3", "4-")
    assert list(short.scores) == score([hypotheses[0], hypotheses[2]], ["a b c", "a b"], ["wer"])
    assert long.scores[0].value == pytest.approx(100 / 7)


def test_two_systems_are_scored_in_the_same_groups_with_their_difference():
    references = ["a b", "c d", "a b c d"]
    ours, theirs = ["a b", "x y", "a b c d"], ["x y", "x y", "a b c d"]
    groups = score_by_length(ours, references, ["exact"], edges=[3], against=theirs)
    assert [each.other_scores for each in groups] == [
        tuple(score(theirs[:2], references[:2], ["exact"])),
        tuple(score(theirs[2:], references[2:], ["exact"])),
    ]
    assert as_table(groups).splitlines() == [
        "reference words  lines   exact   other  difference",
        "0-3                  2   50.00    0.00      +50.00",
        "4-                   1  100.00  100.00       +0.00",
    ]
    with pytest.raises(DataError):
        score_by_length(ours, references, against=theirs[:2])


def test_lengths_can_be_taken_from_another_text():
    [group] = score_by_length(["a", "b"], ["a", "b"], measured=["w " * 35, "w " * 31])
    assert group.name == "31-40"


def test_text_without_spaces_is_measured_in_characters():
    [short, long] = score_by_length(
        ["我", "我有三个苹果"], ["我", "我有三个苹果"], ["exact"], edges=[3]
    )
    assert (short.lines, long.lines) == (1, 1)
    assert as_table([short, long]).splitlines()[0] == "reference characters  lines   exact"


def test_a_length_text_with_another_number_of_lines_is_refused():
    with pytest.raises(DataError, match="the text whose words are counted has 1 line"):
        score_by_length(["a", "b"], ["a", "b"], measured=["w"])


def test_the_table_is_aligned():
    groups = score_by_length(["a", "b c d e f g"], ["a", "b c d e f x"], ["exact", "wer"])
    assert as_table(groups).splitlines() == [
        "reference words  lines   exact    WER",
        "0-5                  1  100.00   0.00",
        "6-10                 1    0.00  16.67",
    ]
