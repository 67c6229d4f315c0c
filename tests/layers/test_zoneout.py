"""Zoneout keeps units by chance in training, and by their probability otherwise."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from nmt.config.model import ModelConfig
from nmt.layers.cells import GruCell, LstmCell, RnnCell, zero_state
from nmt.layers.clockwork import ClockworkCell
from nmt.layers.delays import DelaysCell
from nmt.layers.initialization import initialize_uniform
from nmt.layers.recurrent import RecurrentLayer, StackMasks, unroll_states
from nmt.layers.zoneout import Zoneout, zone_out
from nmt.models.build import build_model

CELLS = {
    "rnn": RnnCell,
    "gru": GruCell,
    "lstm": LstmCell,
    "delays": partial(DelaysCell, delays=[1, 2]),
    "clockwork": partial(ClockworkCell, periods=[1, 2]),
}
EACH_CELL = pytest.mark.parametrize("kind", CELLS)
MASK = torch.tensor([[True] * 5, [True, True, False, False, False]])
INPUTS = torch.randn(2, 5, 3, dtype=torch.float64)


def make_layer(kind: str, **rates: float) -> RecurrentLayer:
    """Return a layer of both directions with random weights and first states."""
    layer = RecurrentLayer(
        lambda: CELLS[kind](3, 4),
        bidirectional=True,
        learned_state=True,
        zoneout=Zoneout(**rates),
    ).double()
    initialize_uniform(layer, 0.5)
    torch.nn.init.uniform_(layer.initial_state, -0.5, 0.5)
    return layer


def random_state(cell: LstmCell, rows: int = 1) -> tuple[Tensor, ...]:
    return tuple(torch.randn(rows, cell.hidden_size, dtype=torch.float64) for _ in range(2))


@pytest.mark.parametrize("training", [True, False])
@EACH_CELL
def test_rates_of_0_are_the_plain_cell_bit_for_bit(kind, training):
    layer = make_layer(kind).train(training)
    plain = RecurrentLayer(lambda: CELLS[kind](3, 4), bidirectional=True, learned_state=True)
    plain.double().load_state_dict(layer.state_dict())
    before = torch.get_rng_state()
    assert torch.equal(layer(INPUTS, MASK).outputs, plain(INPUTS, MASK).outputs)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("training", [True, False])
@EACH_CELL
def test_rates_of_1_copy_the_state_to_the_end_in_both_directions(kind, training):
    layer = make_layer(kind, hidden=1.0, cell=1.0).train(training)
    outputs = layer(INPUTS, MASK).outputs
    first = layer.initial_state[:, 0].flatten()  # h of both directions, side by side
    assert torch.equal(outputs[MASK], first.expand(7, -1))
    assert (outputs[~MASK] == 0).all()


@EACH_CELL
def test_rates_of_1_have_the_identity_as_their_jacobian(kind):
    cell = make_layer(kind).cell
    count = cell.states

    def after_five_steps(flat: Tensor) -> Tensor:
        parts = flat.view(count, 1, 4)
        start = (*parts, *zero_state(cell, 1)[count:])
        states = unroll_states(cell, INPUTS[:1], start, zoneout=Zoneout(hidden=1.0, cell=1.0))
        return torch.cat(states[-1][:count], dim=0).flatten()

    found = jacobian(after_five_steps, torch.randn(4 * count, dtype=torch.float64))
    assert torch.equal(found, torch.eye(4 * count, dtype=torch.float64))


def test_a_step_of_evaluation_is_the_mean_over_all_masks_of_training():
    """Over all 2^4 masks of two hidden units and their cell states, weighted by probability."""
    cell, rates = LstmCell(3, 2).double(), (0.05, 0.5)
    initialize_uniform(cell, 1.0)
    before = random_state(cell)
    after = cell(cell.project(INPUTS[:1, 0]), before)
    mean = [torch.zeros(1, 2, dtype=torch.float64) for _ in range(2)]
    for bits in itertools.product([0.0, 1.0], repeat=4):
        mask = torch.tensor(bits, dtype=torch.float64).view(2, 1, 2)
        each = zip(bits, (rates[0], rates[0], rates[1], rates[1]), strict=True)
        weight = math.prod(rate if bit else 1.0 - rate for bit, rate in each)
        for total, part in zip(mean, zone_out(before, after, (*mask,)), strict=True):
            total += weight * part
    (found,) = unroll_states(
        cell.eval(), INPUTS[:1, :1], before, zoneout=Zoneout(hidden=rates[0], cell=rates[1])
    )
    torch.testing.assert_close(found, tuple(mean), rtol=0, atol=1e-12)


def test_the_output_of_an_lstm_reads_the_new_cell_state_before_zoneout():
    """h~ = o * tanh(c~), even where c keeps its previous value."""
    cell = LstmCell(3, 4).double().eval()
    initialize_uniform(cell, 1.0)
    before = random_state(cell)
    plain = cell(cell.project(INPUTS[:1, 0]), before)
    (found,) = unroll_states(cell, INPUTS[:1, :1], before, zoneout=Zoneout(cell=1.0))
    assert torch.equal(found[0], plain[0])
    assert torch.equal(found[1], before[1])


def test_units_are_drawn_one_by_one_at_each_step_with_their_rate():
    layer = RecurrentLayer(lambda: RnnCell(1, 200), zoneout=Zoneout(hidden=0.3)).double()
    initialize_uniform(layer, 0.5)
    outputs = layer(torch.randn(1, 60, 1, dtype=torch.float64), torch.ones(1, 60) == 1)
    states = torch.cat([torch.zeros(1, 200, dtype=torch.float64), outputs.outputs[0]])
    kept = states[1:] == states[:-1]  # [length, units]
    assert 0.25 < kept.double().mean().item() < 0.35
    assert kept.any(dim=0).all()
    assert not kept.all(dim=0).any()
    assert kept.any(dim=1).all()


def test_gradients_through_drawn_masks_equal_finite_differences():
    layer = make_layer("lstm", hidden=0.3, cell=0.5)

    def read(inputs: Tensor) -> Tensor:
        torch.manual_seed(7)
        outputs: Tensor = layer(inputs, MASK).outputs
        return outputs

    inputs = INPUTS.clone().requires_grad_()
    assert not torch.equal(read(inputs), make_layer("lstm")(inputs, MASK).outputs)
    assert torch.autograd.gradcheck(read, inputs, fast_mode=True)


def test_a_decoder_draws_for_each_target_position_and_search_takes_the_mean():
    config = {
        "embedding": {"size": 6},
        "encoder": {"hidden_size": 4},
        "decoder": {"hidden_size": 8, "layers": 2, "input_feeding": True},
        "dropout": {"zoneout_hidden": 0.5, "zoneout_cell": 0.5},
    }
    model = build_model(ModelConfig.model_validate(config), source_vocab=9, target_vocab=9)
    masks = model.decoder.stack.draw_masks(model.decoder.embedding.weight, 2, 3)
    assert [[d.shape for d in kept] for kept in masks.zoneout] == [[(2, 3, 8)] * 2] * 2
    assert torch.equal(masks.at(2).zoneout[1][0], masks.zoneout[1][0][:, 2])
    assert {*masks.zoneout[0][1].flatten().tolist()} == {0.0, 1.0}
    source, target_in = torch.tensor([[4, 5], [6, 7]]), torch.tensor([[2, 4, 5], [2, 6, 7]])
    memory = model.encode(source, source != 0)
    once, again = (model.decode(memory, target_in).features for _ in range(2))
    assert not torch.equal(once, again)
    steps = [model.step(target_in[:, 0], model.start(memory), memory) for _ in range(2)]
    assert torch.equal(steps[0].features, steps[1].features)
    assert model.eval().decoder.stack.draw_masks(memory.states, 2, 3) == StackMasks()


def test_zoneout_adds_no_weights_so_that_a_run_may_switch_it_on():
    names = []
    for rate in (0.0, 0.1):
        config = {"dropout": {"zoneout_hidden": rate, "zoneout_cell": rate}}
        model = build_model(ModelConfig.model_validate(config), source_vocab=9, target_vocab=9)
        names.append([(name, weight.shape) for name, weight in model.named_parameters()])
    assert names[0] == names[1]
