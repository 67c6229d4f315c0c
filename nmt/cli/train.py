"""`nmt train`: train a model from a configuration; the same command again resumes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.machine import wait_briefly

if TYPE_CHECKING:
    from nmt.config.experiment import Experiment


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration file (TOML).")],
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
        typer.Option(metavar="TIME", help='Validate, save and stop within a time such as "55m".'),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Begin a new run with the weights of a run or model folder.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the resolved configuration, check its files, stop."),
    ] = False,
) -> int:
    """Prepare the corpus if needed, train, validate, and keep the best model.

    The same command again resumes where it stopped, bit for bit; what changed since then is
    reported. Ctrl-C and SIGTERM save first; a second one leaves at once.

    With --from, the model, its pieces and the normalisation are those of another run or of a model
    folder, and its weights are trained further on the data of this configuration.
    """
    from nmt.config.load import load, resolve_paths

    experiment = resolve_paths(load(config, overrides or []), config.parent)
    if dry_run:
        return _print_only(experiment, start_from)
    wait_briefly()
    from nmt.training.run import RunOptions, run_training

    folder = run or Path("runs") / default_name(config)
    options = RunOptions(resume=resume, max_time=max_time, start_from=start_from)
    return run_training(experiment, folder, options)


def _print_only(experiment: "Experiment", start_from: Path | None) -> int:
    """Print the resolved configuration, and check that its text files are there."""
    from nmt.config.dump import dump
    from nmt.data.prepare import require_inputs

    if start_from is not None:
        from nmt.training.run import start_from_model

        experiment, _ = start_from_model(experiment, start_from)
    typer.echo(dump(experiment), nl=False)
    require_inputs(experiment)
    return 0


def default_name(config: Path) -> str:
    """Return a run's name: that of its configuration, or of the folder of a `config.toml`."""
    return config.resolve().parent.name if config.stem == "config" else config.stem
