"""The compiled kernels as functions of tensors.

They take contiguous tensors on the CPU, of float32 or bfloat16, and check nothing: who calls them
knows the shapes, and asks `knows` first.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.native.compiler import compile_kernels

WIDTH = 16
"""Numbers of a vector (kWidth in vectors.h); the hidden size of a cell must be a multiple."""

_FOUR = 4  # inputs that an instruction multiplies at once (kFour in products.cpp)
_SUFFIX = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
_LONG, _FLOAT, _ADDRESS = ctypes.c_long, ctypes.c_float, ctypes.c_void_p

Kind = Literal["lstm", "gru"]
"""Cells that there are kernels for; the GRU resets after the product."""

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
    "sum_rows": [_LONG, _LONG, _ADDRESS, _ADDRESS],
    "log_sum_exp": [_LONG, _LONG, _ADDRESS, _ADDRESS],
    "best_continuations": [*[_LONG] * 3, *[_ADDRESS] * 3, _LONG, _ADDRESS, _LONG, *[_ADDRESS] * 3],
    "to_bytes": [_LONG, _LONG, *[_ADDRESS] * 3],
    "scale_rows": [_LONG, _LONG, *[_ADDRESS] * 3],
    "attend": [*[_LONG] * 5, *[_ADDRESS] * 4, _FLOAT, *[_ADDRESS] * 2],
    "attend_backward": [*[_LONG] * 5, *[_ADDRESS] * 3, _FLOAT, *[_ADDRESS] * 4],
    "multiply_int8": [_LONG, _LONG, _ADDRESS, _LONG, _LONG, *[_ADDRESS] * 5],
}


@cache
def kernels() -> "Kernels | None":
    """Return the kernels, compiled if need be; None where that cannot be done."""
    library = compile_kernels()
    try:
        return None if library is None else Kernels(library)
    except OSError:
        return None


def knows(*tensors: Tensor) -> bool:
    """Say whether the kernels take these tensors together: one known type, on the CPU."""
    dtype = tensors[0].dtype
    for tensor in tensors:  # asked many times in each step of a search: no generator
        if not tensor.is_cpu or tensor.dtype != dtype:
            return False
    return dtype in _SUFFIX


class Kernels:
    """The functions of a compiled library."""

    def __init__(self, library: Path) -> None:
        loaded = ctypes.CDLL(str(library))
        self._functions: dict[tuple[str, torch.dtype], Callable[..., None]] = {}
        for name, signature in _SIGNATURES.items():
            for dtype, suffix in _SUFFIX.items():
                if (function := getattr(loaded, f"{name}_{suffix}", None)) is not None:
                    function.argtypes, function.restype = signature, None
                    self._functions[name, dtype] = function

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
        """Make a step of a cell.

        Args:
            kind: of the cell.
            projected: the input's share of the gates, contiguous within a row,
                [rows, gates * hidden].
            recurrent: the share of the last output, [rows, gates * hidden].
            before: the cell of an LSTM, the state of a GRU, float32, [rows, hidden].
            output: is filled, [rows, hidden].
            after: is filled with what `before` becomes, float32, [rows, hidden].
            kept: is filled with what `backward` needs, [rows, 4 * hidden].
        """
        rows, hidden = before.shape
        self._functions[f"{kind}_forward", recurrent.dtype](
            *(rows, hidden, projected.data_ptr(), projected.stride(0), recurrent.data_ptr()),
            *(before.data_ptr(), output.data_ptr(), after.data_ptr(), _address(kept)),
        )

    def backward(
        self,
        kind: Kind,
        kept: Tensor,
        before: Tensor,
        after: Tensor,
        of_output: Tensor,
        of_after: Tensor | None,
        *,
        of_projected: Tensor,
        of_recurrent: Tensor,
        of_before: Tensor,
    ) -> None:
        """Form the gradients of a step of a cell.

        Args:
            kind: of the cell.
            kept: by `forward`.
            before: of `forward`.
            after: of `forward`.
            of_output: gradient of the output, [rows, hidden].
            of_after: gradient of `after`, float32, [rows, hidden]; None = 0.
            of_projected: is filled; must be `of_recurrent` itself for an LSTM, whose shares have
                the same gradient, [rows, gates * hidden].
            of_recurrent: is filled, [rows, gates * hidden].
            of_before: is filled; may be `of_after` itself.
        """
        rows, hidden = before.shape
        self._functions[f"{kind}_backward", kept.dtype](
            *(rows, hidden, kept.data_ptr(), before.data_ptr(), after.data_ptr()),
            *(of_output.data_ptr(), _address(of_after), of_projected.data_ptr()),
            *(of_recurrent.data_ptr(), of_before.data_ptr()),
        )

    def attend(
        self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Return contexts [batch, queries, memory] and weights, float32, [batch, queries, src_len].

        Args:
            query: [batch, queries, key].
            keys: [batch, src_len, key].
            states: what is summed up with the weights, [batch, src_len, memory].
            mask: True at real tokens, [batch, src_len].
            temperature: divides the scores.
        """
        sizes = (*query.shape[:2], *keys.shape[1:], states.shape[2])
        weights = torch.empty(*query.shape[:2], keys.shape[1])
        contexts = query.new_empty(*query.shape[:2], states.shape[2])
        self._functions["attend", query.dtype](
            *(*sizes, query.data_ptr(), keys.data_ptr(), states.data_ptr(), mask.data_ptr()),
            *(temperature, weights.data_ptr(), contexts.data_ptr()),
        )
        return contexts, weights

    def attend_backward(
        self,
        keys: Tensor,
        states: Tensor,
        weights: Tensor,
        temperature: float,
        of_contexts: Tensor,
        of_weights: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return gradients of the scores, float32, [batch, queries, src_len], and of the queries.

        Args:
            keys: of `attend`.
            states: of `attend`.
            weights: of `attend`.
            temperature: of `attend`.
            of_contexts: gradient of the contexts, [batch, queries, memory].
            of_weights: gradient of the weights, float32, or None.
        """
        batch, queries, length = weights.shape
        of_scores = torch.empty_like(weights)
        of_queries = keys.new_empty(batch, queries, keys.shape[2])
        self._functions["attend_backward", keys.dtype](
            *(batch, queries, length, keys.shape[2], states.shape[2]),
            *(keys.data_ptr(), states.data_ptr(), weights.data_ptr(), temperature),
            *(of_contexts.data_ptr(), _address(of_weights)),
            *(of_scores.data_ptr(), of_queries.data_ptr()),
        )
        return of_scores, of_queries

    def cross_entropy(
        self, scores: Tensor, bias: Tensor, gold: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Return the smoothed loss and the negative log-likelihood of each row, float32, [rows].

        Args:
            scores: without bias; are exchanged for the gradient of the loss, [rows, vocab].
            bias: float32, [vocab].
            gold: reference ids, int64, [rows].
            smoothing: probability mass spread evenly over the vocabulary.
        """
        rows, vocab = scores.shape
        loss, nll = (torch.empty(rows) for _ in range(2))
        self._functions["cross_entropy", scores.dtype](
            *(rows, vocab, scores.data_ptr(), bias.data_ptr(), gold.data_ptr(), smoothing),
            *(loss.data_ptr(), nll.data_ptr()),
        )
        return loss, nll

    def sum_rows(self, values: Tensor) -> Tensor:
        """Return the sum over the rows of `values` [rows, columns], float32, [columns]."""
        rows, columns = values.shape
        sums = torch.empty(columns)
        self._functions["sum_rows", values.dtype](rows, columns, values.data_ptr(), sums.data_ptr())
        return sums

    def log_sum_exp(self, scores: Tensor) -> Tensor:
        """Return the logarithm of the summed exponentials of each row, float32, [rows].

        Args:
            scores: [rows, vocab].
        """
        rows, vocab = scores.shape
        log_masses = torch.empty(rows)
        self._functions["log_sum_exp", scores.dtype](
            rows, vocab, scores.data_ptr(), log_masses.data_ptr()
        )
        return log_masses

    def best_continuations(
        self, scores: Tensor, log_masses: Tensor, sums: Tensor, is_open: Tensor, count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best of each sentence, [sentences, count]: log-probability, parent and piece.

        Hypothesis k continued by piece j has the log-probability (scores - log_masses) + sums,
        which is float64, but is compared in float32, relative to the sentence's first sum. Ties go
        to the lower k, then j. NaN comes first, missing ones are -inf.

        Args:
            scores: [sentences * copies, vocab].
            log_masses: float32, [sentences * copies].
            sums: log-probabilities of the hypotheses, float64, [sentences, copies].
            is_open: which of the first pieces are allowed, bool, [sentences, special pieces].
            count: how many; sorted by insertion, so not too many.
        """
        sentences, copies = sums.shape
        log_probs = torch.empty(sentences, count, dtype=torch.float64)
        parents, pieces = torch.empty(2, sentences, count, dtype=torch.int64)
        self._functions["best_continuations", scores.dtype](
            *(sentences, copies, scores.shape[1], scores.data_ptr(), log_masses.data_ptr()),
            *(sums.data_ptr(), is_open.shape[1], is_open.data_ptr(), count),
            *(log_probs.data_ptr(), parents.data_ptr(), pieces.data_ptr()),
        )
        return log_probs, parents, pieces

    def to_bytes(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return `inputs` [rows, size] in whole numbers around 128, uint8, and scales [rows]."""
        rows, size = inputs.shape
        as_bytes, scales = torch.empty(rows, size, dtype=torch.uint8), torch.empty(rows)
        self._functions["to_bytes", inputs.dtype](
            *(rows, size, inputs.data_ptr(), as_bytes.data_ptr(), scales.data_ptr())
        )
        return as_bytes, scales

    def scale_rows(self, product: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        """Multiply each row of `product` [rows, outputs] by its scale, add `bias` [outputs]."""
        rows, outputs = product.shape
        self._functions["scale_rows", product.dtype](
            *(rows, outputs, product.data_ptr(), scales.data_ptr(), _address(bias))
        )

    @property
    def multiplies_int8(self) -> bool:
        """Whether `multiply_int8` is there: the CPU has AVX-512-VNNI."""
        return ("multiply_int8", torch.float32) in self._functions

    def multiply_int8(
        self, inputs: Tensor, weights: "PackedWeights", bias: Tensor | None
    ) -> Tensor:
        """Round `inputs`, float32, [rows, size], multiply, and add `bias` [outputs].

        Returns float32, [rows, outputs].
        """
        rows, size = inputs.shape
        outputs, padded = weights.outputs, weights.values.shape[1] * _FOUR
        product = torch.empty(rows, outputs)
        self._functions["multiply_int8", inputs.dtype](
            *(rows, size, inputs.data_ptr(), outputs, padded, weights.values.data_ptr()),
            *(weights.scales.data_ptr(), weights.offsets.data_ptr(), _address(bias)),
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
        """Make all steps of a cell, float32, with the last outputs multiplied by `multiply_int8`.

        Args:
            kind: of the cell.
            projected: the input's share of the gates, [positions, rows, gates * hidden].
            weights: of the last output, [gates * hidden, hidden].
            outputs: those before the first position; the rest is filled, [1 + positions, rows,
                hidden].
            states: what the cell sums up, in the same way.
        """
        positions, rows, gates = projected.shape
        padded = weights.values.shape[1] * _FOUR
        self._functions[f"{kind}_unroll_int8", projected.dtype](
            *(positions, rows, outputs.shape[2], projected.data_ptr(), gates, padded),
            *(weights.values.data_ptr(), weights.scales.data_ptr(), weights.offsets.data_ptr()),
            *(outputs.data_ptr(), states.data_ptr()),
        )


@dataclass(frozen=True)
class PackedWeights:
    """A matrix of 8-bit integers, laid out for `multiply_int8`."""

    outputs: int
    values: Tensor
    """int8, [blocks, size / 4, WIDTH, 4], filled up with zeros."""
    scales: Tensor
    """float32, [blocks * WIDTH]."""
    offsets: Tensor
    """What a sum begins with, since inputs are whole numbers around 128: int32, [blocks * WIDTH].
    """

    @classmethod
    def of(cls, whole: Tensor, scales: Tensor) -> "PackedWeights":
        """Lay out `whole`, int8, [outputs, size], with the scales of the outputs [outputs]."""
        outputs, size = whole.shape
        more_outputs, more_inputs = -outputs % WIDTH, -size % _FOUR
        padded = F.pad(whole, (0, more_inputs, 0, more_outputs))
        blocks = padded.view(-1, WIDTH, padded.shape[1] // _FOUR, _FOUR)
        return cls(
            outputs,
            blocks.transpose(1, 2).contiguous(),
            F.pad(scales, (0, more_outputs)),
            padded.sum(dim=1, dtype=torch.int32).mul_(-128),
        )


def _address(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.data_ptr()
