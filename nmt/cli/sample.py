"""`nmt sample`: text from a language model."""

import math
from typing import Annotated, Literal

import typer

from nmt.cli.lines_out import json_line, one_line
from nmt.cli.options import Checkpoint, Device, Output, Run, Threads
from nmt.cli.output_file import line_writer, require_output
from nmt.errors import UsageError

_LINES, _MOST_PIECES = 1, 256
"""What --count and --max-length are by default."""


def sample(
    run: Run,
    count: Annotated[
        int | None,
        typer.Option(
            "-n", "--count", metavar="N", min=1, help="Number of lines.", show_default=str(_LINES)
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="Text that each line begins with.")
    ] = "",
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Divisor of log-probabilities: below 1 safer, above 1 more varied.",
            show_default=str(_LINES),
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(metavar="N", help="Sample from the N likeliest pieces.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Sample from the fewest pieces that have this probability together."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of the samples.", show_default=str(_LINES))
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Print the best lines that a beam of this width finds, no samples.",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Largest number of pieces in a line.",
            show_default=str(_MOST_PIECES),
        ),
    ] = None,
    next: Annotated[
        int,
        typer.Option(
            "--next",
            metavar="N",
            min=0,
            help="Print the N likeliest next pieces and their probabilities instead.",
        ),
    ] = 0,
    output: Output = None,
    format: Annotated[Literal["text", "jsonl"], typer.Option(help="Text, or JSON lines.")] = "text",
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    threads: Threads = 0,
) -> None:
    """Write lines that a language model generates, or what may come next.

    A line depends on the seed and its number alone. Train a language model by `nmt train` with
    model.encoder = "none".
    """
    from nmt.generation import generate, next_pieces
    from nmt.translator import Translator

    search: dict[str, object] = {} if beam is None else {"sample": False, "beam": beam}
    drawing = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    for name, value in drawing.items():
        if value is not None and beam is not None:
            raise UsageError(
                f"--{name.replace('_', '-')}: is for samples, and --beam draws none; leave one out."
            )
        if value is not None:
            search[name] = value
    for name, value in {"n": count, "beam": beam, "max_length": max_length, **drawing}.items():
        if value is not None and next:
            option = "-n" if name == "n" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{option}: is for lines, and --next prints none; leave one out.")
    require_output(output)
    model = Translator.load(run, device=device, threads=threads, checkpoint=checkpoint)
    if next:
        with line_writer(output) as write:
            for piece in next_pieces(model, prefix, count=next):
                probability = math.exp(piece.log_prob)
                if format == "jsonl":
                    write(json_line({"piece": piece.text, "probability": probability}))
                else:
                    write(f"{probability:.4f}\t{one_line(piece.text)}")
        return
    texts = generate(
        model, count or _LINES, search=search, prefix=prefix, most_pieces=max_length or _MOST_PIECES
    )
    with line_writer(output) as write:
        for text in texts:
            if format == "jsonl":
                write(
                    json_line(
                        {"text": text.text, "logprob": text.log_prob, "finished": text.finished}
                    )
                )
            else:
                write(one_line(text.text))
