"""Learning while reading: exact, truncated and estimated gradients that need no way back."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor
from torch.nn.functional import one_hot
from torch.optim import Adam

from lectures.shelf import Report
from nmt.laboratory.estimators import RankOne, nobacktrack, uoro
from nmt.laboratory.network import ManyToOne, unroll_states
from nmt.laboratory.online import OnlineLearner, Rule
from nmt.laboratory.parameters import flatten
from nmt.laboratory.rtrl import Rtrl, Truncated, differentiate_step
from nmt.laboratory.tasks import Recall
from nmt.layers.cells import RnnCell
from nmt.layers.initialization import initialize_orthogonal, initialize_uniform

CLAIM = "A recurrent network can learn while it reads, without ever going back in time."
ROWS = 20
"""Streams that are read side by side."""
CHANCE, LEARNED = 0.5, 0.8
"""Share of right answers of a guess, and from which on a rule counts as learned."""


@dataclass(frozen=True)
class Scale:
    """How large the experiments are."""

    lag: int
    """Symbols between a symbol and the question for it."""
    cut: int
    """Steps of truncated backpropagation, fewer than the lag."""
    episodes: int
    phase: int
    """Steps before and after the rule of the stream changes."""


FULL, QUICK = Scale(10, 5, 300, 120), Scale(3, 2, 10, 30)

Rules = dict[str, Callable[[], Rule]]


def show(report: Report) -> None:
    scale = QUICK if report.quick else FULL
    report.say(
        "A lecture calls real-time recurrent learning (RTRL) approximate. It is exact; its "
        "estimators are not. Deviation from the backpropagated gradient, as a share of its length, "
        "on four steps of two units, where the signs of an estimate can be drawn in 256 ways:"
    )
    columns = ("gradient", "its mean is off by", "its standard deviation")
    rules = {"RTRL": Rtrl(), "NoBackTrack": RankOne(nobacktrack), "UORO": RankOne(uoro)}
    report.table("estimates", columns, [spread(name, rule) for name, rule in rules.items()])
    recalled = {name: recall(rule, scale) for name, rule in recall_rules(scale).items()}
    report.say(
        f"Recalling the first of {scale.lag + 1} equal symbols; right answers in the last tenth of "
        f"{scale.episodes} updates (chance: {CHANCE:g}):"
    )
    last = max(scale.episodes // 10, 1)
    rows = [(name, mean(right[-last:])) for name, right in recalled.items()]
    report.table("recall", ("gradient", "right"), rows)
    streams = {name: adapt(rule, scale) for name, rule in stream_rules().items()}
    report.say(
        f"A stream of bits: the answer is the bit {DELAY} steps ago, and from step {scale.phase} "
        "on the other one. Nobody tells the network that the rule has changed:"
    )
    tenth = max(scale.phase // 10, 1)
    rows = [
        (name, mean(right[scale.phase - tenth : scale.phase]), mean(right[-tenth:]))
        for name, right in streams.items()
    ]
    report.table("stream", ("gradient", "right before the change", "right at the end"), rows)
    report.draw("online", draw(recalled, streams, scale))
    report.explain(
        "each line is the share of right answers, given before learning from them.",
        "On the left, truncated backpropagation is at chance, as the answer lies further back than "
        "it looks; the exact gradient finds it, while an estimate is too noisy for so rare an "
        "answer. On the right, everything that goes on learning finds the new rule; a network that "
        "stopped learning at the change is wrong for ever.",
        shown=is_shown(
            {name: mean(right[-last:]) for name, right in recalled.items()},
            {name: mean(right[-tenth:]) for name, right in streams.items()},
        ),
    )


def is_shown(recalled: dict[str, float], streams: dict[str, float]) -> bool:
    """Whether RTRL alone recalls, and only a network that goes on learning follows a new rule."""
    exact, *others = recalled.values()
    *learning, frozen = streams.values()
    return exact > LEARNED > max(others) and min(learning) > LEARNED > frozen


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


# --- estimates --------------------------------------------------------------------------------


PARAMETERS, STEPS = 12, 4
"""Of two units that read three numbers."""


def spread(name: str, rule: Rtrl | RankOne) -> tuple[str, float, float]:
    """Return name, bias and standard deviation of a gradient, relative to the length of the
    backpropagated one."""
    torch.manual_seed(1)
    cell = RnnCell(3, 2).double()
    initialize_uniform(cell, 0.8)
    paths = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 2 * STEPS)
    signs = paths.reshape(-1, STEPS, 2).unbind(dim=1)
    inputs, targets = torch.randn(1, STEPS, 3).double(), torch.randn(1, STEPS, 2).double()
    states = torch.stack([state[0] for state in unroll_states(cell, inputs)], dim=1)
    loss = (states - targets).square().sum() / 2
    exact = flatten(torch.autograd.grad(loss, list(cell.parameters())))
    state, total = torch.zeros(len(paths), 2).double(), torch.zeros(len(paths), PARAMETERS).double()
    for t in range(STEPS):
        step = differentiate_step(cell, inputs[:, t].expand(len(paths), -1), state)
        rule.advance(step) if isinstance(rule, Rtrl) else rule.advance(step, signs[t])
        state = step.state
        total += rule.gradient(state - targets[:, t])
    bias = (total.mean(dim=0) - exact).norm()
    deviation = (total - exact).square().sum(dim=1).mean().sqrt()
    return name, float(bias / exact.norm()), float(deviation / exact.norm())


# --- recall -----------------------------------------------------------------------------------


def recall_rules(scale: Scale) -> Rules:
    return {
        "RTRL": Rtrl,
        f"truncated after {scale.cut} steps": lambda: Truncated(scale.cut),
        "UORO": lambda: RankOne(uoro, Generator().manual_seed(1)),
    }


def make_learner(features: int, radius: float) -> tuple[ManyToOne, Adam]:
    """Return a network of 16 units whose recurrent weights shorten every vector to `radius`."""
    torch.manual_seed(1)
    network = ManyToOne(RnnCell(features, 16), 2)
    initialize_orthogonal(network)
    with torch.no_grad():
        network.cell.recurrent.weight.mul_(radius)
    return network, Adam(network.parameters(), lr=0.01)


def recall(make_rule: Callable[[], Rule], scale: Scale) -> list[float]:
    """Return the share of right answers of each episode."""
    task, generator = Recall(scale.lag, alike=True), Generator().manual_seed(1)
    network, optimizer = make_learner(task.features, radius=0.5)
    right = []
    for _ in range(scale.episodes):
        examples = task.draw(ROWS, generator)
        learner = OnlineLearner(network, make_rule(), optimizer, rows=ROWS)
        for symbol in examples.inputs.unbind(dim=1)[:-1]:
            learner.read(symbol)
        outputs = learner.read(examples.inputs[:, -1], examples.targets)
        right.append(share(outputs, examples.targets))
    return right


def share(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs.argmax(dim=-1) == targets).double().mean())


# --- a stream whose rule changes --------------------------------------------------------------

DELAY = 2
"""How many steps back the answer lies; after the change it is the other bit."""


def stream_rules() -> dict[str, Callable[[], Rule] | None]:
    return {
        "RTRL": Rtrl,
        "truncated after 3 steps": lambda: Truncated(3),
        "UORO": lambda: RankOne(uoro, Generator().manual_seed(1)),
        "frozen": None,
    }


def adapt(make_rule: Callable[[], Rule] | None, scale: Scale) -> list[float]:
    """Return the share of right answers at each step; without a rule, learning ends half-way."""
    network, optimizer = make_learner(2, radius=0.9)
    learner = OnlineLearner(network, (make_rule or Rtrl)(), optimizer, rows=ROWS)
    bits = torch.randint(0, 2, (2 * scale.phase, ROWS), generator=Generator().manual_seed(1))
    right = []
    for t, bit in enumerate(bits):
        answers = bits[max(t - DELAY, 0)]
        if t >= scale.phase:
            answers = 1 - answers
        is_learning = make_rule is not None or t < scale.phase
        outputs = learner.read(one_hot(bit, 2).float(), answers if is_learning else None)
        right.append(share(outputs, answers))
    return right


# --- picture ----------------------------------------------------------------------------------

STYLES = ("-", "--", ":", "-.")


def draw(recalled: dict[str, list[float]], streams: dict[str, list[float]], scale: Scale) -> Figure:
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for panel, lines in ((left, recalled), (right, streams)):
        for (name, values), style in zip(lines.items(), STYLES, strict=False):
            window = max(len(values) // 40, 1)
            panel.plot(*smooth(values, window), style, label=name)
        panel.axhline(CHANCE, color="0.6", linewidth=1)
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, fontsize="small")
    left.set(title=f"recall after {scale.lag} symbols", xlabel="updates", ylabel="right answers")
    right.set(title="a stream whose rule changes", xlabel="steps", ylim=(-0.03, 1.03))
    right.axvline(scale.phase, color="0.6", linewidth=1)
    return figure


def smooth(values: list[float], window: int) -> tuple[list[int], list[float]]:
    """Return means over windows, and where each ends."""
    ends = list(range(window, len(values) + 1, window))
    return ends, [mean(values[end - window : end]) for end in ends]
