"""`nmt check`: examine a parallel corpus."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nmt.errors import DataError


def check(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Source text file.")],
    target: Annotated[Path, typer.Argument(metavar="TGT", help="Its translation, line by line.")],
    against: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="SRC TGT", help="Test set that must not be in the corpus."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Report everything unusual in a parallel corpus; exit code 3 if something must be fixed.

    Finds unequal line counts, bad UTF-8, carriage returns, control characters, empty, long and
    repeated lines, unlikely length ratios, copies, and test sentences in the corpus.
    """
    from nmt.data.check import check as examine

    report = examine(source, target, against=against)
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
    else:
        typer.echo(report.to_text())
    if report.is_serious:
        raise typer.Exit(DataError.exit_code)
