"""The computation per target token that no implementation can avoid.

Products with weight matrices and the attention are counted. A product of [rows, inner] with
[inner, columns] takes 2 x rows x inner x columns floating-point operations. The backward pass
needs two more products of the same size, one for the gradient of each factor.

Work done once per sentence or element by element is left out: it is below one percent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nmt.config.decoders import DecoderConfig
from nmt.config.encoders import EncoderConfig
from nmt.config.model import ModelConfig

PASSES = 3
"""Products in a training step for each product in the forward pass."""
_GATES = 4  # gates of an LSTM cell, including the candidate

Station = Literal["encoder", "keys", "gates", "combine", "attention", "logits"]


@dataclass(frozen=True)
class Sample:
    """Composition of an update; lengths include the end symbol."""

    source_length: float
    """Mean number of pieces per source."""
    target_length: float
    """Mean number of pieces per target."""
    target_tokens: int
    """Target tokens per update."""

    @property
    def sentences(self) -> int:
        """Sentence pairs per update."""
        return max(1, round(self.target_tokens / self.target_length))

    @property
    def source_tokens(self) -> int:
        """Source tokens per update."""
        return max(1, round(self.target_tokens * self.source_length / self.target_length))


@dataclass(frozen=True)
class Product:
    """A weight matrix [columns, inner] and how an update uses it."""

    station: Station
    """Part of the model between source and loss."""
    inner: int
    """Input size."""
    columns: int
    """Output size."""
    rows: int
    """Inputs available at the same time; for a recurrent product, those of one time step."""
    positions: int
    """Inputs in a whole update."""

    @property
    def flop(self) -> float:
        """Floating-point operations in an update's forward pass."""
        return 2.0 * self.inner * self.columns * self.positions


@dataclass(frozen=True)
class Work:
    """The computation in an update."""

    sample: Sample
    """Composition of the update."""
    products: tuple[Product, ...]
    """All products with weights."""
    attention: float
    """MFLOP per target token for attention scores and contexts, which involve no weights."""

    def by_station(self) -> dict[Station, float]:
        """Return the MFLOP per target token in the forward pass of each part of the model."""
        megaflop: dict[Station, float] = {}
        for product in self.products:
            share = product.flop / self.sample.target_tokens / 1e6
            megaflop[product.station] = megaflop.get(product.station, 0.0) + share
        return megaflop | {"attention": self.attention}

    @property
    def forward(self) -> float:
        """MFLOP per target token in the forward pass."""
        return sum(self.by_station().values())

    @property
    def training(self) -> float:
        """MFLOP per target token in the forward and backward pass."""
        return PASSES * self.forward


def work_of(model: ModelConfig, *, target_vocab: int, sample: Sample) -> Work:
    """Return the computation needed to train on updates like `sample`.

    Args:
        model: must have LSTM cells followed by "general" attention, input feeding and a simple
            readout of the decoder's size.
        target_vocab: pieces in the output layer.
        sample: composition of an update.
    """
    states = _memory_size(model) + _decoder(model).hidden_size
    return Work(
        sample=sample,
        products=tuple(_products(model, target_vocab, sample)),
        attention=2e-6 * sample.source_length * states,
    )


def _products(model: ModelConfig, target_vocab: int, sample: Sample) -> Iterator[Product]:
    encoder, embedding, memory = _encoder(model), model.embedding.size, _memory_size(model)
    source, target, sentences = sample.source_tokens, sample.target_tokens, sample.sentences
    units = encoder.hidden_size
    for layer in range(encoder.layers):
        below = memory if layer else embedding
        for _ in range(memory // units):  # directions
            yield Product("encoder", below, _GATES * units, source, source)
            yield Product("encoder", units, _GATES * units, sentences, source)
    units = _decoder(model).hidden_size
    yield Product("keys", memory, units, source, source)
    yield Product("gates", embedding, _GATES * units, target, target)
    for _ in range(_decoder(model).layers):  # input from feeding or the layer below, and own state
        yield Product("gates", 2 * units, _GATES * units, sentences, target)
    yield Product("combine", memory + units, units, sentences, target)
    yield Product("logits", units, target_vocab, target, target)


def _memory_size(model: ModelConfig) -> int:
    """Return the size of the encoder's output at each position."""
    return _encoder(model).output_size


def _encoder(model: ModelConfig) -> EncoderConfig:
    """Return the encoder of a translation model."""
    if not isinstance(model.encoder, EncoderConfig):
        raise ValueError("only the work of recurrent translation models is counted")
    return model.encoder


def _decoder(model: ModelConfig) -> DecoderConfig:
    """Return the decoder of a translation model."""
    if not isinstance(model.decoder, DecoderConfig):
        raise ValueError("only the work of recurrent translation models is counted")
    return model.decoder
