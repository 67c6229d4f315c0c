"""Networks over trees and planes are those over lines where the tree or the plane is a line."""

import torch
from torch import Tensor

from nmt.laboratory.grid import GridRnn
from nmt.laboratory.network import unroll_states
from nmt.laboratory.tree import ChildSumTreeLstm, Tree
from nmt.layers.cells import LstmCell, RnnCell
from nmt.layers.initialization import initialize_uniform


def make_tree_lstm() -> ChildSumTreeLstm:
    network = ChildSumTreeLstm(LstmCell(3, 4).double())
    initialize_uniform(network, 0.8)
    return network


def vectors(count: int) -> list[Tensor]:
    return list(torch.randn(count, 2, 3, dtype=torch.float64))


def test_a_tree_lstm_on_a_chain_is_an_lstm():
    network, inputs = make_tree_lstm(), vectors(5)
    chain = Tree(inputs[0])
    for x in inputs[1:]:
        chain = Tree(x, [chain])
    states = unroll_states(network.cell, torch.stack(inputs, dim=1))

    for ours, theirs in zip(network(chain), states[-1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_gradients_of_a_tree_lstm_on_a_chain_are_those_of_an_lstm():
    network, inputs = make_tree_lstm(), vectors(3)
    chain = Tree(inputs[2], [Tree(inputs[1], [Tree(inputs[0])])])
    parameters = list(network.cell.parameters())
    last = unroll_states(network.cell, torch.stack(inputs, dim=1))[-1]
    ours = torch.autograd.grad(network(chain)[0].sum(), parameters)

    theirs = torch.autograd.grad(last[0].sum(), parameters)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_a_node_follows_its_equations():
    network, (x, left, right) = make_tree_lstm(), vectors(3)
    (h_1, c_1), (h_2, c_2) = network(Tree(left)), network(Tree(right))
    w, u = network.cell.input.weight.chunk(4), network.cell.recurrent.weight.chunk(4)
    b = network.cell.input.bias.chunk(4)

    def gate(index: int, h: Tensor) -> Tensor:
        return x @ w[index].T + h @ u[index].T + b[index]

    both = h_1 + h_2
    kept = torch.sigmoid(gate(1, h_1)) * c_1 + torch.sigmoid(gate(1, h_2)) * c_2
    c = kept + torch.sigmoid(gate(0, both)) * torch.tanh(gate(2, both))
    h = torch.sigmoid(gate(3, both)) * torch.tanh(c)

    ours = network(Tree(x, [Tree(left), Tree(right)]))
    torch.testing.assert_close(ours, (h, c), rtol=0, atol=1e-12)


def test_the_order_of_children_does_not_matter_but_their_level_does():
    network, (x, left, right) = make_tree_lstm(), vectors(3)
    one = network(Tree(x, [Tree(left), Tree(right)]))[0]
    swapped = network(Tree(x, [Tree(right), Tree(left)]))[0]
    nested = network(Tree(x, [Tree(left, [Tree(right)])]))[0]

    torch.testing.assert_close(one, swapped, rtol=0, atol=1e-12)
    assert (one - nested).abs().max() > 1e-3


def make_grid() -> GridRnn:
    grid = GridRnn(3, 4).double()
    initialize_uniform(grid, 0.5)
    return grid


def test_a_grid_of_one_row_is_an_elman_network():
    grid, cell = make_grid(), RnnCell(3, 4).double()
    with torch.no_grad():
        cell.recurrent.weight.copy_(grid.from_left.weight)
        cell.input.load_state_dict(grid.input.state_dict())
    inputs = torch.randn(2, 6, 3, dtype=torch.float64)
    states = torch.stack([state[0] for state in unroll_states(cell, inputs)], dim=1)

    torch.testing.assert_close(grid(inputs.unsqueeze(1)).squeeze(1), states, rtol=0, atol=1e-12)


def test_a_grid_turned_on_its_side_swaps_its_recurrent_weights():
    grid, turned = make_grid(), make_grid()
    turned.load_state_dict(grid.state_dict())
    turned.from_above, turned.from_left = grid.from_left, grid.from_above
    inputs = torch.randn(2, 3, 5, 3, dtype=torch.float64)

    expected = grid(inputs).transpose(1, 2)
    torch.testing.assert_close(turned(inputs.transpose(1, 2)), expected, rtol=0, atol=1e-12)


def test_a_state_sees_what_is_above_and_to_the_left_of_it():
    grid = make_grid()
    inputs = torch.randn(1, 4, 4, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(grid(inputs)[0, 1, 2].sum(), inputs)
    seen = gradient[0].abs().sum(dim=-1) > 0

    assert seen[:2, :3].all()
    assert seen.sum() == 6
