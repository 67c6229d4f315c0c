"""`[model]`: the parts of the encoder-decoder and their sizes."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from nmt.config import limits
from nmt.config.section import MAY_CHANGE, SHORT_FORM, Section

SourceLines = Literal["none", "text", "words", "numbers"]
"""What a source line is: text that may be cut into any pieces, words, or vectors of numbers."""
TargetLines = Literal["text", "label", "aligned", "numbers"]
"""What a target line is: text, one word, a word for each source word, or a vector of numbers."""


class RnnCellConfig(Section):
    """Elman RNN."""

    kind: Literal["rnn"] = "rnn"
    """Elman RNN (Elman, 1990)."""
    activation: Literal["tanh", "relu", "sigmoid", "identity"] = "tanh"
    """Activation function of the new state."""


class GruCellConfig(Section):
    """Gated recurrent unit."""

    kind: Literal["gru"] = "gru"
    """Gated recurrent unit (Cho et al., 2014)."""
    reset: Literal["after", "before"] = "after"
    """Reset gate after the recurrent product (cuDNN, torch) or before it (Cho et al.)."""


class LstmCellConfig(Section):
    """Long short-term memory."""

    kind: Literal["lstm"] = "lstm"
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; Gers et al., 2000)."""
    forget_bias: float = Field(default=1.0, ge=-limits.MOST_WEIGHT, le=limits.MOST_WEIGHT)
    """Initial bias of the forget gate: above 0, the cell state is kept early in training."""
    forget_gate: bool = True
    """false: the cell state only ever adds up, as in the form of 1997; forget_bias then has no
    effect. Uses the slower step-by-step path."""


def _ascending(steps: tuple[int, ...]) -> tuple[int, ...]:
    if not steps or sorted({*steps}) != [*steps] or steps[0] < 1 or steps[-1] > limits.MOST_STEPS:
        raise ValueError(
            f"must be whole numbers of steps from 1 to {limits.MOST_STEPS:,}, each larger than the "
            f"one before, such as [1, 4], got {[*steps]}"
        )
    return steps


Steps = Annotated[tuple[int, ...], Field(strict=False), AfterValidator(_ascending)]
"""Different numbers of steps, in ascending order."""


class LayerNormLstmCellConfig(Section):
    """Long short-term memory with layer normalisation."""

    kind: Literal["lnlstm"] = "lnlstm"
    """Long short-term memory with layer normalisation (Ba et al., 2016)."""
    forget_bias: float = Field(default=1.0, ge=-limits.MOST_WEIGHT, le=limits.MOST_WEIGHT)
    """Initial shift of the forget gate: above 0, the cell state is kept early in training."""


class DelaysCellConfig(Section):
    """Elman RNN with delays."""

    kind: Literal["delays"] = "delays"
    """Elman RNN that reads its state of several former steps (Lin et al., 1996)."""
    delays: Steps = (1, 4)
    """How many steps back the states are that it reads, in ascending order."""
    activation: Literal["tanh", "relu", "sigmoid", "identity"] = "tanh"
    """Activation function of the new state."""


class ClockworkCellConfig(Section):
    """Clockwork RNN."""

    kind: Literal["clockwork"] = "clockwork"
    """Elman RNN whose groups of units move at different intervals (Koutník et al., 2014)."""
    periods: Steps = (1, 2, 4)
    """Steps between two updates of each group, in ascending order; units are divided evenly."""
    activation: Literal["tanh", "relu", "sigmoid", "identity"] = "tanh"
    """Activation function of the new state."""


CellConfig = Annotated[
    Annotated[
        RnnCellConfig
        | GruCellConfig
        | LstmCellConfig
        | LayerNormLstmCellConfig
        | DelaysCellConfig
        | ClockworkCellConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]


class NoInputAttentionConfig(Section):
    """No input attention."""

    kind: Literal["none"] = "none"
    """The first layer reads its input whole."""


class SoftmaxInputAttentionConfig(Section):
    """Input attention."""

    kind: Literal["softmax"] = "softmax"
    """The first layer reads its input times a softmax gate, which is computed at each step from the
    input and the previous state (Qin et al., 2017). Uses the slower step-by-step path."""
    sharpness: float = Field(default=1.0, ge=0.0, le=limits.MOST_WEIGHT)
    """Multiplies the scores before the softmax: 0 = all values alike, large = a single one."""
    rescale: bool = True
    """Multiply the gate by the number of values, so that an even gate changes nothing."""


InputAttentionConfig = Annotated[
    Annotated[NoInputAttentionConfig | SoftmaxInputAttentionConfig, Field(discriminator="kind")],
    SHORT_FORM,
]


class VectorsConfig(Section):
    """Pretrained embeddings of one side; a single text names the file."""

    file: str = ""
    """Vectors in the text format of word2vec or GloVe, one word and its numbers a line, plain or
    packed; "" = none. It is read once, when a run begins; pieces it lacks are drawn at random.
    A piece that begins a word has the vector of that word."""
    freeze: bool = False
    """Keep these vectors as they are; pieces that the file lacks still learn."""


def _file_only(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


class EmbeddingConfig(Section):
    """Embeddings of the pieces."""

    size: int = Field(default=512, ge=1, le=limits.MOST_UNITS)
    """Embedding size, on both sides."""
    tied: Literal["none", "target", "all"] = "none"
    """Share weights: "target" = target embedding and output layer (Press and Wolf, 2017),
    "all" = source embedding too (needs a joint vocabulary). Needs decoder.hidden_size or
    decoder.readout_size equal to the embedding size."""
    source_vectors: Annotated[VectorsConfig, BeforeValidator(_file_only)] = VectorsConfig()
    """A file of pretrained vectors of the source side, or a table."""
    target_vectors: Annotated[VectorsConfig, BeforeValidator(_file_only)] = VectorsConfig()
    """A file of pretrained vectors of the target side, or a table. With tied weights, they are
    those of all sides that share them."""

    @property
    def vectors(self) -> dict[str, VectorsConfig]:
        """Pretrained vectors by side, where a file is named."""
        sides = {"source": self.source_vectors, "target": self.target_vectors}
        return {side: vectors for side, vectors in sides.items() if vectors.file}

    @property
    def shares_vocabulary(self) -> bool:
        """Whether both sides have the same pieces, since they share one embedding matrix."""
        return self.tied == "all"


def _recurrent_by_default(value: Any) -> Any:
    if isinstance(value, str):
        return {"kind": value}
    return {"kind": "recurrent", **value} if isinstance(value, dict) else value


class EncoderConfig(Section):
    """Reads the source sentence."""

    reads_source: ClassVar[bool] = True
    kind: Literal["recurrent"] = "recurrent"
    """Stacked recurrent layers."""
    cell: CellConfig = LstmCellConfig()
    """"rnn", "gru", "lstm", "lnlstm", "delays" or "clockwork", or a table with that kind."""
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
    BeforeValidator(_recurrent_by_default),
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
    BeforeValidator(_recurrent_by_default),
]


class NoAttentionConfig(Section):
    """No attention."""

    kind: Literal["none"] = "none"
    """The decoder sees the source only through its initial state (Sutskever et al., 2014)."""


class DotAttentionConfig(Section):
    """Dot attention."""

    kind: Literal["dot"] = "dot"
    """Inner product of the states (Luong et al., 2015); both must have the same size."""
    temperature: float = Field(default=0.0, ge=0.0)
    """Divides the scores before the softmax: the larger, the flatter; 0 = automatic, the square
    root of the decoder's hidden_size (Vaswani et al., 2017, sec. 3.2.1)."""


class GeneralAttentionConfig(Section):
    """General attention."""

    kind: Literal["general"] = "general"
    """Inner product after a linear map of the source states (Luong et al., 2015)."""
    temperature: float = Field(default=0.0, ge=0.0)
    """Divides the scores before the softmax: the larger, the flatter; 0 = automatic, the square
    root of the decoder's hidden_size (Vaswani et al., 2017, sec. 3.2.1)."""


class AdditiveAttentionConfig(Section):
    """Additive attention."""

    kind: Literal["additive"] = "additive"
    """One-layer network over both states (Bahdanau et al., 2015)."""
    hidden_size: int = Field(default=256, ge=1, le=limits.MOST_UNITS)
    """Units of that network."""
    temperature: float = Field(default=1.0, gt=0.0)
    """Divides the scores before the softmax: above 1 flatter, below 1 sharper."""


class LocalAttentionConfig(Section):
    """Local attention."""

    kind: Literal["local"] = "local"
    """"general" attention times a window around a predicted position (Luong et al., 2015, local-p).
    Its weights sum to less than 1."""
    sigma: float = Field(default=5.0, gt=0.0, le=limits.MOST_WEIGHT)
    """Standard deviation of the window, in pieces; 5 = D / 2 of the paper."""
    content: Literal["general", "none"] = "general"
    """"none": weigh by the position alone; the weights then sum to 1."""
    temperature: float = Field(default=0.0, ge=0.0)
    """Divides the scores of the content before the softmax; 0 = automatic, as for "general"."""


AttentionConfig = Annotated[
    Annotated[
        NoAttentionConfig
        | DotAttentionConfig
        | GeneralAttentionConfig
        | AdditiveAttentionConfig
        | LocalAttentionConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]


class DecoderConfig(Section):
    """Generates the target sentence."""

    target_lines: ClassVar[TargetLines] = "text"
    kind: Literal["recurrent"] = "recurrent"
    """Stacked recurrent layers that generate one piece after the other."""
    cell: CellConfig = LstmCellConfig()
    """"rnn", "gru", "lstm", "lnlstm", "delays" or "clockwork", or a table with that kind."""
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
    attend: Literal["after", "before"] = "after"
    """Attend with the new state (Luong et al., 2015), or with the previous one, so that the cell
    reads the context (Bahdanau et al., 2015)."""
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
    BeforeValidator(_recurrent_by_default),
]


class SoftmaxOutputConfig(Section):
    """Softmax over the vocabulary."""

    kind: Literal["softmax"] = "softmax"
    """Softmax of a linear layer over the vocabulary."""

    def describe(self) -> str:
        """Return a description, such as "softmax"."""
        return self.kind


class CopyOutputConfig(Section):
    """Generates a piece, or copies one of the source."""

    kind: Literal["copy"] = "copy"
    """Mixture of the softmax and of the attention to source pieces of the same spelling (Gulcehre
    et al., 2016; See et al., 2017): names and numbers are copied. Text that is unknown, as with
    tokenizer.kind "word" or without tokenizer.byte_fallback, is copied as well, but neither to
    complete a prefix nor while words are banned. Needs an attention."""

    def describe(self) -> str:
        """Return a description, such as "copy"."""
        return self.kind


class PointerOutputConfig(Section):
    """Points at a piece of the source."""

    kind: Literal["pointer"] = "pointer"
    """Only pieces of the source can be written (Vinyals et al., 2015), as in sorting; its end
    symbol ends the target. A word that occurs twice has the sum of both probabilities. Search with
    search.beam = 1: among so few words, a beam soon fills with targets that end too early."""
    hidden_size: int = Field(default=256, ge=1, le=limits.MOST_UNITS)
    """Units of the network that compares decoder and source states."""

    def describe(self) -> str:
        """Return a description, such as "pointer"."""
        return self.kind


class NumbersOutputConfig(Section):
    """Predicts numbers."""

    kind: Literal["numbers"] = "numbers"
    """Numbers instead of a label, trained by their squared error: target lines are numbers between
    commas, such as "0.53,1". Needs decoder.kind "label"."""
    values: int = Field(default=1, ge=1, le=limits.MOST_UNITS)
    """Numbers in each target line."""

    def describe(self) -> str:
        """Return a description, such as "2 numbers, squared error"."""
        return f"{self.values} number{'s' * (self.values > 1)}, squared error"


OutputConfig = Annotated[
    Annotated[
        SoftmaxOutputConfig | CopyOutputConfig | PointerOutputConfig | NumbersOutputConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]


class DropoutConfig(Section):
    """Dropout rates in training; a single number sets the first three."""

    embedding: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of the embeddings."""
    layers: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout between stacked layers and of the encoder's output."""
    readout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of the input of the output layer."""
    recurrent: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of the hidden state in recurrent products; one mask per sentence (Gal and Ghahramani,
    2016). Uses the slower step-by-step path."""
    zoneout_hidden: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Zoneout: probability with which a hidden unit keeps its previous value (Krueger et al., 2017:
    0.05). Uses the slower step-by-step path, also in translation."""
    zoneout_cell: float = Field(default=0.0, ge=0.0, lt=1.0)
    """The same for the cell state of an LSTM (Krueger et al., 2017: 0.5)."""
    variational: bool = False
    """One mask per sentence instead of one per position, for the first two."""
    source_words: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Rate of whole source pieces whose embedding is dropped (word dropout)."""
    target_words: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Rate of whole target pieces whose embedding is dropped (word dropout): noise in what the
    decoder reads, so that it does not rely on it (Bowman et al., 2016); a simpler remedy than
    training.scheduled_sampling against errors that follow from errors."""


def _one_rate(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"embedding": value, "layers": value, "readout": value}
    return value


class UniformInitConfig(Section):
    """Uniform."""

    kind: Literal["uniform"] = "uniform"
    """Every weight uniform in [-scale, scale]."""
    scale: float = Field(default=0.1, gt=0.0, le=limits.MOST_WEIGHT)
    """Half the width of the interval."""


class XavierInitConfig(Section):
    """Glorot."""

    kind: Literal["xavier"] = "xavier"
    """Uniform by fan-in and fan-out (Glorot and Bengio, 2010), gate by gate."""


class OrthogonalInitConfig(Section):
    """Orthogonal recurrent weights."""

    kind: Literal["orthogonal"] = "orthogonal"
    """As "xavier", but recurrent weights are orthogonal, gate by gate (Saxe et al., 2014)."""


class SpectralInitConfig(Section):
    """Recurrent weights of a given spectral radius."""

    kind: Literal["spectral"] = "spectral"
    """As "xavier", but each recurrent block is scaled to spectral radius c / gamma, gamma being
    the largest slope of its activation (Pascanu et al., 2013)."""
    c: float = Field(default=1.1, gt=0.0, le=limits.MOST_WEIGHT)
    """Radius times gamma. Only in a linear layer does c decide that gradients vanish (below 1) or
    grow (above 1); with other activations it is a start that guarantees neither."""


class SparseInitConfig(Section):
    """Few recurrent weights per unit."""

    kind: Literal["sparse"] = "sparse"
    """As "xavier", but each unit has few incoming recurrent weights, gate by gate (Martens, 2010;
    Martens and Sutskever, 2011; "smart tanh" of Pascanu et al., 2013)."""
    nonzeros: int = Field(default=15, ge=1)
    """Number of non-zero recurrent weights per unit and gate; at most all of them."""
    radius: float = Field(default=0.95, gt=0.0, le=limits.MOST_WEIGHT)
    """Spectral radius of each recurrent block (Sutskever et al., 2013: 1.1)."""


InitConfig = Annotated[
    Annotated[
        UniformInitConfig
        | XavierInitConfig
        | OrthogonalInitConfig
        | SpectralInitConfig
        | SparseInitConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]


class ModelConfig(Section):
    """The encoder-decoder."""

    embedding: EmbeddingConfig = EmbeddingConfig()
    encoder: AnyEncoderConfig = EncoderConfig()
    decoder: AnyDecoderConfig = DecoderConfig()
    output: OutputConfig = SoftmaxOutputConfig()
    """"softmax", "copy", "pointer" or "numbers", or a table with that kind and its options."""
    dropout: Annotated[DropoutConfig, BeforeValidator(_one_rate), MAY_CHANGE] = DropoutConfig()
    """A rate, or a table of rates."""
    initialization: InitConfig = UniformInitConfig()
    """"uniform", "xavier", "orthogonal", "spectral" or "sparse", or a table with that kind."""

    @property
    def writes_source(self) -> bool:
        """Whether the output writes pieces of the source."""
        return isinstance(self.output, CopyOutputConfig | PointerOutputConfig)

    @property
    def right_to_left(self) -> bool:
        """Whether the decoder writes the last piece of a target first."""
        return isinstance(self.decoder, DecoderConfig) and self.decoder.right_to_left

    @property
    def source_lines(self) -> SourceLines:
        """What a source line is."""
        if isinstance(self.encoder, NumbersEncoderConfig):
            return "numbers"
        if not self.encoder.reads_source:
            return "none"
        return "words" if self.target_lines == "aligned" else "text"

    @property
    def target_lines(self) -> TargetLines:
        """What a target line is."""
        is_numbers = isinstance(self.output, NumbersOutputConfig)
        return "numbers" if is_numbers else self.decoder.target_lines

    @property
    def has_embeddings(self) -> bool:
        """Whether words are read on either side: numbers and labels have no embeddings."""
        reads_target = isinstance(self.decoder, DecoderConfig | ConvolutionalDecoderConfig)
        return reads_target or self.source_lines in ("text", "words")

    @property
    def memory_size(self) -> int:
        """Size of a source state; 0 without a source."""
        encoder = self.encoder
        if isinstance(encoder, NoEncoderConfig):
            return 0
        if isinstance(encoder, NumbersEncoderConfig):
            reader, size = encoder.reader, encoder.features
        else:
            reader, size = encoder, self.embedding.size
        return size if isinstance(reader, BagEncoderConfig) else reader.output_size
