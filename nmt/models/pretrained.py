"""Pretrained embeddings at the beginning of a run, and what stays frozen when it resumes."""

import logging
from pathlib import Path

from torch import Tensor
from torch.optim import Optimizer

from nmt.config.embedding import EmbeddingConfig
from nmt.errors import ConfigError
from nmt.layers.embedding import Embedding
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.vectors import FrozenRows, read_vectors
from nmt.storage.tensors import load_tensors, save_tensors
from nmt.text.lines import require_file
from nmt.text.subword import Subword

logger = logging.getLogger(__name__)


def require_vectors(config: EmbeddingConfig) -> None:
    """Check that the files of pretrained vectors are there, before a run prepares its data.

    Raises:
        DataError: one is missing, or cannot be read.
    """
    for vectors in config.vectors.values():
        require_file(Path(vectors.file))


def read_pretrained(
    model: EncoderDecoder, config: EmbeddingConfig, subwords: tuple[Subword, Subword]
) -> dict[str, Tensor]:
    """Give a new model its pretrained vectors, and log how many pieces have one.

    Args:
        model: changed in place.
        config: names the files.
        subwords: subword models of source and target.

    Returns:
        Ids of the pieces whose vectors are frozen, by side, [frozen]; only sides that are.

    Raises:
        DataError: a file cannot be used.
        ConfigError: the model embeds nothing on that side.
    """
    frozen: dict[str, Tensor] = {}
    for side, vectors in config.vectors.items():
        subword, embedding = subwords[side == "target"], embedding_of(model, side)
        pieces = subword.pieces(range(subword.vocab_size))
        found = read_vectors(Path(vectors.file), pieces, embedding.size)
        found.copy_into(embedding)
        end = ", and stay as they are" if vectors.freeze else ""
        logger.info("%s vectors: %s are in %s%s", side, found.coverage, vectors.file, end)
        if vectors.freeze:
            frozen[side] = found.rows
    return frozen


def save_frozen(file: Path, frozen: dict[str, Tensor]) -> None:
    """Write which rows are frozen, so that a resumed run needs no file of vectors."""
    if frozen:
        save_tensors(file, frozen)


def load_frozen(file: Path, config: EmbeddingConfig) -> dict[str, Tensor]:
    """Return the rows that `save_frozen` wrote; none if nothing is to be frozen.

    Raises:
        ModelError: the file is missing or damaged.
    """
    is_wanted = any(vectors.freeze for vectors in config.vectors.values())
    return load_tensors(file) if is_wanted else {}


def freeze(model: EncoderDecoder, optimizer: Optimizer, frozen: dict[str, Tensor]) -> None:
    """Let the optimizer leave rows as they are, by side."""
    for side, rows in frozen.items():
        FrozenRows(embedding_of(model, side).weight, rows, optimizer)


def embedding_of(model: EncoderDecoder, side: str) -> Embedding:
    """Return the embedding of a side, "source" or "target".

    Raises:
        ConfigError: the model has none there.
    """
    part = model.encoder if side == "source" else model.decoder
    for child in part.children():
        if isinstance(child, Embedding):
            return child
    raise ConfigError(
        f"model.embedding.{side}_vectors: the model embeds no {side} pieces; leave it out."
    )
