"""Gates and state norms of a model's cells at each step, seen by forward hooks.

The cells stay as they are: from what a cell was called with, its gates are computed once more.
Modules of `nmt.fast` do not call their cells, so this needs a model with the plain ones.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from nmt.layers.cells import GruCell, LayerNormLstmCell, LstmCell, PlainCell, State
from nmt.layers.elementwise import MinGruCell, SsruCell


def gates_of(cell: PlainCell, projected: Tensor, state: State) -> dict[str, Tensor]:
    """Return the gates of a step by name, each [rows, hidden]; none if the cell has no gates.

    Args:
        cell: the cell.
        projected: what `cell.project` returned, [rows, gates * hidden].
        state: state before the step.
    """
    if isinstance(cell, LstmCell | LayerNormLstmCell):
        recurrent = cell.recurrent(state[0])
        if isinstance(cell, LayerNormLstmCell):
            projected = cell.normalize_input(projected)
            recurrent = cell.normalize_recurrent(recurrent)
        gates = (projected + recurrent).sigmoid().chunk(len(cell.slopes), dim=-1)
        if len(gates) == 3:  # without a forget gate
            return {"input gate": gates[0], "output gate": gates[2]}
        return {"input gate": gates[0], "forget gate": gates[1], "output gate": gates[3]}
    if isinstance(cell, GruCell):
        size = 2 * cell.hidden_size
        recurrent = state[0] @ cell.recurrent.weight[:size].t()
        r, z = (projected[..., :size] + recurrent).sigmoid().chunk(2, dim=-1)
        return {"reset gate": r, "update gate (keeps)": z}
    if isinstance(cell, SsruCell):
        return {"forget gate": projected.chunk(2, dim=-1)[0].sigmoid()}
    if isinstance(cell, MinGruCell):
        return {"update gate (writes)": projected.chunk(2, dim=-1)[0].sigmoid()}
    return {}


@dataclass(frozen=True)
class CellTrace:
    """What a cell did at each step of a sentence."""

    name: str
    """Such as "encoder, layer 1, right to left"."""
    reads: str
    """The side whose pieces it steps over: "source" or "target"."""
    gates: dict[str, tuple[float, ...]]
    """Mean over the units of each gate, at each piece: 1 = open, 0 = closed."""
    norms: dict[str, tuple[float, ...]]
    """Euclidean norm of the output h, and of an LSTM's memory c, after each piece."""


@dataclass
class _Steps:
    """Values of the steps of a cell, in the order of its calls."""

    gates: dict[str, list[float]] = field(default_factory=dict)
    norms: dict[str, list[float]] = field(default_factory=dict)

    def add(self, cell: PlainCell, projected: Tensor, before: State, after: State) -> None:
        """Note a step of a single row."""
        for name, gate in gates_of(cell, projected, before).items():
            self.gates.setdefault(name, []).append(gate.mean().item())
        has_memory = isinstance(cell, LstmCell | LayerNormLstmCell | SsruCell)
        names = ("norm of h", "norm of c") if has_memory else ("norm of h",)
        for name, part in zip(names, after, strict=False):
            self.norms.setdefault(name, []).append(torch.linalg.vector_norm(part.float()).item())


@contextlib.contextmanager
def watch_cells(model: nn.Module) -> Iterator[dict[str, _Steps]]:
    """Note what the cells of a model do inside the block, by the names of their modules."""
    seen: dict[str, _Steps] = {}
    handles = []

    def note(steps: _Steps, cell: PlainCell, args: tuple[Tensor, State], after: State) -> None:
        steps.add(cell, args[0], args[1], after)

    for name, module in model.named_modules():
        if isinstance(module, PlainCell):
            steps = seen.setdefault(name, _Steps())
            handles.append(module.register_forward_hook(partial(note, steps)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def traces_of(seen: dict[str, _Steps], *, source: int, target: int) -> tuple[CellTrace, ...]:
    """Return the traces of cells that made one step per piece, those of the encoder first.

    Args:
        seen: what `watch_cells` noted.
        source: number of source pieces.
        target: number of target pieces.
    """
    found = []
    for name, steps in seen.items():
        side = name.split(".")[0]
        length = source if side == "encoder" else target
        layer, direction = (re.findall(rf"\.{part}\.(\d+)", name) for part in ("layers", "cells"))
        if len(steps.norms.get("norm of h", ())) != length:
            continue
        is_backward = bool(direction) and direction[-1] == "1"
        number = int(layer[-1]) + 1 if layer else 1
        found.append(
            CellTrace(
                f"{side}, layer {number}" + ", right to left" * is_backward,
                "source" if side == "encoder" else "target",
                {key: _in_order(values, is_backward) for key, values in steps.gates.items()},
                {key: _in_order(values, is_backward) for key, values in steps.norms.items()},
            )
        )
    return tuple(sorted(found, key=lambda trace: trace.reads != "source"))


def _in_order(values: list[float], is_backward: bool) -> tuple[float, ...]:
    """Return the values in the order of the text."""
    return tuple(values[::-1] if is_backward else values)
