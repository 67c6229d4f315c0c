"""`nmt prepare`: convert text files into the data folder of a run."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt.cli.train import default_name


def prepare(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a key, such as data.max_length=80."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder.  [default: runs/NAME-OF-CONFIG]"),
    ] = None,
    bad_lines: Annotated[
        Literal["error", "skip", "replace"],
        typer.Option(help="At pairs that are not UTF-8: stop, skip them, or insert U+FFFD."),
    ] = "error",
) -> None:
    """Filter the corpus, train the subword model and write the data for training.

    Does nothing if the run folder already holds these data, and refuses to replace data that its
    model was trained on.
    """
    from nmt.config.load import load, resolve_paths
    from nmt.data.prepare import prepare as bring_up_to_date
    from nmt.run_folder.layout import DATA, open_run_folder

    experiment = resolve_paths(load(config, settings or ()), config.parent)
    folder = run or Path("runs") / default_name(config)
    with open_run_folder(folder):
        summary = bring_up_to_date(
            experiment,
            config.parent,
            folder / DATA,
            report=logging.getLogger(__name__).info,
            bad_lines=bad_lines,
            expected_key=_trained_on(folder),
        )
    for line in summary.describe():
        typer.echo(line)


def _trained_on(run: Path) -> str | None:
    """Return the key of the data that the newest checkpoint was trained on; None without one."""
    from nmt.models.checkpoints import CHECKPOINTS
    from nmt.run_folder.layout import has_trained

    if not has_trained(run) and not (run / CHECKPOINTS).is_dir():
        return None
    from nmt.training.checkpoint import data_key_of, find_resumable

    checkpoint = find_resumable(run)
    return None if checkpoint is None else data_key_of(checkpoint)
