"""Pointer networks: sorting and convex hulls, and what they do with symbols they never saw."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lectures.shelf import Report
from nmt.config.model import ModelConfig
from nmt.config.search import SearchConfig
from nmt.data.batch import Batch, make_batch
from nmt.fast.accelerate import accelerate
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.likelihood import Likelihood
from nmt.search.scorers import ModelScorer
from nmt.search.search import search
from nmt.text.vocabulary import EOS, SPECIAL_PIECES, UNK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLAIM = "A network that points at its input sorts numbers and finds convex hulls (Ptr-Net)."

FIRST = len(SPECIAL_PIECES)
"""Id of the symbol 0; a symbol has the same id on both sides."""
VOCAB = FIRST + 100
"""Symbols of all tasks, whether they use them or not."""
GRID = 10
"""Points of a hull lie on a grid of so many columns and rows; symbol 10 y + x is the point x, y."""


@dataclass(frozen=True)
class Task:
    """Lines of symbols, each different, and what is to be written for them."""

    name: str
    symbols: int
    shortest: int
    longest: int
    solve: Callable[[Sequence[int]], list[int]]
    updates: int

    def draw(self, chance: random.Random, count: int) -> list[tuple[list[int], list[int]]]:
        """Return lines with their solutions."""
        lines = [
            chance.sample(range(self.symbols), chance.randint(self.shortest, self.longest))
            for _ in range(count)
        ]
        return [(line, self.solve(line)) for line in lines]


def hull(points: Sequence[int]) -> list[int]:
    """Return the corners of the convex hull, anticlockwise from the lowest point, of those the
    leftmost (Andrew's monotone chain)."""

    def chain(ordered: Sequence[int]) -> list[int]:
        kept: list[int] = []
        for point in ordered:
            while len(kept) > 1 and _turn(kept[-2], kept[-1], point) <= 0:
                kept.pop()
            kept.append(point)
        return kept[:-1]

    rising = sorted(points)  # by row, then column
    return chain(rising) + chain(rising[::-1])


def _turn(first: int, second: int, third: int) -> int:
    """Return above 0 if three points turn left."""
    (ay, ax), (by, bx), (cy, cx) = (divmod(point, GRID) for point in (first, second, third))
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


SORTING = Task("sort 5-10 of 100", 100, 5, 10, sorted, updates=2000)
HULLS = Task("hull of 5", GRID * GRID, 5, 5, hull, updates=1500)
SMALL = Task("sort 3-5 of 8", 8, 3, 5, sorted, updates=50)


def show(report: Report) -> None:
    tasks = [SMALL] if report.quick else [SORTING, HULLS]
    size = 32 if report.quick else 64
    curves: dict[str, list[tuple[int, float]]] = {}
    models: dict[str, EncoderDecoder] = {}
    rows = []
    for task in tasks:
        for output in ("pointer", "softmax"):
            name = f"{task.name}, {output}"
            models[name], curves[name] = learn(task, output, size=size)
            rows.append((task.name, output, curves[name][-1][1]))
    report.table("exact", ("task", "output", "exact lines, %"), rows)

    task = tasks[0]
    pointer, most = models[f"{task.name}, pointer"], task.longest
    five = replace(task, shortest=5, longest=5)
    longer = replace(task, shortest=most + 2, longest=most + 2)
    shown = [
        ("5 numbers", exact(pointer, five)),
        (f"{most + 2} numbers, while training had at most {most}", exact(pointer, longer)),
        ("5 numbers, one of them never seen", exact(pointer, five, unseen=True)),
    ]
    report.table("beyond", ("lines for the sorting pointer", "exact lines, %"), shown)
    report.draw("pointer", draw(curves, pointer, task))
    report.say(
        "How to read it: on the left, lines solved without any mistake, of lines that training "
        "never saw. On the right, each row is a step of the sorting pointer, and the columns are "
        "the numbers as they were given: a dark cell is the position that it points at, and "
        "pointing at the end symbol ends the output. Whatever it writes is in its input, even a "
        "number that it never saw; but it reads all such numbers as the same unknown symbol, and "
        "cannot know where they belong: in the last line of the table, a place at random gives "
        "20 %, and that of another number in its stead 33 %. To do better takes an encoder that "
        "reads numbers by their value. The softmax, beside it, has the same encoder, decoder and "
        "attention: over a fixed set of symbols it needs no pointer in the long run, but it can "
        "write none that training did not have. (Published, for hulls of 50 points: pointer "
        "72.6 %, a softmax without attention 1.9 %.)"
    )


def learn(task: Task, output: str, *, size: int) -> tuple[EncoderDecoder, list[tuple[int, float]]]:
    """Return a model of a task, and the share of exact lines by update, in per cent."""
    torch.manual_seed(1)
    chance, points = random.Random(1), output == "pointer"
    config = ModelConfig.model_validate(
        {
            "embedding": {"size": size},
            "encoder": {"hidden_size": size},
            "decoder": {"hidden_size": size, "attention": "general"},
            "output": {"kind": "pointer", "hidden_size": size} if points else output,
            "initialization": "xavier",
        }
    )
    model = build_model(config, source_vocab=VOCAB, target_vocab=VOCAB)
    accelerate(model, "training")
    peak = 0.01 if size < 64 else 0.005
    optimizer, curve = torch.optim.Adam(model.parameters(), lr=peak), [(0, 0.0)]
    for update in range(1, task.updates + 1):
        optimizer.param_groups[0]["lr"] = peak * (1 - update / task.updates)
        loss = Likelihood().loss(model, batch_of(task.draw(chance, 64)))
        optimizer.zero_grad()
        (loss.total / loss.tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update % (task.updates // 4) == 0:
            curve.append((update, exact(model, task)))
    return model, curve


def batch_of(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, unseen: bool = False
) -> Batch:
    """Return pairs of symbols as a batch.

    Args:
        pairs: lines and their solutions.
        unseen: the first symbol of each line is one that is in no vocabulary.
    """
    ids = []
    for line, solution in pairs:
        source, target = [FIRST + x for x in line], [FIRST + x for x in solution]
        if unseen:
            target[solution.index(line[0])] = VOCAB
            source[0] = UNK + VOCAB * (VOCAB + 1)  # read as unknown, written as itself
        ids.append(([*source, EOS], [*target, EOS]))
    return make_batch(ids, range(len(ids)))


def exact(model: EncoderDecoder, task: Task, *, unseen: bool = False) -> float:
    """Return how many of 200 new lines are solved without a mistake, in per cent."""
    batch = batch_of(task.draw(random.Random(2), 200), unseen=unseen)
    model.eval()
    found = search(ModelScorer(model), batch.source, batch.source_mask, SearchConfig(beam=1))
    model.train()
    solved = [
        [*hypotheses[0].tokens, EOS] == target[mask].tolist()
        for hypotheses, target, mask in zip(found, batch.target_out, batch.target_mask, strict=True)
    ]
    return 100 * sum(solved) / len(solved)


@torch.no_grad()
def pointing(model: EncoderDecoder, pair: tuple[list[int], list[int]]) -> Tensor:
    """Return where a pointer points at each step of a solution, [tgt_len, src_len]."""
    batch = batch_of([pair])
    memory = model.encode(batch.source, batch.source_mask)
    features = model.decode(memory, batch.target_in).features
    if memory.copyable is None or memory.copyable.keys is None:
        raise TypeError("this model does not point")
    weights: Tensor = model.output.attention(features, memory.copyable.keys, memory.mask)
    return weights[0]


def draw(
    curves: dict[str, list[tuple[int, float]]], pointer: EncoderDecoder, task: Task
) -> "Figure":
    """Draw the share of exact lines by update, and where the sorting pointer points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    learning, steps = figure.subplots(1, 2)
    for (name, curve), style in zip(curves.items(), ("o-", "s--", "^-", "x--"), strict=False):
        learning.plot(*zip(*curve, strict=True), style, label=name)
    learning.set_xlabel("updates of 64 lines")
    learning.set_ylabel("exact lines (%)")
    learning.set_ylim(-2, 102)
    learning.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    line, solution = task.draw(random.Random(3), 1)[0]
    weights = pointing(pointer.eval(), (line, solution))
    steps.imshow(weights.numpy(), cmap="Greys", vmin=0, vmax=1)
    steps.set_xticks(range(len(line) + 1), [*map(str, line), "end"])
    steps.set_yticks(range(len(solution) + 1), [*map(str, solution), "end"])
    steps.set_xlabel("input, as it was given")
    steps.set_ylabel("output, step by step")
    return figure
