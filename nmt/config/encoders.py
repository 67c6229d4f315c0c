"""`[model.encoder]`: what reads the source, and whether there is one."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from nmt.config import limits
from nmt.config.attention import InputAttentionConfig, NoInputAttentionConfig
from nmt.config.cells import CellConfig, LstmCellConfig
from nmt.config.section import RECURRENT_BY_DEFAULT, Section

SourceLines = Literal["none", "text", "words", "numbers"]
"""What a source line is: text that may be cut into any pieces, words, or vectors of numbers."""


class EncoderConfig(Section):
    """Reads the source sentence."""

    reads_source: ClassVar[bool] = True
    kind: Literal["recurrent"] = "recurrent"
    """Stacked recurrent layers."""
    cell: CellConfig = LstmCellConfig()
    """"rnn", "gru", "lstm", "lnlstm", "delays", "clockwork", "ssru" or "mingru", or a table with
    that kind."""
    hidden_size: int = Field(default=256, ge=1, le=limits.MOST_UNITS)
    """Units per layer and direction: the output of a bidirectional layer is twice as large."""
    layers: int = Field(default=1, ge=1, le=limits.MOST_LAYERS)
    """Number of stacked layers."""
    bidirectional: bool = True
    """Read in both directions and concatenate the two states (Schuster and Paliwal, 1997)."""
    residual: bool = False
    """Add a layer's input to its output where the sizes agree."""
    layer_output: Literal["identity", "linear"] = "identity"
    """Output of a layer: its state, or a linear map of it."""
    init_state: Literal["zero", "learned"] = "zero"
    """Initial state."""
    input_attention: InputAttentionConfig = NoInputAttentionConfig()
    """"none" or "softmax", or a table with that kind and its options."""

    @property
    def output_size(self) -> int:
        """Size of a source state."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    def describe(self) -> str:
        """Return a description, such as "2 × bidirectional lstm, 256 units"."""
        direction = "bidirectional " if self.bidirectional else ""
        return f"{self.layers} × {direction}{self.cell.kind}, {self.hidden_size} units"


class ConvolutionalEncoderConfig(Section):
    """Reads the source sentence by convolutions."""

    reads_source: ClassVar[bool] = True
    kind: Literal["convolutional"] = "convolutional"
    """Levels of dilated convolutions (TCN; Bai et al., 2018), without weight normalisation."""
    hidden_size: int = Field(default=256, ge=1, le=limits.MOST_UNITS)
    """Channels of each level."""
    layers: int = Field(default=4, ge=1, le=limits.MOST_LEVELS)
    """Number of levels; in level l, counted from 0, the inputs are 2^l positions apart."""
    kernel_size: int = Field(default=3, ge=2, le=limits.MOST_KERNEL)
    """Inputs of a convolution. All levels see 1 + 2 (kernel_size - 1) (2^layers - 1) positions."""
    causal: bool = False
    """See only what stands before a position; otherwise as much on both sides of it, which needs an
    odd kernel_size."""
    batch_norm: bool = False
    """Normalise each channel after each convolution, in training over the words of a batch, in
    translation by running means (Ioffe and Szegedy, 2015). Not for several processes, and with
    training.accumulate over the words of a micro-batch."""

    @property
    def output_size(self) -> int:
        """Size of a source state."""
        return self.hidden_size

    def describe(self) -> str:
        """Return a description, such as "4 × causal convolution of 3, 256 units"."""
        causal = "causal " if self.causal else ""
        what = f"{causal}convolution of {self.kernel_size}"
        return f"{self.layers} × {what}, {self.hidden_size} units"


class BagEncoderConfig(Section):
    """Reads the source as a bag of words."""

    reads_source: ClassVar[bool] = True
    kind: Literal["bag"] = "bag"
    """Bag of words: the embeddings themselves, whose order does not matter."""
    pool: Literal["mean", "sum"] = "mean"
    """What summarises a sentence: the mean or the sum of its embeddings."""

    def describe(self) -> str:
        """Return a description, such as "bag of words, mean"."""
        return f"bag of words, {self.pool}"


AnyReaderConfig = Annotated[
    Annotated[
        EncoderConfig | ConvolutionalEncoderConfig | BagEncoderConfig,
        Field(discriminator="kind"),
    ],
    RECURRENT_BY_DEFAULT,
]


class NumbersEncoderConfig(Section):
    """Reads numbers instead of words."""

    reads_source: ClassVar[bool] = True
    kind: Literal["numbers"] = "numbers"
    """Source lines are numbers, which are read as they are: positions between spaces, the features
    of a position between commas, such as "0.53,1 0.2,0". A single position is a vector."""
    features: int = Field(default=1, ge=1, le=limits.MOST_UNITS)
    """Numbers at each position."""
    reader: AnyReaderConfig = EncoderConfig()
    """Encoder of these vectors: "recurrent", "convolutional" or "bag", or a table with that kind
    and its options."""

    def describe(self) -> str:
        """Return a description, such as "2 numbers a position, 1 × lstm, 32 units"."""
        return f"{self.features} numbers a position, {self.reader.describe()}"


class NoEncoderConfig(Section):
    """No encoder: the decoder is a language model."""

    reads_source: ClassVar[bool] = False
    kind: Literal["none"] = "none"
    """No source: a language model (Mikolov et al., 2010). Needs decoder.attention "none" and
    decoder.bridge "zero", or decoder.kind "convolutional"."""

    def describe(self) -> str:
        """Return "none"."""
        return self.kind


AnyEncoderConfig = Annotated[
    Annotated[
        EncoderConfig
        | ConvolutionalEncoderConfig
        | BagEncoderConfig
        | NumbersEncoderConfig
        | NoEncoderConfig,
        Field(discriminator="kind"),
    ],
    RECURRENT_BY_DEFAULT,
]
