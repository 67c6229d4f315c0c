"""The mean of several checkpoints: their weights, and a model folder with it.

The mean is often slightly better than any single checkpoint.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from nmt.config.load import load
from nmt.data.folder import PreparationRecord
from nmt.errors import ModelError, UsageError
from nmt.models.build import assemble
from nmt.models.checkpoints import WEIGHTS, shipped_weights, update_of, verify_checkpoint
from nmt.models.folder import CARD, ModelCard, save_model_folder
from nmt.models.weights import set_weights
from nmt.run_folder.layout import CONFIG, DATA, MODEL
from nmt.storage.checksums import verify_checksums
from nmt.storage.files import write_bytes
from nmt.storage.folders import make_folder, new_folder
from nmt.storage.tensors import load_tensors, save_tensors
from nmt.text.subword import load_subwords


def average_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of the tensors of several weight files.

    It is computed in double precision and rounded once, so the mean of n copies of a file is
    bit-identical to that file. Tensors that are not floating point are taken from the first file.

    Args:
        files: safetensors files with the same names, shapes and types.

    Raises:
        ModelError: there is no file, one is damaged, or they belong to different models.
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


def write_averaged_model(run: Path, checkpoints: Sequence[Path], output: Path) -> None:
    """Write a model folder whose weights are the mean of checkpoints of a run.

    Everything but the weights is copied from the run's model folder, with a note on the card. A run
    that has not been validated yet has none; the folder is then made of its configuration and its
    pieces.

    Args:
        run: the run folder.
        checkpoints: checkpoints of the run; each is verified first.
        output: the new folder.

    Raises:
        UsageError: `output` exists.
        ModelError: a checkpoint or the model is damaged, or they do not fit each other.
        ResourceError: writing failed.
    """
    if os.path.lexists(output):
        raise UsageError(f"{output}: already exists; choose another name, or remove it first.")
    model = run / MODEL
    listed = verify_checksums(model) if model.is_dir() else {}
    for folder in checkpoints:
        verify_checkpoint(folder)
    files = [shipped_weights(checkpoint) for checkpoint in checkpoints]
    means = average_weights(files)
    if not listed:
        _write_first_model(run, means, checkpoints, output)
        return
    _require_same_model(load_tensors(model / WEIGHTS), means, files[0], model / WEIGHTS)
    make_folder(output.absolute().parent)
    with new_folder(output) as folder:
        for name in listed.keys() - {WEIGHTS}:  # files that are not listed were never verified
            note = _note(checkpoints) if name == CARD else ""
            write_bytes(folder / name, (model / name).read_bytes() + note.encode())
        save_tensors(folder / WEIGHTS, means)


def _write_first_model(
    run: Path, weights: dict[str, Tensor], checkpoints: Sequence[Path], output: Path
) -> None:
    """Write the model folder of a run that has none, from its configuration and its pieces."""
    experiment, record = load(run / CONFIG), PreparationRecord.load(run / DATA)
    source, target = load_subwords(run / DATA)
    model = assemble(
        experiment.model, source_vocab=source.vocab_size, target_vocab=target.vocab_size
    )
    set_weights(model, weights, checkpoints[0])
    card = ModelCard(
        date=time.strftime("%Y-%m-%d"),
        train_pairs=record.summary.kept,
        valid_pairs=record.summary.valid_kept,
        updates=max(map(update_of, checkpoints)),
    )
    make_folder(output.absolute().parent)
    save_model_folder(
        output,
        model,
        experiment=experiment,
        pieces=run / DATA,
        card=card,
        training_text=record.training_text,
    )


def _note(checkpoints: Sequence[Path]) -> str:
    names = ", ".join(checkpoint.name for checkpoint in checkpoints)
    return (
        "\n## Averaged weights\n\n"
        f"The weights are the mean of {len(checkpoints)} checkpoints: {names}.\n"
        "Scores above were measured before averaging.\n"
    )
