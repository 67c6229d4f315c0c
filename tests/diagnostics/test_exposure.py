"""What a model loses by reading its own output, with models whose probabilities are known."""

import json
import math

import pytest
import torch
from stub_scorers import TableScorer
from traced import batch_of, model_of

from nmt.diagnostics.exposure import (
    as_record,
    as_table,
    explain,
    in_ranges,
    is_looping,
    measure_exposure,
    most_steps,
)
from nmt.search.scorers import ModelScorer
from nmt.text.vocabulary import BOS, EOS

VOCAB = 9


def table_of(*sentences: dict[int, int]) -> TableScorer:
    """Return a scorer that goes from piece to piece as given, with probability 0.9.

    Sentence b of a batch must have b as its first source id.
    """
    table = torch.full((len(sentences), 1, VOCAB, VOCAB), 0.1 / (VOCAB - 1), dtype=torch.float64)
    for number, following in enumerate(sentences):
        for piece in range(VOCAB):
            table[number, 0, piece, following.get(piece, EOS)] = 0.9
    return TableScorer(table.log())


RIGHT, WRONG = -math.log(0.9), -math.log(0.1 / (VOCAB - 1))


def test_a_model_that_solves_its_task_has_a_gap_of_exactly_zero():
    scorer = table_of({BOS: 4, 4: 5, 5: 6, 6: EOS}, {BOS: 7, 7: EOS})
    found = measure_exposure(scorer, [batch_of(([0, EOS], [4, 5, 6, EOS]), ([1, EOS], [7, EOS]))])
    assert found.accuracy_gap == 0.0
    assert found.loss_gap == 0.0
    assert found.total.accuracy == (1.0, 1.0)
    assert found.total.loss == pytest.approx((RIGHT, RIGHT))
    assert (found.sentences, found.exact, found.after_deviation) == (2, 2, None)
    assert "There is no gap" in explain(found)


def test_both_ways_are_measured_position_by_position():
    """Where the model's own output has ended, nothing can be compared."""
    scorer = table_of({BOS: 4, 4: 8, 8: 6, 5: 6, 6: EOS})
    found = measure_exposure(scorer, [batch_of(([0, EOS], [4, 5, 6, 7, EOS]))])
    # own output: 4 8 6 </s>; reference: 4 5 6 7 </s>
    right = [(p.forced_right, p.free_right) for p in found.positions]
    assert right == [(1, 1), (0, 0), (1, 1), (0, 0), (1, 0)]
    assert [p.compared for p in found.positions] == [1, 1, 1, 1, 0]
    forced = [RIGHT, WRONG, RIGHT, WRONG]
    free = [RIGHT, WRONG, RIGHT, WRONG]
    assert [p.forced_loss for p in found.positions[:4]] == pytest.approx(forced)
    assert [p.free_loss for p in found.positions[:4]] == pytest.approx(free)
    assert math.isnan(found.positions[4].loss[0])
    after = found.after_deviation
    assert (after.pieces, after.forced_right, after.free_right) == (3, 2, 1)
    assert found.accuracy_gap == pytest.approx(1 / 5)


def test_an_error_at_the_start_costs_what_follows():
    """A chain of pieces is predicted from the one before; its own beginning is another chain."""
    scorer = table_of({BOS: 6, 6: 7, 7: 8, 8: EOS, 4: 5, 5: EOS})
    found = measure_exposure(scorer, [batch_of(([0, EOS], [4, 5, EOS]))])
    assert found.total.accuracy == pytest.approx((2 / 3, 0.0))
    assert found.loss_gap == pytest.approx((2 * WRONG - 2 * RIGHT) / 3)
    assert "Its own prefix costs 66.7 points of accuracy" in explain(found)
    assert "1 of 1 outputs deviate" in explain(found)


def test_a_batch_does_not_change_the_figures():
    model = model_of(input_feeding=True).eval()
    pairs = [([4, 5, 6, EOS], [7, 8, EOS]), ([9, EOS], [5, 8, 8, 7, EOS]), ([4, EOS], [6, EOS])]
    scorer = ModelScorer(model)
    together = measure_exposure(scorer, [batch_of(*pairs)])
    apart = measure_exposure(scorer, [batch_of(pair) for pair in pairs])
    assert together.total.free_right == apart.total.free_right
    assert together.loss_gap == pytest.approx(apart.loss_gap)
    assert (together.runaway, together.empty, together.exact, together.looping) == (
        apart.runaway,
        apart.empty,
        apart.exact,
        apart.looping,
    )


def test_empty_endless_and_circling_outputs_are_counted():
    scorer = table_of({BOS: EOS}, {BOS: 4, 4: 5, 5: 4}, {BOS: 4, 4: EOS})
    pairs = [([number, EOS], [4, EOS]) for number in range(3)]
    found = measure_exposure(scorer, [batch_of(*pairs)])
    assert (found.sentences, found.exact) == (3, 1)
    assert (found.empty, found.runaway, found.looping) == (1, 1, 1)
    assert found.stuck == 1  # it neither ends nor leaves its circle
    assert "1 are empty, 1 do not end and 1 run in circles" in explain(found)


def test_an_output_is_a_runaway_by_the_length_of_its_own_reference():
    """It would end, but after more than twice the length of its reference and ten pieces."""
    assert most_steps(2) == 14
    chain = {BOS: 4, **{piece: piece + 1 for piece in range(4, VOCAB - 1)}, VOCAB - 1: EOS}
    long = ([1, EOS], [4, 5, 6, 7, 8] * 3 + [EOS])
    found = measure_exposure(
        table_of({BOS: 4, 4: 4}, chain), [batch_of(([0, EOS], [4, EOS]), long)]
    )
    assert (found.runaway, found.looping) == (1, 1)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([5, 5, 5, 5], True),
        ([5, 5, 5], False),
        ([1, 4, 5, 4, 5, 4, 5, 4, 5, 9], True),
        ([4, 5, 4, 5, 4, 5], False),
        ([4, 5, 6, 7] * 4, True),
        ([4, 5, 6, 7, 8] * 4, False),
        ([], False),
    ],
)
def test_a_loop_is_a_part_that_follows_itself_four_times(pieces, expected):
    assert is_looping(pieces) is expected


def test_ranges_of_positions_cover_each_once():
    scorer = table_of({BOS: 4, 4: 5, 5: 4})
    found = measure_exposure(scorer, [batch_of(([0, EOS], [4, 5] * 5 + [EOS]))])
    ranges = in_ranges(found)
    assert [(part.first, part.last) for part in ranges] == [(1, 1), (2, 2), (3, 4), (5, 7), (8, 11)]
    assert sum(part.pieces for part in ranges) == found.total.pieces == 11
    assert [line.split()[0] for line in as_table(found).splitlines()] == [
        "position", "1", "2", "3-4", "5-7", "8-11", "all",
    ]  # fmt: skip


def test_figures_are_a_record():
    scorer = table_of({BOS: EOS})
    found = measure_exposure(scorer, [batch_of(([0, EOS], [4, EOS]))])
    record = json.loads(json.dumps(as_record(found), allow_nan=False))
    assert record["empty"] == 1
    assert record["positions"][0]["pieces"] == 1
    assert "after a deviation" in as_table(found)
