"""Gradients that are formed once for all steps of a loop equal those of autograd."""

import pytest
import torch
from torch import Tensor, nn

from nmt.fast.exchange import adopt
from nmt.fast.shared import SharedLinear, SharedMatrix, share_gradients


def make_layer(inputs: int, outputs: int, *, bias: bool = True) -> SharedLinear:
    return adopt(SharedLinear, nn.Linear(inputs, outputs, bias=bias))


class Loop(nn.Module):
    """A small recurrence in which every kind of product occurs, some of them twice."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.project, self.add = make_layer(size, size), make_layer(size, size, bias=False)
        self.double()

    def forward(self, state: Tensor, keys: Tensor, steps: int, *, is_shared: bool) -> Tensor:
        """Return all states [steps, rows, size] after `state` [rows, size]."""
        shared, seen = SharedMatrix(keys.mT), []
        for _ in range(steps):
            query = self.project(state).unsqueeze(1)  # [rows, 1, size]
            scores = shared.multiply(query) if is_shared else query @ keys.mT
            context = torch.bmm(scores.softmax(dim=-1), keys).squeeze(1)
            state = torch.tanh(self.add(state) + context + self.project(context))
            seen.append(state)
        return torch.stack(seen)


@pytest.mark.parametrize("seed", range(8))
def test_gradients_are_those_of_autograd(seed):
    torch.manual_seed(seed)
    rows, size, length, steps = torch.randint(1, 7, (4,)).tolist()
    loop = Loop(size)
    first = torch.randn(rows, size, dtype=torch.float64, requires_grad=True)
    keys = torch.randn(rows, length, size, dtype=torch.float64, requires_grad=True)
    wanted = [first, keys, *loop.parameters()]

    plain = loop(first, keys, steps, is_shared=False)
    with share_gradients(loop):
        shared = loop(first, keys, steps, is_shared=True)
    torch.testing.assert_close(shared, plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(shared.square().sum(), wanted),
        torch.autograd.grad(plain.square().sum(), wanted),
        rtol=1e-12,
        atol=1e-12,
    )


def test_layers_that_share_a_weight_have_separate_bias_gradients():
    one, other = make_layer(2, 3), make_layer(2, 3)
    other.weight = one.weight
    inputs = torch.randn(4, 2)
    with share_gradients(nn.ModuleList([one, other])):
        outputs = one(inputs) + 2 * other(inputs)
    outputs.sum().backward()

    assert one.bias.grad.tolist() == [4.0] * 3
    assert other.bias.grad.tolist() == [8.0] * 3
    torch.testing.assert_close(one.weight.grad, 3 * inputs.sum(dim=0).expand(3, -1))


def name_of(outputs: Tensor) -> str:
    return type(outputs.grad_fn).__name__


def test_gradients_are_shared_only_inside_the_block_and_only_if_needed():
    layer, inputs = make_layer(2, 3), torch.randn(4, 2)
    with share_gradients(layer):
        assert "Product" in name_of(layer(inputs))
        assert "Product" not in name_of(layer(inputs.unsqueeze(0)))
    assert "Product" not in name_of(layer(inputs))
    with torch.no_grad(), share_gradients(layer):
        assert layer(inputs).grad_fn is None
    with pytest.raises(KeyError), share_gradients(layer):
        raise KeyError
    assert "Product" not in name_of(layer(inputs))


def test_each_loop_reads_the_current_weights():
    layer, inputs = make_layer(2, 3, bias=False), torch.randn(4, 2)
    for _ in range(2):
        with torch.no_grad():
            layer.weight.normal_()
        with share_gradients(layer):
            torch.testing.assert_close(layer(inputs), inputs @ layer.weight.t())


def test_products_follow_autocast():
    layer, inputs = make_layer(2, 3), torch.randn(4, 2, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), share_gradients(layer):
        outputs = layer(inputs)
    outputs.float().sum().backward()

    assert outputs.dtype == torch.bfloat16
    gradients = inputs.grad, layer.weight.grad, layer.bias.grad
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    expected = layer.weight.sum(dim=0).expand(4, -1), inputs.sum(dim=0).expand(3, -1)
    torch.testing.assert_close(gradients, (*expected, torch.full((3,), 4.0)), rtol=0, atol=0.02)


def test_a_backward_pass_without_the_matrix_leaves_nothing_for_the_next():
    torch.manual_seed(1)
    loop = Loop(4)
    first = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    keys = torch.randn(3, 5, 4, dtype=torch.float64)
    with share_gradients(loop):
        total = loop(first, keys, 3, is_shared=False).square().sum()
    expected = torch.autograd.grad(total, [*loop.parameters()], retain_graph=True)

    torch.autograd.grad(total, first, retain_graph=True)
    found = torch.autograd.grad(total, [*loop.parameters()], retain_graph=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
