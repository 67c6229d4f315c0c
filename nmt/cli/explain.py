"""`nmt explain`: how a model comes to the translation of a sentence, as a page."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.lines_out import json_line
from nmt.cli.options import Checkpoint, Device, Run
from nmt.cli.output_file import require_output
from nmt.errors import UsageError

log = logging.getLogger(__name__)


def explain(
    run: Run,
    sentence: Annotated[str, typer.Argument(metavar="SENTENCE", help="Sentence to translate.")],
    target: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Explain this translation instead of the best one."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Another model, shown beside the first.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The page.")
    ] = Path("explanation.html"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the numbers, an object per model, and no page.")
    ] = False,
    beam: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Width of the beam; default: the run's.")
    ] = None,
    top: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Alternatives shown at each step.")
    ] = 8,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
) -> None:
    """Write a page that shows how a sentence is translated, to open in a browser.

    It holds attention, the most likely pieces at each step, the beam as a tree with its dead
    branches, what greedy search would have said, and gates and state norms. The page needs no
    network. The line is read as one sentence, in fp32, without fast modules.
    """
    from nmt.reporting.page import as_page, as_record
    from nmt.storage.files import write_text
    from nmt.translator import Translator

    require_output(output)
    if against is not None and against.resolve() == run.resolve() and checkpoint is None:
        raise UsageError(f"--against {against}: is the same model; name another one.")
    runs = {str(run) if checkpoint is None else f"{run}, {checkpoint}": (run, checkpoint)}
    if against is not None:
        runs[str(against)] = (against, None)
    explained = {
        name: Translator.load(folder, device=device, fast=False, checkpoint=chosen).explain(
            sentence, target=target, search={} if beam is None else {"beam": beam}, top=top
        )
        for name, (folder, chosen) in runs.items()
    }
    if as_json:
        for name, explanation in explained.items():
            typer.echo(json_line(as_record(name, explanation)))
        return
    write_text(output, as_page(explained))
    log.info("wrote %s; open it in a browser", output)
