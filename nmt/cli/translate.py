"""`nmt translate`: text in, translations out, in order."""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmt.cli.lines_out import Format, as_json, as_n_best, as_text
from nmt.cli.output_file import line_writer, refuse_to_replace
from nmt.config import limits
from nmt.errors import UsageError
from nmt.machine import MOST_THREADS

if TYPE_CHECKING:  # search imports torch
    from nmt.search.options import SearchOptions

Penalty = Literal["none", "average", "gnmt"]


def translate(
    run: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run or model folder; several are an ensemble."),
    ],
    input: Annotated[
        Path | None, typer.Option("-i", "--input", help="Text, one sentence per line; or .gz.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where translations go.")
    ] = None,
    format: Annotated[
        Format, typer.Option(help="Plain text, `ID ||| text ||| logprob ||| score`, or JSON lines.")
    ] = "text",
    align: Annotated[bool, typer.Option("--align", help="Add word alignments: 0-0 1-2.")] = False,
    scores: Annotated[bool, typer.Option("--scores", help="Add log-probability, score.")] = False,
    n_best: Annotated[
        int | None,
        typer.Option(
            min=1, max=limits.MOST_HYPOTHESES, help="So many translations per line; implies nbest."
        ),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option(min=1, max=limits.MOST_HYPOTHESES, help="Hypotheses kept; 1 = greedy."),
    ] = None,
    length_penalty: Annotated[
        Penalty | None, typer.Option(help="How translations of different lengths compare.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(min=0.0, max=limits.MOST_ALPHA, help="Exponent of gnmt.")
    ] = None,
    coverage_penalty: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=limits.MOST_COVERAGE_PENALTY,
            help="Weight of unread source; needs attention.",
        ),
    ] = None,
    max_length_factor: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=limits.MOST_LENGTH_FACTOR,
            help="Longest = factor x source + offset, in pieces.",
        ),
    ] = None,
    max_length_offset: Annotated[
        int | None,
        typer.Option(min=1, max=limits.MOST_LENGTH_OFFSET, help="See --max-length-factor."),
    ] = None,
    min_length_factor: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=limits.MOST_LENGTH_FACTOR, help="Shortest = factor x source + offset."
        ),
    ] = None,
    min_length_offset: Annotated[
        int | None,
        typer.Option(min=0, max=limits.MOST_LENGTH_OFFSET, help="See --min-length-factor."),
    ] = None,
    no_repeat_ngram: Annotated[
        int | None,
        typer.Option(min=0, help="No run of N pieces stands twice in a translation; 0 = it may."),
    ] = None,
    shortlist: Annotated[
        int | None,
        typer.Option(
            min=0, help="Write with the N most frequent and other likely pieces; 0 = with all."
        ),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Draw instead of searching.")] = False,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=limits.LEAST_TEMPERATURE,
            max=limits.MOST_TEMPERATURE,
            help="With --sample: below 1 safer, above 1 more varied.",
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="With --sample: from the k likeliest pieces.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="With --sample: from the pieces that make up this mass.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="With --sample.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Most sentences at once.")] = 64,
    batch_tokens: Annotated[int, typer.Option(min=1, help="Most source pieces at once.")] = 4096,
    max_source: Annotated[int, typer.Option(min=2, help="Longer lines are cut, in pieces.")] = 1024,
    exact: Annotated[
        bool, typer.Option("--exact", help="The same bits in any batch and order; slower.")
    ] = False,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "int8"],
        typer.Option(help="Of matrix products; auto = int8 on CPUs that are fast at it, or fp32."),
    ] = "auto",
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto = CUDA if there is a GPU.")
    ] = "auto",
    threads: Annotated[
        int, typer.Option(min=0, max=MOST_THREADS, help="CPU threads; 0 = all cores.")
    ] = 0,
    bad_lines: Annotated[
        Literal["error", "skip", "replace"],
        typer.Option(help="Lines that are not UTF-8: stop, take them as empty, or put U+FFFD."),
    ] = "error",
) -> None:
    """Translate stdin or a file to stdout or a file, line by line.

    N lines in give N lines out, in order; an empty line stays empty. Search options that are not
    given are those of the model folder.
    """
    drawing = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    if sample:
        _refuse({"beam": beam}, "only without --sample; drop that")
    else:
        _refuse(drawing, "only with --sample; add it")
    if n_best is not None and n_best > 1 and format == "text":
        format = "nbest"

    from nmt.text.lines import read_lines, require_file
    from nmt.translator import Translator

    if input is not None and str(input) != "-" and not _is_pipe(input):
        require_file(input)  # before a model is loaded and a file begun
    refuse_to_replace(output, input)
    lines = read_lines(input, bad_lines=bad_lines)
    translator = Translator.load(run, device=device, precision=precision, threads=threads)
    options = _change(
        translator.options,
        {
            "n_best": n_best,
            "beam": beam,
            "length_penalty": length_penalty,
            "alpha": alpha,
            "coverage_penalty": coverage_penalty,
            "max_length_factor": max_length_factor,
            "max_length_offset": max_length_offset,
            "min_length_factor": min_length_factor,
            "min_length_offset": min_length_offset,
            "no_repeat_ngram": no_repeat_ngram,
            "shortlist": shortlist,
            "sample": sample or None,
            **drawing,
        },
    )
    if options.length_penalty != "gnmt":  # of the command line or, that failing, of the model
        _refuse({"alpha": alpha}, "only with --length-penalty gnmt; add it")
    translations = translator.translate(
        lines,
        options=options,
        batch_size=batch_size,
        batch_tokens=batch_tokens,
        max_source=max_source,
        align=align,
        exact=exact,
        prompt=_is_pipe(input),
    )
    with line_writer(output) as write:
        for number, translation in enumerate(translations):
            if format == "jsonl":
                write(as_json(number, translation))
            elif format == "nbest":
                write(as_n_best(number, translation, align=align))
            else:
                write(as_text(translation, scores=scores, align=align))


def _refuse(options: dict[str, Any], reason: str) -> None:
    """Refuse the first of `options` that was given, since it would do nothing; None was not."""
    for name, value in options.items():
        if value is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option}: {reason}, or leave {option} out.")


def _change(options: "SearchOptions", changes: dict[str, Any]) -> "SearchOptions":
    """Return `options` with what was given on the command line; None was not."""
    from dataclasses import replace

    return replace(options, **{name: v for name, v in changes.items() if v is not None})


def _is_pipe(path: Path | None) -> bool:
    """Whether lines may come slowly: from a terminal, a pipe or a socket, but not from a file."""
    if path is not None and str(path) != "-":
        return path.exists() and not path.is_file()
    try:
        return not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    except OSError:  # something in memory stands in for standard input
        return False
