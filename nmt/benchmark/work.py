"""How much a model must compute for each target token: what no implementation can save.

Counted are the products with matrices of weights, and the attention. A product of [rows, inner]
with [inner, columns] is 2 x rows x inner x columns floating-point operations. The backward pass
takes the same product twice more, once for the gradient of each factor.

Left out is what is done once per sentence or element by element: below a hundredth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from nmt.models.translation import TranslationModel

TRAINING = 3
"""Products of a training step for each one of the forward pass."""

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
        return TRAINING * self.forward


def work_of(model: TranslationModel, sample: Sample) -> Work:
    """Return what training `model` on updates like `sample` must compute.

    Args:
        model: with an attention that has weights for the keys alone ("general"), and a decoder
            that reads back what it writes (input feeding).
        sample: how long sentences are.
    """
    memory, query = model.encoder.output_size, model.decoder.stack.output_size
    return Work(
        sample=sample,
        products=tuple(_products(model, sample)),
        attention=2e-6 * sample.source_length * (query + memory),
    )


def _products(model: TranslationModel, sample: Sample) -> Iterator[Product]:
    source, target, sentences = sample.source_tokens, sample.target_tokens, sample.sentences
    for name, (columns, inner) in _matrices(model.encoder.stack):
        rows = sentences if name.endswith("weight_hidden") else source
        yield Product("encoder", inner, columns, rows, source)
    if model.decoder.attention is not None:
        for _, (columns, inner) in _matrices(model.decoder.attention):
            yield Product("keys", inner, columns, source, source)
    for _, (columns, inner) in _matrices(model.decoder.stack):
        yield Product("gates", inner, columns, sentences, target)
    for _, (columns, inner) in _matrices(model.decoder.readout):
        yield Product("combine", inner, columns, sentences, target)
    columns, inner = model.output.weight.shape
    yield Product("logits", inner, columns, min(model.output.chunk, target), target)


def _matrices(module: nn.Module) -> Iterator[tuple[str, tuple[int, int]]]:
    for name, weight in module.named_parameters():
        if weight.dim() == 2:
            yield name, (weight.shape[0], weight.shape[1])
