"""`nmt evaluate`: score translations, and compare two systems."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.options import AsJson
from nmt.cli.output_file import require_output
from nmt.cli.scored_texts import (
    Text,
    Texts,
    experiment_of,
    read_test,
    read_text,
    test_files_of,
    translate,
)
from nmt.cli.scores_out import Findings, findings_as_json, findings_as_text
from nmt.errors import UsageError
from nmt.paths import is_same_file

log = logging.getLogger(__name__)


def evaluate(
    hypothesis: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Translations to score, detokenized; - for stdin."),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Their references, unmodified; may be repeated, also with --test."
        ),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN", help="Run or model folder to translate with; several form an ensemble."
        ),
    ] = None,
    test: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="SRC [REF]",
            help="With --run: text to translate, and its references, or one .tsv of both; default: "
            "its data.test.",
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --run: this checkpoint, see `nmt translate`."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--metric",
            metavar="NAME",
            help="bleu, chrf, chrf++, ter, exact or wer; may be repeated.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN",
            help="Translations of another system, or a run that makes them: paired test.",
        ),
    ] = None,
    by_length: Annotated[
        bool, typer.Option("--by-length", help="Also score each range of sentence lengths.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --by-length: count the words of this text."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="With --run: also write the translations here."
        ),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain", help="With --run: compute the plain equations, see `nmt translate`."
        ),
    ] = False,
    bootstrap: Annotated[
        int, typer.Option(metavar="N", min=0, help="Resamples for confidence intervals; 0 = none.")
    ] = 1000,
    tokenize: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Tokenizer of BLEU: auto (by the script of the references), 13a, intl, zh, char, "
            "none, ja-mecab, ko-mecab, flores101, flores200, or spm:FILE, a sentencepiece model. "
            "Default: validation.tokenize of the run, else auto.",
        ),
    ] = None,
    lowercase: Annotated[
        bool, typer.Option("--lowercase", help="Compare without regard to case.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score translations with sacrebleu: BLEU, chrF, TER, exact match, word error rate.

    Give --hypothesis and --reference, or --run and --test SRC REF. Without --test, a run is scored
    on the files that its configuration names as data.test.
    """
    from nmt.evaluation.metrics import make_metric

    metrics = metric or ["bleu"]
    # All arguments and files are checked before anything is translated.
    for name in metrics:
        make_metric(name)
    _require_with("--source", source, "--by-length", by_length)
    _require_with("--plain", plain, "--run", run)
    _require_with("--checkpoint", checkpoint, "--run", run)
    if str(output) == "-":
        raise UsageError("--output -: standard output is for the scores; name a file.")
    if bool(run) == bool(hypothesis) or (not run and (not reference or test or output)):
        raise UsageError(
            "give --hypothesis and --reference, or --run and --test SRC REF (and with --run, "
            "--output to keep the translations)"
        )
    _require_kinds(hypothesis, run or ())
    test, tokenize = _chosen_by(run, test, tokenize)
    for path in reference or ():
        if hypothesis and is_same_file(hypothesis, path):
            raise UsageError(f"{path}: is the hypothesis, too; name its references.")
    require_output(output, *(test or ()), *(reference or ()), against, source)
    other = read_text(against) if against and not against.is_dir() else None
    measured = read_text(source) if source else None
    sources, references = read_test(test, reference or [])
    if run and sources:
        hypotheses = translate(run, sources.lines, output, fast=not plain, checkpoint=checkpoint)
    else:
        hypotheses = read_text(Path(str(hypothesis)))
    if against and other is None:
        other = _translate_against(against, sources, fast=not plain)
    findings = _score(
        Texts(hypotheses, references, sources, other, measured),
        Settings(metrics, tokenize, lowercase, bootstrap),
        by_length=by_length,
    )
    typer.echo(findings_as_json(findings) if as_json else findings_as_text(findings))


def _require_kinds(hypothesis: Path | None, runs: Iterable[Path]) -> None:
    """Refuse a folder as translations, and a file as a run.

    Raises:
        UsageError: it names the option that was probably meant.
    """
    if hypothesis and hypothesis.is_dir():
        raise UsageError(
            f"--hypothesis {hypothesis}: is a folder, not a file of translations; if it is a run, "
            f"translate with it by --run {hypothesis}"
        )
    for run in runs:
        if run.is_file():
            raise UsageError(
                f"--run {run}: is a file, not a run; if it holds translations, score them by "
                f"--hypothesis {run}"
            )


def _require_with(option: str, value: object, other: str, needed: object) -> None:
    """Refuse an option that has an effect only with another one.

    Raises:
        UsageError: it was given without the other one.
    """
    if value and not needed:
        raise UsageError(f"{option} is for {other}; add that, or omit {option}")


def _chosen_by(
    run: list[Path] | None, test: tuple[Path, Path] | None, tokenize: str | None
) -> tuple[tuple[Path, Path] | None, str]:
    """Return test files and BLEU's tokenizer: those given, else those of the run's configuration.

    Raises:
        UsageError: neither names test files, or the tokenizer is not installed.
    """
    from nmt.evaluation.tokenizers import require_available

    experiment = experiment_of(run[0]) if run else None
    if run and test is None:
        test = test_files_of(run[0], experiment)
    if tokenize is None:
        tokenize = experiment.validation.tokenize if experiment else "auto"
    require_available(tokenize)
    return test, tokenize


def _translate_against(run: Path, sources: Text | None, *, fast: bool) -> Text:
    """Translate with the system to compare with.

    Raises:
        UsageError: the source is not known.
    """
    if sources is None:
        raise UsageError(
            f"--against {run}: is a run, which needs a text to translate; add --run and --test, or "
            "name a file of translations."
        )
    log.info("translating with %s", run)
    found = translate([run], sources.lines, None, fast=fast, checkpoint=None)
    return Text(str(run), found.lines)


@dataclass(frozen=True)
class Settings:
    """How texts are compared."""

    metrics: list[str]
    tokenize: str
    lowercase: bool
    bootstrap: int


def _score(texts: Texts, settings: Settings, *, by_length: bool) -> Findings:
    """Return the scores of texts, after warnings about what makes them doubtful."""
    from nmt.evaluation.by_length import score_by_length
    from nmt.evaluation.metrics import require_equal_counts, score
    from nmt.evaluation.significance import DEFAULT_SAMPLES, compare
    from nmt.evaluation.tokenizers import choose_tokenizer

    first, *more = texts.references
    hypotheses, others = texts.hypotheses.lines, [each.lines for each in more]
    metrics, lowercase = settings.metrics, settings.lowercase
    tokenize = choose_tokenizer(first.lines, settings.tokenize)
    for each in filter(None, (texts.hypotheses, texts.other)):
        require_equal_counts(each.lines, first.lines, (each.name, first.name))
    _warn(texts, replace(settings, tokenize=tokenize))
    scores = score(
        hypotheses,
        first.lines,
        metrics,
        more_references=others,
        bootstrap=settings.bootstrap,
        tokenize=tokenize,
        lowercase=lowercase,
    )
    groups = comparisons = None
    if by_length:
        groups = score_by_length(
            hypotheses,
            first.lines,
            metrics,
            more_references=others,
            against=texts.other.lines if texts.other else None,
            measured=texts.measured.lines if texts.measured else None,
            tokenize=tokenize,
            lowercase=lowercase,
        )
    if texts.other is not None:
        comparisons = compare(
            hypotheses,
            texts.other.lines,
            first.lines,
            metrics,
            more_references=others,
            samples=settings.bootstrap or DEFAULT_SAMPLES,
            tokenize=tokenize,
            lowercase=lowercase,
        )
    return Findings(scores, comparisons, groups, "source" if texts.measured else "reference")


def _warn(texts: Texts, settings: Settings) -> None:
    """Name what makes scores doubtful, and what many translations have in common."""
    from nmt.evaluation.collapse import find_collapse
    from nmt.evaluation.suspicions import suspicions

    first, *more = (each.lines for each in texts.references)
    for warning in suspicions(
        texts.hypotheses.lines,
        first,
        settings.metrics,
        more_references=more,
        tokenize=settings.tokenize,
        lowercase=settings.lowercase,
    ):
        log.warning("%s", warning)
    sources = texts.sources.lines if texts.sources else None
    for found in find_collapse(texts.hypotheses.lines, first, sources):
        advice = "; try `nmt translate --no-repeat-ngram 3`, or train longer" * (
            found.kind == "repeats"
        )
        log.warning("%s%s, far more than of the references%s", found, found.quoted, advice)
