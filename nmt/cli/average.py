"""`nmt average`: one model from the mean of several checkpoints' weights."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.errors import UsageError


def average(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder to write.")],
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CHECKPOINT]...", help="Checkpoints: 2000, update-002000 or paths."
        ),
    ] = None,
    best: Annotated[
        int | None, typer.Option(min=1, help="Take the N best checkpoints that were kept.")
    ] = None,
    last: Annotated[
        int | None, typer.Option(min=1, help="Take the N newest checkpoints that were kept.")
    ] = None,
) -> None:
    """Average the weights of checkpoints into a model folder that `nmt translate` takes.

    Without a choice, all of the best checkpoints that the run kept are averaged; how many it
    keeps is training.keep_best and training.keep_last.
    """
    from nmt.training.averaging import write_averaged_model
    from nmt.training.checkpoint import best_checkpoints, find_checkpoint, list_checkpoints
    from nmt.training.run_folder import MODEL

    if sum(choice is not None for choice in (checkpoints or None, best, last)) > 1:
        raise UsageError("give checkpoints, or --best, or --last, not several of them")
    if checkpoints:
        chosen = [find_checkpoint(run, name) for name in checkpoints]
    elif last is not None:
        chosen = _first(list_checkpoints(run)[::-1], last, "--last", run)
    else:
        chosen = _first(best_checkpoints(run), best, "--best", run)
    write_averaged_model(run / MODEL, chosen, output)
    typer.echo(f"{output}  mean of {', '.join(checkpoint.name for checkpoint in chosen)}", err=True)


def _first(found: list[Path], wanted: int | None, option: str, run: Path) -> list[Path]:
    """Return the first `wanted` (None = all), or say that there are not so many."""
    if not found:
        raise UsageError(f"{run}: has no checkpoints to average; train it first.")
    if wanted is not None and wanted > len(found):
        raise UsageError(
            f"{option} {wanted}: {run} kept only {len(found)}; ask for fewer, or train with a "
            f"larger training.keep_{option.removeprefix('--')}."
        )
    return found[:wanted]
