"""The entry point of this package: which module of a model is exchanged for which.

A fast module is a subclass of the plain one, with the same parameters under the same names, and
overrides the methods that it speeds up. Without `accelerate`, no module of `nmt.fast` is imported,
and the equations of `nmt.layers` and `nmt.models` run as written.

| plain                | fast                  | exchanged                                        |
|----------------------|-----------------------|--------------------------------------------------|
| LstmCell, GruCell    | FastLstmCell, ...     | always, except a GRU with reset = "before" and   |
|                      |                       | an LSTM without a forget gate                    |
| RecurrentLayer       | FastRecurrentLayer    | always                                           |
| DotAttention, ...    | FastDotAttention, ... | with one head; for training, without dropout     |
| RecurrentDecoder     | FastDecoder           | unless its input is gated; tabulated for search  |
| OutputLayer, ...     | FastOutput, ...       | always; not those of a known end or of copying   |
| Linear               | SharedLinear          | in a decoder, for training                       |
|                      | Int8Linear            | for search in int8                               |
|                      | FastLinear            | else on a CPU, if training or oneDNN is faster   |
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from nmt.fast.attention import FastDotAttention, FastGeneralAttention
from nmt.fast.cells import FastGruCell, FastLstmCell
from nmt.fast.decoder import FastDecoder
from nmt.fast.exchange import adopt
from nmt.fast.int8 import Int8Linear
from nmt.fast.kernels import kernels
from nmt.fast.linear import FastLinear
from nmt.fast.output import FastLexicalOutput, FastOutput
from nmt.fast.ranking import ranking as ranking
from nmt.fast.recurrent import FastRecurrentLayer
from nmt.fast.shapes import rounded, rounds_batches
from nmt.fast.shared import SharedLinear
from nmt.layers.attention import DotAttention, GeneralAttention, ProductAttention
from nmt.layers.cells import GruCell, InputGatedCell, LstmCell
from nmt.layers.clockwork import ClockworkCell
from nmt.layers.lexical import LexicalOutput
from nmt.layers.linear import Linear
from nmt.layers.output import OutputLayer
from nmt.layers.recurrent import RecurrentLayer
from nmt.machine import prefers_onednn
from nmt.models.decoder import RecurrentDecoder

logger = logging.getLogger(__name__)

Purpose = Literal["training", "search"]


@dataclass(frozen=True)
class Exchange:
    """One module that took the place of another."""

    name: str
    """Path of the module in the model, for example `encoder.stack.layers.0`."""
    plain: str
    """Class of the module that was replaced."""
    fast: str
    """Class of its replacement."""


def accelerate(model: nn.Module, purpose: Purpose, *, int8: bool = False) -> list[Exchange]:
    """Exchange modules of `model` for fast ones, in place, and return the list of exchanges.

    They are logged at level DEBUG (`nmt -v`).

    Args:
        model: already on its device and in its precision.
        purpose: "training" (validation included) or "search"; after the latter, weights must not
            change any more.
        int8: multiply in 8-bit integers; for search on a CPU.
    """
    exchanges = list(_Exchanger(purpose, int8).exchange(model))
    for line in describe_exchanges(exchanges):
        logger.debug("%s: %s", purpose, line)
    return exchanges


def has_kernels() -> bool:
    """Whether the kernels are compiled, or can be."""
    return kernels() is not None


def row_rounding(device: torch.device, *, bf16: bool) -> Callable[[int], int] | None:
    """Return the function from the pairs of a training batch to the rows it should be padded to.

    None if products are not compiled for their shape (see `nmt.fast.shapes`).
    """
    return rounded if rounds_batches(device, bf16=bf16) else None


def describe_exchanges(exchanges: Iterable[Exchange]) -> list[str]:
    """Return a line for each kind of exchange, such as `LstmCell -> FastLstmCell  x 3`."""
    kinds = Counter((exchange.plain, exchange.fast) for exchange in exchanges)
    return [f"{plain} -> {fast}  x {count}" for (plain, fast), count in kinds.items()]


_CLASSES: dict[type[nn.Module], type[nn.Module]] = {
    LstmCell: FastLstmCell,
    GruCell: FastGruCell,
    RecurrentLayer: FastRecurrentLayer,
    DotAttention: FastDotAttention,
    GeneralAttention: FastGeneralAttention,
    OutputLayer: FastOutput,
    LexicalOutput: FastLexicalOutput,
}
_EXACT = ("bridge", "score", "gate")
"""Linear layers that are not quantized: one product per sentence, or a single output."""


@dataclass(frozen=True)
class _Exchanger:
    """Traverses a model and exchanges its modules, outer ones first; see `accelerate`."""

    purpose: Purpose
    int8: bool

    def exchange(
        self, parent: nn.Module, path: str = "", *, in_decoder: bool = False
    ) -> Iterator[Exchange]:
        """Exchange the modules inside `parent`, located at `path`, and yield each exchange."""
        for name, child in list(parent.named_children()):
            place = f"{path}.{name}" if path else name
            fast = self._replacement(parent, name, child, in_decoder=in_decoder)
            if fast is not None:
                setattr(parent, name, fast)
                yield Exchange(place, type(child).__name__, type(fast).__name__)
                child = fast
            is_inside = in_decoder or isinstance(child, RecurrentDecoder)
            yield from self.exchange(child, place, in_decoder=is_inside)

    def _replacement(
        self, parent: nn.Module, name: str, module: nn.Module, *, in_decoder: bool
    ) -> nn.Module | None:
        """Return the replacement of the child `module` of `parent`; None if it stays."""
        kind = type(module)
        if isinstance(module, nn.Linear) and kind in (nn.Linear, Linear):
            return self._linear(parent, name, module, in_decoder=in_decoder)
        if isinstance(module, RecurrentDecoder) and kind is RecurrentDecoder:
            if isinstance(module.stack.first.cell, InputGatedCell):
                return None  # what it reads depends on its state: nothing can be precomputed
            decoder = FastDecoder.of(module)
            if self.purpose == "search":
                decoder.tabulate()
            return decoder
        if isinstance(module, GruCell) and module.reset == "before":
            return None
        if isinstance(module, LstmCell) and not module.forget_gate:
            return None
        if isinstance(module, ProductAttention) and (
            module.heads > 1 or (module.dropout > 0.0 and self.purpose == "training")
        ):
            return None
        fast = _CLASSES.get(kind)
        return None if fast is None else adopt(fast, module)

    def _linear(
        self, parent: nn.Module, name: str, linear: nn.Linear, *, in_decoder: bool
    ) -> nn.Module | None:
        """Return the replacement of the child `linear` of `parent`; None if it stays."""
        is_read_in_part = isinstance(parent, ClockworkCell) or (
            isinstance(parent, GruCell) and parent.reset == "before"
        )
        is_exact = name in _EXACT or (is_read_in_part and name == "recurrent")
        if self.int8 and not is_exact and linear.in_features > 0:
            return Int8Linear.of(linear)
        if self.purpose == "training" and in_decoder:
            return adopt(SharedLinear, linear)
        is_faster = self.purpose == "training" or prefers_onednn()
        is_on_cpu = linear.weight.device.type == "cpu"
        return adopt(FastLinear, linear) if is_on_cpu and is_faster else None
