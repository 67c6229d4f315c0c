"""The compiled kernels as functions of tensors.

They take contiguous float32 or bfloat16 tensors on the CPU and check nothing: the caller must
check shapes and call `supports` first.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.fast.compiler import compile_kernels
from nmt.layers.regularization import PairWeights

WIDTH = 16
"""Floats in the widest vector (kWidth in vectors.h), and outputs in a block of int8 weights; the
hidden size of a cell must be a multiple of it."""

_FOUR = 4  # inputs multiplied by one instruction (kFour in products.cpp)
_SUFFIX = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
_LONG, _FLOAT, _ADDRESS = ctypes.c_long, ctypes.c_float, ctypes.c_void_p

Kind = Literal["lstm", "gru"]
"""Cells with kernels; the GRU resets after the product."""

_FORWARD = [_LONG, _LONG, _ADDRESS, _LONG, *[_ADDRESS] * 5]
_BACKWARD = [_LONG, _LONG, *[_ADDRESS] * 8]
_UNROLL_INT8 = [*[_LONG] * 3, _ADDRESS, _LONG, _LONG, *[_ADDRESS] * 5]
_SIGNATURES = {
    "lstm_forward": _FORWARD,
    "lstm_backward": _BACKWARD,
    "gru_forward": _FORWARD,
    "gru_backward": _BACKWARD,
    "lstm_unroll_int8": _UNROLL_INT8,
    "gru_unroll_int8": _UNROLL_INT8,
    "cross_entropy": [_LONG, _LONG, *[_ADDRESS] * 3, _FLOAT, *[_ADDRESS] * 2],
    "pair_losses": [_LONG, _LONG, *[_ADDRESS] * 3, *[_FLOAT] * 5, *[_ADDRESS] * 2],
    "sum_rows": [_LONG, _LONG, _ADDRESS, _ADDRESS],
    "log_sum_exp": [_LONG, _LONG, _ADDRESS, _ADDRESS],
    "best_continuations": [*[_LONG] * 3, *[_ADDRESS] * 3, _LONG, *[_ADDRESS] * 3],
    "to_bytes": [_LONG, _LONG, *[_ADDRESS] * 3],
    "scale_rows": [_LONG, _LONG, *[_ADDRESS] * 3],
    "attend": [*[_LONG] * 5, *[_ADDRESS] * 4, _FLOAT, *[_ADDRESS] * 2],
    "attend_backward": [*[_LONG] * 5, *[_ADDRESS] * 3, _FLOAT, *[_ADDRESS] * 4],
    "multiply_int8": [_LONG, _LONG, _ADDRESS, _LONG, _LONG, *[_ADDRESS] * 5],
}


@cache
def kernels() -> "Kernels | None":
    """Return the kernels, compiled if necessary; None if that is not possible."""
    library = compile_kernels()
    try:
        return None if library is None else Kernels(library)
    except OSError:
        return None


def supports(*tensors: Tensor) -> bool:
    """Whether the kernels support these tensors together: all on the CPU, of one supported type."""
    dtype = tensors[0].dtype
    for tensor in tensors:  # called many times per search step, so no generator expression
        if not tensor.is_cpu or tensor.dtype != dtype:
            return False
    return dtype in _SUFFIX


def sum_rows(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the sum over the rows of `values` [rows, columns] in a wider type, [columns]."""
    if dtype == torch.float32 and supports(values) and (native := kernels()) is not None:
        return native.sum_rows(values)
    return values.sum(dim=0, dtype=dtype)  # torch first copies `values` to that type


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


class Kernels:
    """The functions in a compiled library."""

    def __init__(self, library: Path) -> None:
        loaded = ctypes.CDLL(str(library))
        self._functions: dict[tuple[str, torch.dtype], Callable[..., None]] = {}
        for name, signature in _SIGNATURES.items():
            for dtype, suffix in _SUFFIX.items():
                if (function := getattr(loaded, f"{name}_{suffix}", None)) is not None:
                    function.argtypes, function.restype = signature, None
                    self._functions[name, dtype] = function
        self.multiplies_int8 = ("multiply_int8", torch.float32) in self._functions
        """Whether `multiply_int8` is available: it needs AVX-512-VNNI."""

    def forward(
        self,
        kind: Kind,
        projected: Tensor,
        recurrent: Tensor,
        before: Tensor,
        *,
        output: Tensor,
        after: Tensor,
        kept: Tensor | None,
    ) -> None:
        """Compute one time step of a cell.

        Args:
            kind: kind of cell.
            projected: input contribution to the pre-activations, contiguous within a row,
                [rows, gates * hidden].
            recurrent: recurrent contribution to the pre-activations, [rows, gates * hidden].
            before: cell state of an LSTM or hidden state of a GRU before the step, float32,
                [rows, hidden].
            output: receives the output, [rows, hidden].
            after: receives the state after the step, float32, [rows, hidden].
            kept: receives the values needed by `backward`, [rows, 4 * hidden]; None = not needed.
        """
        rows, hidden = before.shape
        self._functions[f"{kind}_forward", recurrent.dtype](
            rows,
            hidden,
            projected.data_ptr(),
            projected.stride(0),
            recurrent.data_ptr(),
            before.data_ptr(),
            output.data_ptr(),
            after.data_ptr(),
            _address(kept),
        )

    def backward(
        self,
        kind: Kind,
        kept: Tensor,
        before: Tensor,
        after: Tensor,
        grad_output: Tensor,
        grad_after: Tensor | None,
        *,
        grad_projected: Tensor,
        grad_recurrent: Tensor,
        grad_before: Tensor,
    ) -> None:
        """Compute the gradients of one time step of a cell.

        Args:
            kind: kind of cell.
            kept: as filled by `forward`.
            before: as passed to `forward`.
            after: as filled by `forward`.
            grad_output: gradient of the output, [rows, hidden].
            grad_after: gradient of `after`, float32, [rows, hidden]; None = 0.
            grad_projected: receives the gradient of `projected`, [rows, gates * hidden]; for an
                LSTM, where both contributions have the same gradient, pass `grad_recurrent` again.
            grad_recurrent: receives the gradient of `recurrent`, [rows, gates * hidden].
            grad_before: receives the gradient of `before`; may be the same tensor as `grad_after`.
        """
        rows, hidden = before.shape
        self._functions[f"{kind}_backward", kept.dtype](
            rows,
            hidden,
            kept.data_ptr(),
            before.data_ptr(),
            after.data_ptr(),
            grad_output.data_ptr(),
            _address(grad_after),
            grad_projected.data_ptr(),
            grad_recurrent.data_ptr(),
            grad_before.data_ptr(),
        )

    def attend(
        self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Return contexts [batch, queries, memory] and weights, float32, [batch, queries, src_len].

        Args:
            query: [batch, queries, key].
            keys: [batch, src_len, key].
            states: encoder states to average, [batch, src_len, memory].
            mask: True at real tokens, [batch, src_len].
            temperature: divides the scores.
        """
        sizes = (*query.shape[:2], *keys.shape[1:], states.shape[2])
        weights = torch.empty(*query.shape[:2], keys.shape[1])
        contexts = query.new_empty(*query.shape[:2], states.shape[2])
        self._functions["attend", query.dtype](
            *sizes,
            query.data_ptr(),
            keys.data_ptr(),
            states.data_ptr(),
            mask.data_ptr(),
            temperature,
            weights.data_ptr(),
            contexts.data_ptr(),
        )
        return contexts, weights

    def attend_backward(
        self,
        keys: Tensor,
        states: Tensor,
        weights: Tensor,
        temperature: float,
        grad_contexts: Tensor,
        grad_weights: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return gradients of the scores, float32, [batch, queries, src_len], and of the queries.

        Args:
            keys: as passed to `attend`.
            states: as passed to `attend`.
            weights: as returned by `attend`.
            temperature: as passed to `attend`.
            grad_contexts: gradient of the contexts, [batch, queries, memory].
            grad_weights: gradient of the weights, float32, or None.
        """
        batch, queries, length = weights.shape
        grad_scores = torch.empty_like(weights)
        grad_queries = keys.new_empty(batch, queries, keys.shape[2])
        self._functions["attend_backward", keys.dtype](
            batch,
            queries,
            length,
            keys.shape[2],
            states.shape[2],
            keys.data_ptr(),
            states.data_ptr(),
            weights.data_ptr(),
            temperature,
            grad_contexts.data_ptr(),
            _address(grad_weights),
            grad_scores.data_ptr(),
            grad_queries.data_ptr(),
        )
        return grad_scores, grad_queries

    def cross_entropy(
        self, scores: Tensor, bias: Tensor, gold: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Return the smoothed loss and the negative log-likelihood of each row, float32, [rows].

        Args:
            scores: logits without bias; overwritten by the gradient of the loss, [rows, vocab].
            bias: float32, [vocab].
            gold: reference ids, int64, [rows].
            smoothing: probability mass spread evenly over the vocabulary.
        """
        rows, vocab = scores.shape
        loss, nll = (torch.empty(rows) for _ in range(2))
        self._functions["cross_entropy", scores.dtype](
            rows,
            vocab,
            scores.data_ptr(),
            bias.data_ptr(),
            gold.data_ptr(),
            smoothing,
            loss.data_ptr(),
            nll.data_ptr(),
        )
        return loss, nll

    def pair_losses(
        self, scores: Tensor, bias: Tensor, gold: Tensor, smoothing: float, weights: PairWeights
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of two predictions, and the negative log-likelihood of the first, of each
        token, float32, [tokens].

        Args:
            scores: logits without bias of both predictions of the first token, of the second and so
                on; overwritten by the gradient of the loss, [2 * tokens, vocab].
            bias: float32, [vocab].
            gold: reference ids, int64, [tokens].
            smoothing: probability mass spread evenly over the vocabulary.
            weights: of the terms of the loss.
        """
        loss, nll = (torch.empty(len(gold)) for _ in range(2))
        self._functions["pair_losses", scores.dtype](
            len(gold),
            scores.shape[1],
            scores.data_ptr(),
            bias.data_ptr(),
            gold.data_ptr(),
            smoothing,
            weights.a,
            weights.b,
            weights.u,
            weights.v,
            loss.data_ptr(),
            nll.data_ptr(),
        )
        return loss, nll

    def sum_rows(self, values: Tensor) -> Tensor:
        """Return the sum over the rows of `values` [rows, columns], float32, [columns]."""
        rows, columns = values.shape
        sums = torch.empty(columns)
        self._functions["sum_rows", values.dtype](
            rows,
            columns,
            values.data_ptr(),
            sums.data_ptr(),
        )
        return sums

    def log_sum_exp(self, scores: Tensor) -> Tensor:
        """Return the log-sum-exp of each row, float32, [rows].

        Args:
            scores: [rows, vocab].
        """
        rows, vocab = scores.shape
        log_masses = torch.empty(rows)
        self._functions["log_sum_exp", scores.dtype](
            rows,
            vocab,
            scores.data_ptr(),
            log_masses.data_ptr(),
        )
        return log_masses

    def best_continuations(
        self, scores: Tensor, log_masses: Tensor, sums: Tensor, count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probability, parent and piece of each sentence's best, [sentences, count].

        Hypothesis k continued by piece j has the log-probability (scores - log_masses) + sums in
        float64, but candidates are compared in float32, relative to the sentence's first sum. Ties
        go to the lower k, then the lower j. NaN comes first; missing candidates are -inf.

        Args:
            scores: logits, [sentences * copies, vocab].
            log_masses: log-sum-exp of the logits, float32, [sentences * copies].
            sums: log-probabilities of the hypotheses, float64, [sentences, copies].
            count: number of continuations; keep it small, they are sorted by insertion.
        """
        sentences, copies = sums.shape
        log_probs = torch.empty(sentences, count, dtype=torch.float64)
        parents = torch.empty(sentences, count, dtype=torch.int64)
        pieces = torch.empty_like(parents)
        self._functions["best_continuations", scores.dtype](
            sentences,
            copies,
            scores.shape[1],
            scores.data_ptr(),
            log_masses.data_ptr(),
            sums.data_ptr(),
            count,
            log_probs.data_ptr(),
            parents.data_ptr(),
            pieces.data_ptr(),
        )
        return log_probs, parents, pieces

    def to_bytes(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Quantize `inputs` [rows, size] to uint8 around 128; also return the scales [rows]."""
        rows, size = inputs.shape
        as_bytes, scales = torch.empty(rows, size, dtype=torch.uint8), torch.empty(rows)
        self._functions["to_bytes", inputs.dtype](
            rows,
            size,
            inputs.data_ptr(),
            as_bytes.data_ptr(),
            scales.data_ptr(),
        )
        return as_bytes, scales

    def scale_rows(self, product: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        """Multiply each row of `product` [rows, outputs] by its scale, add `bias` [outputs]."""
        rows, outputs = product.shape
        self._functions["scale_rows", product.dtype](
            rows,
            outputs,
            product.data_ptr(),
            scales.data_ptr(),
            _address(bias),
        )

    def multiply_int8(
        self, inputs: Tensor, weights: "PackedWeights", bias: Tensor | None
    ) -> Tensor:
        """Quantize `inputs`, float32, [rows, size], multiply by `weights` and add `bias` [outputs].

        Returns:
            The product, float32, [rows, outputs].
        """
        rows, size = inputs.shape
        product = torch.empty(rows, weights.outputs)
        self._functions["multiply_int8", inputs.dtype](
            rows,
            size,
            inputs.data_ptr(),
            weights.outputs,
            weights.inputs,
            weights.values.data_ptr(),
            weights.scales.data_ptr(),
            weights.offsets.data_ptr(),
            _address(bias),
            product.data_ptr(),
        )
        return product

    def unroll_int8(
        self,
        kind: Kind,
        projected: Tensor,
        weights: "PackedWeights",
        *,
        outputs: Tensor,
        states: Tensor,
    ) -> None:
        """Compute all time steps of a cell in float32, with recurrent products in int8.

        Args:
            kind: kind of cell.
            projected: input contribution to the pre-activations,
                [positions, rows, gates * hidden].
            weights: recurrent weights, [gates * hidden, hidden].
            outputs: holds the output before the first position and receives all others,
                [1 + positions, rows, hidden].
            states: likewise for the cell state of an LSTM or hidden state of a GRU.
        """
        positions, rows, gates = projected.shape
        self._functions[f"{kind}_unroll_int8", projected.dtype](
            positions,
            rows,
            outputs.shape[2],
            projected.data_ptr(),
            gates,
            weights.inputs,
            weights.values.data_ptr(),
            weights.scales.data_ptr(),
            weights.offsets.data_ptr(),
            outputs.data_ptr(),
            states.data_ptr(),
        )


@dataclass(frozen=True)
class PackedWeights:
    """A matrix of 8-bit integers in the layout that `multiply_int8` reads."""

    outputs: int
    inputs: int
    """Number of inputs, padding included."""
    values: Tensor
    """int8, [blocks, size / 4, WIDTH, 4], padded with zeros."""
    scales: Tensor
    """float32, [blocks * WIDTH]."""
    offsets: Tensor
    """Initial value of each sum, which corrects for the inputs' zero point of 128: int32,
    [blocks * WIDTH]."""

    @classmethod
    def of(cls, whole: Tensor, scales: Tensor) -> "PackedWeights":
        """Pack `whole`, int8, [outputs, size], and the scale of each output, [outputs]."""
        outputs, size = whole.shape
        more_outputs, more_inputs = -outputs % WIDTH, -size % _FOUR
        padded = F.pad(whole, (0, more_inputs, 0, more_outputs))
        blocks = padded.view(-1, WIDTH, padded.shape[1] // _FOUR, _FOUR)
        return cls(
            outputs,
            padded.shape[1],
            blocks.transpose(1, 2).contiguous(),
            F.pad(scales, (0, more_outputs)),
            padded.sum(dim=1, dtype=torch.int32).mul_(-128),
        )
