"""`nmt tune`: short runs over the settings that matter; the best one becomes a configuration."""

import json
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.train import default_name
from nmt.errors import UsageError
from nmt.machine import wait_briefly

if TYPE_CHECKING:
    from nmt.config.experiment import Experiment

log = logging.getLogger("nmt.tuning")


def tune(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration file (TOML).")],
    budget: Annotated[str, typer.Option(metavar="TIME", help='Time in all, such as "1h".')] = "1h",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Configuration to write.  [default: NAME-OF-CONFIG-tuned.toml beside it]",
        ),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=A,B,C",
            help="Search these values of a key, such as training.learning_rate=0.001,0.002, "
            "instead of those around the configuration; may be repeated.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as training.seed=2."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of all runs.  [default: runs/NAME-OF-CONFIG-tune]"
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures of all runs as JSON.")
    ] = False,
) -> int:
    """Search for settings that suit a corpus, by short runs, and write the best configuration.

    Runs with different settings train for the same time; the better half trains on, until two are
    left (successive halving), compared by the validation loss of a target word and at last by chrF.
    The test set is never used. What learns fast has an advantage: the longer the budget, the closer
    the result is to what suits a long training. Leave the machine alone meanwhile: a run that gets
    less of it looks worse than it is.

    The same command again goes on where it stopped. Ctrl-C and SIGTERM save first.
    """
    from nmt.config.load import load, resolve_paths
    from nmt.storage.files import write_text

    def load_with(more: "Sequence[str]") -> "Experiment":
        return resolve_paths(load(config, [*(overrides or []), *more]), config.parent)

    load_with(())  # a mistake in the file comes before one of the command line
    folder = run or Path("runs") / f"{default_name(config)}-tune"
    written = output or config.with_name(f"{config.stem}-tuned.toml")
    if written.exists() and not _is_done(folder):
        raise UsageError(f"{written}: already exists; choose another -o, or move it away.")
    wait_briefly()
    from nmt.tuning.report import figures, remarks, table, tuned
    from nmt.tuning.space import overrides_of
    from nmt.tuning.tune import Tuning

    search = Tuning(load_with, folder, budget=budget, over=over or [])
    code, record = search.run(), search.record
    if code or record.best is None:
        log.info("stopped; the same command goes on from here")
        return code
    experiment = load(config, [*(overrides or []), *overrides_of(record.runs[record.best])])
    if written.absolute().parent != config.absolute().parent:
        experiment = resolve_paths(experiment, config.parent)
    write_text(written, tuned(record, search.load, experiment))
    rows = figures(record, folder)
    typer.echo(json.dumps(rows, ensure_ascii=False) if as_json else table(record, folder))
    for remark in remarks(record):
        log.info("%s", remark)
    name, trained = shlex.quote(str(written)), folder / f"run-{record.best:02d}"
    log.info("%s: written; next: nmt train %s", written, name)
    log.info("or train its run on: nmt train %s --run %s", name, shlex.quote(str(trained)))
    return 0


def _is_done(folder: Path) -> bool:
    """Whether a folder holds a tune that has its result."""
    from nmt.tuning.record import RECORD

    try:
        return json.loads((folder / RECORD).read_bytes())["best"] is not None
    except (OSError, ValueError, KeyError, TypeError):
        return False
