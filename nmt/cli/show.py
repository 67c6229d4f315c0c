"""`nmt show`: the contents and the learning curves of a run."""

from pathlib import Path
from typing import Annotated

import typer


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
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

    The table has a line per validation; `*` marks the best one.
    """
    from nmt.reporting.curves import Curves, table
    from nmt.reporting.overview import overview
    from nmt.reporting.picture import require_plottable
    from nmt.reporting.plot import plot as draw
    from nmt.reporting.samples import samples_over_time

    if plot is not None:
        require_plottable(plot)
    curves = Curves.of(run)
    typer.echo(overview(run, curves))
    if curves.updates or curves.validations:
        typer.echo(f"\n{table(curves, rows=rows)}")
    else:
        typer.echo("\nno metrics yet")
    if samples:
        typer.echo(f"\n{samples_over_time(run, curves, count=samples, rows=rows)}")
    if plot is not None:
        draw(curves, plot)
