"""One run: measure all curves, print figures and slopes, plot."""

import functools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch

from curves.attention import attention_curve
from curves.curve import Curve
from curves.measure import measure_seconds
from curves.options import ALONE, Options
from curves.points import RANGES, SIDES, VARIED, Point, Quantity, Task
from nmt.benchmark.figure import rounded

Ranges = Mapping[Quantity, Sequence[int]]
BASE = Point()


def run(options: Options, *, base: Point = BASE, ranges: Ranges = RANGES) -> None:
    """Print each figure as a JSON line and the slopes as a table, and write the plot.

    Args:
        options: what to measure, and how thoroughly.
        base: the common point, which holds the value of each quantity that is not varied.
        ranges: values of each quantity, ascending.
    """
    from curves.drawing import draw  # imports matplotlib, which measuring does not need

    torch.set_num_threads(options.threads)
    curves = [*measure_curves(options, base, ranges), *measure_attention(options, base)]
    draw(curves, base, options)
    print("", *slope_table(curves), "", f"drawn: {options.svg}", sep="\n", file=sys.stderr)


def measure_curves(options: Options, base: Point, ranges: Ranges) -> Iterator[Curve]:
    """Print figures and yield each curve; a point shared by several curves is measured once."""

    @functools.cache
    def seconds_at(task: Task, point: Point) -> float:
        return measure_seconds(task, point, options)

    for task, quantities in VARIED.items():
        for varied in (quantity for quantity in quantities if quantity in options.varied):
            points = {at: base.at(varied, at) for at in ranges[varied]}
            seconds = []
            for at, point in points.items():
                seconds.append(seconds_at(task, point))
                report(f"{task}_seconds", {"varied": varied, "at": at}, seconds[-1], options)
            megaflop = [point.megaflop(task) for point in points.values()]
            curve = Curve(task, varied, tuple(points), seconds, megaflop)
            report_slopes(curve, options)
            yield curve


def measure_attention(options: Options, base: Point) -> Iterator[Curve]:
    """Print figures and yield each curve of attention alone, if it is to be measured."""
    for side, lengths in SIDES.items() if ALONE in options.varied else ():
        curve = attention_curve(side, lengths, base, options)
        for at, (source, target), seconds in zip(curve.at, lengths, curve.seconds, strict=True):
            about = {"varied": side, "at": at, "source": source, "target": target}
            report("attention_seconds", about, seconds, options)
        report_slopes(curve, options)
        yield curve


def report_slopes(curve: Curve, options: Options) -> None:
    """Print one JSON line for each slope of a curve."""
    for slope in curve.slopes:
        part = {"varied": curve.varied, "from": slope.smallest, "to": slope.largest}
        about = {**part, "predicted": rounded(slope.predicted)}
        report(f"{curve.task}_slope", about, slope.measured, options)


def report(name: str, about: Mapping[str, object], value: float, options: Options) -> None:
    """Print a figure as a JSON line."""
    how = {"precision": options.precision, "threads": options.threads}
    figure = {"figure": name, "system": "nmt", **about, **how, "value": rounded(value)}
    print(json.dumps(figure), flush=True)


def slope_table(curves: Iterable[Curve]) -> Iterator[str]:
    """Yield the lines of a table like the one in README.md."""
    yield "| task | varied | values | slope | predicted | last two | predicted |"
    yield "|---|---|---|---|---|---|---|"
    for curve in curves:
        whole, last = curve.slopes
        slopes = (whole.measured, whole.predicted, last.measured, last.predicted)
        cells = [curve.task, curve.varied, f"{whole.smallest:,} to {whole.largest:,}"]
        yield f"| {' | '.join([*cells, *(f'{slope:.2f}' for slope in slopes)])} |"
