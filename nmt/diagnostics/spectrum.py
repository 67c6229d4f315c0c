"""Spectra of recurrent weights beside what the steps of a layer do to a gradient.

For an Elman layer h' = phi(W x + U h + b), one step back multiplies a gradient by D(phi') U, whose
norm is at most gamma * sigma, with gamma the largest slope of phi and sigma the largest singular
value of U (Pascanu et al., 2013, sec. 2.1). Hence

    gamma * sigma < 1     is sufficient for a gradient to vanish: l steps leave at most
                          (gamma * sigma)^l of it;
    gamma * sigma >= 1    is necessary for it to explode, and not sufficient.

The spectral radius rho of U proves neither. With rho < 1 / gamma a gradient can still grow, since
the slopes differ from unit to unit and from step to step; with rho > 1 / gamma it can still vanish,
as soon as the slopes are below gamma. Only for a linear layer does rho decide.

In a gated cell, paths add up and no block bounds the whole step. For every cell there is therefore
the Jacobian ds_{t+1}/ds_t itself, at some steps of the data.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from nmt.data.batch import Batch
from nmt.diagnostics.blocks import gate_names, recurrent_matrices
from nmt.diagnostics.gradients import Flow, gradient_flow
from nmt.diagnostics.trace import Call, Measure, Walk, trace
from nmt.layers.cells import (
    Cell,
    GruCell,
    LayerNormLstmCell,
    LstmCell,
    RnnCell,
    State,
)
from nmt.layers.initialization import spectral_radius
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.text.columns import align_columns

_SATURATED = 0.1
"""A unit is saturated where the slope of its activation is below this share of the largest."""
_JACOBIANS = 4
"""Steps of each cell whose Jacobian is computed."""
_LARGEST = 1024
"""Largest size of a state whose Jacobian is computed: its eigenvalues take seconds."""


@dataclass(frozen=True)
class Block:
    """The recurrent weights of one gate, or of one delay."""

    gate: str
    """Such as "forget"; "state" in an Elman layer, "delay 2" in one with delays."""
    gamma: float
    """Largest slope of the gate's activation."""
    radius: float
    """Largest absolute eigenvalue, rho."""
    sigma: float
    """Largest singular value."""
    slope: float
    """Mean slope on the data, relative to gamma; NaN for a cell whose gates are not known here."""
    saturated: float
    """Share of units and steps whose slope is below a tenth of gamma; likewise."""

    @property
    def bound(self) -> float:
        """Gamma times sigma."""
        return self.gamma * self.sigma


@dataclass(frozen=True)
class Spectrum:
    """All recurrent weights of one direction of one layer, and what its steps do."""

    name: str
    """Such as "encoder 1 backward"."""
    is_elman: bool
    """Whether the bound of the single block is one of the whole step."""
    blocks: tuple[Block, ...]
    step_radius: float
    """Largest absolute eigenvalue of ds_{t+1}/ds_t, mean over some steps of the data; NaN if the
    state is too large to compute it."""
    step_sigma: float
    """Largest singular value of it, likewise."""
    factor: float
    """What a gradient is multiplied by per step, see `Flow.factor`."""


@dataclass
class _Slopes:
    total: float = 0.0
    saturated: float = 0.0
    count: int = 0


@dataclass
class _Found:
    """What was seen of a cell so far."""

    walk: Walk
    slopes: dict[str, _Slopes] = field(default_factory=dict)


def spectra(model: EncoderDecoder, batches: Sequence[Batch], measure: Measure) -> list[Spectrum]:
    """Return the spectra of each direction of each recurrent layer.

    Args:
        model: of plain modules.
        batches: what is read.
        measure: the loss.
    """
    flows = {flow.name: flow for flow in gradient_flow(model, batches, measure)}
    found: dict[str, _Found] = {}
    for batch in batches:
        for walk in trace(model, batch, measure).walks:
            seen = found.setdefault(walk.path, _Found(walk))
            _add_slopes(seen.slopes, walk)
    return [_spectrum(seen, flows[seen.walk.name]) for seen in found.values()]


def _spectrum(seen: _Found, flow: Flow) -> Spectrum:
    cell = seen.walk.cell
    jacobians = [_step_jacobian(cell, call) for call in _some_calls(seen.walk)]
    radii = [spectral_radius(jacobian) for jacobian in jacobians]
    sigmas = [largest_singular_value(jacobian) for jacobian in jacobians]
    blocks = recurrent_matrices(cell)
    return Spectrum(
        name=flow.name,
        is_elman=isinstance(cell, RnnCell),
        blocks=tuple(
            _block(name, matrix, gamma, seen.slopes.get(name)) for name, matrix, gamma in blocks
        ),
        step_radius=_mean(radii),
        step_sigma=_mean(sigmas),
        factor=flow.factor,
    )


def _block(name: str, weights: Tensor, gamma: float, slopes: _Slopes | None) -> Block:
    known = slopes is not None and slopes.count > 0
    return Block(
        gate=name,
        gamma=gamma,
        radius=spectral_radius(weights),
        sigma=largest_singular_value(weights),
        slope=slopes.total / slopes.count / gamma if known and slopes else math.nan,
        saturated=slopes.saturated / slopes.count if known and slopes else math.nan,
    )


def largest_singular_value(matrix: Tensor) -> float:
    """Return the largest singular value of a matrix, computed in float64."""
    return float(torch.linalg.svdvals(matrix.detach().double())[0])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


# --- one step ------------------------------------------------------------------------------


def _some_calls(walk: Walk) -> Iterable[Call]:
    """Yield some steps over real tokens, each of one sentence, spread over the batch."""
    if sum(part.shape[-1] for part in walk.states[0]) > _LARGEST:
        return
    for number in range(_JACOBIANS):
        row = number * len(walk.lengths) // _JACOBIANS
        length = int(walk.lengths[row])
        if length:
            call = walk.calls[(number + 1) * length // (_JACOBIANS + 1)]
            yield Call(call.projected[row : row + 1], _row(call.before, row), _row(call.after, row))


def _row(state: State, row: int) -> State:
    return tuple(part[row : row + 1].detach() for part in state)


def _step_jacobian(cell: Cell, call: Call) -> Tensor:
    """Return ds'/ds of one step of a cell with a given input, [state, state].

    The clock of a clockwork cell, an integer, is not differentiated.
    """
    projected = call.projected.detach()
    counts = [part for part in call.before if not part.is_floating_point()]
    parts = [part for part in call.before if part.is_floating_point()]
    sizes = [part.shape[1] for part in parts]

    def step(flat: Tensor) -> Tensor:
        state = tuple(part.unsqueeze(0) for part in torch.split(flat, sizes))
        after = cell(projected, (*state, *counts))
        return torch.cat(after[: len(parts)], dim=1).squeeze(0)

    jacobian: Tensor = torch.func.jacrev(step)(torch.cat(parts, dim=1).squeeze(0))
    return jacobian.detach()


# --- gates ---------------------------------------------------------------------------------


def gate_slopes(cell: Cell, call: Call) -> dict[str, Tensor]:
    """Return the slopes of the activations of each gate in a step, [batch, hidden] each.

    A kind of cell that is not listed here has none.
    """
    hidden, projected = call.before[0], call.projected
    match cell:
        case RnnCell():
            slope = _SLOPE_AT[cell.activation]
            return {"state": slope(projected + cell.recurrent(hidden))}
        case GruCell():
            return _gru_slopes(cell, projected, hidden)
        case LstmCell():
            gates = projected + cell.recurrent(hidden)
        case LayerNormLstmCell():
            recurrent = cell.normalize_recurrent(cell.recurrent(hidden))
            gates = cell.normalize_input(projected) + recurrent
        case _:
            return {}
    names = gate_names(cell)
    return {
        name: _tanh_slope(gate) if name == "candidate" else _sigmoid_slope(gate)
        for name, gate in zip(names, gates.chunk(len(names), dim=-1), strict=True)
    }


def _gru_slopes(cell: GruCell, projected: Tensor, hidden: Tensor) -> dict[str, Tensor]:
    input_r, input_z, input_n = projected.chunk(3, dim=-1)
    hidden_r, hidden_z, hidden_n = cell.recurrent(hidden).chunk(3, dim=-1)
    reset = torch.sigmoid(input_r + hidden_r)
    if cell.reset == "before":
        hidden_n = (reset * hidden) @ cell.recurrent.weight.chunk(3)[2].t()
    else:
        hidden_n = reset * hidden_n
    slopes = (
        _sigmoid_slope(input_r + hidden_r),
        _sigmoid_slope(input_z + hidden_z),
        _tanh_slope(input_n + hidden_n),
    )
    return dict(zip(gate_names(cell), slopes, strict=True))


def _sigmoid_slope(x: Tensor) -> Tensor:
    y = torch.sigmoid(x)
    return y * (1.0 - y)


def _tanh_slope(x: Tensor) -> Tensor:
    return 1.0 - torch.tanh(x).square()


_SLOPE_AT: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": _tanh_slope,
    "sigmoid": _sigmoid_slope,
    "relu": lambda x: (x > 0).to(x),
    "identity": torch.ones_like,
}


@torch.no_grad()
def _add_slopes(sums: dict[str, _Slopes], walk: Walk) -> None:
    """Add the slopes at all real tokens of a batch."""
    gammas = dict(zip(gate_names(walk.cell), walk.cell.slopes, strict=True))
    for step, call in enumerate(walk.calls):
        real = walk.real(step)
        for name, slopes in gate_slopes(walk.cell, call).items():
            seen, found = sums.setdefault(name, _Slopes()), slopes[real]
            seen.total += float(found.sum())
            seen.saturated += int((found < _SATURATED * gammas[name]).sum())
            seen.count += found.numel()


# --- in rows and words ---------------------------------------------------------------------


def as_table(found: Sequence[Spectrum]) -> str:
    """Return a row for each gate, and one for the step of each layer as a whole."""
    rows = [["", "gamma", "rho", "sigma", "gamma*rho", "gamma*sigma", "slope", "saturated"]]
    for each in found:
        for block in each.blocks:
            values = (block.radius, block.sigma, block.gamma * block.radius, block.bound)
            shown = [f"{value:.3f}" for value in values]
            shares = [_percent(block.slope), _percent(block.saturated)]
            rows.append([f"{each.name} {block.gate}", f"{block.gamma:g}", *shown, *shares])
    steps = [["", "rho of a step", "sigma of a step", "gradient per step"]]
    steps += [
        [each.name, _number(each.step_radius), _number(each.step_sigma), _number(each.factor)]
        for each in found
    ]
    return "\n".join([*align_columns(rows), "", *align_columns(steps)])


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100.0 * share:.1f} %"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def as_record(found: Spectrum) -> dict[str, object]:
    """Return all figures for JSON; what is not a number is None."""
    record = asdict(found)
    record["blocks"] = [_finite(asdict(block) | {"bound": block.bound}) for block in found.blocks]
    return _finite(record)


def _finite(record: dict[str, object]) -> dict[str, object]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }


def explain(found: Sequence[Spectrum]) -> str:
    """Return what the figures say, as a paragraph."""
    said = [_say_elman(each) if each.is_elman else _say_gated(each) for each in found]
    worst = max(
        ((block.saturated, f"{each.name} {block.gate}") for each in found for block in each.blocks),
        key=lambda pair: -1.0 if math.isnan(pair[0]) else pair[0],
        default=(0.0, ""),  # cells without a product with the old state have no blocks
    )
    if worst[0] > _SATURATED:
        said.append(
            f"{worst[0]:.0%} of the units of {worst[1]} are saturated: where a slope is near 0, "
            "no gradient passes."
        )
    return "How to read it: " + " ".join(said)


def _say_elman(found: Spectrum) -> str:
    (block,) = found.blocks
    if block.bound < 1.0:
        return (
            f"{found.name}: gamma*sigma = {block.bound:.3f} < 1, which is sufficient for gradients "
            f"to vanish: l steps leave at most {block.bound:.3f}^l; measured is "
            f"{found.factor:.3f}^l."
        )
    radius = block.gamma * block.radius
    said = (
        f"{found.name}: gamma*sigma = {block.bound:.3f} >= 1, which is necessary for gradients to "
        f"explode, but not sufficient; measured is x {_number(found.factor)} per step."
    )
    if radius < 1.0:
        return f"{said} That gamma*rho = {radius:.3f} < 1 does not prove that they vanish."
    if found.factor < 1.0:
        return f"{said} That gamma*rho = {radius:.3f} >= 1 has not kept them from vanishing."
    return said


def _say_gated(found: Spectrum) -> str:
    step = ""
    if not math.isnan(found.step_sigma):
        step = (
            f": the Jacobian of a step has sigma {found.step_sigma:.3f}, the most that it "
            f"stretches a gradient by, and rho {found.step_radius:.3f}"
        )
    return (
        f"{found.name}: several paths add up, so no single block bounds a step{step}; measured is "
        f"x {_number(found.factor)} per step."
    )
