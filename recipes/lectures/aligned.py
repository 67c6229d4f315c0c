"""Aligned many to many: a tag for each word, which may depend on the words around it."""

import random

from matplotlib.figure import Figure

from lectures.shelf import Report
from lectures.tasks import Pair, train

CLAIM = "A tag can depend on words before it, and on words after it only if the network sees them."

LETTERS = "abcdef"
ENCODERS = {
    "forward": 'model.encoder={cell="gru", hidden_size=32, bidirectional=false}',
    "both directions": 'model.encoder={cell="gru", hidden_size=32}',
}


def tags(count: int, *, lag: int, seed: int) -> list[Pair]:
    """Return lines of letters, each tagged by the letter `lag` places before it, or after it if
    `lag` is negative; "-" where there is none."""
    chance, found = random.Random(seed), []
    for _ in range(count):
        line = chance.choices(LETTERS, k=chance.randint(3, 9))
        padding = ["-"] * abs(lag)
        around = padding + [letter.upper() for letter in line] + padding
        begin = abs(lag) - lag
        found.append((" ".join(line), " ".join(around[begin : begin + len(line)])))
    return found


def show(report: Report) -> None:
    """Train both encoders to tag words at several distances; draw how many tags are right."""
    lags = (-1, 1) if report.quick else (-2, -1, 0, 1, 2)
    count, updates = (200, 30) if report.quick else (2000, 150)
    rows = []
    for lag in lags:
        found = []
        for name, encoder in ENCODERS.items():
            folder = report.folder / "runs" / f"{name.split()[0]}{lag:+d}"
            changes = (encoder, "model.decoder=aligned")
            model = train(folder, tags(count, lag=lag, seed=1), changes, updates=updates)
            tested = tags(200, lag=lag, seed=2)
            written = [each.text.split() for each in model.translate([line for line, _ in tested])]
            pairs = [
                (tag, wanted)
                for one, (_, text) in zip(written, tested, strict=True)
                for tag, wanted in zip(one, text.split(), strict=True)
            ]
            found.append(100 * sum(tag == wanted for tag, wanted in pairs) / len(pairs))
        rows.append((lag, *found))
    report.table("tags", ("tag is the word", *(f"{name}, % right" for name in ENCODERS)), rows)
    report.draw("tags", draw(rows))
    report.say(
        "How to read it: at 1, each tag is the word before, at -1 the word after. A network that "
        "reads forward has seen the words before a tag and none after it: there it can only tell "
        f"the most frequent tag, one of {len(LETTERS)}, and that a line has ended. Read in both "
        "directions, all distances are alike, though a longer one takes longer to learn. N words "
        "in are N tags out, so nothing decides how long the output is."
    )


def draw(rows: list[tuple[int, float, float]]) -> Figure:
    """Draw how many tags are right at each distance."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    lags, *found = zip(*rows, strict=True)
    for name, style, values in zip(ENCODERS, ("o--", "s-"), found, strict=True):
        axes.plot(lags, values, style, label=f"reads {name}")
    axes.axhline(100 / len(LETTERS), color="0.5", linestyle=":", label="chance")
    axes.set_xlabel("distance from the tagged word back to the word that decides it (words)")
    axes.set_ylabel("tags that are right (%)")
    axes.set_ylim(0, 105)
    axes.set_xticks(lags)
    axes.legend(loc="lower right")
    return figure
