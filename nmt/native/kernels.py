"""The compiled kernels as functions of tensors.

They take contiguous tensors on the CPU, of float32 or bfloat16, and check nothing: who calls them
knows the shapes, and asks `knows` first.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nmt.native.compiler import compile_kernels

WIDTH = 16
"""Numbers of a vector (kWidth in vectors.h); the hidden size of a cell must be a multiple."""

_SUFFIX = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
_LONG, _FLOAT, _ADDRESS = ctypes.c_long, ctypes.c_float, ctypes.c_void_p

Kind = Literal["lstm", "gru"]
"""Cells that there are kernels for; the GRU resets after the product."""

_FORWARD = [_LONG, _LONG, _ADDRESS, _LONG, *[_ADDRESS] * 5]
_BACKWARD = [_LONG, _LONG, *[_ADDRESS] * 8]
_SIGNATURES = {
    "lstm_forward": _FORWARD,
    "lstm_backward": _BACKWARD,
    "gru_forward": _FORWARD,
    "gru_backward": _BACKWARD,
    "cross_entropy": [_LONG, _LONG, *[_ADDRESS] * 3, _FLOAT, *[_ADDRESS] * 2],
    "sum_rows": [_LONG, _LONG, _ADDRESS, _ADDRESS],
}


@cache
def kernels() -> "Kernels | None":
    """Return the kernels, compiled if need be; None where that cannot be done."""
    library = compile_kernels()
    try:
        return None if library is None else Kernels(library)
    except (OSError, AttributeError):
        return None


def knows(*tensors: Tensor) -> bool:
    """Say whether the kernels take these tensors together: one known type, on the CPU."""
    dtype = tensors[0].dtype
    return dtype in _SUFFIX and all(
        tensor.dtype == dtype and tensor.device.type == "cpu" for tensor in tensors
    )


class Kernels:
    """The functions of a compiled library."""

    def __init__(self, library: Path) -> None:
        loaded = ctypes.CDLL(str(library))
        self._functions: dict[tuple[str, torch.dtype], Callable[..., None]] = {}
        for name, signature in _SIGNATURES.items():
            for dtype, suffix in _SUFFIX.items():
                function = getattr(loaded, f"{name}_{suffix}")
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


def _address(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.data_ptr()
