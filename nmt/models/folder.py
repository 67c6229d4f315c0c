"""The model folder: the shareable form of a trained model, with everything translation needs.

    config.json            format version, configuration, languages, sizes
    model.safetensors      weights; tied weights are stored once
    subword.model          the pieces (or source.model and target.model)
    README.md              the model card
    shortlist.safetensors  which target pieces are frequent, or likely for a source piece
    SHA256SUMS             checksums of the files above; written last

The folder contains no code, and loading it runs none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.errors import ModelError, UsageError
from nmt.models.build import assemble
from nmt.models.checkpoints import WEIGHTS, find_checkpoint, run_of
from nmt.models.description import (
    Description,
    FolderConfig,
    describe_checkpoint,
    describe_model_folder,
    find_model_folder,
)
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.shortlist import Shortlist
from nmt.models.weights import require_same_shapes, set_weights, weights_of
from nmt.storage.files import write_bytes, write_json, write_text
from nmt.storage.folders import new_folder
from nmt.storage.tensors import load_tensors, save_tensors
from nmt.text.subword import MODEL_CONFIG, PIECE_FILES, SHORTLIST_FILE, Subword, load_subwords
from nmt.text.training_text import TrainingText

CARD = "README.md"


@dataclass(frozen=True)
class LoadedModel:
    """The content of a model folder, loaded into memory."""

    model: EncoderDecoder
    """The model, in evaluation mode, on the CPU."""
    config: FolderConfig
    """Content of `config.json`."""
    source: Subword
    """Subword model of the source side."""
    target: Subword
    """Subword model of the target side; the same object if joint."""
    shortlist: Shortlist | None
    """Frequent and likely target pieces; None if the folder has no shortlist."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Facts for the model's README that the weights and configuration do not contain."""

    date: str
    """Date on which training ended, for example "2026-11-20"."""
    train_pairs: int
    """Number of training pairs."""
    valid_pairs: int
    """Number of validation pairs, on which the weights were selected."""
    updates: int
    """Number of updates."""
    scores: Mapping[str, str] = field(default_factory=dict)
    """Name and value of each score, with sacreBLEU's signature if it has one."""


def save_model_folder(
    folder: Path,
    model: EncoderDecoder,
    *,
    experiment: Experiment,
    pieces: Path,
    card: ModelCard,
    training_text: TrainingText | None = None,
) -> None:
    """Write a complete model folder atomically, replacing an existing one.

    Args:
        folder: path of the model folder; its parent must exist.
        model: the model whose weights are saved.
        experiment: configuration of the training run.
        pieces: folder with the subword models and, optionally, the shortlist, as written by
            `nmt.data.prepare`.
        card: facts for the README.
        training_text: what the training text looked like; None if that is unknown.

    Raises:
        ResourceError: writing failed.
    """
    source, target = load_subwords(pieces)
    config = FolderConfig.of(experiment, source, target, training_text)
    with new_folder(folder) as unfinished:
        write_json(unfinished / MODEL_CONFIG, config.model_dump(mode="json", by_alias=True))
        save_tensors(unfinished / WEIGHTS, weights_of(model))
        for name in PIECE_FILES:
            if (pieces / name).exists():
                write_bytes(unfinished / name, (pieces / name).read_bytes())
        write_text(unfinished / CARD, write_card(config, model, card))


def load_model(path: Path, checkpoint: str | int | None = None) -> LoadedModel:
    """Load the model of a model folder, a run folder or a checkpoint.

    Args:
        path: model folder, run folder, or the folder of a checkpoint.
        checkpoint: with a run folder: checkpoint whose weights to load, as in `find_checkpoint`.

    Raises:
        UsageError: there is no such checkpoint.
        ModelError: a folder is missing, damaged, incomplete, or has another format version.
    """
    run = run_of(path)
    if checkpoint is None:
        return load_model_folder(path) if run is None else _load(describe_checkpoint(path, run))
    if run is not None:
        raise UsageError(f"{path}: is a checkpoint itself; leave --checkpoint {checkpoint} out.")
    return _load(describe_checkpoint(find_checkpoint(path, str(checkpoint)), path))


def load_model_folder(path: Path) -> LoadedModel:
    """Load a model folder, or the one inside a run folder.

    If a training run replaces the folder during loading, the new one is loaded instead.

    Args:
        path: a model folder, or a run folder that contains `model/`.

    Raises:
        ModelError: the folder is missing, damaged, incomplete, or has another format version.
    """
    while True:
        before = _identity_of(path)
        try:
            loaded = _load(describe_model_folder(path))
        except ModelError:
            if _identity_of(path) == before:
                raise
        else:
            if _identity_of(path) == before:
                return loaded


def _identity_of(path: Path) -> tuple[int, int, int] | None:
    """Return a value that changes when the folder is replaced; None if there is no folder."""
    try:
        found = find_model_folder(path).stat()
    except (ModelError, OSError):
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _load(described: Description) -> LoadedModel:
    folder, config, weights = described.folder, described.config, described.weights
    tensors = load_tensors(weights)
    require_plausible_sizes(config.model, tensors, described.origin)
    make = partial(
        assemble, config.model, source_vocab=config.source_vocab, target_vocab=config.target_vocab
    )
    with torch.device("meta"):  # check shapes before allocating memory
        require_same_shapes(make(), tensors, weights)
    model = make()
    set_weights(model, tensors, weights)
    shortlist = None
    if (folder / SHORTLIST_FILE).exists():
        shortlist = Shortlist.load(
            folder / SHORTLIST_FILE,
            source_vocab=config.source_vocab,
            target_vocab=config.target_vocab,
        )
    return LoadedModel(model.eval(), config, described.source, described.target, shortlist)


def require_plausible_sizes(
    config: ModelConfig, tensors: Mapping[str, Tensor], origin: Path
) -> None:
    """Refuse sizes that the weights cannot have, before a model of these sizes is built.

    Args:
        config: sizes of the model.
        tensors: the weights.
        origin: file that the sizes come from, for the error message.

    Raises:
        ModelError: a configured size exceeds every dimension of the weights.
    """
    filled = [tensor for tensor in tensors.values() if tensor.numel()]
    largest = max((size for tensor in filled for size in tensor.shape), default=0)
    unused = set() if config.has_embeddings else {"embedding"}
    for name, value in _sizes(config.model_dump(exclude=unused)):
        limit = len(filled) if name.endswith("layers") else largest
        if value > limit:
            raise ModelError(
                f"{origin}: model.{name} is {value:,}, more than {WEIGHTS} can hold; "
                "files of two models are mixed."
            )


def _sizes(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, int]]:
    """Yield the name and value of each size and each number of layers in a configuration."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _sizes(value, f"{path}{key}.")
        elif key.endswith("size") or (key == "layers" and isinstance(value, int)):
            yield f"{path}{key}", value


def write_card(config: FolderConfig, model: EncoderDecoder, card: ModelCard) -> str:
    """Return the README of a model folder."""
    parameters = sum(weight.numel() for weight in model.parameters())
    languages = " → ".join(filter(None, (config.source_language, config.target_language)))
    reads_source = config.model.encoder.reads_source
    if not reads_source:
        pieces = f"{config.target_vocab:,}"
    elif config.model.embedding.shares_vocabulary:
        pieces = f"{config.source_vocab:,} shared"
    else:
        pieces = f"{config.source_vocab:,} source, {config.target_vocab:,} target"
    unit = "pairs" if reads_source else "lines"
    facts: dict[str, Any] = {
        "Languages": languages,
        "Parameters": f"{parameters:,}",
        "Encoder": config.model.encoder.describe(),
        "Decoder": config.model.decoder.describe(),
        "Output": config.model.output.describe(),
        "Pieces": f"{pieces} ({config.tokenizer.kind})",
        f"Training {unit}": f"{card.train_pairs:,}",
        f"Validation {unit}": f"{card.valid_pairs:,}",
        "Updates": f"{card.updates:,}",
        "Finished": card.date,
        "Made with": f"nmt {config.nmt_version}, format {config.format_version}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    scores = "\n".join(f"- {name}: {value}" for name, value in card.scores.items())
    kind, use = _use(config)
    return (
        f"# {kind} model {languages}\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"## Scores\n\n{scores or 'None were measured.'}\n\n"
        "## Use\n\n"
        "Text is raw, one sentence per line. Replace `MODEL` by the path of this "
        "folder, and run the commands from another folder: Python imports modules from the folder "
        "it is started in.\n\n"
        f"{use}"
        "`sha256sum -c SHA256SUMS` verifies the files. Loading verifies them as well.\n"
    )


def _use(config: FolderConfig) -> tuple[str, str]:
    """Return what kind of model a folder holds, and how it is used."""
    source, target = config.source_language, config.target_language
    if not config.model.encoder.reads_source:
        return "Language", (
            f"```\nnmt score MODEL --target text.{target}\n"
            "nmt translate TRANSLATION_MODEL --lm MODEL\n```\n\n"
        )
    kind = {
        "text": "Translation",
        "label": "Labelling",
        "aligned": "Tagging",
        "numbers": "Regression",
    }
    return kind[config.model.target_lines], (
        f"```\nnmt translate MODEL -i text.{source} -o text.{target}\n```\n\n"
        "```python\n"
        "from nmt import Translator\n\n"
        'for translation in Translator.load("MODEL").translate(["..."]):\n'
        "    print(translation.text)\n"
        "```\n\n"
    )
