"""`nmt average`: one model from the mean of several checkpoints' weights."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from nmt.errors import UsageError

log = logging.getLogger(__name__)


def average(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder, or the first checkpoint by its path.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Model folder to write.")
    ],
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CHECKPOINT", help="Checkpoints: 2000, update-002000, last, best or paths."
        ),
    ] = None,
    best: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Average the N best checkpoints that were kept."),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Average the N newest checkpoints that were kept."),
    ] = None,
) -> None:
    """Average the weights of checkpoints into a model folder for `nmt translate`.

    By default, all best checkpoints that the run kept are averaged; training.keep_best and
    training.keep_last set how many are kept.
    """
    from nmt.models.checkpoints import find_checkpoint, list_checkpoints, run_of
    from nmt.run_folder.averaging import write_averaged_model
    from nmt.training.checkpoint import best_checkpoints

    if around := run_of(run):
        run, checkpoints = around, [str(run), *(checkpoints or ())]
    if sum(choice is not None for choice in (checkpoints or None, best, last)) > 1:
        raise UsageError("give checkpoints, or --best, or --last, but only one of the three")
    if checkpoints:
        chosen = [find_checkpoint(run, name) for name in checkpoints]
    elif last is not None:
        chosen = _first(list_checkpoints(run)[::-1], last, "--last", run)
    else:
        found = best_checkpoints(run)
        if not found and list_checkpoints(run):
            raise UsageError(
                f"{run}: nothing has been validated yet, so no checkpoint is the best; "
                "average the newest ones, --last N."
            )
        chosen = _first(found, best, "--best", run)
    if len(chosen) == 1 and 1 not in (best, last):  # nobody asked for one
        log.warning(
            "%s is the only checkpoint to average, and the mean of one is the same weights; name "
            "more, or train with a larger training.keep_best",
            chosen[0].name,
        )
    write_averaged_model(run, chosen, output)
    log.info(
        "wrote %s, the mean of %s; other commands take it instead of the run",
        output,
        ", ".join(path.name for path in chosen),
    )


def _first(found: list[Path], wanted: int | None, option: str, run: Path) -> list[Path]:
    """Return the first `wanted` checkpoints (None = all), or explain that there are fewer."""
    if not found:
        raise UsageError(f"{run}: has no checkpoints to average; train it first.")
    if wanted is not None and wanted > len(found):
        raise UsageError(
            f"{option} {wanted}: {run} kept only {len(found)}; ask for fewer, or train with a "
            f"larger training.keep_{option.removeprefix('--')}."
        )
    return found[:wanted]
