"""What the lectures claim about backpropagation through time, held exactly."""

import copy

import pytest
import torch
from torch import Tensor, nn

from nmt.laboratory.network import unroll_states
from nmt.laboratory.truncation import unroll_in_chunks
from nmt.layers.cells import Cell, GruCell, LstmCell, RnnCell, State, zero_state
from nmt.layers.initialization import initialize_uniform

CELLS = [RnnCell, GruCell, LstmCell]


def make(kind: type[Cell]) -> Cell:
    cell = kind(3, 4).double()
    initialize_uniform(cell, 0.8)
    return cell


def total_loss(states: list[State], output: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of V h_t, summed over all steps."""
    outputs = torch.stack([state[0] for state in states], dim=1) @ output.T
    return (outputs - targets).square().sum()


@pytest.fixture
def problem() -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and output weights V."""
    output = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    return torch.randn(2, 6, 3).double(), torch.randn(2, 6, 2).double(), output


@pytest.mark.parametrize("kind", CELLS)
def test_the_output_weights_need_no_past_but_recurrent_and_input_weights_do(kind, problem):
    """Without any gradient from step to step, dE/dV is the same, and dE/dW and dE/dU are not."""
    cell, (inputs, targets, output) = make(kind), problem
    parameters = [output, cell.recurrent.weight, cell.input.weight]
    full, cut = (
        torch.autograd.grad(total_loss(states, output, targets), parameters)
        for states in (unroll_states(cell, inputs), unroll_in_chunks(cell, inputs, 1))
    )

    torch.testing.assert_close(cut[0], full[0], rtol=0, atol=1e-12)
    for one, other in zip(cut[1:], full[1:], strict=True):
        assert (one - other).norm() > 0.01 * other.norm()


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("steps", [1, 4, 6])
def test_chunks_change_gradients_but_no_state(kind, steps):
    cell, inputs = make(kind), torch.randn(2, 6, 3).double()
    whole, chunked = unroll_states(cell, inputs), unroll_in_chunks(cell, inputs, steps)

    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-14)


def test_a_chunk_as_long_as_the_sequence_is_full_backpropagation(problem):
    cell, (inputs, targets, output) = make(LstmCell), problem
    full, chunked = (
        torch.autograd.grad(total_loss(states, output, targets), list(cell.parameters()))
        for states in (unroll_states(cell, inputs), unroll_in_chunks(cell, inputs, 6))
    )

    torch.testing.assert_close(chunked, full, rtol=0, atol=1e-12)


def test_the_gradient_of_chunks_is_the_sum_of_what_each_of_them_gives_alone(problem):
    cell, (inputs, targets, output) = make(GruCell), problem
    parameters = list(cell.parameters())
    chunked = torch.autograd.grad(
        total_loss(unroll_in_chunks(cell, inputs, 2), output, targets), parameters
    )
    states = unroll_states(cell, inputs)
    starts = [zero_state(cell, 2), *((states[t][0].detach(),) for t in (1, 3))]
    parts = [
        torch.autograd.grad(
            total_loss(
                unroll_states(cell, inputs[:, t : t + 2], start), output, targets[:, t : t + 2]
            ),
            parameters,
        )
        for t, start in zip((0, 2, 4), starts, strict=True)
    ]
    summed = tuple(torch.stack(gradients).sum(dim=0) for gradients in zip(*parts, strict=True))

    torch.testing.assert_close(chunked, summed, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_an_unrolled_network_is_a_deep_one_whose_copies_gradients_add(kind, problem):
    """A layer of its own for each step, with equal weights: the same outputs, and the sum."""
    cell, (inputs, targets, output) = make(kind), problem
    layers = nn.ModuleList([copy.deepcopy(cell) for _ in range(6)])
    state, deep = zero_state(cell, 2), []
    for layer, x in zip(layers, inputs.unbind(dim=1), strict=True):
        state = layer(layer.project(x), state)
        deep.append(state)
    tied = unroll_states(cell, inputs)
    torch.testing.assert_close(deep, tied, rtol=0, atol=1e-14)

    expected = torch.autograd.grad(total_loss(tied, output, targets), list(cell.parameters()))
    total_loss(deep, output, targets).backward()
    for name, gradient in zip(dict(cell.named_parameters()), expected, strict=True):
        copies = [layer.get_parameter(name).grad for layer in layers]
        torch.testing.assert_close(torch.stack(copies).sum(dim=0), gradient, rtol=0, atol=1e-12)


def test_the_same_parameters_read_sequences_of_any_length_and_anywhere():
    """What comes after does not matter, and neither does when the network starts to read."""
    cell, inputs = make(GruCell), torch.randn(1, 9, 3).double()
    longer, shorter = unroll_states(cell, inputs), unroll_states(cell, inputs[:, :4])
    late = unroll_states(cell, inputs[:, 5:], longer[4])

    torch.testing.assert_close(longer[:4], shorter, rtol=0, atol=1e-14)
    torch.testing.assert_close(longer[5:], late, rtol=0, atol=1e-14)


def test_what_stores_a_bit_forgets_its_gradient():
    """A unit with two stable states keeps a sign against noise, and for that very reason its
    derivative is below 1 (Bengio et al., 1994, theorem 1)."""
    cell = RnnCell(1, 1).double()
    with torch.no_grad():
        cell.recurrent.weight.fill_(2.0)
        cell.input.weight.fill_(1.0)
        cell.input.bias.zero_()
    bits = torch.tensor([[1.0], [-1.0]]).double().requires_grad_()
    noise = 0.2 * (2.0 * torch.rand(2, 100, 1).double() - 1.0)

    last = unroll_states(cell, noise, (bits,))[-1][0]
    assert torch.equal(last.sign(), bits.sign())
    (gradient,) = torch.autograd.grad(last.sum(), bits)
    assert gradient.abs().max() < 0.5**100


def test_teacher_forcing_cuts_the_path_through_outputs_and_lengthens_no_other():
    """h_t = tanh(U h_{t-1} + W y_{t-1}), y = V h: free, J = D (U + W V); forced, J = D U."""
    cell, output = make(RnnCell), torch.randn(3, 4).double()
    state = torch.randn(1, 4).double()

    def free(h: Tensor) -> Tensor:
        return cell(cell.project(h @ output.T), (h,))[0]

    def forced(h: Tensor) -> Tensor:
        return cell(cell.project(reference), (h,))[0]

    reference = state @ output.T  # the network is right, so both compute the same
    torch.testing.assert_close(free(state), forced(state), rtol=0, atol=0)
    slope = torch.diag(1.0 - free(state)[0].square())
    recurrent, read = cell.recurrent.weight, cell.input.weight
    for step, weights in ((free, recurrent + read @ output), (forced, recurrent)):
        jacobian = torch.autograd.functional.jacobian(step, state)[0, :, 0]
        torch.testing.assert_close(jacobian, slope @ weights, rtol=0, atol=1e-12)
