"""Where the lectures are wrong, with the numbers that show it."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lectures.filters import Causal, field
from lectures.shelf import Report
from nmt.laboratory.curvature import (
    empirical_fisher_matrix,
    fisher_matrix,
    gauss_newton_matrix,
)
from nmt.laboratory.network import ManyToOne, unroll_states
from nmt.laboratory.parameters import as_function, flatten, parameter_vector
from nmt.laboratory.rtrl import Rtrl, differentiate_step
from nmt.layers.cells import Cell, GruCell, LstmCell, RnnCell, zero_state
from nmt.layers.initialization import initialize_spectral, initialize_uniform, spectral_radius

CLAIM = "Some sentences of the lectures do not hold, and each can be shown by a number."

Row = tuple[str, str, str]
"""What a lecture says, what was measured, and what holds."""


def show(report: Report) -> None:
    report.say("Measured in 64-bit numbers; errors of matrices are relative to their size.")
    lengths = (20, 60) if report.quick else (100, 400)
    rows = [
        gru_jacobian(),
        guaranteed_not_to_vanish(lengths[0]),
        sufficient_for_vanishing(),
        attention_gate(),
        receptive_field(),
        outer_product_of_gradients(),
        powers_pulled_out(),
        number_of_factors(),
        approximate_forward_gradients(),
        cure_for_exploding(lengths[0]),
        order_of_factors(),
    ]
    report.table("wrong", ("a lecture says", "measured", "what holds"), rows)
    report.say(
        "Not a matter of numbers: a network that copies from its input or takes a word from a "
        "vocabulary is not a pointer network (Vinyals et al., 2015), which has no vocabulary, but "
        "a mixture (Gulcehre et al., 2016). The attention gate of a lecture is defined by what "
        "it gates. GRU and multi-dimensional networks date from 2014 and 2007, not from the "
        "1990s. Layers on top of each other are listed as a remedy for vanishing gradients and, a "
        "paragraph later, said not to be one. A printed class uses `num_layers` without defining "
        "it, and calls `tanh()` without an argument."
    )
    report.draw("vanishing", draw(lengths[1]))
    report.say(
        "How to read it: the length of a gradient on its way back through a tanh network whose "
        "recurrent weights have the recommended spectral radius of 1.1. Without inputs the units "
        "stay near 0, where their slope is 1, and the gradient may grow; with inputs of the usual "
        "size they saturate, and it vanishes all the same."
    )


# --- Jacobians and their products -------------------------------------------------------------


def off(wrong: Tensor, right: Tensor) -> float:
    """Return the size of the difference, relative to `right`."""
    return float((wrong - right).detach().norm() / right.detach().norm())


def gru_jacobian() -> Row:
    torch.manual_seed(1)
    cell = GruCell(3, 8).double()
    initialize_uniform(cell, 0.8)
    before, gates, h = (
        torch.rand(8).double(),
        cell.project(torch.randn(3).double()),
        torch.randn(8).double(),
    )
    u_r, u_z, u_n = cell.recurrent.weight.chunk(3)
    g_r, g_z, g_n = gates.chunk(3)
    r, z = torch.sigmoid(g_r + u_r @ h), torch.sigmoid(g_z + u_z @ h)
    n = torch.tanh(g_n + r * (u_n @ h))
    d = torch.diag
    through_z = d(z) + d(h - n) @ d(z * (1 - z)) @ u_z
    s = torch.sigmoid(g_n + u_n @ h)
    lecture = through_z + d(1 - before) @ d(s * (1 - s)) @ u_n
    through_n = d(r) @ u_n + d(u_n @ h) @ d(r * (1 - r)) @ u_r
    right = through_z + d(1 - z) @ d(1 - n**2) @ through_n
    exact = torch.autograd.functional.jacobian(lambda h: cell(gates, (h,))[0], h)
    return (
        "the Jacobian of a GRU has sigma' of W h + ..., 1 - z of the step before, and no r",
        f"{off(lecture, exact):.0%} off",
        f"tanh', 1 - z of this step, and the reset gate: {off(right, exact):.0e} off",
    )


def tanh_network(radius: float, units: int = 50) -> RnnCell:
    torch.manual_seed(1)
    cell = RnnCell(units, units).double()
    initialize_spectral(cell, radius)
    return cell


def gradient_norms(cell: RnnCell, inputs: Tensor) -> list[float]:
    """Return |v^T dh_T / dh_{T-l}| by lag l, for a random v of length 1."""
    states = [state[0] for state in unroll_states(cell, inputs)]
    v = torch.randn_like(states[-1])
    grads = torch.autograd.grad(states[-1], states, v / v.norm())
    return [float(grad.norm()) for grad in reversed(grads)]


def noise(length: int, units: int = 50, scale: float = 1.0) -> Tensor:
    return (
        scale * torch.randn(1, length, units, generator=torch.Generator().manual_seed(2)).double()
    )


def guaranteed_not_to_vanish(length: int) -> Row:
    cell = tanh_network(1.1)
    with torch.no_grad():
        cell.input.weight.copy_(torch.eye(50))
    norms = [gradient_norms(cell, noise(length, scale=scale))[-1] for scale in (1.0, 0.0)]
    return (
        "weights with a spectral radius of 1.1 are guaranteed not to let gradients vanish",
        f"after {length} steps {norms[0]:.0e}, without inputs {norms[1]:.0e}",
        "a radius of 1 is necessary for that, not sufficient: saturated units have no slope",
    )


def sufficient_for_vanishing() -> Row:
    weights = 1.8 * torch.tensor([[1.0, -1.0], [1.0, -1.0]]).double()
    step = torch.diag(torch.tensor([1.0, 0.1]).double()) @ weights
    radii = spectral_radius(weights), spectral_radius(step)
    sigma = float(torch.linalg.matrix_norm(weights, 2))
    return (
        "a spectral radius below 1 (for tanh) is sufficient for gradients to vanish",
        f"radius of W {radii[0]:.1g}, of D(phi') W {radii[1]:.2f}: it can even explode",
        f"sufficient is a largest singular value below 1; here it is {sigma:.2f}",
    )


def powers_pulled_out() -> Row:
    """W^l prod D(phi') is not prod D(phi') W, as matrices do not commute."""
    torch.manual_seed(1)
    weights, slopes = torch.randn(8, 8).double() / 3, torch.rand(5, 8).double()
    right = torch.linalg.multi_dot([torch.diag(slope) @ weights for slope in slopes])
    pulled = torch.linalg.matrix_power(weights, 5) @ torch.diag(slopes.prod(dim=0))
    return (
        "W^(i-j) can be pulled out of the product of Jacobians",
        f"{off(pulled, right):.0%} off for 5 steps of 8 units",
        "matrices do not commute; a bound of the norm can be pulled out",
    )


def number_of_factors() -> Row:
    """With one unit and W = 2, without a nonlinearity, dh_t / dh_i is 2 to the number of Ws."""
    cell = RnnCell(1, 1, activation="identity").double()
    nn.init.constant_(cell.recurrent.weight, 2.0)
    nn.init.zeros_(cell.input.weight)
    states = [state[0] for state in unroll_states(cell, torch.zeros(1, 8, 1).double())]
    (grad,) = torch.autograd.grad(states[7], states[2])
    return (
        "W appears t - i - 1 times in dh_t / dh_i",
        f"for t - i = 5: {math.log2(float(grad)):g} times",
        "t - i times",
    )


def order_of_factors() -> Row:
    delta, weights = torch.ones(3), torch.ones(3, 5)  # of y, and W_hy from 5 units
    try:
        torch.diag(delta) @ weights.T
        said = "they can be multiplied"
    except RuntimeError:
        said = "a 3x3 and a 5x3 matrix have no product"
    return "the gradient of h is diag(dy) W_hy^T", said, "W_hy^T dy, here 5 values"


def cure_for_exploding(length: int) -> Row:
    def norm(cell: Cell) -> float:
        torch.manual_seed(1)
        initialize_uniform(cell, 0.8)
        start = tuple(part.requires_grad_() for part in zero_state(cell, 1))
        last = unroll_states(cell, noise(length, 3, scale=0.1), start)[-1][0]
        grads = torch.autograd.grad(last.sum(), start)
        return float(flatten(grads).norm())

    gru, lstm = norm(GruCell(3, 64).double()), norm(LstmCell(3, 64).double())
    return (
        "LSTM and GRU cure exploding gradients, too",
        f"after {length} steps GRU {gru:.0e}, LSTM {lstm:.0e}",
        "gates keep a gradient from vanishing; against exploding, clip",
    )


# --- inputs and outputs -----------------------------------------------------------------------


def attention_gate() -> Row:
    torch.manual_seed(1)
    x = torch.randn(1000, 20).double()
    g = torch.softmax(torch.tanh(torch.randn(1000, 20).double()), dim=-1)
    ratio = (x * g).norm(dim=-1) / x.norm(dim=-1)
    return (
        "gating x by a softmax selects parts of it",
        f"of 20 inputs, {float(ratio.mean()):.2f} of the length of x is left (1/20 = 0.05)",
        "the gate sums to 1, so multiply it by n, or all inputs shrink",
    )


def receptive_field() -> Row:
    measured = field(Causal(3, 4))
    return (
        "a convolution with K taps, d apart, sees K d steps",
        f"K = 3, d = 4: {measured} steps, not 12",
        "(K - 1) d + 1",
    )


# --- learning ---------------------------------------------------------------------------------


def outer_product_of_gradients() -> Row:
    torch.manual_seed(1)
    network = ManyToOne(RnnCell(2, 3), 3).double()
    initialize_uniform(network, 0.8)
    inputs, labels = torch.randn(8, 5, 2).double(), torch.randint(0, 3, (8,))
    run = as_function(network, ManyToOne.forward)
    point = parameter_vector(network)

    def logits(theta: Tensor) -> Tensor:
        return run(theta, inputs)

    exact = gauss_newton_matrix(logits, lambda y: cross_entropy(y, labels), point)
    empirical, fisher = empirical_fisher_matrix(logits, labels, point), fisher_matrix(logits, point)
    return (
        "Gauss-Newton approximates the Hessian by an outer product of gradients",
        f"{off(empirical, exact):.0%} off",
        f"J^T H_L J; gradients for labels drawn from the model: {off(fisher, exact):.0e} off",
    )


def approximate_forward_gradients() -> Row:
    torch.manual_seed(1)
    cell = GruCell(3, 6).double()
    initialize_uniform(cell, 0.8)
    inputs, state, rule = torch.randn(1, 10, 3).double(), torch.zeros(1, 6).double(), Rtrl()
    for x in inputs.unbind(dim=1):
        step = differentiate_step(cell, x, state)
        rule.advance(step)
        state = step.state
    loss = unroll_states(cell, inputs)[-1][0].sum()
    exact = flatten(torch.autograd.grad(loss, list(cell.parameters())))
    return (
        "real-time recurrent learning uses approximate gradients",
        f"{off(rule.gradient(torch.ones_like(state))[0], exact):.0e} off",
        "it is exact; NoBackTrack and UORO estimate it, without bias",
    )


def draw(length: int) -> Figure:
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    panel = figure.subplots()
    cell = tanh_network(1.1)
    with torch.no_grad():
        cell.input.weight.copy_(torch.eye(50))
    for scale, style in ((0.0, "-"), (0.1, "--"), (0.3, "-."), (1.0, ":")):
        norms = gradient_norms(cell, noise(length, scale=scale))
        panel.semilogy(norms, style, color="black", label=f"inputs of standard deviation {scale:g}")
    panel.set(xlabel="steps back", ylabel="norm of the gradient")
    panel.set_title("tanh, spectral radius 1.1")
    panel.legend()
    return figure
