"""`nmt translate`: text in, translations out, in order."""

import logging
import os
import stat
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt.cli.lines_out import Format, as_line
from nmt.cli.options import (
    Align,
    Checkpoint,
    Device,
    Input,
    Output,
    Plain,
    Runs,
    Threads,
    Weights,
    WithAttention,
)
from nmt.cli.output_file import line_writer, require_output
from nmt.cli.remarks import Remarks
from nmt.cli.search_options import change_options, read_weights
from nmt.errors import UsageError

log = logging.getLogger(__name__)


def translate(
    context: typer.Context,
    run: Runs,
    input: Input = None,
    output: Output = None,
    format: Annotated[
        Format,
        typer.Option(
            help="Plain text, lines of `ID ||| text ||| logprob ||| score`, or JSON lines."
        ),
    ] = "text",
    checkpoint: Checkpoint = None,
    lm: Annotated[
        Path | None,
        typer.Option(
            "--lm",
            metavar="RUN",
            help="Run or model folder of a language model of the target side.",
        ),
    ] = None,
    rescore: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN",
            help="Add the log-probabilities under this model to the scores of all hypotheses, "
            "such as one that writes from right to left; may be repeated.",
        ),
    ] = None,
    weights: Weights = None,
    split: Annotated[
        Literal["auto", "never", "always"],
        typer.Option(
            help="Translate the sentences of a line one by one; auto = where the line has more of "
            "them, or is longer, than training lines."
        ),
    ] = "auto",
    unwrap: Annotated[
        bool,
        typer.Option(
            "--unwrap",
            help="Join lines broken at a width to one line per paragraph; blank lines stay.",
        ),
    ] = False,
    align: Align = False,
    attention: WithAttention = False,
    prefix: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the beginning of each translation; a blank line allows any.",
        ),
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Add the log-probability and the score.")
    ] = False,
    batch_size: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Largest number of sentences translated at once."),
    ] = 64,
    batch_tokens: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Largest number of source pieces translated at once."
        ),
    ] = 4096,
    max_source: Annotated[
        int,
        typer.Option(metavar="N", min=2, help="Number of pieces after which a sentence is cut."),
    ] = 1024,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Translate alike to the last bit in any batch and order; slower."
        ),
    ] = False,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "int8"],
        typer.Option(
            help="Precision of matrix products; auto = int8 if the CPU is fast at it, else fp32. "
            "Scores then differ slightly from those of `nmt score`, whose default is fp32."
        ),
    ] = "auto",
    plain: Plain = False,
    device: Device = "auto",
    threads: Threads = 0,
    bad_lines: Annotated[
        Literal["error", "skip", "replace"],
        typer.Option(
            help="At lines that are not UTF-8: stop, treat them as empty, or insert U+FFFD."
        ),
    ] = "error",
) -> None:
    """Translate stdin or a file to stdout or a file, line by line.

    N lines in give N lines out, in order, unless --unwrap joins some; an empty line stays empty.
    White space around a line stays; lines without letters and addresses are copied. Search options
    default to those of the model folder. More than one translation per line implies --format nbest;
    their texts differ, unless they are samples.
    """
    from nmt.text.layout import unwrap as join_paragraphs
    from nmt.text.lines import read_lines, require_file
    from nmt.translator import Translator

    if lm is None and "lm_weight" in context.obj:
        raise UsageError(
            "--lm-weight: has an effect only with --lm; add that, or leave --lm-weight out."
        )
    if not rescore and "rescore_weight" in context.obj:
        raise UsageError(
            "--rescore-weight: has an effect only with --rescore; add that, or leave "
            "--rescore-weight out."
        )
    if attention and format != "jsonl":
        raise UsageError(
            "--attention: has an effect only with --format jsonl; add that, or draw it: nmt "
            "attention RUN -o FILE.svg."
        )
    if input is not None and str(input) != "-" and not _is_pipe(input):
        require_file(input)  # before a model is loaded and an output file is opened
    require_output(output, input, prefix)
    prefixes = None if prefix is None else list(read_lines(prefix))
    lines = read_lines(input, bad_lines=bad_lines)
    translator = Translator.load(
        run,
        device=device,
        precision=precision,
        threads=threads,
        fast=not plain,
        language_model=lm,
        checkpoint=checkpoint,
        weights=read_weights(weights),
        rescorers=rescore or (),
    )
    options = change_options(translator.options, context.obj)
    if options.n_best > 1 and format == "text":
        format = "nbest"
    translations = translator.translate(
        join_paragraphs(lines) if unwrap else lines,
        options=options,
        prefixes=prefixes,
        batch_size=batch_size,
        batch_tokens=batch_tokens,
        max_source=max_source,
        split=split,
        align=align,
        attention=attention,
        score_words=format == "jsonl",
        exact=exact,
        prompt=_is_pipe(input),
    )
    if (input is None or str(input) == "-") and sys.stdin.isatty():
        log.info("type a sentence and press Enter; Ctrl-D ends")
    remarks = Remarks(options, is_translation=translator.is_translation)
    with line_writer(output) as write:
        for number, translation in enumerate(translations):
            remarks.add(translation)
            write(as_line(number, translation, format=format, scores=scores, align=align))
    remarks.report()


def _is_pipe(path: Path | None) -> bool:
    """Whether lines may arrive slowly: from a terminal, pipe or socket rather than a file."""
    if path is not None and str(path) != "-":
        return path.exists() and not path.is_file()
    try:
        return not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    except OSError:  # standard input is replaced by an object in memory
        return False
