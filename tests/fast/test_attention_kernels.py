"""Attention by compiled kernels equals the plain equations, gradients included."""

import contextlib
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from nmt.fast import attention
from nmt.fast.attention import FastDotAttention, attention_kernels
from nmt.fast.kernels import Kernels, kernels
from nmt.layers.attention import DotAttention

pytestmark = pytest.mark.skipif(kernels() is None, reason="there is no C++ compiler")

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}
EACH_TYPE = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
EACH_SEED = pytest.mark.parametrize("seed", range(8))


@dataclass(frozen=True)
class Inputs:
    """The inputs of attention."""

    query: Tensor
    keys: Tensor
    states: Tensor
    mask: Tensor
    temperature: float

    def to(self, dtype: torch.dtype) -> "Inputs":
        query, keys, states = (part.to(dtype) for part in (self.query, self.keys, self.states))
        return Inputs(query, keys, states, self.mask, self.temperature)

    def attend(self, kind: type[DotAttention]) -> tuple[Tensor, Tensor]:
        """Return contexts and weights."""
        layer = kind(1, 1, temperature=self.temperature)
        return layer.attend(self.query, self.keys, self.states, self.mask)


def random_inputs(seed: int, *, most_queries: int = 16) -> Inputs:
    """Draw shapes, lengths and numbers."""
    torch.manual_seed(seed)
    batch, length, key, memory = torch.randint(1, 12, (4,)).tolist()
    queries = int(torch.randint(1, most_queries + 1, ()))
    lengths = torch.randint(1, length + 1, (batch, 1))
    query = torch.randn(batch, queries, 16 * key)
    keys = torch.randn(batch, length, 16 * key) / (16 * key) ** 0.5
    states = torch.randn(batch, length, 16 * memory)
    return Inputs(query, keys, states, torch.arange(length) < lengths, 1.0 + seed % 3)


@torch.no_grad()
@EACH_TYPE
@EACH_SEED
def test_contexts_and_weights_equal_the_plain_equations(seed, dtype):
    inputs = random_inputs(seed).to(dtype)
    assert attention_kernels(inputs.query, inputs.keys, inputs.states) is not None
    contexts, weights = inputs.attend(FastDotAttention)
    plain_contexts, plain_weights = inputs.to(torch.float64).attend(DotAttention)

    assert contexts.dtype == dtype
    assert weights.dtype == torch.float32
    assert (weights[(~inputs.mask).unsqueeze(1).expand_as(weights)] == 0).all()
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(weights.double(), plain_weights, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(contexts.double(), plain_contexts, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def test_a_sentence_gets_the_same_bits_in_any_batch_with_any_padding():
    together = random_inputs(3)
    length = int(together.mask[-1].sum())
    alone = Inputs(
        together.query[-1:, :1],
        together.keys[-1:, :length],
        together.states[-1:, :length],
        together.mask[-1:, :length],
        together.temperature,
    )
    contexts, weights = together.attend(FastDotAttention)

    assert torch.equal(alone.attend(FastDotAttention)[0], contexts[-1:, :1])
    assert torch.equal(alone.attend(FastDotAttention)[1], weights[-1:, :1, :length])


def gradients(inputs: Inputs, kind: type[DotAttention], *, in_loop: bool) -> list[Tensor]:
    """Attend at three positions, with queries that depend on the contexts before them."""
    leaves = [part.clone().requires_grad_() for part in (inputs.query, inputs.keys, inputs.states)]
    query, keys, states = leaves
    layer = kind(1, 1, temperature=inputs.temperature)
    with layer.loop(keys, states) if in_loop else contextlib.nullcontext():
        total = torch.zeros((), dtype=torch.float64)
        asked = query
        for position in range(3):
            contexts, weights = layer.attend(asked, keys, states, inputs.mask)
            total = total + contexts.double().sin().sum() + weights.double().square().sum()
            asked = query * (1 + position) + contexts.mean(dim=-1, keepdim=True)
    return list(torch.autograd.grad(total, leaves))


def assert_plain_gradients(inputs: Inputs, *, in_loop: bool) -> None:
    found = gradients(inputs, FastDotAttention, in_loop=in_loop)
    plain = gradients(inputs.to(torch.float64), DotAttention, in_loop=False)
    for gradient, expected in zip(found, plain, strict=True):
        error = (gradient.double() - expected).norm() / expected.norm()
        assert error < TOLERANCE[gradient.dtype]


@EACH_TYPE
@EACH_SEED
@pytest.mark.parametrize("in_loop", [True, False])
def test_gradients_equal_those_of_the_plain_equations(seed, dtype, in_loop):
    assert_plain_gradients(random_inputs(seed, most_queries=2).to(dtype), in_loop=in_loop)


@pytest.mark.parametrize("in_loop", [True, False])
@pytest.mark.parametrize("why", ["size", "queries", "double"])
def test_unsupported_inputs_are_computed_by_matrix_products(why, in_loop, monkeypatch):
    monkeypatch.setattr(Kernels, "attend", None)
    inputs = random_inputs(0)
    match why:
        case "size":
            query, keys = (part[..., :-1].contiguous() for part in (inputs.query, inputs.keys))
            inputs = replace(inputs, query=query, keys=keys)
        case "queries":
            many = inputs.query[:, :1].repeat(1, attention._FEW_QUERIES + 1, 1)
            inputs = replace(inputs, query=many)
        case _:
            inputs = inputs.to(torch.float64)
    assert attention_kernels(inputs.query, inputs.keys, inputs.states) is None
    assert_plain_gradients(inputs, in_loop=in_loop)


def test_a_memory_without_gradient_can_be_attended_to_in_a_loop():
    inputs = random_inputs(5)
    query = inputs.query.clone().requires_grad_()
    layer = FastDotAttention(1, 1, temperature=inputs.temperature)
    with layer.loop(inputs.keys, inputs.states):
        contexts, _ = layer.attend(query, inputs.keys, inputs.states, inputs.mask)

    torch.testing.assert_close(contexts, inputs.attend(DotAttention)[0], rtol=1e-5, atol=1e-5)
    assert torch.autograd.grad(contexts.sum(), query)[0].isfinite().all()


def test_a_loop_ends_with_its_block_even_after_an_error():
    inputs, layer = random_inputs(5), FastDotAttention(1, 1)
    keys, states = (part.clone().requires_grad_() for part in (inputs.keys, inputs.states))
    with pytest.raises(KeyError), layer.loop(keys, states):
        raise KeyError
    found, _ = layer.attend(inputs.query, keys * 2, states, inputs.mask)
    plain, _ = DotAttention(1, 1).attend(inputs.query, keys * 2, states, inputs.mask)
    torch.testing.assert_close(found, plain)
