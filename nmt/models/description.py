"""Read and check everything in a model folder except the weights, without importing torch."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from nmt import __version__
from nmt.config.checks import model_disagreements
from nmt.config.data import NormalizationConfig, TokenizerConfig
from nmt.config.model import ModelConfig
from nmt.config.schema import locate
from nmt.config.search import SearchConfig
from nmt.config.section import Section
from nmt.errors import ModelError
from nmt.storage.checksums import verify_checksums
from nmt.storage.files import read_json
from nmt.text.subword import PIECE_FILES, Subword, load_subwords
from nmt.text.training_text import TrainingText

FORMAT_VERSION = 2
"""Incremented when older versions of nmt can no longer read the folder."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"


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
    """Normalization applied to each line."""
    tokenizer: TokenizerConfig
    """Segmentation of a line into pieces."""
    search: SearchConfig
    """Default search options."""
    training_text: TrainingText | None = None
    """What the training text looked like; folders of older versions do not say."""


@dataclass(frozen=True)
class Description:
    """The content of a model folder except the weights."""

    folder: Path
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
    verify_checksums(folder, needed=(CONFIG, WEIGHTS, *present))
    config = read_config(folder / CONFIG)
    source, target = load_subwords(folder)
    for side, subword, expected in (
        ("source", source, config.source_vocab),
        ("target", target, config.target_vocab),
    ):
        if subword.vocab_size != expected:
            raise ModelError(
                f"{folder}: the {side} subword model has {subword.vocab_size:,} pieces, but "
                f"{CONFIG} says {expected:,}; files of two models are mixed, copy it again."
            )
    return Description(folder, config, source, target)


def find_model_folder(path: Path) -> Path:
    """Return `path` if it is a model folder, else the `model` folder inside it.

    Raises:
        ModelError: neither exists.
    """
    for folder in (path, path / "model"):
        if (folder / CONFIG).is_file():
            return folder
    if not path.is_dir():
        raise ModelError(f"{path}: no such folder; name a run folder or a model folder.")
    raise ModelError(
        f"{path}: holds no model yet: neither {CONFIG} nor model/{CONFIG}; "
        "a run has one after its first validation."
    )


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
            f"{path}: {where}: {first['msg']}; it was edited, or another version made it; "
            "copy the folder again."
        ) from error
    for found in model_disagreements(config.model, config.tokenizer):
        raise ModelError(f"{path}: {found.where}: {found.message}; copy the folder again.")
    return config
