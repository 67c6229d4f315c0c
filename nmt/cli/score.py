"""`nmt score`: log-probabilities of given translations."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.cli.lines_out import as_links, details_of, json_line, one_line
from nmt.cli.options import (
    Align,
    Checkpoint,
    Device,
    Output,
    Plain,
    Runs,
    Threads,
    Weights,
    WithAttention,
)
from nmt.cli.output_file import line_writer, require_output
from nmt.cli.search_options import read_weights
from nmt.errors import UsageError
from nmt.paths import holds_pairs
from nmt.text.units import Units

if TYPE_CHECKING:  # the translator imports torch
    from nmt.translation import ScoredPair
    from nmt.translator import Translator

log = logging.getLogger(__name__)


def score(
    run: Runs,
    target: Annotated[
        Path, typer.Option(metavar="FILE", help="Text to score, line by line, or a .tsv.")
    ],
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Source text; omit for a language model.")
    ] = None,
    checkpoint: Checkpoint = None,
    weights: Weights = None,
    output: Output = None,
    by_token: Annotated[
        bool, typer.Option("--by-token", help="Add each piece and its log-probability.")
    ] = False,
    by_word: Annotated[
        bool, typer.Option("--by-word", help="Add each word and its log-probability.")
    ] = False,
    align: Align = False,
    attention: WithAttention = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(metavar="N", min=1, help="Largest number of pairs scored at once.")
    ] = 64,
    batch_tokens: Annotated[
        int, typer.Option(metavar="N", min=1, help="Largest number of pieces scored at once.")
    ] = 4096,
    max_length: Annotated[
        int, typer.Option(metavar="N", min=2, help="Number of pieces after which a line is cut.")
    ] = 1024,
    precision: Annotated[
        Literal["fp32", "bf16", "int8"],
        typer.Option(
            help="Precision of matrix products; bf16 and int8 are faster on new CPUs. Scores "
            "differ slightly from those of `nmt translate --scores`, whose default is int8 where "
            "it is fast."
        ),
    ] = "fp32",
    plain: Plain = False,
    device: Device = "auto",
    threads: Threads = 0,
    bad_lines: Annotated[
        Literal["error", "skip", "replace"],
        typer.Option(
            help="At pairs that are not UTF-8: stop, treat them as empty, or insert U+FFFD."
        ),
    ] = "error",
) -> None:
    """Print the log-probability of each line, its number of pieces, and their mean.

    Natural logarithms; the end symbol counts as a piece. Words are separated by spaces, or are
    pieces where a script has none. Columns are separated by tabs. N pairs in give N lines out; an
    empty line with an empty translation scores 0, as in `nmt translate`. The log ends with the
    perplexity of the whole text, per piece and per word, or per character where the script has no
    spaces.
    """
    from nmt.run_folder.journal import format_perplexity
    from nmt.text.lines import read_lines, read_parallel
    from nmt.translator import Translator

    require_output(output, source, target)
    if attention and not as_json:
        raise UsageError(
            "--attention: has an effect only with --json; add that, or draw it: nmt attention RUN "
            "-i SOURCE --target TARGET -o FILE.svg."
        )
    if source is None and holds_pairs(target):
        source = target
    pairs: Iterable[tuple[str, str]]
    if source is None:
        pairs = (("", line) for line in read_lines(target, bad_lines=bad_lines))
    else:  # compares line counts before a model is loaded
        pairs = read_parallel(source, target, bad_lines=bad_lines)
    translator = Translator.load(
        run,
        device=device,
        precision=precision,
        threads=threads,
        fast=not plain,
        checkpoint=checkpoint,
        weights=read_weights(weights),
    )
    _require_kind(translator, run[0], source, target)
    units = Units()
    scored = translator.score(
        _counted(pairs, units),
        batch_size=batch_size,
        batch_tokens=batch_tokens,
        max_length=max_length,
        align=align,
        attention=attention,
        score_words=by_word or as_json,
    )
    lines = pieces = 0
    loss = 0.0
    with line_writer(output) as write:
        for number, pair in enumerate(scored):
            lines, pieces = lines + 1, pieces + len(pair.pieces)
            loss -= pair.log_prob
            if as_json:
                write(json_line(_record(number, pair, by_token=by_token)))
            else:
                columns = _columns(pair, by_token=by_token, by_word=by_word, align=align)
                write(one_line("\t".join(columns)))
    if pieces:
        log.info(
            "%s lines  ppl %s  per %s %s",
            f"{lines:,}",
            format_perplexity(loss / pieces),
            units.name,
            format_perplexity(loss / units.count),
        )


def _counted(pairs: Iterable[tuple[str, str]], units: Units) -> Iterator[tuple[str, str]]:
    """Yield the pairs, and count the words of their targets; empty pairs have none."""
    for source, target in pairs:
        if source.strip() or target.strip():
            units.add(target)
        yield source, target


def _require_kind(translator: "Translator", run: Path, source: Path | None, target: Path) -> None:
    """Refuse a source for a language model, and no source for a translation model.

    Raises:
        UsageError: it says what to add or leave out.
    """
    if translator.has_source == (source is not None):
        return
    needed = "add --source FILE" if translator.has_source else "leave --source out"
    if source == target:
        needed = "name one text with --target, not pairs"
    kind = "translation" if translator.has_source else "language"
    raise UsageError(f"{run}: holds a {kind} model; {needed}.")


def _record(number: int, pair: "ScoredPair", *, by_token: bool) -> dict[str, object]:
    """Return what `--json` says of a pair."""
    record: dict[str, object] = {
        "id": number,
        "logprob": pair.log_prob,
        "tokens": len(pair.pieces),
        "mean": pair.mean,
    }
    if by_token:
        record |= {"pieces": pair.pieces, "logprobs": pair.log_probs}
    if pair.alignment is not None:
        record["alignment"] = pair.alignment
    return record | details_of(pair.piece_alignment, pair.word_scores, pair.attention)


def _columns(pair: "ScoredPair", *, by_token: bool, by_word: bool, align: bool) -> list[str]:
    """Return the columns of a pair."""
    columns = [f"{pair.log_prob:.4f}", str(len(pair.pieces)), f"{pair.mean:.4f}"]
    if by_token:
        each = zip(pair.pieces, pair.log_probs, strict=True)
        columns.append(" ".join(f"{piece}={value:.4f}" for piece, value in each))
    if by_word:
        scores = pair.word_scores or ()
        columns.append(" ".join(f"{word.text}={word.log_prob:.4f}" for word in scores))
    if align:
        columns.append(as_links(pair.alignment))
    return columns
