"""Traces, gradients and spectra of cells whose state is more than h and c, and of wrapped cells."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from traced import PAIRS, batch_of, model_of, total_loss

from nmt.diagnostics.gates import gates_of, watch_cells
from nmt.diagnostics.gradients import gradient_flow
from nmt.diagnostics.spectrum import as_table, explain, gate_names, gate_slopes, spectra
from nmt.diagnostics.trace import trace
from nmt.models.encoder_decoder import EncoderDecoder

KINDS: dict[str, dict[str, Any]] = {
    "delays": {"cell": {"kind": "delays", "delays": [1, 3]}},
    "clockwork": {"cell": {"kind": "clockwork", "periods": [1, 2]}},
    "lstm without forget gate": {"cell": {"kind": "lstm", "forget_gate": False}},
    "ssru": {"cell": "ssru"},
    "mingru": {"cell": "mingru"},
    "gated input": {"cell": "gru", "input_attention": "softmax"},
}
BLOCKS = {
    "delays": ("delay 1", "delay 3"),
    "clockwork": ("state",),
    "lstm without forget gate": ("input", "candidate", "output"),
}


def make(kind: str) -> EncoderDecoder:
    return model_of(encoder=KINDS[kind], **KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_of_all_steps_add_up_to_the_gradient_of_a_state(kind):
    """Sum over t of d+L/ds_t ds_t/ds_0 = dL/ds_0, for every part of the state."""
    walks = trace(make(kind), batch_of(*PAIRS), total_loss).walks
    assert [walk.name for walk in walks] == ["encoder 1 forward", "encoder 1 backward", "decoder 1"]
    for walk in walks:
        total = [torch.zeros_like(part) for part in walk.states[0]]
        for step in range(len(walk.states)):
            at = torch.full_like(walk.lengths, step)
            first = walk.carry(walk.immediate, at)[0]
            total = [part + more for part, more in zip(total, first, strict=True)]
        for found, expected in zip(total, walk.gradients[0], strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_the_gradient_of_a_state_with_delays_is_that_of_what_the_next_steps_read():
    """The earlier states that are part of a state are tensors of their own at each step."""
    walk = trace(make("delays"), batch_of(*PAIRS), total_loss).walks[0]
    before, after = walk.states[3], walk.states[4]
    assert all(torch.equal(a, b) for a, b in zip(after[1:], before[:-1], strict=True))
    start = tuple(torch.randn_like(part) for part in after)
    slope = 1 - after[0].square()
    w_1, w_3 = walk.cell.recurrent.weight.chunk(2, dim=1)
    moved = start[0] * slope
    expected: list[Tensor] = [moved @ w_1 + start[1], start[2], moved @ w_3]
    torch.testing.assert_close(walk.back(4, start), tuple(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_flows_and_spectra_are_finite_and_named(kind):
    model = make(kind)
    flows = gradient_flow(model, [batch_of(*PAIRS)], total_loss)
    assert all(0.0 < flow.factor < 5.0 for flow in flows)
    found = spectra(model, [batch_of(*PAIRS)], total_loss)
    assert len(found) == 3
    for each in found:
        assert math.isfinite(each.step_radius)
        assert each.step_radius <= each.step_sigma + 1e-9
        assert all(block.radius <= block.sigma + 1e-9 for block in each.blocks)
        assert kind not in BLOCKS or tuple(block.gate for block in each.blocks) == BLOCKS[kind]
    assert as_table(found)
    assert explain(found)


def test_a_clock_is_no_part_of_a_jacobian():
    """Its counter would have an eigenvalue of 1 of its own: here no other is above 0."""
    model = model_of(encoder={"cell": "clockwork"}, cell={"kind": "clockwork", "periods": [1]})
    with torch.no_grad():
        model.decoder.stack.first.cell.recurrent.weight.zero_()
    *_, decoder = spectra(model, [batch_of(*PAIRS)], total_loss)
    assert decoder.name == "decoder 1"
    assert decoder.step_radius == decoder.step_sigma == 0.0


def test_the_gates_of_an_lstm_without_forget_gate_are_three():
    walk = trace(make("lstm without forget gate"), batch_of(*PAIRS), total_loss).walks[0]
    call = walk.calls[1]
    gates = gates_of(walk.cell, call.projected, call.before)
    assert [*gates] == ["input gate", "output gate"]
    slopes = gate_slopes(walk.cell, call)
    assert tuple(slopes) == gate_names(walk.cell)
    torch.testing.assert_close(slopes["output"], gates["output gate"] * (1 - gates["output gate"]))


@pytest.mark.parametrize("kind", ["delays", "clockwork", "gated input"])
def test_only_h_has_a_norm_to_show_where_there_is_no_c(kind):
    model = make(kind).eval()
    with watch_cells(model) as seen:
        total_loss(model, batch_of(PAIRS[0]))
    assert len(seen) == 3
    assert all([*steps.norms] == ["norm of h"] for steps in seen.values())
