"""How far gradients reach: through the steps of each layer, and from the loss to each state.

Two figures answer two questions.

- *Carried*: what is left of a gradient after it was carried back over some steps of its layer,
  |dL/ds_t ds_t/ds_i| / |dL/ds_t| at lag t - i. It vanishes or explodes with the Jacobians of the
  steps (Bengio et al., 1994; Pascanu et al., 2013), whatever else the model consists of.
- *Arriving*: the gradient of the whole loss that reaches a state, |dL/ds_i|, by the distance of the
  state from the last one of its layer that the loss depends on. In an encoder without attention it
  has all come through the steps; with attention, the loss also reaches each position at once.

Norms are means over sentences; states and gradients are those of `trace`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import torch
from torch import Tensor

from nmt.data.batch import Batch
from nmt.diagnostics.blocks import gate_names
from nmt.diagnostics.trace import Measure, Walk, trace
from nmt.layers.cells import Cell, State
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.text.columns import align_columns

_STARTS = 8
"""Most steps of a sentence from which gradients are carried back."""
_STEADY = 0.03
"""Change per step below which a gradient neither vanishes nor explodes."""
_ENOUGH = 0.25
"""Share of the sentences that must be long enough for a lag to be named in a text."""


@dataclass(frozen=True)
class Lag:
    """Gradients that are a number of steps away from where they began."""

    steps: int
    carried: float
    """What is left of a gradient after these steps of its layer, 1 at 0 steps; NaN if no gradient
    was there to be carried."""
    arriving: float
    """Mean norm of the gradient of the loss at states so many steps before the last that the loss
    depends on."""
    sentences: int
    """Sentences that are long enough."""


@dataclass(frozen=True)
class Flow:
    """How far gradients reach in one direction of one layer."""

    name: str
    """Such as "encoder 1 backward"."""
    side: str
    """Such as "encoder"."""
    lags: tuple[Lag, ...]
    gates: dict[str, float] = field(default_factory=dict)
    """Norm of the loss's gradient by each gate's recurrent weights, summed over all sentences."""

    @property
    def factor(self) -> float:
        """What a gradient is multiplied by per step: the best fit of carried = factor^steps."""
        known = [lag for lag in self.lags if lag.steps and lag.carried > 0.0]
        if not known:
            return 0.0 if any(lag.carried == 0.0 for lag in self.lags) else math.nan
        weight = sum(lag.sentences * lag.steps**2 for lag in known)
        slope = sum(lag.sentences * lag.steps * math.log(lag.carried) for lag in known) / weight
        return math.exp(slope)

    @property
    def far(self) -> Lag:
        """The longest lag for which enough sentences are long enough."""
        enough = _ENOUGH * self.lags[0].sentences
        return [lag for lag in self.lags if lag.sentences >= enough][-1]

    @property
    def verdict(self) -> str:
        """What the factor means: "vanishes", "explodes", "stays", or "is zero"."""
        factor = self.factor
        if math.isnan(factor) or factor == 0.0:
            return "is zero"
        if abs(math.log(factor)) < _STEADY:
            return "stays"
        return "vanishes" if factor < 1.0 else "explodes"


@dataclass
class _Sums:
    """Sums of norms over batches, by lag."""

    carried: list[float] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)
    """Norms at the start of those gradients that were carried so far."""
    arriving: list[float] = field(default_factory=list)
    sentences: list[int] = field(default_factory=list)
    weights: Tensor | float = 0.0
    """dL/dU, summed."""

    def widen(self, lags: int) -> None:
        missing = lags - len(self.sentences)
        for sums in (self.carried, self.begun, self.arriving):
            sums += [0.0] * missing
        self.sentences += [0] * missing

    def read(self) -> Iterable[Lag]:
        """Yield the means."""
        for lag, count in enumerate(self.sentences):
            begun = self.begun[lag]
            carried = self.carried[lag] / begun if begun else math.nan
            yield Lag(lag, carried, self.arriving[lag] / count, count)


def gradient_flow(model: EncoderDecoder, batches: Iterable[Batch], measure: Measure) -> list[Flow]:
    """Return how far gradients reach in each direction of each recurrent layer.

    Args:
        model: of plain modules.
        batches: what is read.
        measure: the loss.
    """
    sums: dict[str, tuple[Walk, _Sums]] = {}
    for batch in batches:
        for walk in trace(model, batch, measure).walks:
            _, found = sums.setdefault(walk.path, (walk, _Sums()))
            _add(found, walk)
    return [
        Flow(walk.name, walk.side, tuple(found.read()), _by_gate(walk.cell, found.weights))
        for walk, found in sums.values()
    ]


def _by_gate(cell: Cell, gradient: Tensor | float) -> dict[str, float]:
    """Return the norm of each gate's part of dL/dU; empty for a cell without U."""
    if cell.recurrent is None:
        return {}
    names = gate_names(cell)
    parts = torch.as_tensor(gradient).chunk(len(names))
    return {name: float(part.norm()) for name, part in zip(names, parts, strict=True)}


def _add(sums: _Sums, walk: Walk) -> None:
    """Add the norms of a batch."""
    sums.weights = sums.weights + walk.weight_gradient
    arriving = torch.stack([norm(state) for state in walk.gradients], dim=1)  # [batch, steps]
    lengths = _used(walk.lengths, arriving)
    steps = int(lengths.max())
    sums.widen(steps)
    for lag in range(steps):
        at, is_there = _steps_before_last(lengths, lag)
        sums.arriving[lag] += float(_pick(arriving, at)[is_there].sum())
        sums.sentences[lag] += int(is_there.sum())
    for distance in range(0, steps, math.ceil(steps / _STARTS)):
        start, begins = _steps_before_last(lengths, distance)
        carried = walk.carry(walk.gradients, start)
        norms = torch.stack([norm(state) for state in carried], dim=1)  # [batch, steps]
        begun = _pick(norms, start)
        for lag in range(steps - distance):
            at, is_there = start - lag, begins & (start >= lag)
            sums.carried[lag] += float(_pick(norms, at)[is_there].sum())
            sums.begun[lag] += float(begun[is_there].sum())


def norm(state: State) -> Tensor:
    """Return the Euclidean norm of each row of a state, over all its parts, [batch]."""
    norms: Tensor = torch.linalg.vector_norm(torch.cat(state, dim=-1), dim=-1)
    return norms


def _used(lengths: Tensor, arriving: Tensor) -> Tensor:
    """Return the steps of each sentence up to the last that the loss depends on, [batch].

    In an aligned model, nothing depends on what reads the end symbol last: no gradient begins there
    that could be carried back. If the loss depends on no state, all steps count.

    Args:
        lengths: steps over real tokens, [batch].
        arriving: norm of the gradient at each state, [batch, steps].
    """
    for unused in range(int(lengths.max())):
        at, is_there = _steps_before_last(lengths, unused)
        if bool(_pick(arriving, at)[is_there].any()):
            return lengths - unused
    return lengths


def _steps_before_last(lengths: Tensor, distance: int) -> tuple[Tensor, Tensor]:
    """Return the step that is `distance` before the last of each sentence, and whether there is
    one, [batch] each."""
    at = lengths - 1 - distance
    return at, at >= 0


def _pick(values: Tensor, at: Tensor) -> Tensor:
    """Return `values` [batch, steps] at one step of each row, [batch]; anything where `at` < 0."""
    return values.gather(1, at.clamp(min=0).unsqueeze(1)).squeeze(1)


# --- in rows and words ---------------------------------------------------------------------


_SHOWN = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)
"""Lags in a table for people."""


def as_table(flows: Sequence[Flow], figure: Literal["carried", "arriving"]) -> str:
    """Return the figures by lag, a column for each direction of each layer."""
    longest = max(flow.lags[-1].steps for flow in flows)
    shown = [steps for steps in _SHOWN if steps < longest]
    rows = [["steps", *(flow.name for flow in flows)]]
    for steps in (*shown, longest):
        values = [
            f"{getattr(flow.lags[steps], figure):.3g}" if steps < len(flow.lags) else "-"
            for flow in flows
        ]
        rows.append([str(steps), *values])
    return "\n".join(align_columns(rows))


def gate_table(flows: Sequence[Flow]) -> str:
    """Return the norm of the gradient by each gate's recurrent weights, a row per layer."""
    names = list(dict.fromkeys(name for flow in flows for name in flow.gates))
    rows = [["", *names]]
    for flow in flows:
        shown = [f"{flow.gates[name]:.3g}" if name in flow.gates else "-" for name in names]
        rows.append([flow.name, *shown])
    return "\n".join(align_columns(rows))


def as_record(flow: Flow) -> dict[str, object]:
    """Return all figures of a flow for JSON; what is not a number is None."""
    lags = [
        {name: value if math.isfinite(value) else None for name, value in asdict(lag).items()}
        for lag in flow.lags
    ]
    factor = flow.factor if math.isfinite(flow.factor) else None
    return {
        "name": flow.name,
        "factor": factor,
        "verdict": flow.verdict,
        "gates": flow.gates,
        "lags": lags,
    }


def explain(flows: Sequence[Flow], *, attends: bool) -> str:
    """Return what the figures say, as a paragraph.

    Args:
        flows: at least one.
        attends: whether the decoder attends to the source.
    """
    said = [_say_carried(flow) for flow in flows]
    said += [_say_arriving(flow, attends=attends) for flow in flows if flow.side == "encoder"]
    return "How to read it: " + " ".join(said)


def _say_carried(flow: Flow) -> str:
    if flow.verdict == "is zero":
        return f"{flow.name}: no gradient comes back through its steps."
    factor, far = flow.factor, flow.far
    left = f"after {far.steps} steps {far.carried:.2g} of it is left"
    if flow.verdict == "stays":
        return f"{flow.name}: a gradient stays, x {factor:.3f} per step; {left}."
    every = math.log(2.0) / abs(math.log(factor))
    change = "halves" if factor < 1.0 else "doubles"
    return (
        f"{flow.name}: a gradient {flow.verdict}, x {factor:.3f} per step (it {change} every "
        f"{every:.1f} steps); {left}."
    )


def _say_arriving(flow: Flow, *, attends: bool) -> str:
    far, last = flow.far, flow.lags[0]
    if last.arriving == 0.0 and far.arriving == 0.0:
        return f"No gradient of the loss arrives at {flow.name}."
    if last.arriving == 0.0:
        return f"Of the states of {flow.name}, the last gets no gradient of the loss."
    share = far.arriving / last.arriving
    arriving = (
        f"At the state of {flow.name} {far.steps} steps before its last arrives {share:.2g} of "
        "the gradient that the last one gets"
    )
    if not attends:
        return f"{arriving}: without attention, all of it came through the steps."
    if share > 2.0 * far.carried:
        return (
            f"{arriving}, where the steps alone would leave {far.carried:.2g}: the rest comes "
            "through attention, which reaches each position at once."
        )
    return f"{arriving}; the steps alone leave {far.carried:.2g}, so attention adds little there."
