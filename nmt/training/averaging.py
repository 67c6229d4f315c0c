"""The mean of several checkpoints' weights, often a little better than each of them."""

import os
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from nmt.errors import ModelError, UsageError
from nmt.storage.checksums import verify_checksums
from nmt.storage.files import write_bytes
from nmt.storage.folders import make_folder, new_folder
from nmt.storage.tensors import load_metadata, load_tensors, save_tensors
from nmt.training.checkpoint import verify_checkpoint

_WEIGHTS, _CARD = "model.safetensors", "README.md"


def average_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of the tensors of several weight files.

    It is computed in double precision and rounded once, so that n copies of one file give that
    file back bit by bit. Tensors that are not floating point are taken from the first file.

    Args:
        files: safetensors files with the same names, shapes and types.

    Raises:
        ModelError: there is no file, one is damaged, or they are of different models.
    """
    if not files:
        raise ModelError("there are no checkpoints to average; train first.")
    first = load_tensors(files[0])
    sums = {name: tensor.double() for name, tensor in first.items() if tensor.is_floating_point()}
    for file in files[1:]:
        tensors = load_tensors(file)
        _require_same_model(first, tensors, file, files[0])
        for name, total in sums.items():
            total += tensors[name]
    means = {name: (total / len(files)).to(first[name].dtype) for name, total in sums.items()}
    return {**first, **means}


def _require_same_model(
    expected: dict[str, Tensor], found: dict[str, Tensor], file: Path, first: Path
) -> None:
    differing = {
        name
        for name in expected.keys() | found.keys()
        if name not in expected
        or name not in found
        or (expected[name].shape, expected[name].dtype) != (found[name].shape, found[name].dtype)
    }
    if differing:
        names = ", ".join(f"`{name}`" for name in sorted(differing)[:3])
        raise ModelError(
            f"{file}: does not fit {first}, {len(differing)} tensors differ ({names}); "
            "average checkpoints of one model only."
        )


def shipped_weights(checkpoint: Path) -> Path:
    """Return the weights of a checkpoint that are validated and shipped.

    They are the moving average where the run keeps one, else the weights themselves.
    """
    moving = checkpoint / "ema.safetensors"
    return moving if moving.is_file() else checkpoint / _WEIGHTS


def write_averaged_model(model: Path, checkpoints: Sequence[Path], output: Path) -> None:
    """Write a copy of a model folder whose weights are the mean of checkpoints.

    Args:
        model: the run's model folder: everything but the weights is taken from here, and its
            card gets a note.
        checkpoints: of the same run; each is verified first.
        output: the new folder.

    Raises:
        UsageError: there is no model folder yet, or something is at `output`.
        ModelError: a checkpoint or the model is damaged, or they do not fit each other.
        ResourceError: the disk refuses.
    """
    if not model.is_dir():
        raise UsageError(f"{model}: is missing; train until the first validation, then average.")
    if os.path.lexists(output):
        raise UsageError(f"{output}: is there already; choose another name, or remove it first.")
    listed = verify_checksums(model)
    for folder in checkpoints:
        verify_checkpoint(folder)
    files = [shipped_weights(checkpoint) for checkpoint in checkpoints]
    means = average_weights(files)
    _require_same_model(load_tensors(model / _WEIGHTS), means, files[0], model / _WEIGHTS)
    make_folder(output.absolute().parent)
    with new_folder(output) as folder:
        for name in listed.keys() - {_WEIGHTS}:  # whatever else lies there was never checked
            note = _note(checkpoints) if name == _CARD else ""
            write_bytes(folder / name, (model / name).read_bytes() + note.encode())
        save_tensors(folder / _WEIGHTS, means, load_metadata(model / _WEIGHTS) or None)


def _note(checkpoints: Sequence[Path]) -> str:
    names = ", ".join(checkpoint.name for checkpoint in checkpoints)
    return (
        "\n## Averaged weights\n\n"
        f"The weights are the mean of {len(checkpoints)} checkpoints: {names}.\n"
        "Scores above were measured before averaging.\n"
    )
