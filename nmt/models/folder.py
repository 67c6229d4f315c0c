"""The model folder: what is shared of a trained model, and all that translating needs.

    config.json         format version, configuration, languages, sizes
    model.safetensors   weights, tied ones once
    subword.model       the pieces (or source.model and target.model)
    README.md           the model card
    shortlist.safetensors  which target pieces are frequent, or likely for a source piece
    SHA256SUMS          checksums of the files above; written last

Nothing in it is code, and loading it runs none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt import __version__
from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig, UniformInitConfig
from nmt.errors import ModelError
from nmt.models.build import build_model
from nmt.models.description import (
    CONFIG,
    FORMAT_VERSION,
    WEIGHTS,
    FolderConfig,
    describe_model_folder,
    find_model_folder,
)
from nmt.models.shortlist import Shortlist
from nmt.models.translation import TranslationModel
from nmt.models.weights import require_same_shapes, set_weights, weights_of
from nmt.storage.files import write_bytes, write_json, write_text
from nmt.storage.folders import new_folder
from nmt.storage.tensors import load_tensors, save_tensors
from nmt.text.subword import PIECE_FILES, SHORTLIST_FILE, Subword, load_subwords

CARD = "README.md"


@dataclass(frozen=True)
class LoadedModel:
    """A model folder in memory."""

    model: TranslationModel
    """In evaluation mode, on the CPU."""
    config: FolderConfig
    """What the folder says about it."""
    source: Subword
    """Pieces of the source side."""
    target: Subword
    """Pieces of the target side; the same object if joint."""
    shortlist: Shortlist | None
    """What is known of the target pieces; None if the folder does not say."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a reader of the model's README wants to know and the weights do not tell."""

    date: str
    """When training ended, for example "2026-11-20"."""
    train_pairs: int
    """Sentence pairs that were learned from."""
    valid_pairs: int
    """Sentence pairs that chose the weights."""
    updates: int
    """Updates made."""
    scores: Mapping[str, str] = field(default_factory=dict)
    """Name of each score and its value, with sacrebleu's signature where there is one."""


def save_model_folder(
    folder: Path,
    model: TranslationModel,
    *,
    experiment: Experiment,
    pieces: Path,
    card: ModelCard,
) -> None:
    """Write a complete model folder, in place of one that may be there; all or nothing.

    Args:
        folder: its name; the folder around it must exist.
        model: the weights to ship.
        experiment: what it was trained by.
        pieces: folder with the subword models and, if there is one, the shortlist, as
            `nmt.data.prepare` leaves it.
        card: for the README.

    Raises:
        ResourceError: the disk refuses.
    """
    source, target = load_subwords(pieces)
    config = FolderConfig(
        format_version=FORMAT_VERSION,
        nmt_version=__version__,
        source_language=experiment.data.source,
        target_language=experiment.data.target,
        source_vocab=source.vocab_size,
        target_vocab=target.vocab_size,
        model=experiment.model,
        normalization=experiment.normalization,
        tokenizer=experiment.tokenizer,
        search=experiment.search,
    )
    with new_folder(folder) as unfinished:
        write_json(unfinished / CONFIG, config.model_dump(mode="json"))
        save_tensors(unfinished / WEIGHTS, weights_of(model))
        for name in PIECE_FILES:
            if (pieces / name).exists():
                write_bytes(unfinished / name, (pieces / name).read_bytes())
        write_text(unfinished / CARD, write_card(config, model, card))


def load_model_folder(path: Path) -> LoadedModel:
    """Read a model folder, or the one inside a run folder.

    One that is replaced meanwhile, by a run that has found better weights, is read again.

    Args:
        path: the folder, or a run folder with `model/` in it.

    Raises:
        ModelError: it is missing, damaged, incomplete, or made by a newer version.
    """
    while True:
        before = _identity_of(path)
        try:
            loaded = _load_once(path)
        except ModelError:
            if _identity_of(path) == before:
                raise
        else:
            if _identity_of(path) == before:
                return loaded


def _identity_of(path: Path) -> tuple[int, int, int] | None:
    """Return what differs if another folder has the name of this one; None if there is none."""
    try:
        found = find_model_folder(path).stat()
    except (ModelError, OSError):
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _load_once(path: Path) -> LoadedModel:
    described = describe_model_folder(path)
    folder, config = described.folder, described.config
    tensors = load_tensors(folder / WEIGHTS)
    require_plausible_sizes(config.model, tensors, folder)
    # Fresh weights are about to be overwritten: draw them the cheapest way.
    cheap = config.model.model_copy(update={"initialization": UniformInitConfig()})
    sizes = {"source_vocab": config.source_vocab, "target_vocab": config.target_vocab}
    with torch.device("meta"):  # no memory is taken before the weights are known to fit
        require_same_shapes(build_model(cheap, **sizes), tensors, folder / WEIGHTS)
    model = build_model(cheap, **sizes)
    set_weights(model, tensors, folder / WEIGHTS)
    shortlist = None
    if (folder / SHORTLIST_FILE).exists():
        shortlist = Shortlist.load(
            folder / SHORTLIST_FILE,
            source_vocab=config.source_vocab,
            target_vocab=config.target_vocab,
        )
    return LoadedModel(model.eval(), config, described.source, described.target, shortlist)


def require_plausible_sizes(
    config: ModelConfig, tensors: Mapping[str, Tensor], folder: Path
) -> None:
    """Refuse sizes that the weights cannot have, before memory is taken for them.

    Raises:
        ModelError: a size of the configuration exceeds every dimension of the weights.
    """
    filled = [tensor for tensor in tensors.values() if tensor.numel()]
    largest = max((size for tensor in filled for size in tensor.shape), default=0)
    sizes = {
        "embedding.size": config.embedding.size,
        "encoder.hidden_size": config.encoder.hidden_size,
        "decoder.hidden_size": config.decoder.hidden_size,
        "decoder.readout_size": config.decoder.readout_size,
        "decoder.attention.hidden_size": getattr(config.decoder.attention, "hidden_size", 0),
    }
    layers = {
        "encoder.layers": config.encoder.layers,
        "decoder.layers": config.decoder.layers,
    }
    for values, limit in ((sizes, largest), (layers, len(filled))):
        for name, value in values.items():
            if value > limit:
                raise ModelError(
                    f"{folder / CONFIG}: model.{name} is {value:,}, more than {WEIGHTS} can hold; "
                    "files of two models are mixed."
                )


def write_card(config: FolderConfig, model: TranslationModel, card: ModelCard) -> str:
    """Return the README of a model folder."""
    encoder, decoder = config.model.encoder, config.model.decoder
    parameters = sum(weight.numel() for weight in model.parameters())
    languages = f"{config.source_language} → {config.target_language}"
    pieces = (
        f"{config.source_vocab:,} shared"
        if config.model.embedding.shares_vocabulary
        else f"{config.source_vocab:,} source, {config.target_vocab:,} target"
    )
    direction = "bidirectional " if encoder.bidirectional else ""
    facts: dict[str, Any] = {
        "Languages": languages,
        "Parameters": f"{parameters:,}",
        "Encoder": f"{encoder.layers} × {direction}{encoder.cell.kind}, "
        f"{encoder.hidden_size} units",
        "Decoder": f"{decoder.layers} × {decoder.cell.kind}, {decoder.hidden_size} units, "
        f"attention {decoder.attention.kind}",
        "Pieces": f"{pieces} ({config.tokenizer.kind})",
        "Training pairs": f"{card.train_pairs:,}",
        "Validation pairs": f"{card.valid_pairs:,}",
        "Updates": f"{card.updates:,}",
        "Finished": card.date,
        "Made with": f"nmt {config.nmt_version}, format {config.format_version}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    scores = "\n".join(f"- {name}: {value}" for name, value in card.scores.items())
    source, target = config.source_language, config.target_language
    return (
        f"# Translation model {languages}\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"## Scores\n\n{scores or 'None were measured.'}\n\n"
        "## Use\n\n"
        "Raw text in, raw text out, one sentence per line. Write the path of this folder for "
        "`MODEL`, and work in another one: Python runs code that lies where it is started.\n\n"
        f"```\nnmt translate MODEL -i text.{source} -o text.{target}\n```\n\n"
        "```python\n"
        "from nmt.translator import Translator\n\n"
        'for translation in Translator.load("MODEL").translate(["..."]):\n'
        "    print(translation.text)\n"
        "```\n\n"
        "`sha256sum -c SHA256SUMS` checks the files; loading does so, too.\n"
    )
