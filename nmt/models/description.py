"""Read and check everything of a trained model except the weights, without importing torch.

A model is in a model folder, or in a run folder with checkpoints: then the weights are those of the
checkpoint that validation and shipping would use, and the rest is the run's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from nmt import __version__
from nmt.config.data import NormalizationConfig, TokenizerConfig
from nmt.config.embedding import VectorsConfig
from nmt.config.experiment import Experiment
from nmt.config.faults import wording
from nmt.config.load import load
from nmt.config.model import ModelConfig
from nmt.config.model_checks import model_disagreements
from nmt.config.schema import locate
from nmt.config.search import SearchConfig
from nmt.config.section import Section
from nmt.errors import ConfigError, ModelError
from nmt.models.checkpoints import (
    CHECKPOINTS,
    WEIGHTS,
    list_checkpoints,
    read_state,
    shipped_weights,
    verify_checkpoint,
)
from nmt.storage.checksums import verify_checksums
from nmt.storage.files import read_json
from nmt.text.subword import (
    MODEL_CONFIG,
    PIECE_FILES,
    PREPARATION,
    Subword,
    find_pieces,
    load_subwords,
)
from nmt.text.training_text import TrainingText

FORMAT_VERSION = 2
"""Incremented when older versions of nmt can no longer read the folder."""
RUN_CONFIG = "config.toml"
"""Name of the configuration in a run folder."""


class FolderConfig(Section):
    """Content of `config.json`."""

    format_version: int
    """See FORMAT_VERSION."""
    nmt_version: str
    """Version of nmt that wrote the folder."""
    source_language: str
    """Source language code."""
    target_language: str
    """Target language code."""
    source_vocab: int
    """Number of source pieces."""
    target_vocab: int
    """Number of target pieces."""
    model: ModelConfig
    """Architecture and sizes."""
    normalization: NormalizationConfig
    """Normalisation applied to each line."""
    tokenizer: TokenizerConfig
    """Segmentation of a line into pieces."""
    search: SearchConfig
    """Default search options."""
    training_text: TrainingText | None = None
    """What the training text looked like; folders of older versions do not say."""

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        source: Subword,
        target: Subword,
        training_text: TrainingText | None,
    ) -> Self:
        """Return the content for the model of a run, with its subword models."""
        return cls(
            format_version=FORMAT_VERSION,
            nmt_version=__version__,
            source_language=experiment.data.source,
            target_language=experiment.data.target,
            source_vocab=source.vocab_size,
            target_vocab=target.vocab_size,
            model=_without_vectors(experiment.model),
            normalization=experiment.normalization,
            tokenizer=experiment.tokenizer.model_copy(update={"pieces_from": ""}),
            search=experiment.search,
            training_text=training_text,
        )


def _without_vectors(model: ModelConfig) -> ModelConfig:
    """Return a model that does not name the files its embeddings began with."""
    none = {"source_vectors": VectorsConfig(), "target_vectors": VectorsConfig()}
    embedding = model.embedding.model_copy(update=none)
    return model.model_copy(update={"embedding": embedding})


@dataclass(frozen=True)
class Description:
    """A trained model except its weights."""

    folder: Path
    """Folder with the pieces and, optionally, the shortlist."""
    weights: Path
    """File with the weights."""
    origin: Path
    """File that the configuration comes from."""
    config: FolderConfig
    source: Subword
    """Subword model of the source side."""
    target: Subword
    """Subword model of the target side; the same object if joint."""


def describe_model_folder(path: Path) -> Description:
    """Check every file of a model folder, or of the one inside a run folder, and describe it.

    Raises:
        ModelError: the folder is missing, damaged, incomplete, or has another format version.
    """
    folder = find_model_folder(path)
    present = [name for name in PIECE_FILES if (folder / name).exists()]
    verify_checksums(folder, needed=(MODEL_CONFIG, WEIGHTS, *present))
    config = read_config(folder / MODEL_CONFIG)
    source, target = load_subwords(folder)
    for side, subword, expected in (
        ("source", source, config.source_vocab),
        ("target", target, config.target_vocab),
    ):
        if subword.vocab_size != expected:
            raise ModelError(
                f"{folder}: the {side} subword model has {subword.vocab_size:,} pieces, but "
                f"{MODEL_CONFIG} says {expected:,}; files of two models are mixed, copy it again."
            )
    return Description(folder, folder / WEIGHTS, folder / MODEL_CONFIG, config, source, target)


def describe_checkpoint(checkpoint: Path, run: Path) -> Description:
    """Check every file of a checkpoint and the pieces of its run, and describe the model.

    Args:
        checkpoint: its folder.
        run: the run folder, with configuration and pieces.

    Raises:
        ModelError: a file is missing or damaged, or they do not belong together.
    """
    verify_checkpoint(checkpoint)
    state, origin = read_state(checkpoint), run / RUN_CONFIG
    if not origin.is_file():
        raise ModelError(
            f"{checkpoint}: holds weights only, and {origin} is missing; keep a checkpoint in its "
            "run folder."
        )
    try:
        experiment = load(origin)
    except ConfigError as error:
        raise ModelError(f"{error}; restore the file that the run wrote.") from error
    folder = find_pieces(run)
    verify_checksums(folder, only=PIECE_FILES)
    record = read_json(folder / PREPARATION) if (folder / PREPARATION).exists() else {}
    if record and state.get("data_key") not in (record.get("key"), *record.get("replaced", {})):
        raise ModelError(
            f"{folder}: was prepared again after {checkpoint.name} was trained, so its pieces may "
            "be others; restore it, or prepare it as before."
        )
    source, target = load_subwords(folder)
    seen = record.get("training_text")  # older runs do not say
    training_text = None if seen is None else TrainingText.model_validate(seen)
    config = FolderConfig.of(experiment, source, target, training_text)
    return Description(folder, shipped_weights(checkpoint), origin, config, source, target)


def find_model_folder(path: Path) -> Path:
    """Return `path` if it is a model folder, else the `model` folder inside it.

    Raises:
        ModelError: neither exists.
    """
    for folder in (path, path / "model"):
        if (folder / MODEL_CONFIG).is_file():
            return folder
    if path.is_file():
        raise ModelError(f"{path}: is a file; name a run folder or a model folder.")
    if not path.is_dir():
        raise ModelError(f"{path}: no such folder; name a run folder or a model folder.")
    if path.name == CHECKPOINTS and (checkpoints := list_checkpoints(path.parent)):
        raise ModelError(
            f"{path}: holds all checkpoints of a run; name one, such as {checkpoints[-1]}, or the "
            f"run, {path.parent}."
        )
    if checkpoints := list_checkpoints(path):
        raise ModelError(
            f"{path}: holds no model yet, its first validation will write one; "
            f"use a checkpoint by --checkpoint {checkpoints[-1].name} ({_names(checkpoints)})."
        )
    if (path / RUN_CONFIG).is_file():
        raise ModelError(f"{path}: holds no model yet; a run has one after its first validation.")
    raise ModelError(
        f"{path}: is neither a run nor a model folder: it has no {RUN_CONFIG}, {MODEL_CONFIG} or "
        f"model/{MODEL_CONFIG}; name one that `nmt train` or `nmt average` wrote."
    )


def _names(checkpoints: Sequence[Path]) -> str:
    """Return how many checkpoints there are, and the first and last."""
    if len(checkpoints) == 1:
        return "the only one"
    return f"it has {len(checkpoints):,}, from {checkpoints[0].name}"


def read_config(path: Path) -> FolderConfig:
    """Read `config.json`.

    Raises:
        ModelError: the file is damaged, inconsistent, or has another format version.
    """
    content = read_json(path)
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{path}: has format version {version}, and nmt {__version__} reads version "
            f"{FORMAT_VERSION}; install the nmt that wrote it "
            f"({content.get('nmt_version') if isinstance(content, dict) else 'unknown'})."
        )
    try:
        config = FolderConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(locate(first["loc"]).keys)
        raise ModelError(
            f"{path}: {where}: {wording(first)}; it was edited, or another version made it; "
            "copy the folder again."
        ) from error
    for found in model_disagreements(config.model, config.tokenizer):
        raise ModelError(f"{path}: {found.where}: {found.message}; copy the folder again.")
    return config
