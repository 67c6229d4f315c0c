"""`nmt evaluate`: score translations, and compare two systems."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.lines_out import one_line
from nmt.cli.output_file import line_writer, refuse_to_replace
from nmt.errors import UsageError

if TYPE_CHECKING:
    from nmt.evaluation.by_length import LengthGroup
    from nmt.evaluation.metrics import Score
    from nmt.evaluation.significance import Comparison

log = logging.getLogger(__name__)


def evaluate(
    hypothesis: Annotated[
        Path | None, typer.Option(help="Translations to score, detokenized; - for stdin.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Their references, unmodified.")] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(help="Run or model folder to translate with; several form an ensemble."),
    ] = None,
    test: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="SRC REF", help="With --run: text to translate, and its references."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("-m", "--metric", help="bleu, chrf, ter, exact or wer; may be repeated."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Translations of another system, for a paired test.")
    ] = None,
    by_length: Annotated[
        bool, typer.Option("--by-length", help="Also score each range of sentence lengths.")
    ] = False,
    source: Annotated[
        Path | None, typer.Option(help="With --by-length: count the words of this text.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="With --run: also write the translations here."),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="With --run: compute the plain equations, see `translate`."),
    ] = False,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resamples for confidence intervals; 0 = none.")
    ] = 1000,
    tokenize: Annotated[
        str, typer.Option(help="Tokenizer of BLEU: 13a, intl, zh, char or none.")
    ] = "13a",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score translations with sacrebleu: BLEU, chrF, TER, exact match, word error rate.

    Give --hypothesis and --reference, or --run and --test SRC REF.
    """
    from nmt.evaluation.by_length import score_by_length
    from nmt.evaluation.metrics import make_metric, require_equal_counts, score, suspicions
    from nmt.evaluation.significance import DEFAULT_SAMPLES, compare

    metrics = metric or ["bleu"]
    # All arguments and files are checked before anything is translated.
    for name in metrics:
        make_metric(name, tokenize=tokenize)
    if source and not by_length:
        raise UsageError("--source is for --by-length; add that, or omit --source")
    if plain and not run:
        raise UsageError("--plain is for --run; add that, or omit --plain")
    if str(output) == "-":
        raise UsageError("--output -: standard output is for the scores; name a file.")
    refuse_to_replace(output, *(test or ()), against, source)
    other = _read(against) if against else None
    measured = _read(source) if source else None
    if run and test and hypothesis is None and reference is None:
        hypotheses, references = _translate(run, test, output, fast=not plain)
        names = ("the translation", str(test[1]))
    elif hypothesis and reference and not run and test is None and output is None:
        hypotheses, references = _read(hypothesis), _read(reference)
        names = (str(hypothesis), str(reference))
    else:
        raise UsageError(
            "give --hypothesis and --reference, or --run and --test SRC REF (and with --run, "
            "--output to keep the translations)"
        )
    require_equal_counts(hypotheses, references, names)
    for suspicion in suspicions(hypotheses, references):
        log.warning("%s", suspicion)

    scores = score(hypotheses, references, metrics, bootstrap=bootstrap, tokenize=tokenize)
    groups = None
    if by_length:
        groups = score_by_length(
            hypotheses, references, metrics, measured=measured, tokenize=tokenize
        )
    comparisons = None
    if other is not None:
        require_equal_counts(other, references, (str(against), names[1]))
        comparisons = compare(
            hypotheses,
            other,
            references,
            metrics,
            samples=bootstrap or DEFAULT_SAMPLES,
            tokenize=tokenize,
        )
    show = _as_json if as_json else _as_text
    typer.echo(show(scores, groups, comparisons, "source" if source else "reference"))


def _read(path: Path) -> list[str]:
    from nmt.text.lines import read_lines

    return list(read_lines(path))


def _translate(
    run: Sequence[Path], test: tuple[Path, Path], output: Path | None, *, fast: bool
) -> tuple[list[str], list[str]]:
    """Return the translations of a test set and its references."""
    from nmt.text.lines import read_parallel
    from nmt.translator import Translator

    pairs = list(read_parallel(*test))
    translator = Translator.load(run[0] if len(run) == 1 else run, fast=fast)
    found = (one_line(each.text) for each in translator.translate(source for source, _ in pairs))
    translations = list(_keep(found, output) if output else found)
    return translations, [reference for _, reference in pairs]


def _keep(lines: Iterable[str], output: Path) -> Iterator[str]:
    """Yield `lines`, each written to a file, which is opened before the first line is computed."""
    with line_writer(output) as write:
        for line in lines:
            write(line)
            yield line


def _as_text(
    scores: "Sequence[Score]",
    groups: "Sequence[LengthGroup] | None",
    comparisons: "Sequence[Comparison] | None",
    measured: str,
) -> str:
    from nmt.evaluation.by_length import as_table

    blocks = ["\n".join(map(str, scores))]
    if comparisons is not None:
        blocks.append("\n".join(map(str, comparisons)))
    if groups is not None:
        blocks.append(as_table(groups, measured))
    return "\n\n".join(blocks)


def _as_json(
    scores: "Sequence[Score]",
    groups: "Sequence[LengthGroup] | None",
    comparisons: "Sequence[Comparison] | None",
    measured: str,
) -> str:
    found: dict[str, object] = {"scores": [asdict(score) for score in scores]}
    if comparisons is not None:
        found["comparisons"] = [asdict(comparison) for comparison in comparisons]
    if groups is not None:
        found["by_length"] = {"measured": measured, "groups": [asdict(group) for group in groups]}
    return json.dumps(found, ensure_ascii=False, indent=2)
