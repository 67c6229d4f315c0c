"""Spectra of recurrent weights, and what they prove."""

import json
import math
from functools import partial

import pytest
import torch
from traced import PAIRS, batch_of, model_of, total_loss

from nmt.diagnostics.spectrum import (
    Block,
    Spectrum,
    as_record,
    as_table,
    explain,
    gate_names,
    gate_slopes,
    largest_singular_value,
    spectra,
)
from nmt.diagnostics.trace import trace
from nmt.layers.initialization import scale_to_radius

GATED = [
    "gru",
    {"kind": "gru", "reset": "before"},
    "lstm",
    {"kind": "lstm", "forget_gate": False},
]
LONG = ([4, 5, 6, 7, 8, 9, 10, 3], [7, 8, 9, 10, 4, 5, 6, 3])


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
@pytest.mark.parametrize("radius", [0.5, 1.5])
def test_the_bound_is_never_violated(activation, radius):
    """|dh_t/dh_{t-l}| <= (gamma sigma)^l for every lag and sentence of an Elman layer."""
    cell = {"kind": "rnn", "activation": activation}
    model = model_of(encoder={"cell": cell}, cell=cell)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("recurrent.weight"):
                scale_to_radius(weight, radius)
    batch = batch_of(LONG, PAIRS[0])
    found = {each.name: each.blocks[0] for each in spectra(model, [batch], total_loss)}
    for walk in trace(model, batch, total_loss).walks:
        bound = found[walk.name].bound
        size = walk.cell.hidden_size
        for later in (len(walk.states) // 2, len(walk.states) - 1):
            rows = []  # of the Jacobians, one unit of the later state each
            for unit in range(size):
                start = torch.zeros_like(walk.states[later][0])
                start[:, unit] = 1.0
                starts = [(torch.zeros_like(start),)] * later + [(start,)]
                starts += [(torch.zeros_like(start),)] * (len(walk.states) - later - 1)
                at = torch.full((len(walk.lengths),), later)
                rows.append(torch.stack([part for (part,) in walk.carry(starts, at)], dim=1))
            jacobians = torch.stack(rows, dim=2)  # [batch, steps, later units, earlier units]
            for earlier in range(later):
                norms = torch.linalg.svdvals(jacobians[:, earlier])[:, 0]
                assert (norms <= bound ** (later - earlier) * (1 + 1e-9)).all()


@pytest.mark.parametrize("cell", [*GATED, "lnlstm"])
def test_slopes_are_those_of_the_gates_that_the_cell_computes(cell, monkeypatch):
    walk = trace(model_of(encoder={"cell": cell}), batch_of(*PAIRS), total_loss).walks[0]
    call = walk.calls[1]
    computed: list[torch.Tensor] = []

    def note(x, function, slope):
        computed.append(slope(function(x)))
        return function(x)

    for name, slope in (("sigmoid", lambda y: y * (1 - y)), ("tanh", lambda y: 1 - y * y)):
        function = getattr(torch, name)
        spy = partial(note, function=function, slope=slope)
        monkeypatch.setattr(torch, name, spy)
    walk.cell(call.projected, call.before)
    monkeypatch.undo()

    slopes = gate_slopes(walk.cell, call)
    assert tuple(slopes) == gate_names(walk.cell)
    for name, slope in slopes.items():
        assert any(torch.allclose(slope, each, atol=1e-14) for each in computed), name
    assert len({tuple(slope.flatten().tolist()) for slope in slopes.values()}) == len(slopes)


def test_the_slopes_of_an_elman_layer_give_its_jacobian():
    model = model_of(encoder={"cell": "rnn"})
    walk = trace(model, batch_of(*PAIRS), total_loss).walks[0]
    vector = torch.randn_like(walk.states[2][0])
    (back,) = walk.back(2, (vector,))
    expected = (vector * gate_slopes(walk.cell, walk.calls[2])["state"]) @ (
        walk.cell.recurrent.weight
    )
    torch.testing.assert_close(back, expected.detach(), rtol=0, atol=1e-14)


def test_the_jacobian_of_a_step_is_that_of_a_linear_layer():
    cell = {"kind": "rnn", "activation": "identity"}
    model = model_of(encoder={"cell": cell}, cell=cell)
    for each in spectra(model, [batch_of(*PAIRS)], total_loss):
        (block,) = each.blocks
        assert each.step_radius == pytest.approx(block.radius)
        assert each.step_sigma == pytest.approx(block.sigma) == pytest.approx(block.bound)
        assert block.slope == pytest.approx(1.0)
        assert block.saturated == 0.0


def test_a_radius_of_zero_does_not_make_gradients_vanish():
    """W = 1.8 [[1, -1], [1, -1]] has radius 0, and with slopes (1, 0.1) a step of radius 1.62."""
    weights = 1.8 * torch.tensor([[1.0, -1.0], [1.0, -1.0]], dtype=torch.float64)
    step = torch.diag(torch.tensor([1.0, 0.1], dtype=torch.float64)) @ weights
    assert torch.linalg.eigvals(weights).abs().max() < 1e-6
    assert torch.linalg.eigvals(step).abs().max() == pytest.approx(1.62)
    assert largest_singular_value(weights) == pytest.approx(3.6)


def test_saturated_units_are_counted():
    model = model_of(encoder={"cell": "rnn"})
    with torch.no_grad():
        model.encoder.stack.layers[0].cells[0].input.bias[:2] = 50.0  # two of four units
    (forward, backward, decoder) = spectra(model, [batch_of(*PAIRS)], total_loss)
    assert forward.blocks[0].saturated == pytest.approx(0.5)
    assert backward.blocks[0].saturated == 0.0
    assert [block.gate for block in decoder.blocks] == ["input", "forget", "candidate", "output"]
    assert "50% of the units of encoder 1 forward state are saturated" in explain([forward])


def elman(sigma: float, radius: float, factor: float, gamma: float = 1.0) -> Spectrum:
    block = Block("state", gamma, radius, sigma, 0.5, 0.0)
    return Spectrum("decoder 1", True, (block,), 1.0, 1.0, factor)


def test_the_words_tell_necessary_from_sufficient():
    assert (
        "gamma*sigma = 0.800 < 1, which is sufficient for gradients to vanish: l steps leave at "
        "most 0.800^l; measured is 0.500^l." in explain([elman(0.8, 0.7, 0.5)])
    )
    assert "sufficient for gradients to vanish" in explain([elman(3.2, 2.0, 0.5, gamma=0.25)])
    possible = explain([elman(1.5, 0.9, 0.5)])
    assert "necessary for gradients to explode, but not sufficient" in possible
    assert "gamma*rho = 0.900 < 1 does not prove that they vanish" in possible
    assert "gamma*rho = 1.100 >= 1 has not kept them from vanishing" in explain(
        [elman(1.5, 1.1, 0.5)]
    )
    assert explain([elman(1.5, 1.1, 1.05)]).endswith("measured is x 1.050 per step.")


def test_a_gated_cell_is_judged_by_its_whole_step():
    (*_, decoder) = spectra(model_of(cell="gru"), [batch_of(*PAIRS)], total_loss)
    said = explain([decoder])
    assert "no single block bounds a step: the Jacobian of a step has sigma" in said
    assert [block.gamma for block in decoder.blocks] == [0.25, 0.25, 1.0]


def test_other_cells_have_a_matrix_for_each_product_and_no_known_slopes():
    delays = {"kind": "delays", "delays": [1, 3]}
    clock = {"kind": "clockwork", "periods": [1, 2]}
    gated = {"cell": "gru", "input_attention": "softmax"}
    names = {"delay 1", "delay 3"}, {"state"}, {"reset", "update", "candidate"}
    for options, expected in zip(({"cell": delays}, {"cell": clock}, gated), names, strict=True):
        (*_, decoder) = spectra(model_of(**options), [batch_of(*PAIRS)], total_loss)
        assert {block.gate for block in decoder.blocks} == expected
        assert all(math.isnan(block.saturated) for block in decoder.blocks)
        assert not decoder.is_elman
        assert "no single block bounds a step" in explain([decoder])


def test_figures_are_rows_and_records():
    found = spectra(model_of(encoder={"cell": "rnn"}), [batch_of(*PAIRS)], total_loss)
    table = as_table(found).splitlines()
    assert [len(line.split()) for line in table[1:3]] == [13, 13]
    assert "encoder 1 forward state" in table[1]
    unknown = Spectrum(
        "x", False, (Block("a", 1.0, 1.0, 1.0, math.nan, math.nan),), *[math.nan] * 3
    )
    record = json.loads(json.dumps(as_record(unknown), allow_nan=False))
    assert record["step_sigma"] is None
    assert record["blocks"][0]["saturated"] is None
    assert record["blocks"][0]["bound"] == 1.0
    assert as_table([unknown]).splitlines()[1].split()[-2:] == ["-", "-"]
    assert "measured is x - per step" in explain([unknown])
