"""Write the model folder of a run, from the best weights or the mean of several checkpoints.

The mean is often slightly better than any single checkpoint.
"""

import logging
import math
import os
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from nmt.config.load import load
from nmt.config.training import ValidationConfig
from nmt.data.folder import PreparationRecord
from nmt.errors import ModelError, UsageError
from nmt.models.build import assemble
from nmt.models.checkpoints import shipped_weights, update_of, verify_checkpoint
from nmt.models.folder import ModelCard, save_model_folder
from nmt.models.weights import set_weights, weights_of
from nmt.storage.checksums import verify_checksums
from nmt.storage.files import write_bytes
from nmt.storage.folders import make_folder, new_folder
from nmt.storage.tensors import load_tensors, save_tensors
from nmt.text.subword import load_subwords
from nmt.training.in_progress import TrainingRun, undamaged_best
from nmt.training.run_folder import CONFIG, DATA, MODEL

if TYPE_CHECKING:
    from nmt.training.validator import Scores

logger = logging.getLogger("nmt.training")

_WEIGHTS, _CARD = "model.safetensors", "README.md"


# --- the best weights of a run -------------------------------------------------------------


def ship(run: TrainingRun, scores: dict[str, str], *, update: int | None = None) -> None:
    """Write the shareable model folder from the current weights of the model.

    Args:
        run: the run.
        scores: scores of these weights, for the model card.
        update: number of updates that made them; None = all updates of the run.
    """
    save_model_folder(
        run.folder / MODEL,
        run.model,
        experiment=run.experiment,
        pieces=run.folder / DATA,
        card=ModelCard(
            date=time.strftime("%Y-%m-%d"),
            train_pairs=run.train_pairs,
            valid_pairs=len(run.validator.corpus),
            updates=run.state.update if update is None else update,
            scores=scores,
        ),
        training_text=run.validator.training_text,
    )


def name_scores(scores: "Scores", config: ValidationConfig) -> dict[str, str]:
    """Return the scores as the model card shows them."""
    search = "greedy" if config.beam == 1 else f"beam {config.beam}"
    if scores.loss_name != "nll":
        return {f"Mean {scores.loss_name} on the validation files": f"{scores.loss:.4g}"}
    named = {"Perplexity on the validation files": f"{math.exp(min(scores.loss, 700.0)):.2f}"}
    if scores.bleu is None:
        per_word = math.exp(min(scores.loss_per_word, 700.0))
        named["The same per word"] = f"{per_word:.2f}"
    if scores.bleu is not None and scores.chrf is not None:
        split = "" if scores.tokenizer == "13a" else f", tok:{scores.tokenizer}"
        named[f"BLEU on the validation files ({search}{split})"] = f"{scores.bleu:.2f}"
        named[f"chrF on the validation files ({search})"] = f"{scores.chrf:.2f}"
    return named


def ship_average(run: TrainingRun) -> None:
    """Average the best checkpoints, and ship the average if it scores better than the best one."""
    config, state = run.experiment.validation, run.state
    chosen = list(islice(undamaged_best(run), config.average))
    if not chosen:
        return
    weights = average_weights([shipped_weights(checkpoint) for checkpoint in chosen])
    own = {name: tensor.clone() for name, tensor in weights_of(run.model).items()}
    set_weights(run.model, weights, run.folder)
    scores = run.validator.score(run.model, update=None)
    averaged, single = scores.as_best(config.metric, state.update), state.stopping.best[0]
    is_better = averaged.rank(config.metric) < single.rank(config.metric)
    logger.info(
        "average of %d checkpoints: %s %.4g, the best alone %.4g -> %s",
        len(chosen),
        config.metric,
        averaged.value,
        single.value,
        "shipped" if is_better else "not shipped",
    )
    if is_better:
        ship(run, name_scores(scores, config))
    set_weights(run.model, own, run.folder)


# --- the mean of checkpoints ---------------------------------------------------------------


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
    _require_same_model(load_tensors(model / _WEIGHTS), means, files[0], model / _WEIGHTS)
    make_folder(output.absolute().parent)
    with new_folder(output) as folder:
        for name in listed.keys() - {_WEIGHTS}:  # files that are not listed were never verified
            note = _note(checkpoints) if name == _CARD else ""
            write_bytes(folder / name, (model / name).read_bytes() + note.encode())
        save_tensors(folder / _WEIGHTS, means)


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
    save_model_folder(output, model, experiment=experiment, pieces=run / DATA, card=card)


def _note(checkpoints: Sequence[Path]) -> str:
    names = ", ".join(checkpoint.name for checkpoint in checkpoints)
    return (
        "\n## Averaged weights\n\n"
        f"The weights are the mean of {len(checkpoints)} checkpoints: {names}.\n"
        "Scores above were measured before averaging.\n"
    )
