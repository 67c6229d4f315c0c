import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nmt.cli.lines_out import as_links
from nmt.diagnostics.alignment import (
    SpanLink,
    align_pieces,
    align_words,
    alignment_error_rate,
    parse_pharaoh,
)
from nmt.errors import DataError
from nmt.text.spans import PieceText


def test_a_target_word_is_linked_to_the_source_word_with_most_attention():
    # source: ▁a ▁b c </s>; target: ▁x y ▁z
    attention = torch.tensor(
        [
            [0.40, 0.25, 0.25, 0.10],  # more on the word "bc" than on "a", though split
            [0.30, 0.35, 0.25, 0.10],
            [0.06, 0.02, 0.02, 0.90],  # the end symbol is not a word
        ]
    )
    assert align_words(attention, [0, 1, 1], [0, 0, 1]) == [(1, 0), (0, 1)]


def test_a_word_without_a_piece_of_its_own_has_no_link():
    attention = torch.tensor([[0.1, 0.9], [0.9, 0.1]])
    assert align_words(attention, [0, 1], [0, 2]) == [(1, 0), (0, 2)]


def test_a_word_that_attends_to_no_word_clearly_can_be_left_out():
    attention = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.375, 0.5]])
    assert align_words(attention, [0, 1, 2], [0, 1], least=0.5) == [(0, 0), (2, 1)]
    assert align_words(attention, [0, 1, 2], [0, 1], least=0.6) == []
    assert align_words(attention, [0, 1, None], [0, 1], least=0.5) == [(0, 0)]
    assert align_words(attention, [0, 1], [0, 1], least=0.5) == [(0, 0)]


def test_a_target_piece_is_linked_to_the_source_piece_with_most_attention():
    """我 is spelled by three bytes; spaces have no link."""
    source = PieceText("a bc", [(0, 1), (1, 3), (3, 4)])
    target = PieceText("我 有", [(0, 1), (0, 1), (0, 1), (1, 2), (2, 3)])
    attention = torch.tensor(
        [[0, 0.2, 0.8], [0.9, 0, 0.1], [0.7, 0.3, 0], [1, 0, 0], [0.3, 0.4, 0.3]]
    )
    found = align_pieces(attention, source, target)
    assert found == [SpanLink((0, 1), (0, 1)), SpanLink((2, 3), (2, 3))]


def test_an_empty_side_has_no_links():
    assert align_words(torch.ones(2, 1), [], [0, 1]) == []
    assert align_words(torch.ones(0, 3), [0, 1], []) == []
    assert align_words(torch.ones(1, 3), [0, 1], [None]) == []


def test_pharaoh_format_round_trips():
    links = [(0, 0), (10, 1), (2, 3)]
    assert as_links(links) == "0-0 10-1 2-3"
    assert parse_pharaoh("0-0 10-1 2-3\n") == set(links)
    assert parse_pharaoh("") == set()
    with pytest.raises(DataError, match='"1:2" is not a link; an alignment looks like "0-0 1-2"'):
        parse_pharaoh("0-0 1:2")


@given(links=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))))
def test_any_links_round_trip_in_pharaoh_format(links):
    assert parse_pharaoh(as_links(links)) == set(links)


@given(line=st.one_of(st.text(), st.text("0123456789-² \n١"), st.just("1-" + "9" * 5000)))
def test_any_line_is_parsed_or_refused(line):
    try:
        links = parse_pharaoh(line)
    except DataError as error:
        said = str(error)
    else:
        assert parse_pharaoh(as_links(sorted(links))) == links
        return
    assert "is not a link; an alignment looks like" in said
    assert len(said) < 100


def test_alignment_error_rate_by_hand():
    found = [{(0, 0), (1, 1), (2, 2)}]
    sure, possible = [{(0, 0), (3, 3)}], [{(1, 1)}]
    # |A & S| = 1, |A & (P or S)| = 2, |A| + |S| = 5
    assert alignment_error_rate(found, sure, possible) == pytest.approx(1 - 3 / 5)
    assert alignment_error_rate(sure, sure, possible) == 0.0
    assert alignment_error_rate([], [], []) == 0.0


def test_alignment_error_rate_refuses_unequal_counts():
    with pytest.raises(
        DataError,
        match="2 alignments, 1 sure and 1 possible ones; "
        "there must be one line per sentence in each",
    ):
        alignment_error_rate([set(), set()], [set()], [set()])
