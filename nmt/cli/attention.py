"""`nmt attention`: what each word of a translation attends to, as links and as pictures."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.cli.lines_out import as_links
from nmt.cli.options import Checkpoint, Device, Input, Run
from nmt.errors import UsageError

if TYPE_CHECKING:  # the translator imports torch
    from nmt.diagnostics.alignment import Link
    from nmt.diagnostics.attention import SoftAttention
    from nmt.translator import Translator

log = logging.getLogger(__name__)

_WORST = 5  # sentences that are named
_PACKED = re.compile(r"\.(gz|bz2|xz|zst)$", re.IGNORECASE)


def attention(
    run: Run,
    sentence: Annotated[
        str | None,
        typer.Argument(
            metavar="SENTENCE",
            help="Sentence; without it, and without --input, lines of standard input are read.",
        ),
    ] = None,
    input: Input = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|TEXT",
            help="Attention of given translations: a file beside --input, or the translation of "
            "SENTENCE.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Picture, .svg, .png or .pdf; of several lines, NAME-1.svg, NAME-2.svg ...",
        ),
    ] = None,
    unit: Annotated[
        Literal["pieces", "words"], typer.Option(help="What rows and columns of a picture are.")
    ] = "pieces",
    gold: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Links by hand, 0-0 1-2 with 3p4 for possible ones: print the alignment error "
            "rate instead of links.",
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
) -> None:
    """Print links source-target of words, from 0, for each line: 0-0 1-2; draw the weights.

    A target word is linked to the source word that it attends to most. Attention is not trained to
    align words: it may look beside a word, or ahead.
    """
    from nmt.reporting.picture import require_plottable
    from nmt.translator import Translator

    if output is not None:
        require_plottable(output)
    if gold is not None and target is None:
        raise UsageError(
            "--gold: holds links of given translations; name their file with --target."
        )
    sources, targets = _read_texts(sentence, input, target)
    links = None if gold is None else _read_links(gold)
    translator = Translator.load(run, device=device, checkpoint=checkpoint)
    translator.engine.require_attention("name another model")
    if input is not None:
        _require_languages(translator, input, None if target is None else Path(target))
    if targets is None:
        found = [
            (each.alignment, each.hypotheses[0].attention)
            for each in translator.translate(sources, align=True, attention=True)
        ]
    else:
        pairs = translator.score(zip(sources, targets, strict=True), align=True, attention=True)
        found = [(pair.alignment, pair.attention) for pair in pairs]
    matrices = [matrix for _, matrix in found if matrix is not None]
    if links is not None and targets is not None:
        typer.echo(_evaluate(matrices, list(zip(sources, targets, strict=True)), links, gold))
    else:
        for alignment, _ in found:
            typer.echo(as_links(alignment))
    if output is not None:
        _draw(matrices, output, unit)


def _read_texts(
    sentence: str | None, input: Path | None, target: str | None
) -> tuple[list[str], list[str] | None]:
    """Return the lines and, if given, their translations.

    Raises:
        UsageError: there are two texts; DataError: their numbers of lines differ.
    """
    from nmt.text.lines import read_lines, read_parallel

    if sentence is not None:
        if input is not None:
            raise UsageError(f"--input {input}: a sentence is given, too; leave one of them out.")
        return [sentence], None if target is None else [target]
    if target is None:
        return list(read_lines(input)), None
    if input is None:
        raise UsageError(
            "--target: needs the sentences it translates; name them with --input, or give one "
            "SENTENCE, of which --target is the translation."
        )
    pairs = list(read_parallel(input, Path(target)))
    return [source for source, _ in pairs], [given for _, given in pairs]


def _read_links(gold: Path) -> list[str]:
    from nmt.text.lines import read_lines

    return list(read_lines(gold))


def _require_languages(translator: "Translator", source: Path, target: Path | None) -> None:
    """Refuse files that are named after the wrong side's language; warn of another language.

    Raises:
        UsageError: the sides are swapped.
    """
    expected = translator.languages
    for number, file in enumerate([source, target]):
        named = "" if file is None else _PACKED.sub("", file.name).rpartition(".")[2]
        if not named or named == expected[number] or expected[0] == expected[1]:
            continue
        if named == expected[1 - number]:
            raise UsageError(
                f"{file}: is named `{named}`, but this model translates {expected[0]} to "
                f"{expected[1]}; name the {expected[number]} file there."
            )
        if len(named) == 2 and len(expected[number]) == 2:
            log.warning(
                "%s: is named `%s`, but this model translates %s to %s", file, named, *expected
            )


def _evaluate(
    matrices: "Sequence[SoftAttention]",
    pairs: Sequence[tuple[str, str]],
    lines: Sequence[str],
    gold: Path | None,
) -> str:
    """Return the scores of the corpus and its worst sentences as text."""
    from nmt.diagnostics.gold import (
        AlignmentScore,
        align_tokens,
        along_the_diagonal,
        read_gold,
        score_links,
    )
    from nmt.text.excerpt import excerpt

    by_hand = read_gold(lines, pairs, str(gold))
    found: list[set[Link]] = [
        set(align_tokens(matrix.words, *pair)) for matrix, pair in zip(matrices, pairs, strict=True)
    ]

    def describe(score: AlignmentScore) -> str:
        return (
            f"AER {score.error_rate:.1%}  precision {score.precision:.1%}  "
            f"recall {score.recall:.1%}"
        )

    whole = score_links(found, by_hand)
    text = [
        f"{describe(whole)}  ({len(pairs):,} sentences; {whole.found:,} links, by hand "
        f"{whole.sure:,} sure and {whole.possible:,} possible)"
    ]
    diagonal = score_links([along_the_diagonal(*pair) for pair in pairs], by_hand)
    text.append(f"links along the diagonal instead: {describe(diagonal)}")
    each = [score_links([one], [links]) for one, links in zip(found, by_hand, strict=True)]
    worst = sorted(range(len(each)), key=lambda number: (-each[number].error_rate, number))
    for number in worst[:_WORST]:
        source, target = (excerpt(side, width=40) for side in pairs[number])
        text.append(f"line {number + 1:,}: {describe(each[number])}  {source} ||| {target}")
    return "\n".join(text)


def _draw(matrices: "Sequence[SoftAttention]", output: Path, unit: str) -> None:
    """Draw each line; a blank one has no picture."""
    from nmt.reporting.heatmap import draw_attention

    for number, found in enumerate(matrices, start=1):
        matrix = found.pieces if unit == "pieces" else found.words
        path = output
        if len(matrices) > 1:
            path = output.with_name(f"{output.stem}-{number}{output.suffix}")
        if not matrix.target:
            log.warning("line %s: has no translation, so there is no %s", f"{number:,}", path)
            continue
        draw_attention(matrix, path, unit=unit.removesuffix("s"))
        log.info("wrote %s", path)
