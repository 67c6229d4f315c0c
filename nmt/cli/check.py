"""`nmt check`: examine a parallel corpus."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.options import AsJson
from nmt.cli.pairs import both_sides
from nmt.errors import DataError

if TYPE_CHECKING:
    from nmt.data.report import Copying, Report


def check(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="Source text file, or a .tsv of both sides.")
    ],
    target: Annotated[
        Path | None, typer.Argument(metavar="TGT", help="Its translation, line by line.")
    ] = None,
    against: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="SRC [TGT]", help="Test set that must not be in the corpus."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report everything unusual in a parallel corpus; exit code 3 if something must be fixed.

    Finds unequal line counts, text that is damaged, tokenized or marked up, characters that cannot
    be seen, other scripts, empty, long, copied and repeated lines, lengths and numbers that do not
    agree, test sentences in the corpus, and words of the test set that the corpus hardly has. Also
    scores the source as its own translation.
    """
    from nmt.data.check import check as examine

    corpus = source, both_sides(source, target)
    report = examine(*corpus, against=against)
    report = replace(report, copying=_score_copying(report, against or corpus))
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
    else:
        typer.echo(report.to_text())
    if report.is_serious:
        raise typer.Exit(DataError.exit_code)


def _score_copying(report: "Report", files: tuple[Path, Path]) -> "Copying | None":
    """Score the source of the sample as its own translation; None if the scripts differ."""
    from nmt.data.report import Copying
    from nmt.evaluation.metrics import score
    from nmt.evaluation.tokenizers import choose_tokenizer
    from nmt.text.scripts import main_script

    sources = [source for source, _ in report.sample]
    targets = [target for _, target in report.sample]
    script = main_script(targets)
    if script is None or main_script(sources) != script:
        return None
    tokenize = choose_tokenizer(targets)
    bleu, chrf = score(sources, targets, ("bleu", "chrf"), tokenize=tokenize)
    return Copying(
        where=" + ".join(dict.fromkeys(map(str, files))),
        lines=len(targets),
        bleu=bleu.value,
        chrf=chrf.value,
        signature=bleu.signature,
    )
