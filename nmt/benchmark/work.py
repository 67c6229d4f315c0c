"""How much a model must compute for each target token: what no implementation can save.

Counted are the products with matrices of weights, and the attention. A product of [rows, inner]
with [inner, columns] is 2 x rows x inner x columns floating-point operations. The backward pass
takes the same product twice more, once for the gradient of each factor.

Left out is what is done once per sentence or element by element: below a hundredth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nmt.config.model import ModelConfig

PASSES = 3
"""Products of a training step for each one of the forward pass."""
_GATES = 4  # of an LSTM cell, its candidate included

Station = Literal["encoder", "keys", "gates", "combine", "attention", "logits"]


@dataclass(frozen=True)
class Sample:
    """What an update consists of; lengths count the end symbol."""

    source_length: float
    """Mean pieces of a source."""
    target_length: float
    """Mean pieces of a target."""
    target_tokens: int
    """Of one update."""

    @property
    def sentences(self) -> int:
        """Pairs of an update."""
        return max(1, round(self.target_tokens / self.target_length))

    @property
    def source_tokens(self) -> int:
        """Of one update."""
        return max(1, round(self.target_tokens * self.source_length / self.target_length))


@dataclass(frozen=True)
class Product:
    """A matrix of weights [columns, inner] and how an update uses it."""

    station: Station
    """Where on the way from source to loss."""
    inner: int
    """Values of an input."""
    columns: int
    """Values of an output."""
    rows: int
    """Inputs that are known at the same time; a recurrent product has those of one step."""
    positions: int
    """Inputs of a whole update."""

    @property
    def flop(self) -> float:
        """Floating-point operations of an update's forward pass."""
        return 2.0 * self.inner * self.columns * self.positions


@dataclass(frozen=True)
class Work:
    """What an update must compute."""

    sample: Sample
    """Of which sentences."""
    products: tuple[Product, ...]
    """All with weights."""
    attention: float
    """MFLOP per target token of scores and contexts, where no weights take part."""

    def by_station(self) -> dict[Station, float]:
        """Return the MFLOP per target token of the forward pass."""
        megaflop: dict[Station, float] = {}
        for product in self.products:
            share = product.flop / self.sample.target_tokens / 1e6
            megaflop[product.station] = megaflop.get(product.station, 0.0) + share
        return megaflop | {"attention": self.attention}

    @property
    def forward(self) -> float:
        """MFLOP per target token of the forward pass."""
        return sum(self.by_station().values())

    @property
    def training(self) -> float:
        """MFLOP per target token of forward and backward pass."""
        return PASSES * self.forward


def work_of(model: ModelConfig, *, target_vocab: int, sample: Sample) -> Work:
    """Return what training on updates like `sample` must compute.

    Args:
        model: of LSTM cells, with "general" attention after them, input feeding and a simple
            readout of the decoder's size.
        target_vocab: pieces of the output layer.
        sample: how long sentences are.
    """
    states = _memory_size(model) + model.decoder.hidden_size
    return Work(
        sample=sample,
        products=tuple(_products(model, target_vocab, sample)),
        attention=2e-6 * sample.source_length * states,
    )


def _products(model: ModelConfig, target_vocab: int, sample: Sample) -> Iterator[Product]:
    embedding, memory = model.embedding.size, _memory_size(model)
    source, target, sentences = sample.source_tokens, sample.target_tokens, sample.sentences
    units = model.encoder.hidden_size
    for layer in range(model.encoder.layers):
        below = memory if layer else embedding
        for _ in range(memory // units):  # directions
            yield Product("encoder", below, _GATES * units, source, source)
            yield Product("encoder", units, _GATES * units, sentences, source)
    units = model.decoder.hidden_size
    yield Product("keys", memory, units, source, source)
    yield Product("gates", embedding, _GATES * units, target, target)
    for _ in range(model.decoder.layers):  # what is fed or comes from below, and the layer's state
        yield Product("gates", 2 * units, _GATES * units, sentences, target)
    yield Product("combine", memory + units, units, sentences, target)
    yield Product("logits", units, target_vocab, target, target)


def _memory_size(model: ModelConfig) -> int:
    """Return the values of the encoder's output at a position."""
    return model.encoder.hidden_size * (2 if model.encoder.bidirectional else 1)
