"""`nmt tokenize`: convert text to pieces or ids, and back."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from nmt.text.normalize import Normalizer
    from nmt.text.subword import Subword


Side = Literal["source", "target"]
_OTHER: dict[Side, Side] = {"source": "target", "target": "source"}


def tokenize(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Run folder, model folder or .model file.")
    ],
    decode: Annotated[bool, typer.Option("--decode", help="Turn pieces or ids into text.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Use ids instead of pieces.")] = False,
    sample: Annotated[
        float,
        typer.Option(
            metavar="ALPHA",
            min=0.0,
            max=1.0,
            help="Sample segmentations with this alpha; 0 = the best.",
        ),
    ] = 0.0,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of the random segmentations.")
    ] = 1,
    side: Annotated[
        Side, typer.Option(help="Side whose model is used, if there are two.")
    ] = "source",
) -> None:
    """Segment the lines of standard input into pieces separated by spaces, or join pieces to text.

    With a folder, text is normalised first, as for translation; with a .model file it is not.
    """
    import random
    import sys

    from nmt.errors import UsageError
    from nmt.text.lines import read_lines

    if decode and sample:
        raise UsageError("--sample makes pieces and --decode reads them; omit one.")
    subword, normalizer = _find(model, side)
    generator = random.Random(seed)

    def cut(line: str) -> str:
        pieces = subword.encode(normalizer.normalize(line), alpha=sample, generator=generator)
        return " ".join(map(str, pieces) if ids else subword.pieces(pieces))

    convert = (
        _joiner(subword, _find(model, _OTHER[side])[0], side, ids)
        if decode
        else lambda _, line: cut(line)
    )
    for number, line in enumerate(read_lines(None), start=1):
        sys.stdout.buffer.write(f"{convert(number, line)}\n".encode())
        sys.stdout.buffer.flush()


def _joiner(
    subword: "Subword", other: "Subword", side: Side, ids: bool
) -> Callable[[int, str], str]:
    """Return the function that converts line `number` of pieces or ids to text.

    Args:
        subword: model of the side.
        other: model of the other side.
        side: the side.
        ids: whether to convert ids.
    """
    from nmt.errors import DataError

    def piece_id(number: int, word: str) -> int:
        if ids:
            number_like = word.isdecimal() and len(word) < 10
            found = int(word) if number_like and int(word) < subword.vocab_size else None
            expected = f"an id from 0 to {subword.vocab_size - 1}"
        else:
            found = subword.id_of(word)
            expected = "a piece of this model"
        if found is None:
            advice = "the text was probably made with another model, use that one"
            if not ids and other.id_of(word) is not None:
                advice = f"it is one of the other side, use --side {_OTHER[side]}"
            elif not ids and word.isdecimal():
                advice = "to decode ids, add --ids"
            raise DataError(f"stdin:{number}: `{word}` is not {expected}; {advice}.")
        return found

    def join(number: int, line: str) -> str:
        return subword.decode([piece_id(number, word) for word in line.split(" ") if word])

    return join


def _find(model: Path, side: Side) -> "tuple[Subword, Normalizer]":
    """Return the subword model of a side and the normalisation before it."""
    from nmt.data.folder import read_pieces
    from nmt.errors import ModelError
    from nmt.models.checkpoints import run_of
    from nmt.models.description import describe_model_folder
    from nmt.text.normalize import Normalizer
    from nmt.text.subword import JOINT_FILE, MODEL_CONFIG, SOURCE_FILE, Subword

    if model.is_file():
        try:
            return Subword.load(model), Normalizer(unicode="off", whitespace=False)
        except ModelError:
            if model.suffix == ".model":
                raise
            raise ModelError(
                f"{model}: is not a subword model; name a run folder, a model folder or a .model "
                "file."
            ) from None
    model = run_of(model) or model
    for folder in (model / "model", model / "data", model):
        if (folder / MODEL_CONFIG).exists():
            described = describe_model_folder(folder)
            subwords = described.source, described.target
            normalization = described.config.normalization
        elif any((folder / name).exists() for name in (JOINT_FILE, SOURCE_FILE)):
            subwords, normalization = read_pieces(folder)
        else:
            continue
        return subwords[side == "target"], Normalizer(**normalization.model_dump())
    raise ModelError(
        f"{model}: holds no {JOINT_FILE} or {SOURCE_FILE}; "
        "name a run folder, a model folder or a .model file."
    )
