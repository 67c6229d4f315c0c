"""How far back a gradient reaches, by how open the gate is that keeps the state."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lectures.shelf import Report
from nmt.layers.cells import Cell, GruCell, LstmCell, RnnCell, zero_state
from nmt.layers.initialization import initialize_orthogonal
from nmt.layers.recurrent import NO_ZONEOUT, unroll_states
from nmt.layers.zoneout import Zoneout

CLAIM = (
    "An open gate passes the gradient through time unimpeded: z = 1 in a GRU, f = 1 in an LSTM, "
    "p = 1 of zoneout; a plain recurrent network loses it."
)

INPUTS, UNITS, ROWS = 8, 32, 16


@dataclass(frozen=True)
class Network:
    """A kind of network, and the state whose gradient is followed."""

    name: str
    make: Callable[[], Cell]
    gate: slice | None = None
    """Units of the bias that belong to the gate that keeps."""
    bias: float = 0.0
    """Bias of that gate: the larger, the more open."""
    zoneout: Zoneout = NO_ZONEOUT
    style: str = "-"
    marker: str = "o"
    size: int = 6


KEEP = slice(UNITS, 2 * UNITS)  # z of a GRU and f of an LSTM are their second gates
NETWORKS = [
    Network("plain (tanh)", lambda: RnnCell(INPUTS, UNITS), marker="s"),
    Network("GRU, z about 0.5", lambda: GruCell(INPUTS, UNITS), KEEP, 0.0, style="--", marker="v"),
    Network("GRU, z about 0.95", lambda: GruCell(INPUTS, UNITS), KEEP, 3.0, marker="v"),
    Network(
        "GRU, z = 1", lambda: GruCell(INPUTS, UNITS), KEEP, 1e3, style=":", marker="D", size=11
    ),
    Network(
        "LSTM, f about 0.5", lambda: LstmCell(INPUTS, UNITS), KEEP, 0.0, style="--", marker="^"
    ),
    Network("LSTM, f = 1 (1997)", lambda: LstmCell(INPUTS, UNITS, forget_gate=False), marker="^"),
    Network(
        "plain, zoneout p = 0.5",
        lambda: RnnCell(INPUTS, UNITS),
        zoneout=Zoneout(hidden=0.5),
        style="--",
        marker="s",
    ),
    Network(
        "plain, zoneout p = 1",
        lambda: RnnCell(INPUTS, UNITS),
        zoneout=Zoneout(hidden=1.0),
        style=":",
        marker="s",
    ),
]


@dataclass(frozen=True)
class Measured:
    """How a gradient fades in one kind of network."""

    by_lag: Tensor
    """Norm at lag 0, 1, ..., relative to lag 0."""
    of_last_input: float
    """Norm of the gradient of the last input, that is, what one step still reads."""


def measure(network: Network, *, length: int, seeds: int) -> Measured:
    """Return medians over sequences of unit-normal inputs, and over orthogonal weights."""
    curves, readings = [], []
    for seed in range(seeds):
        torch.manual_seed(seed)
        cell = network.make().double()
        initialize_orthogonal(cell)
        if network.gate is not None:
            with torch.no_grad():
                cell.input.bias[network.gate] = network.bias
        inputs = torch.randn(ROWS, length, INPUTS, dtype=torch.float64, requires_grad=True)
        start = tuple(part.requires_grad_() for part in zero_state(cell, ROWS))
        states = [start, *unroll_states(cell, inputs, start, zoneout=network.zoneout)]
        carriers = [state[-1] for state in states]  # h, or the cell state of an LSTM
        direction = torch.randn(ROWS, UNITS, dtype=torch.float64)
        direction = direction / direction.norm(dim=1, keepdim=True)
        found = torch.autograd.grad(
            (carriers[-1] * direction).sum(), [*carriers, inputs], materialize_grads=True
        )
        *along, of_inputs = found
        curves.append(torch.stack([gradient.norm(dim=1) for gradient in reversed(along)]))
        readings.append(of_inputs[:, -1].norm(dim=1))
    return Measured(
        torch.cat(curves, dim=1).median(dim=1).values, torch.cat(readings).median().item()
    )


def show(report: Report) -> None:
    """Measure each network, and draw the norms over the lag."""
    length, seeds = (30, 2) if report.quick else (100, 10)
    found = [(network, measure(network, length=length, seeds=seeds)) for network in NETWORKS]
    lags = (1, 10, length)
    report.table(
        "gates",
        ("network", *(f"lag {lag}" for lag in lags), "of the last input"),
        [
            (network.name, *(m.by_lag[lag].item() for lag in lags), m.of_last_input)
            for network, m in found
        ],
    )
    draw(report, found)
    report.say(
        "How to read it: each line is the norm of the gradient of one state as it travels back, 1 "
        "at the end of the sequence; a straight line downwards is exponential decay. Where z or p "
        "is 1, the Jacobian of a step is the identity, and the line is flat. Between 0 and 1, the "
        "mean of the gate is the rate of decay: with z about 0.95, half is gone after some 15 "
        "steps. The LSTM of 1997, whose f is always 1, even rises, since c also feeds back to "
        "itself through h: an open gate keeps gradients from vanishing, not from growing. And "
        "openness has a price, the last column: a unit that only keeps reads nothing, so the "
        "gradient of the last input is 0. A gate is useful because it opens where there is "
        "something to keep, and not always."
    )


def draw(report: Report, found: list[tuple[Network, Measured]]) -> None:
    """Draw the norm of the gradient over the lag."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for network, measured in found:
        norms = measured.by_lag.tolist()
        axes.semilogy(
            norms,
            network.style,
            marker=network.marker,
            markersize=network.size,
            markevery=max(1, len(norms) // 10),
            label=network.name,
        )
    axes.set_ylim(bottom=1e-12)
    axes.set_xlabel("lag (steps back from the end of the sequence)")
    axes.set_ylabel("norm of the gradient of the state (1 at lag 0)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    report.draw("gates", figure)
