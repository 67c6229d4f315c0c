"""Attention by compiled kernels equals attention as the paper writes it, gradients included."""

import contextlib

import pytest
import torch
from nmt.layers.shared_products import shared_products
from nmt.fast.kernels import kernels
from torch import Tensor

from nmt.layers import attention
from nmt.layers.attention import GeneralAttention, attend, attend_plainly, attention_kernels

pytestmark = pytest.mark.skipif(kernels() is None, reason="there is no C++ compiler")

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, float]


def random_inputs(seed: int, dtype: torch.dtype, *, most_queries: int = 16) -> Inputs:
    """Draw shapes, lengths and numbers."""
    torch.manual_seed(seed)
    batch, length, key, memory = torch.randint(1, 12, (4,)).tolist()
    queries = int(torch.randint(1, most_queries + 1, ()))
    lengths = torch.randint(1, length + 1, (batch, 1))
    query = torch.randn(batch, queries, 16 * key).to(dtype)
    keys = (torch.randn(batch, length, 16 * key) / (16 * key) ** 0.5).to(dtype)
    states = torch.randn(batch, length, 16 * memory).to(dtype)
    return query, keys, states, torch.arange(length) < lengths, 1.0 + seed % 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seed", range(8))
def test_contexts_and_weights_are_those_of_the_plain_path(seed, dtype):
    query, keys, states, mask, temperature = random_inputs(seed, dtype)
    assert attention_kernels(query, keys, states) is not None

    with torch.no_grad():
        contexts, weights = attend(query, keys, states, mask, temperature)
    wide = (part.double() for part in (query, keys, states))
    plain_contexts, plain_weights = attend_plainly(*wide, mask, temperature)

    assert contexts.dtype == dtype
    assert weights.dtype == torch.float32
    assert (weights[(~mask).unsqueeze(1).expand_as(weights)] == 0).all()
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(weights.double(), plain_weights, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(contexts.double(), plain_contexts, **tolerance)


def test_a_sentence_is_the_same_bits_in_any_batch_and_padding():
    query, keys, states, mask, _ = random_inputs(3, torch.float32)
    length = int(mask[-1].sum())
    with torch.no_grad():
        together = attend(query, keys, states, mask, 1.0)
        short = (keys[-1:, :length], states[-1:, :length], mask[-1:, :length])
        alone = attend(query[-1:, :1], *short, 1.0)

    assert torch.equal(alone[0], together[0][-1:, :1])
    assert torch.equal(alone[1], together[1][-1:, :1, :length])


def gradients(inputs: Inputs, block: contextlib.AbstractContextManager[object]) -> list[Tensor]:
    """Attend at three positions, with queries that depend on the contexts before them."""
    query, keys, states, mask, temperature = inputs
    leaves = [part.clone().requires_grad_() for part in (query, keys, states)]
    with block:
        total = torch.zeros((), dtype=torch.float64)
        asked = leaves[0]
        for position in range(3):
            contexts, weights = attend(asked, leaves[1], leaves[2], mask, temperature)
            total = total + contexts.double().sin().sum() + weights.double().square().sum()
            asked = leaves[0] * (1 + position) + contexts.mean(dim=-1, keepdim=True)
    return list(torch.autograd.grad(total, leaves))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seed", range(8))
def test_gradients_in_a_loop_are_those_of_autograd(seed, dtype):
    inputs = random_inputs(seed, dtype, most_queries=2)
    wide = (*(part.double() for part in inputs[:3]), *inputs[3:])

    plain = gradients(wide, contextlib.nullcontext())
    fast = gradients(inputs, shared_products())

    for found, expected in zip(fast, plain, strict=True):
        error = (found.double() - expected).norm() / expected.norm()
        assert error < TOLERANCE[dtype]


def test_the_kernel_is_taken_in_a_loop_that_learns(monkeypatch):
    taken = []
    native = kernels()
    backward = native.attend_backward
    monkeypatch.setattr(native, "attend_backward", lambda *a: taken.append(a) or backward(*a))

    gradients(random_inputs(1, torch.float32), shared_products())

    assert len(taken) == 3


@pytest.mark.parametrize("why", ["size", "queries", "double"])
def test_what_does_not_fit_takes_the_plain_path(why, monkeypatch):
    query, keys, states, mask, temperature = random_inputs(0, torch.float32)
    match why:
        case "size":
            query, keys = query[..., :-1].contiguous(), keys[..., :-1].contiguous()
        case "queries":
            query = query[:, :1].repeat(1, attention._FEW_QUERIES + 1, 1)
        case _:
            query, keys, states = query.double(), keys.double(), states.double()
    assert attention_kernels(query, keys, states) is None

    inputs = (query, keys, states, mask, temperature)
    for shared, plain in zip(
        gradients(inputs, shared_products()),
        gradients(inputs, contextlib.nullcontext()),
        strict=True,
    ):
        torch.testing.assert_close(shared, plain, rtol=1e-5, atol=1e-5)


def test_a_memory_that_does_not_learn_is_attended_to_in_a_loop_as_well():
    query, keys, states, mask, temperature = random_inputs(5, torch.float32)
    learns = query.clone().requires_grad_()
    with shared_products():
        contexts, _ = attend(learns, keys, states, mask, temperature)
    expected = attend_plainly(query, keys, states, mask, temperature)[0]

    torch.testing.assert_close(contexts, expected, rtol=1e-5, atol=1e-5)
    assert torch.autograd.grad(contexts.sum(), learns)[0].isfinite().all()


def test_an_attention_layer_attends_with_its_own_weights():
    torch.manual_seed(0)
    layer, memory = GeneralAttention(16, 32, temperature=2.0), torch.randn(3, 5, 32)
    query, mask = torch.randn(3, 2, 16), torch.ones(3, 5, dtype=torch.bool)
    with torch.no_grad():
        keys = layer.keys(memory)
        contexts, weights = layer.attend(query, keys, memory, mask)
        expected = layer(query, keys, mask)

    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(contexts, expected @ memory)
