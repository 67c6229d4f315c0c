"""Product attention by compiled kernels; gradients are computed once for all steps of a loop."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt.fast.kernels import WIDTH, Kernels, kernels, supports
from nmt.fast.shapes import multiply_batch
from nmt.fast.shared import SharedMatrix
from nmt.layers.attention import (
    DotAttention,
    GeneralAttention,
    ProductAttention,
    normalize_scores,
)

_FEW_QUERIES = 16  # with more, matrix products are worth their overhead


def attention_kernels(query: Tensor, keys: Tensor, states: Tensor) -> Kernels | None:
    """Return the kernels if `Kernels.attend` supports these tensors; else None."""
    is_few = query.shape[1] <= _FEW_QUERIES
    is_whole = keys.shape[2] % WIDTH == states.shape[2] % WIDTH == 0
    is_contiguous = keys.is_contiguous() and states.is_contiguous()
    fits = is_few and is_whole and is_contiguous and supports(query, keys, states)
    return kernels() if fits else None


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """Return `left` [batch, a, b] times `right` [batch, b, c], [batch, a, c]."""
    return multiply_batch(left, right) if torch.is_grad_enabled() else left @ right


class SharedMemory:
    """Keys and states of a batch, attended to at every step of a loop.

    Args:
        keys: [batch, src_len, key]; their gradient is computed once for all steps.
        states: [batch, src_len, enc]; likewise.
    """

    def __init__(self, keys: Tensor, states: Tensor) -> None:
        self.keys, self.states = SharedMatrix(keys.mT), SharedMatrix(states)

    def attend(self, query: Tensor, mask: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Return contexts [batch, queries, enc] and weights of `query` [batch, queries, key]."""
        query = query.to(self.keys.matrix.dtype)
        native = attention_kernels(query, self.keys.matrix.mT, self.states.matrix)
        if native is None:
            scores = self.keys.multiply(query)  # [batch, queries, src_len]
            scores = scores.float() if scores.dtype == torch.bfloat16 else scores
            weights = normalize_scores(scores, mask, temperature)
            return self.states.multiply(weights.to(query.dtype)), weights
        both: tuple[Tensor, Tensor] = _Attend.apply(  # type: ignore[no-untyped-call]
            query, self.keys.tap, self.states.tap, self, mask.contiguous(), temperature, native
        )
        return both


class FastProductAttention(ProductAttention):
    """Product attention by a kernel if no gradient is needed, or inside `loop`."""

    _shared: SharedMemory | None = None

    @contextlib.contextmanager
    def loop(self, keys: Tensor, states: Tensor) -> Iterator[None]:
        """Compute the gradients of `keys` and `states` once for all attention inside the block.

        Args:
            keys: [batch, src_len, key].
            states: [batch, src_len, enc].
        """
        if torch.is_grad_enabled() and keys.requires_grad and states.requires_grad:
            self._shared = SharedMemory(keys, states)
        try:
            yield
        finally:
            self._shared = None

    def attend(
        self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `ProductAttention`."""
        if self._shared is not None:
            return self._shared.attend(query, mask, self.temperature)
        native = None if torch.is_grad_enabled() else attention_kernels(query, keys, states)
        if native is not None:
            return native.attend(
                query.contiguous(), keys, states, mask.contiguous(), self.temperature
            )
        weights = self(query, keys, mask)
        return multiply(weights.to(states.dtype), states), weights

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """See `ProductAttention`; the softmax is float32 even if products are half precision."""
        scores = multiply(query, keys.transpose(1, 2))  # [batch, queries, src_len]
        scores = scores.float() if scores.dtype == torch.bfloat16 else scores
        return normalize_scores(scores, mask, self.temperature)


class FastDotAttention(FastProductAttention, DotAttention):
    """See `DotAttention`."""


class FastGeneralAttention(FastProductAttention, GeneralAttention):
    """See `GeneralAttention`."""


class _Attend(torch.autograd.Function):
    """Attention by a compiled kernel; its backward pass records the factors of dK and dS.

    With scores e = q K^T / temperature, weights w = softmax(e) and contexts c = w S, the gradients
    are dK = de^T q and dS = w^T dc.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        tap_keys: Tensor,
        tap_states: Tensor,
        memory: SharedMemory,
        mask: Tensor,
        temperature: float,
        native: Kernels,
    ) -> tuple[Tensor, Tensor]:
        query, keys, states = query.contiguous(), memory.keys.matrix.mT, memory.states.matrix
        contexts, weights = native.attend(query, keys, states, mask, temperature)
        ctx.save_for_backward(query, weights)
        ctx.memory, ctx.native, ctx.temperature = memory, native, temperature
        ctx.set_materialize_grads(False)
        return contexts, weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        query, weights = ctx.saved_tensors
        keys, states = ctx.memory.keys, ctx.memory.states
        grad_contexts, grad_weights = grad_outputs
        if grad_contexts is None:
            grad_contexts = query.new_zeros(*query.shape[:2], states.matrix.shape[2])
        grad_contexts = grad_contexts.contiguous()
        grad_scores, grad_query = ctx.native.attend_backward(
            keys.matrix.mT,
            states.matrix,
            weights,
            ctx.temperature,
            grad_contexts,
            None if grad_weights is None else grad_weights.contiguous(),
        )
        keys.record.note(query, grad_scores.to(query.dtype))
        states.record.note(weights.to(query.dtype), grad_contexts)
        tap = grad_contexts.new_zeros(())
        return grad_query, tap, tap, None, None, None, None
