"""`nmt show`: the contents and the learning curves of a run."""

from pathlib import Path
from typing import Annotated

import typer


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    rows: Annotated[int, typer.Option(min=0, help="Maximum number of table rows; 0 = all.")] = 25,
    plot: Annotated[
        Path | None, typer.Option(help="Also plot the curves to this .svg, .png or .pdf file.")
    ] = None,
) -> None:
    """Show a run: configuration, data, size, checkpoints and learning curves.

    The table has a line per validation; `*` marks the best one.
    """
    from nmt.reporting import curves
    from nmt.reporting.overview import overview

    found = curves.Curves.of(run)
    typer.echo(overview(run, found))
    if found.updates or found.validations:
        typer.echo(f"\n{curves.table(found, rows=rows)}")
    else:
        typer.echo("\nno metrics yet")
    if plot is not None:
        curves.plot(found, plot)
