"""`nmt train`: train a model from a configuration; the same command again resumes."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt.machine import wait_briefly


def train(
    config: Annotated[Path, typer.Argument(help="Configuration file (TOML).", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as training.seed=2."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder.  [default: runs/NAME-OF-CONFIG]"),
    ] = None,
    resume: Annotated[
        Literal["auto", "never", "must"],
        typer.Option(help="Resume if there is a checkpoint, never, or fail without one."),
    ] = "auto",
    max_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help='Save and stop after a time such as "55m".'),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved configuration and stop.")
    ] = False,
) -> int:
    """Prepare the corpus if needed, train, validate, and keep the best model.

    The same command again resumes where it stopped, bit for bit. Ctrl-C and SIGTERM save first;
    a second one leaves at once.
    """
    from nmt.config.dump import dump
    from nmt.config.load import load, resolve_paths

    experiment = resolve_paths(load(config, overrides or []), config.parent)
    if dry_run:
        typer.echo(dump(experiment), nl=False)
        return 0
    wait_briefly()
    from nmt.training.run import RunOptions, run_training

    folder = run or Path("runs") / default_name(config)
    return run_training(experiment, folder, RunOptions(resume=resume, max_time=max_time))


def default_name(config: Path) -> str:
    """Return a run's name: that of its configuration, or of the folder of a `config.toml`."""
    return config.resolve().parent.name if config.stem == "config" else config.stem
