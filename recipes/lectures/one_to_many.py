"""One to many: a vector becomes a sentence, as in describing a picture."""

import math
import random
from functools import partial

from matplotlib.figure import Figure

from lectures.shelf import Report
from lectures.tasks import Pair, exact, train

CLAIM = "A vector that is read once, before the first word, is enough to write a whole sentence."

COLOURS, COUNTS = ("red", "green", "blue", "yellow"), ("one", "two", "three")
PLACES = ("on the left", "in the middle", "on the right")
NOISE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
MODEL = (
    'model.encoder={kind="numbers", features=6, reader={kind="bag"}}',
    "model.decoder.attention=none",
    "model.decoder.cell=gru",
    "model.decoder.hidden_size=48",
)


def pictures(count: int, *, noise: float, seed: int) -> list[Pair]:
    """Return vectors that stand for pictures of balls, and what the pictures show.

    Four numbers say how much of each colour there is, one how many balls, one where they lie; to
    each, noise of this standard deviation is added.
    """
    chance, found = random.Random(seed), []
    for _ in range(count):
        colour, balls, place = chance.randrange(4), chance.randrange(3), chance.randrange(3)
        vector = [float(colour == each) for each in range(4)] + [balls - 1.0, place - 1.0]
        numbers = ",".join(f"{value + chance.gauss(0, noise):.3f}" for value in vector)
        balls_are = "ball is" if balls == 0 else "balls are"
        found.append((numbers, f"{COUNTS[balls]} {COLOURS[colour]} {balls_are} {PLACES[place]} ."))
    return found


def show(report: Report) -> None:
    """Train on vectors with some noise; show descriptions, and how they fail with more of it."""
    count, updates, tested = (500, 120, 50) if report.quick else (2000, 400, 500)
    examples = pictures(count, noise=0.1, seed=1)
    model = train(report.folder / "runs", examples, MODEL, updates=updates)
    shown = pictures(4, noise=0.1, seed=2)
    written = [each.text for each in model.translate([vector for vector, _ in shown])]
    report.table(
        "descriptions",
        ("vector", "description"),
        [(vector, text) for (vector, _), text in zip(shown, written, strict=True)],
    )
    rows = [
        (noise, exact(model, pictures(tested, noise=noise, seed=3)), exact_by_rule(tested, noise))
        for noise in (NOISE[::3] if report.quick else NOISE)
    ]
    columns = ("noise (standard deviation)", "network, % exact", "nearest description, % exact")
    report.table("noise", columns, rows)
    report.draw("noise", draw(rows))
    report.say(
        "How to read it: the network was trained with noise of 0.1. Without attention, all it "
        "knows of the vector is in the state it starts from, and it writes words of four kinds "
        "that agree with one another. With more noise it errs, since the vector no longer says "
        "what is shown: the dashed line is the description whose noiseless vector is nearest, "
        f"which is the most likely one. Nothing is right more often in the long run; on {tested} "
        "vectors a network can be so by chance. Here the vector was made up; a picture's would "
        "come from a convolutional network, one line of numbers a picture."
    )


def exact_by_rule(count: int, noise: float) -> float:
    """Return how often the nearest noiseless vector has the right description, in per cent."""
    known = pictures(2000, noise=0.0, seed=4)
    clean = {tuple(map(float, vector.split(","))): text for vector, text in known}
    right = 0
    for vector, text in pictures(count, noise=noise, seed=3):
        seen = [float(number) for number in vector.split(",")]
        nearest = min(clean, key=partial(math.dist, seen))
        right += clean[nearest] == text
    return 100 * right / count


def draw(rows: list[tuple[float, float, float]]) -> Figure:
    """Draw how many descriptions are exact against the noise of the vector."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    noise, network, rule = zip(*rows, strict=True)
    axes.plot(noise, network, "o-", label="network")
    axes.plot(noise, rule, "s--", label="nearest noiseless vector")
    axes.axvline(0.1, color="0.5", linestyle=":", label="noise in training")
    axes.set_xlabel("standard deviation of the noise (1 = from one count to the next)")
    axes.set_ylabel("descriptions without a mistake (%)")
    axes.set_ylim(0, 105)
    axes.legend()
    return figure
