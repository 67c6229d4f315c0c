"""Recurrent networks and convolutions as filters: how long an impulse is heard."""

import time
from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import pad

from lectures.shelf import Report
from nmt.laboratory.network import unroll_states
from nmt.layers.cells import GruCell, RnnCell, zero_state
from nmt.layers.convolution import ConvolutionalStack
from nmt.layers.initialization import initialize_xavier, scale_to_radius

CLAIM = (
    "A recurrent network is an IIR filter, whose memory fades; a convolution an FIR one, cut off."
)
LENGTH = 120
UNITS, LINES = 64, 8
"""Of the networks whose time is measured, and sequences read side by side."""


class Causal(nn.Module):
    """y_t = sum_k w_k x_{t - d k}: a dilated causal convolution of one channel."""

    def __init__(self, taps: int, dilation: int) -> None:
        super().__init__()
        self.reach = (taps - 1) * dilation
        self.convolution = nn.Conv1d(1, 1, taps, dilation=dilation, bias=False).double()
        nn.init.uniform_(self.convolution.weight, 0.5, 1.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return [batch, 1, length] of [batch, 1, length]."""
        outputs: Tensor = self.convolution(pad(inputs, (self.reach, 0)))
        return outputs


def show(report: Report) -> None:
    torch.manual_seed(1)
    report.say(
        "An impulse at step 0 of a linear recurrent network, h_t = W h_{t-1} + U x_t: what is left "
        "of it decays with the spectral radius of W, but is never zero. Numbers of a computer end "
        "at about 1e-324; before that, no step is zero:"
    )
    radii = (0.5, 0.9, 1.0)
    recurrent = {radius: recurrent_response(radius) for radius in radii}
    rows = [
        (radius, float(r[10]), float(r[100]), int((r == 0).sum()))
        for radius, r in recurrent.items()
    ]
    report.table("recurrent", ("radius", "|h_10|", "|h_100|", "steps that are 0"), rows)
    report.say(
        "The same impulse through L causal convolutions with K taps that are d steps apart. The "
        "last step where it is heard ends the receptive field: L (K - 1) d + 1 steps. A lecture "
        "says K d:"
    )
    shapes = ((2, 1, 1), (3, 1, 1), (3, 4, 1), (3, 4, 2), (5, 2, 3), (2, 8, 4))
    columns = ("K", "d", "L", "measured", "L (K - 1) d + 1", "K d")
    fields = [
        (k, d, n, field(stack([(k, d)] * n)), n * (k - 1) * d + 1, k * d) for k, d, n in shapes
    ]
    report.table("fields", columns, fields)
    report.say(
        "With d = 2^l, doubled from level to level, and two convolutions a level, as in the TCN of "
        "Bai et al. (2018), the field grows exponentially:"
    )
    sizes = ((2, 3), (3, 4)) if report.quick else ((2, 3), (3, 4), (7, 8))
    rows = [
        (k, levels, field(tcn(k, levels), 4000), 1 + 2 * (k - 1) * (2**levels - 1))
        for k, levels in sizes
    ]
    report.table("levels", ("K", "levels", "measured", "1 + 2 (K - 1) (2^L - 1)"), rows)
    report.say(
        f"Time of {LINES} sequences through a GRU and a TCN of {UNITS} units (4 levels, K = 3): "
        "forwards and back, as in training, and forwards position by position, as when each "
        "output is the next input:"
    )
    lengths = (20, 40) if report.quick else (50, 200, 800)
    columns = ("steps", "GRU, training ms", "TCN, training ms", "GRU, a step ms", "TCN, a step ms")
    report.table("time", columns, [(length, *milliseconds(length)) for length in lengths])
    report.draw("filters", draw(recurrent))
    report.say(
        "How to read it: on a logarithmic axis, a straight line is an exponential decay. Lines of "
        "recurrent networks go on for ever; that of the convolutions ends where its field ends, "
        "and from then on it is exactly zero. With a radius of 1 nothing fades, which training "
        "can hardly keep up; with 0.5 the memory is infinite in theory, and ten steps long in "
        "practice. Convolutions compute all positions at once in training, where a recurrent "
        "network waits for each state before the next; that is why they are called parallel. "
        "When it writes, both go position by position, and eight convolutions are more work than "
        "one cell: the gain is one of training, and of reading."
    )


def recurrent_response(radius: float) -> Tensor:
    """Return |h_t| after an impulse at step 0, [length]."""
    torch.manual_seed(1)
    cell = RnnCell(1, 8, activation="identity").double()
    initialize_xavier(cell)
    scale_to_radius(cell.recurrent.weight.data, radius)
    impulse = torch.zeros(1, LENGTH, 1).double()
    impulse[0, 0] = 1.0
    with torch.no_grad():
        return torch.stack([state[0].norm() for state in unroll_states(cell, impulse)])


def milliseconds(length: int) -> tuple[float, float, float, float]:
    """Return the time of a GRU and a TCN in training, and of a step of each."""
    torch.manual_seed(1)
    inputs, mask = torch.randn(LINES, length, UNITS), torch.ones(LINES, length, dtype=torch.bool)
    cell = GruCell(UNITS, UNITS)
    network = ConvolutionalStack(UNITS, UNITS, levels=4, kernel_size=3).eval()

    def train_gru() -> None:
        torch.stack([state[0] for state in unroll_states(cell, inputs)]).sum().backward()

    def train_tcn() -> None:
        network(inputs, mask).sum().backward()

    @torch.no_grad()
    def run_gru() -> None:
        state = zero_state(cell, LINES)
        for x in inputs.unbind(dim=1):
            state = cell(cell.project(x), state)

    @torch.no_grad()
    def run_tcn() -> None:
        state = network.start(LINES, inputs.device)
        for x in inputs.unbind(dim=1):
            _, state = network.step(x, state)

    return (
        fastest(train_gru),
        fastest(train_tcn),
        fastest(run_gru) / length,
        fastest(run_tcn) / length,
    )


def fastest(work: Callable[[], None]) -> float:
    """Return the shortest of three times, in milliseconds."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return min(times)


def stack(convolutions: list[tuple[int, int]]) -> nn.Sequential:
    """Return convolutions on top of each other, from their taps and dilations."""
    return nn.Sequential(*(Causal(taps, dilation) for taps, dilation in convolutions))


def tcn(taps: int, levels: int) -> nn.Sequential:
    """Return two convolutions per level, with dilations 1, 2, 4, ..."""
    return stack([(taps, 2**level) for level in range(levels) for _ in range(2)])


@torch.no_grad()
def response(filtered: Callable[[Tensor], Tensor], length: int = LENGTH) -> Tensor:
    """Return the response to an impulse at step 0, [length]."""
    impulse = torch.zeros(1, 1, length).double()
    impulse[0, 0, 0] = 1.0
    return filtered(impulse)[0, 0]


def field(filtered: Callable[[Tensor], Tensor], length: int = LENGTH) -> int:
    """Return the number of steps until the impulse is heard for the last time."""
    return int(response(filtered, length).nonzero().max()) + 1


def draw(recurrent: dict[float, Tensor]) -> Figure:
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    panel = figure.subplots()
    for (radius, values), style in zip(recurrent.items(), (":", "--", "-"), strict=True):
        panel.semilogy(values, style, color="black", label=f"recurrent, radius {radius:g}")
    heard = response(tcn(3, 4))
    panel.semilogy(heard[heard > 0] / heard.max(), "o", fillstyle="none", label="TCN, field 61")
    panel.axvline(60, color="0.6", linewidth=1)
    panel.set(xlabel="steps since the impulse", ylabel="size of the response", ylim=(1e-16, 10))
    panel.legend()
    return figure
