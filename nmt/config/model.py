"""`[model]`: the parts of the encoder-decoder and their sizes."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from nmt.config import limits
from nmt.config.section import MAY_CHANGE, SHORT_FORM, Section


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


class LayerNormLstmCellConfig(Section):
    """Long short-term memory with layer normalisation."""

    kind: Literal["lnlstm"] = "lnlstm"
    """Long short-term memory with layer normalisation (Ba et al., 2016)."""
    forget_bias: float = Field(default=1.0, ge=-limits.MOST_WEIGHT, le=limits.MOST_WEIGHT)
    """Initial shift of the forget gate: above 0, the cell state is kept early in training."""


CellConfig = Annotated[
    Annotated[
        RnnCellConfig | GruCellConfig | LstmCellConfig | LayerNormLstmCellConfig,
        Field(discriminator="kind"),
    ],
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
    """"rnn", "gru", "lstm" or "lnlstm", or a table with that kind and its options."""
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

    @property
    def output_size(self) -> int:
        """Size of a source state."""
        return self.hidden_size * (2 if self.bidirectional else 1)

    def describe(self) -> str:
        """Return a description, such as "2 × bidirectional lstm, 256 units"."""
        direction = "bidirectional " if self.bidirectional else ""
        return f"{self.layers} × {direction}{self.cell.kind}, {self.hidden_size} units"


class NoEncoderConfig(Section):
    """No encoder: the decoder is a language model."""

    reads_source: ClassVar[bool] = False
    kind: Literal["none"] = "none"
    """No source: a recurrent language model (Mikolov et al., 2010). Needs decoder.attention "none"
    and decoder.bridge "zero"."""

    @property
    def output_size(self) -> int:
        """Size of a source state: 0."""
        return 0

    def describe(self) -> str:
        """Return "none"."""
        return self.kind


AnyEncoderConfig = Annotated[
    Annotated[EncoderConfig | NoEncoderConfig, Field(discriminator="kind")],
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


AttentionConfig = Annotated[
    Annotated[
        NoAttentionConfig | DotAttentionConfig | GeneralAttentionConfig | AdditiveAttentionConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]


class DecoderConfig(Section):
    """Generates the target sentence."""

    kind: Literal["recurrent"] = "recurrent"
    """Stacked recurrent layers that generate one piece after the other."""
    cell: CellConfig = LstmCellConfig()
    """"rnn", "gru", "lstm" or "lnlstm", or a table with that kind and its options."""
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
    bridge: Literal["zero", "last", "mean"] = "last"
    """Initial state: zeros, or a layer over the encoder's last states or their mean."""
    attention: AttentionConfig = GeneralAttentionConfig()
    """"none", "dot", "general" or "additive", or a table with that kind and its options."""
    attend: Literal["after", "before"] = "after"
    """Attend with the new state (Luong et al., 2015), or with the previous one, so that the cell
    reads the context (Bahdanau et al., 2015)."""
    input_feeding: bool = False
    """Only with attend = "after": the cell also reads the previous attentional vector."""
    readout: Literal["simple", "deep"] = "simple"
    """Input of the readout: state and context; with "deep", also the previous piece."""
    readout_size: int = Field(default=0, ge=0, le=limits.MOST_UNITS)
    """Size of the readout; 0 = hidden_size."""

    def describe(self) -> str:
        """Return a description, such as "1 × lstm, 512 units, attention general"."""
        size = f"{self.hidden_size} units, attention {self.attention.kind}"
        return f"{self.layers} × {self.cell.kind}, {size}"


def _softmax_by_default(value: Any) -> Any:
    if isinstance(value, str):
        return {"kind": value}
    return {"kind": "softmax", **value} if isinstance(value, dict) else value


class OutputConfig(Section):
    """Assigns a probability to the next piece."""

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


AnyOutputConfig = Annotated[
    Annotated[OutputConfig | CopyOutputConfig | PointerOutputConfig, Field(discriminator="kind")],
    BeforeValidator(_softmax_by_default),
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
    """Slightly above 1: signals neither vanish nor explode at the start."""


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
    decoder: DecoderConfig = DecoderConfig()
    output: AnyOutputConfig = OutputConfig()
    """"softmax", "copy" or "pointer", or a table with that kind and its options."""
    dropout: Annotated[DropoutConfig, BeforeValidator(_one_rate), MAY_CHANGE] = DropoutConfig()
    """A rate, or a table of rates."""
    initialization: InitConfig = UniformInitConfig()
    """"uniform", "xavier", "orthogonal", "spectral" or "sparse", or a table with that kind."""

    @property
    def writes_source(self) -> bool:
        """Whether the output writes pieces of the source."""
        return isinstance(self.output, CopyOutputConfig | PointerOutputConfig)
