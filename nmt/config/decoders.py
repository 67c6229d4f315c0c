"""`[model.decoder]`: what makes the target, and what a target line is."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from nmt.config import limits
from nmt.config.attention import (
    AttentionConfig,
    GeneralAttentionConfig,
    InputAttentionConfig,
    NoInputAttentionConfig,
)
from nmt.config.cells import CellConfig, LstmCellConfig
from nmt.config.section import RECURRENT_BY_DEFAULT, Section

TargetLines = Literal["text", "label", "aligned", "numbers"]
"""What a target line is: text, one word, a word for each source word, or a vector of numbers."""


class DecoderConfig(Section):
    """Generates the target sentence."""

    target_lines: ClassVar[TargetLines] = "text"
    kind: Literal["recurrent"] = "recurrent"
    """Stacked recurrent layers that generate one piece after the other."""
    cell: CellConfig = LstmCellConfig()
    """"rnn", "gru", "lstm", "lnlstm", "delays", "clockwork", "ssru" or "mingru", or a table with
    that kind."""
    hidden_size: int = Field(default=512, ge=1, le=limits.MOST_UNITS)
    """Units per layer."""
    layers: int = Field(default=1, ge=1, le=limits.MOST_LAYERS)
    """Number of stacked layers."""
    residual: bool = False
    """Add a layer's input to its output where the sizes agree."""
    layer_output: Literal["identity", "linear"] = "identity"
    """Output of a layer: its state, or a linear map of it."""
    input: Literal["previous", "none"] = "previous"
    """Input of each step: the previous piece, or nothing."""
    bridge: Literal["zero", "learned", "last", "mean", "copy"] = "last"
    """Initial state: zeros, learned alike for all sentences, a layer over the encoder's last state
    or over the mean of its states, or a copy of the encoder's last state, layer by layer, with the
    cell state of an LSTM (Sutskever et al., 2014). The last state of two directions is both, side
    by side."""
    summary: Literal["start", "each_step"] = "start"
    """Where the decoder reads the encoder's last state (or mean, by the bridge): in its initial
    state; or also at each step, in the cell and in the readout (Cho et al., 2014)."""
    input_attention: InputAttentionConfig = NoInputAttentionConfig()
    """"none" or "softmax", or a table with that kind and its options."""
    attention: AttentionConfig = GeneralAttentionConfig()
    """"none", "dot", "general", "additive" or "local", or a table with that kind and its
    options."""
    attend: Literal["after", "before", "between"] = "after"
    """Attend with the new state (Luong et al., 2015); with the previous one, so that the cell reads
    the context (Bahdanau et al., 2015); or with the new state of the first of two or more layers,
    so that those above it read the context (Chen et al., 2018). "before" uses the slower
    step-by-step path."""
    input_feeding: bool = False
    """Only with attend = "after": the cell also reads the previous attentional vector."""
    readout: Literal["simple", "deep"] = "simple"
    """Input of the readout: state and context; with "deep", also the previous piece."""
    readout_size: int = Field(default=0, ge=0, le=limits.MOST_UNITS)
    """Size of the readout; 0 = hidden_size."""
    right_to_left: bool = False
    """Write the pieces of a translation from the last to the first (Liu et al., 2016); for models
    that rescore those of others: nmt translate RUN --rescore THIS_RUN."""

    def describe(self) -> str:
        """Return a description, such as "1 × lstm, 512 units, attention general"."""
        size = f"{self.hidden_size} units, attention {self.attention.kind}"
        size += ", from right to left" if self.right_to_left else ""
        return f"{self.layers} × {self.cell.kind}, {size}"


class ConvolutionalDecoderConfig(Section):
    """A language model of convolutions."""

    target_lines: ClassVar[TargetLines] = "text"
    kind: Literal["convolutional"] = "convolutional"
    """Levels of causal dilated convolutions (Bai et al., 2018); a language model, which needs
    encoder.kind "none"."""
    hidden_size: int = Field(default=256, ge=1, le=limits.MOST_UNITS)
    """Channels of each level."""
    layers: int = Field(default=4, ge=1, le=limits.MOST_LEVELS)
    """Number of levels; in level l, counted from 0, the inputs are 2^l positions apart."""
    kernel_size: int = Field(default=3, ge=2, le=limits.MOST_KERNEL)
    """Inputs of a convolution. All levels see 1 + 2 (kernel_size - 1) (2^layers - 1) pieces."""

    def describe(self) -> str:
        """Return a description, such as "4 × causal convolution of 3, 256 units"."""
        what = f"causal convolution of {self.kernel_size}"
        return f"{self.layers} × {what}, {self.hidden_size} units"


class LabelDecoderConfig(Section):
    """Labels the source line."""

    target_lines: ClassVar[TargetLines] = "label"
    kind: Literal["label"] = "label"
    """One label for a source line: each target line is a single word, and the labels are pieces of
    their own, whatever [tokenizer] says. Without a ratio limit on the lengths of a pair."""
    summary: Literal["last", "mean"] = "last"
    """What the label is read from: the encoder's last states, or the mean of all."""
    hidden_size: int = Field(default=0, ge=0, le=limits.MOST_UNITS)
    """Units of a tanh layer before the softmax; 0 = none, only a matrix."""

    def describe(self) -> str:
        """Return a description, such as "label, from the last states, 64 tanh units"."""
        return f"label, from the {self.summary} states{_layer(self.hidden_size)}"


class AlignedDecoderConfig(Section):
    """Tags each source word."""

    target_lines: ClassVar[TargetLines] = "aligned"
    kind: Literal["aligned"] = "aligned"
    """One target word for each source word, both sides having as many; needs tokenizer.kind
    "word"."""
    hidden_size: int = Field(default=0, ge=0, le=limits.MOST_UNITS)
    """Units of a tanh layer before the softmax; 0 = none, only a matrix."""

    def describe(self) -> str:
        """Return a description, such as "aligned, a word for each source word"."""
        return f"aligned, a word for each source word{_layer(self.hidden_size)}"


def _layer(hidden_size: int) -> str:
    return f", {hidden_size} tanh units" if hidden_size else ""


AnyDecoderConfig = Annotated[
    Annotated[
        DecoderConfig | ConvolutionalDecoderConfig | LabelDecoderConfig | AlignedDecoderConfig,
        Field(discriminator="kind"),
    ],
    RECURRENT_BY_DEFAULT,
]
