"""Recurrent layers and stacks over whole sentences."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.layers.cells import GruCell, LstmCell, RnnCell, zero_state
from nmt.layers.initialization import initialize_uniform
from nmt.layers.recurrent import RecurrentLayer, RecurrentStack, StackMasks, unroll_cell

CELLS = {
    "tanh": partial(RnnCell, activation="tanh"),
    "gru": GruCell,
    "lstm": LstmCell,
}
LENGTHS = [5, 2, 4]


def mask_of(lengths: list[int]) -> torch.Tensor:
    return torch.arange(max(lengths)).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)


def random_layer(kind: str, input_size: int, **options: object) -> RecurrentLayer:
    layer = RecurrentLayer(lambda: CELLS[kind](input_size, 4), **options).double()
    initialize_uniform(layer, 0.5)
    return layer


@pytest.mark.parametrize("kind", CELLS)
def test_a_sentence_has_the_same_states_alone_and_beside_longer_ones(kind):
    layer = random_layer(kind, 3, bidirectional=True)
    inputs = torch.randn(3, 5, 3, dtype=torch.float64)

    together = layer(inputs, mask_of(LENGTHS))
    for row, length in enumerate(LENGTHS):
        alone = layer(inputs[row : row + 1, :length], mask_of([length]))
        torch.testing.assert_close(together.outputs[row, :length], alone.outputs[0])
        torch.testing.assert_close(together.last[row], alone.last[0])
        assert (together.outputs[row, length:] == 0).all()


def test_bidirectional_lstm_equals_torchs_packed_one():
    layer = random_layer("lstm", 3, bidirectional=True)
    theirs = nn.LSTM(3, 4, batch_first=True, bidirectional=True).double()
    with torch.no_grad():
        for cell, suffix in zip(layer.cells, ("", "_reverse"), strict=True):
            getattr(theirs, f"weight_ih_l0{suffix}").copy_(cell.input.weight)
            getattr(theirs, f"weight_hh_l0{suffix}").copy_(cell.recurrent.weight)
            getattr(theirs, f"bias_ih_l0{suffix}").copy_(cell.input.bias)
            getattr(theirs, f"bias_hh_l0{suffix}").zero_()
    inputs = torch.randn(3, 5, 3, dtype=torch.float64)
    packed = pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False)
    outputs, (last, _) = theirs(packed)

    ours = layer(inputs, mask_of(LENGTHS))
    expected = pad_packed_sequence(outputs, batch_first=True)[0]
    torch.testing.assert_close(ours.outputs, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.last, torch.cat([*last], dim=-1), rtol=0, atol=1e-12)


def test_reversing_the_input_swaps_the_two_directions():
    layer = random_layer("gru", 3, bidirectional=True)
    layer.cells[1].load_state_dict(layer.cells[0].state_dict())
    inputs = torch.randn(1, 5, 3, dtype=torch.float64)

    forward, backward = layer(inputs, mask_of([5])).outputs.chunk(2, dim=-1)
    swapped = layer(inputs.flip(1), mask_of([5])).outputs.flip(1)
    torch.testing.assert_close(swapped, torch.cat([backward, forward], dim=-1))


@pytest.mark.parametrize("kind", CELLS)
def test_stack_with_identity_output_equals_torchs_stack(kind):
    stack = RecurrentStack(lambda size: random_layer(kind, size), 3, layers=2).double()
    theirs = {"tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind](
        3, 4, num_layers=2, batch_first=True
    ).double()
    with torch.no_grad():
        for index, layer in enumerate(stack.each_layer()):
            getattr(theirs, f"weight_ih_l{index}").copy_(layer.cell.input.weight)
            getattr(theirs, f"weight_hh_l{index}").copy_(layer.cell.recurrent.weight)
            getattr(theirs, f"bias_ih_l{index}").copy_(layer.cell.input.bias)
            getattr(theirs, f"bias_hh_l{index}").zero_()
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)

    ours = stack(inputs, mask_of([5, 5])).outputs
    torch.testing.assert_close(ours, theirs(inputs)[0], rtol=0, atol=1e-12)


def test_linear_output_maps_the_states_that_the_next_layer_reads():
    stack = RecurrentStack(
        lambda size: random_layer("tanh", size), 3, layers=1, linear_output=True
    ).double()
    inputs = torch.randn(1, 5, 3, dtype=torch.float64)
    states = stack.first(inputs, mask_of([5])).outputs

    torch.testing.assert_close(stack(inputs, mask_of([5])).outputs, stack.maps[0](states))


def test_residual_adds_a_layers_input_where_sizes_agree():
    stack = RecurrentStack(lambda size: random_layer("gru", size), 3, layers=2, residual=True)
    inputs, mask = torch.randn(1, 5, 3, dtype=torch.float64), mask_of([5])
    below = stack.each_layer()[0](inputs, mask).outputs  # 3 -> 4 values: nothing to add
    expected = below + stack.each_layer()[1](below, mask).outputs

    torch.testing.assert_close(stack(inputs, mask).outputs, expected)


@pytest.mark.parametrize("options", [{}, {"residual": True}, {"linear_output": True}])
def test_unrolling_a_stack_equals_a_loop_of_steps(options):
    stack = RecurrentStack(lambda size: random_layer("lstm", size), 3, layers=3, **options).double()
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    states = tuple(zero_state(layer.cell, 2) for layer in stack.each_layer())

    at_once = stack.unroll(inputs, states)
    for position in range(5):
        x = inputs[:, position]
        output, states = stack.step(x, stack.first.cell.project(x), states, StackMasks())
        torch.testing.assert_close(output, at_once[:, position])


def test_learned_state_collects_the_gradient_of_every_sentence():
    layer = random_layer("lstm", 3, learned_state=True)
    inputs = torch.randn(2, 4, 3, dtype=torch.float64)
    layer(inputs, mask_of([4, 4])).outputs.sum().backward()

    states = [torch.zeros(2, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    unroll_cell(layer.cell, inputs, (states[0], states[1])).sum().backward()
    expected = torch.stack([state.grad.sum(dim=0) for state in states])
    torch.testing.assert_close(layer.initial_state.grad[0], expected)


def test_learned_state_starts_at_zero_and_is_saved_with_the_weights():
    learned, zero = random_layer("gru", 3, learned_state=True), random_layer("gru", 3)
    zero.cells.load_state_dict(learned.cells.state_dict())
    inputs = torch.randn(2, 4, 3, dtype=torch.float64)
    mask = mask_of([4, 4])
    torch.testing.assert_close(learned(inputs, mask).outputs, zero(inputs, mask).outputs)

    nn.init.normal_(learned.initial_state)
    copy = random_layer("gru", 3, learned_state=True)
    copy.load_state_dict(learned.state_dict())
    assert torch.equal(copy(inputs, mask).outputs, learned(inputs, mask).outputs)


def test_recurrent_dropout_keeps_one_mask_for_a_whole_sentence():
    """With the weights of an identity RNN at 1, the states show the mask."""
    layer = RecurrentLayer(
        lambda: RnnCell(1, 50, activation="identity"), recurrent_dropout=0.5
    ).double()
    with torch.no_grad():
        layer.cell.recurrent.weight.copy_(torch.eye(50))
        layer.cell.input.weight.fill_(1.0)
    outputs = layer(torch.ones(1, 4, 1, dtype=torch.float64), mask_of([4])).outputs[0]

    kept = outputs[-1] == 1 + 2 + 4 + 8  # each step doubles what it keeps and adds 1
    assert set(outputs[-1].tolist()) == {1.0, 15.0}
    assert 5 < int(kept.sum()) < 45
    layer.eval()
    assert set(layer(torch.ones(1, 4, 1).double(), mask_of([4])).outputs[0, -1].tolist()) == {4.0}


def test_masks_of_a_stack_are_drawn_only_in_training_with_the_shapes_that_steps_need():
    """Between layers a mask per position, or one per sentence; in the recurrence one per layer."""
    stack = RecurrentStack(
        lambda size: RecurrentLayer(lambda: LstmCell(size, 4), recurrent_dropout=0.5),
        3,
        layers=3,
        dropout=0.5,
    )
    like = torch.zeros((), dtype=torch.float64)
    drawn = stack.draw_masks(like, 2, 5)
    assert [mask.shape for mask in drawn.between] == [(2, 5, 4)] * 2
    assert [mask.shape for mask in drawn.recurrent] == [(2, 4)] * 3
    assert {mask.dtype for mask in (*drawn.between, *drawn.recurrent)} == {torch.float64}
    assert torch.equal(drawn.at(3).between[1], drawn.between[1][:, 3])
    assert drawn.at(3).recurrent == drawn.recurrent

    stack.variational = True
    drawn = stack.draw_masks(like, 2, 5)
    assert [mask.shape for mask in drawn.between] == [(2, 1, 4)] * 2
    assert torch.equal(drawn.at(3).between[0], drawn.between[0][:, 0])
    assert stack.eval().draw_masks(like, 2, 5) == StackMasks()


def test_a_step_applies_its_masks_between_layers_and_in_the_recurrence():
    """Masks of ones change nothing; a mask of zeros hides what it covers."""
    stack = RecurrentStack(lambda size: random_layer("tanh", size), 3, layers=2).double()
    x = torch.randn(2, 3, dtype=torch.float64)
    states = tuple((torch.randn(2, 4, dtype=torch.float64),) for _ in range(2))
    ones, zeros = torch.ones(2, 4).double(), torch.zeros(2, 4).double()

    def step(between: torch.Tensor, recurrent: torch.Tensor) -> torch.Tensor:
        masks = StackMasks((between,), (recurrent, recurrent))
        return stack.step(x, stack.first.cell.project(x), states, masks)[0]

    bare = stack.step(x, stack.first.cell.project(x), states, StackMasks())[0]
    assert torch.equal(step(ones, ones), bare)
    upper = stack.each_layer()[1].cell
    expected = upper(upper.project(zeros), states[1], zeros)[0]
    torch.testing.assert_close(step(zeros, zeros), expected)
