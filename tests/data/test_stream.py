"""Lines of a text are joined into sequences that carry a state from line to line."""

import numpy as np

from nmt.data.batch import make_batch
from nmt.data.corpus import EncodedPair
from nmt.data.stream import join_lines
from nmt.text.vocabulary import BOS, EOS

LINES = [EncodedPair([], [10 * n + k for k in range(1, 4)], "", f"line {n}") for n in range(1, 6)]


def test_consecutive_lines_are_joined_until_a_sequence_is_long_enough():
    joined = list(join_lines(LINES, 7))
    assert [line.target for line in joined] == [
        [11, 12, 13, EOS, 21, 22, 23],
        [31, 32, 33, EOS, 41, 42, 43],
        [51, 52, 53],
    ]
    assert [line.target_text for line in joined] == ["line 1 line 2", "line 3 line 4", "line 5"]


def test_every_piece_and_every_end_of_a_line_is_predicted_once():
    for least in range(1, 25):
        pieces = [*(piece for line in join_lines(LINES, least) for piece in [*line.target, EOS])]
        assert pieces == [piece for line in LINES for piece in [*line.target, EOS]]


def test_each_line_of_a_sequence_begins_with_the_begin_symbol():
    [line] = join_lines(LINES[:2], 100)
    batch = make_batch([(np.array([EOS]), np.array([*line.target, EOS]))], [0])
    assert batch.target_in.tolist() == [[BOS, 11, 12, 13, BOS, 21, 22, 23]]
    assert batch.target_out.tolist() == [[11, 12, 13, EOS, 21, 22, 23, EOS]]
