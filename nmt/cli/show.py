"""`nmt show`: the contents and the learning curves of a run, or of several side by side."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.errors import UsageError

if TYPE_CHECKING:
    from nmt.reporting.curves import Curves

log = logging.getLogger(__name__)


def show(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Run folder, or a checkpoint in it; several are compared."
        ),
    ],
    rows: Annotated[
        int, typer.Option(metavar="N", min=0, help="Maximum number of table rows; 0 = all.")
    ] = 25,
    samples: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Also show how N sentences were translated over time."
        ),
    ] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also plot the curves to this .svg, .png or .pdf file."),
    ] = None,
) -> None:
    """Show a run: configuration, data, size, checkpoints and learning curves.

    The table has a line per validation; `*` marks the best one. Of several runs, what differs
    between their configurations is shown, the best of each, and their validations side by side.
    """
    from nmt.models.checkpoints import run_of
    from nmt.reporting.comparison import names_of
    from nmt.reporting.curves import Curves
    from nmt.reporting.picture import require_plottable
    from nmt.reporting.plot import plot as draw

    runs = [*dict.fromkeys(run_of(run) or run for run in runs)]
    if plot is not None:
        require_plottable(plot)
    if samples and len(runs) > 1:
        raise UsageError("--samples: is for a single run; name one, or leave --samples out.")
    curves = {name: Curves.of(run) for name, run in zip(names_of(runs), runs, strict=True)}
    if len(runs) == 1:
        _show_one(runs[0], *curves.values(), rows=rows, samples=samples)
    else:
        _compare(runs, curves, rows=rows)
    if plot is not None:
        draw(curves, plot)
        log.info("wrote %s", plot)


def _show_one(run: Path, curves: "Curves", *, rows: int, samples: int) -> None:
    """Print everything about a run."""
    from nmt.reporting.curves import table
    from nmt.reporting.overview import overview
    from nmt.reporting.samples import samples_over_time

    typer.echo(overview(run, curves))
    if curves.updates or curves.validations:
        typer.echo(f"\n{table(curves, rows=rows)}")
    else:
        typer.echo("\nno metrics yet")
    if samples:
        typer.echo(f"\n{samples_over_time(run, curves, count=samples, rows=rows)}")


def _compare(runs: list[Path], curves: "dict[str, Curves]", *, rows: int) -> None:
    """Print several runs side by side."""
    from nmt.reporting.comparison import best_of_each, differences, side_by_side

    typer.echo(differences(dict(zip(curves, runs, strict=True))))
    typer.echo(f"\n{best_of_each(curves)}")
    if any(each.validations for each in curves.values()):
        typer.echo(f"\n{side_by_side(curves, rows=rows)}")
