"""Products that share the work for their gradients equal those that do not."""

import contextlib

import pytest
import torch
from nmt.layers.shared_products import shared_products
from torch import Tensor
from torch.nn import functional as F


def parameter(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def loop(weights: dict[str, Tensor], first: Tensor, steps: int) -> Tensor:
    """A small recurrence in which every kind of product occurs, some of them twice."""
    state, seen = first, []
    for _ in range(steps):
        size = state.shape[1]
        projected = F.linear(state, weights["square"], weights["bias"])
        part = F.linear(state[:, : size // 2], weights["square"][:, : size // 2])
        batched = (projected.unsqueeze(1) @ weights["keys"].transpose(1, 2)).softmax(dim=-1)
        context = torch.bmm(batched, weights["keys"]).squeeze(1)
        state = torch.tanh(part + context + F.linear(context, weights["square"]))
        seen.append(state)
    return torch.stack(seen)


@pytest.mark.parametrize("seed", range(8))
def test_gradients_are_those_of_autograd(seed):
    torch.manual_seed(seed)
    rows, size, length, steps = torch.randint(1, 7, (4,)).tolist()
    size *= 2
    weights = {
        "square": parameter(size, size),
        "bias": parameter(size),
        "keys": parameter(rows, length, size),
    }
    first = parameter(rows, size)
    results = []
    for block in (contextlib.nullcontext(), shared_products()):
        with block:
            outputs = loop(weights, first, steps)
        results.append(
            (outputs, *torch.autograd.grad(outputs.square().sum(), [*weights.values(), first]))
        )

    for plain, shared in zip(*results, strict=True):
        torch.testing.assert_close(shared, plain, rtol=1e-12, atol=1e-12)


def test_two_biases_of_one_matrix_learn_apart():
    weight, one, other, inputs = parameter(3, 2), parameter(3), parameter(3), parameter(4, 2)
    with shared_products():
        outputs = F.linear(inputs, weight, one) + 2 * F.linear(inputs, weight, other)
    of_one, of_other = torch.autograd.grad(outputs.sum(), [one, other])

    assert of_one.tolist() == [4.0] * 3
    assert of_other.tolist() == [8.0] * 3


def test_a_matrix_that_lives_for_one_step_is_not_taken_for_the_next():
    """Freed and made anew at the same address, it is another matrix."""
    scales = [parameter(1) for _ in range(20)]
    inputs = parameter(1, 2, 3)
    with shared_products():
        total = sum((inputs @ scale.expand(1, 3, 2).contiguous()).sum() for scale in scales)
    gradients = torch.autograd.grad(total, scales)

    assert [float(gradient) for gradient in gradients] == pytest.approx(
        [2 * float(inputs.detach().sum())] * 20
    )


def test_what_does_not_learn_takes_the_plain_way():
    weight, inputs = parameter(3, 2), parameter(4, 2)
    with shared_products():
        assert "MmBackward" in type(F.linear(inputs, weight.detach()).grad_fn).__name__
        assert "Product" in type(F.linear(inputs, weight).grad_fn).__name__
        with torch.no_grad():
            assert F.linear(inputs, weight).grad_fn is None
    with torch.no_grad():
        assert isinstance(shared_products(), contextlib.nullcontext)


def test_products_follow_autocast():
    weight, inputs = torch.randn(3, 2, requires_grad=True), torch.randn(4, 2, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), shared_products():
        outputs = F.linear(inputs, weight)
    outputs.float().sum().backward()

    assert outputs.dtype == torch.bfloat16
    assert weight.grad is not None
    assert weight.grad.dtype == inputs.dtype == torch.float32
