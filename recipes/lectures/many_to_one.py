"""Many to one: a label for a whole line, by a recurrent network or without one."""

import random
from pathlib import Path

from matplotlib.figure import Figure

from lectures.shelf import Report
from lectures.tasks import Pair, exact, train

CLAIM = "One vector, the last state, is enough to label a line; in it, the order of words counts."

TOY = Path(__file__).parents[2] / "data" / "toy"
READERS = {
    "bag of words": 'model.encoder={kind="bag"}',
    "convolutions": 'model.encoder={kind="convolutional", hidden_size=32, layers=3}',
    "GRU": 'model.encoder={cell="gru", hidden_size=32, bidirectional=false}',
}
LENGTH = 10
"""Symbols in a line of the temporal-order task, few enough for the convolutions to see all."""
HATCHES = ("", "//", "xx")


def languages(count: int, *, test: bool = False) -> list[Pair]:
    """Return lines of the toy corpus with their language; of the held-out part for a test."""
    part, found = "test" if test else "train", []
    for language in ("en", "it"):
        lines = (TOY / f"{part}.{language}").read_text(encoding="utf-8").splitlines()
        found += [(line, language) for line in lines[: count // 2]]
    random.Random(1).shuffle(found)
    return found


def temporal_order(count: int, *, test: bool = False) -> list[Pair]:
    """Return lines of noise with one A or B early and one late; the label is both, in order.

    A small form of the task of Hochreiter and Schmidhuber (1997).
    """
    chance, found = random.Random(1 + test), []
    for _ in range(count):
        line = chance.choices("uvwxyz", k=LENGTH)
        first, second = chance.choices("AB", k=2)
        line[chance.randrange(LENGTH // 5)] = first
        line[LENGTH // 2 + chance.randrange(LENGTH // 5)] = second
        found.append((" ".join(line), first + second))
    return found


TASKS = {"language of a line": languages, "order of two symbols": temporal_order}


def show(report: Report) -> None:
    """Train each reader on each task; say and draw how many labels are right."""
    count, updates, tested = (300, 25, 100) if report.quick else (2000, 150, 500)
    rows = []
    for reader, encoder in READERS.items():
        if report.quick and reader == "convolutions":
            continue
        found = []
        for number, make in enumerate(TASKS.values()):
            folder = report.folder / "runs" / f"{reader.split()[0].lower()}-{number}"
            changes = (encoder, "model.decoder=label", "data.max_length=200")
            model = train(folder, make(count), changes, updates=updates)
            found.append(exact(model, make(tested, test=True)))
        rows.append((reader, *found))
    report.table("labels", ("reader", *(f"{name}, % right" for name in TASKS)), rows)
    report.draw("labels", draw(rows))
    report.say(
        "How to read it: each bar is the share of test lines whose label is right. The language of "
        "a line shows in its words, and a bag of words, which adds up their embeddings, finds it "
        "as well as a network that reads them in order. Which of two symbols came first does not "
        "show there: the bag knows it where both are the same and guesses where they differ, so "
        "it is right in about three lines of four. The network carries the first symbol in its "
        "state to the end of the line."
    )
    report.say(
        "The same as commands, on any two text files of lines and labels: nmt train CONFIG --set "
        "model.decoder=label --set validation.metric=loss, then nmt translate RUN and nmt evaluate "
        f"-m exact. The configurations and texts of this lecture are in {report.folder / 'runs'}."
    )


def draw(rows: list[tuple[str, float, float]]) -> Figure:
    """Draw a group of bars for each task."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(rows)
    for place, ((reader, *found), hatch) in enumerate(zip(rows, HATCHES, strict=False)):
        left = [task + place * width for task in range(len(TASKS))]
        bars = axes.bar(left, found, 0.9 * width, label=reader, hatch=hatch, edgecolor="0.2")
        axes.bar_label(bars, fmt="%.0f")
    axes.set_xticks([task + 0.4 - width / 2 for task in range(len(TASKS))], list(TASKS))
    axes.set_ylabel("labels that are right (%)")
    axes.set_ylim(0, 125)
    axes.legend(ncols=len(rows), loc="upper center")
    return figure
