"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt.machine import MOST_THREADS

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run, model or checkpoint folder.")]
Runs = Annotated[
    list[Path],
    typer.Argument(metavar="RUN", help="Run, model or checkpoint folder; several are an ensemble."),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Checkpoint of the run, instead of its model: 3000, update-003000, last or best.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(metavar="X,X", help="Weights of the models of an ensemble, such as 0.7,0.3."),
]

Input = Annotated[
    Path | None,
    typer.Option("-i", "--input", metavar="FILE", help="Text file to read, which may be packed."),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="File to write.")
]
Align = Annotated[
    bool,
    typer.Option(
        "--align",
        help="Add links between words, source-target counted from 0, such as 0-0 1-2; in JSON, "
        "also between pieces.",
    ),
]
WithAttention = Annotated[
    bool,
    typer.Option("--attention", help="Add the attention weights of pieces and words; needs JSON."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

Plain = Annotated[
    bool, typer.Option("--plain", help="Compute the plain equations, without fast modules.")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option(help="Where to compute; auto = CUDA if there is a GPU."),
]
Threads = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, max=MOST_THREADS, help="Number of CPU threads; 0 = all cores."
    ),
]
