"""The models that are compared, and the arithmetic that nobody can avoid."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import harmonic_mean

BATCH_TOKENS = 4096
"""Target tokens of an update."""
TRAINING_FACTOR = 3
"""A product forward is two backward: by its input and by its weights."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """An LSTM encoder-decoder with Luong's general attention and input feeding."""

    name: str
    embedding: int
    encoder: int
    """Units of a layer and direction; the encoder is bidirectional."""
    decoder: int
    layers: int
    """Of the encoder, and of the decoder."""
    dropout: float = 0.2
    label_smoothing: float = 0.1
    learning_rate: float = 1e-3
    clip_norm: float = 1.0


SIZES = {
    sizes.name: sizes
    for sizes in (
        Sizes(name="small", embedding=256, encoder=256, decoder=512, layers=1),
        Sizes(name="big", embedding=512, encoder=512, decoder=512, layers=2),
    )
}


@dataclass(frozen=True, kw_only=True)
class TextCounts:
    """What the cost of a corpus depends on; tokens are pieces and end symbols."""

    vocabulary: int
    sentences: int
    source_tokens: int
    target_tokens: int
    longer_side_tokens: int
    """Of each pair the side with more tokens, added up."""

    @property
    def source_per_target(self) -> float:
        """Source tokens for each target token."""
        return self.source_tokens / self.target_tokens

    def sentences_of(self, target_tokens: int) -> int:
        """Return how many sentences have so many target tokens, on average."""
        return round(target_tokens * self.sentences / self.target_tokens)

    def longer_side_of(self, target_tokens: int) -> int:
        """Return the tokens of the longer sides of pairs with so many target tokens.

        Peers that fill a batch by its longer side get this number, so that their updates have as
        many target tokens as those of the others.
        """
        return round(target_tokens * self.longer_side_tokens / self.target_tokens)


@dataclass(frozen=True)
class Product:
    """A matrix product [rows, inner] x [inner, columns], done so often for each target token."""

    part: str
    rows: int
    inner: int
    columns: int
    per_target: float
    """Rows of it that are computed for a target token."""

    @property
    def flop(self) -> float:
        """Floating-point operations for each target token."""
        return 2.0 * self.inner * self.columns * self.per_target

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, inner, columns."""
        return self.rows, self.inner, self.columns


def forward_products(sizes: Sizes, text: TextCounts) -> list[Product]:
    """Return every matrix product of one pass forward, in the shapes of one update.

    What needs the state before (recurrence, attention, input feeding) has a row for each
    sentence; what does not has one for each token.
    """
    sentences = text.sentences_of(BATCH_TOKENS)
    source = round(BATCH_TOKENS * text.source_per_target)
    source_length = round(text.source_tokens / text.sentences)
    memory = 2 * sizes.encoder
    products = []
    for layer in range(sizes.layers):
        below = memory if layer else sizes.embedding
        both, gates = 2 * text.source_per_target, 4 * sizes.encoder
        products.append(Product("encoder", source, below, gates, both))
        products.append(Product("encoder", sentences, sizes.encoder, gates, both))
    products.append(Product("keys", source, memory, sizes.decoder, text.source_per_target))
    for layer in range(sizes.layers):
        below = sizes.decoder if layer else sizes.embedding + sizes.decoder
        products.append(Product("gates", sentences, below + sizes.decoder, 4 * sizes.decoder, 1.0))
    products.append(Product("attention", sentences, sizes.decoder + memory, source_length, 1.0))
    products.append(Product("combine", sentences, sizes.decoder + memory, sizes.decoder, 1.0))
    products.append(Product("logits", BATCH_TOKENS, sizes.decoder, text.vocabulary, 1.0))
    return products


def training_flop(products: Iterable[Product]) -> float:
    """Return the floating-point operations of training for each target token."""
    return TRAINING_FACTOR * sum(product.flop for product in products)


def mixed_rate(products: Iterable[Product], rates: dict[tuple[int, int, int], float]) -> float:
    """Return at which rate all products are done if each shape has a rate of its own."""
    listed = list(products)
    return harmonic_mean([rates[p.shape] for p in listed], weights=[p.flop for p in listed])
