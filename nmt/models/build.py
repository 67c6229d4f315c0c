"""Build a model from its configuration; no layer reads a configuration itself."""

import math
from collections.abc import Callable
from functools import partial
from typing import cast

from nmt.config.attention import (
    AdditiveAttentionConfig,
    AttentionConfig,
    DotAttentionConfig,
    GeneralAttentionConfig,
    InputAttentionConfig,
    LocalAttentionConfig,
    SoftmaxInputAttentionConfig,
)
from nmt.config.cells import (
    CellConfig,
    ClockworkCellConfig,
    DelaysCellConfig,
    GruCellConfig,
    LayerNormLstmCellConfig,
    LstmCellConfig,
    MinGruCellConfig,
    RnnCellConfig,
    SsruCellConfig,
)
from nmt.config.decoders import (
    AlignedDecoderConfig,
    ConvolutionalDecoderConfig,
    DecoderConfig,
    LabelDecoderConfig,
)
from nmt.config.dropout import DropoutConfig
from nmt.config.encoders import (
    AnyReaderConfig,
    BagEncoderConfig,
    ConvolutionalEncoderConfig,
    EncoderConfig,
    NoEncoderConfig,
    NumbersEncoderConfig,
)
from nmt.config.initialization import (
    InitConfig,
    OrthogonalInitConfig,
    SparseInitConfig,
    SpectralInitConfig,
    UniformInitConfig,
)
from nmt.config.model import ModelConfig
from nmt.config.outputs import (
    CopyOutputConfig,
    LexicalOutputConfig,
    NumbersOutputConfig,
    PointerOutputConfig,
)
from nmt.layers import initialization
from nmt.layers.attention import (
    AdditiveAttention,
    Attention,
    DotAttention,
    GeneralAttention,
    LocalAttention,
)
from nmt.layers.cells import (
    GruCell,
    InputGatedCell,
    LayerNormLstmCell,
    LstmCell,
    PlainCell,
    RnnCell,
)
from nmt.layers.clockwork import ClockworkCell
from nmt.layers.convolution import ConvolutionalStack
from nmt.layers.copying import CopyOutput, PointerOutput
from nmt.layers.delays import DelaysCell
from nmt.layers.elementwise import MinGruCell, SsruCell
from nmt.layers.embedding import Embedding
from nmt.layers.input_attention import InputAttention
from nmt.layers.known_end import KnownEndOutput
from nmt.layers.lexical import Dictionary, LexicalOutput
from nmt.layers.linear import Linear
from nmt.layers.numbers import NumbersInput
from nmt.layers.output import OutputLayer
from nmt.layers.recurrent import RecurrentLayer, RecurrentStack
from nmt.layers.regression import NumbersOutput
from nmt.layers.zoneout import Zoneout
from nmt.models.aligned import AlignedDecoder
from nmt.models.bag import BagEncoder
from nmt.models.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from nmt.models.decoder import DecoderShape, RecurrentDecoder, cell_input_size
from nmt.models.encoder import NoEncoder, RecurrentEncoder
from nmt.models.encoder_decoder import Encoder, EncoderDecoder, Output
from nmt.models.label import LabelDecoder


def build_model(config: ModelConfig, *, source_vocab: int, target_vocab: int) -> EncoderDecoder:
    """Build a model with new weights, drawn from the global random generator.

    Args:
        config: architecture and sizes.
        source_vocab: number of source pieces, including special pieces.
        target_vocab: number of target pieces; equal to `source_vocab` if all embeddings are tied.
    """
    model = assemble(config, source_vocab=source_vocab, target_vocab=target_vocab, draw=True)
    initialize(config.initialization, model)
    return model


def assemble(
    config: ModelConfig, *, source_vocab: int, target_vocab: int, draw: bool = False
) -> EncoderDecoder:
    """Build a model whose weights have no values yet.

    Args:
        config: architecture and sizes.
        source_vocab: see `build_model`.
        target_vocab: see `build_model`.
        draw: draw the embeddings.
    """
    dropout = config.dropout

    def make_embedding(vocab: int, word_dropout: float) -> Embedding:
        embedding = Embedding(
            vocab,
            config.embedding.size,
            dropout=dropout.embedding,
            word_dropout=word_dropout,
            variational=dropout.variational,
        )
        if draw:
            embedding.reset_parameters()
        return embedding

    encoder = _encoder_of(config, partial(make_embedding, source_vocab, dropout.source_words))
    if isinstance(config.decoder, LabelDecoderConfig | AlignedDecoderConfig):
        flat = _flat_decoder(config, config.decoder, encoder.output_size)
        if isinstance(config.output, NumbersOutputConfig):
            numbers = NumbersOutput(Linear(flat.readout_size, config.output.values))
            return EncoderDecoder(encoder, flat, numbers)
        known_end = KnownEndOutput(Linear(flat.readout_size, target_vocab))
        return EncoderDecoder(encoder, flat, known_end)
    target_embedding = make_embedding(target_vocab, dropout.target_words)
    if config.embedding.tied == "all" and not isinstance(encoder, NoEncoder):
        encoder.embedding.weight = target_embedding.weight
    decoder: RecurrentDecoder | ConvolutionalDecoder
    if isinstance(config.decoder, ConvolutionalDecoderConfig):
        levels = _levels(config, config.decoder, target_embedding.size, causal=True)
        decoder = ConvolutionalDecoder(target_embedding, levels, dropout=dropout.readout)
    else:
        decoder = build_decoder(config, config.decoder, target_embedding, encoder.output_size)
    output = build_output(
        config, decoder, encoder.output_size, source_vocab=source_vocab, target_vocab=target_vocab
    )
    return EncoderDecoder(encoder, decoder, output, right_to_left=config.right_to_left)


def build_output(
    config: ModelConfig,
    decoder: RecurrentDecoder | ConvolutionalDecoder,
    memory_size: int,
    *,
    source_vocab: int,
    target_vocab: int,
) -> Output:
    """Build the output for the features of `decoder` and source states of size `memory_size`."""
    if isinstance(config.output, PointerOutputConfig):
        return PointerOutput(
            decoder.readout_size,
            memory_size,
            hidden_size=config.output.hidden_size,
            source_vocab=source_vocab,
            target_vocab=target_vocab,
        )
    project = Linear(decoder.readout_size, target_vocab)
    if config.embedding.tied != "none":
        project.weight = decoder.embedding.weight
    if isinstance(config.output, CopyOutputConfig):
        return CopyOutput(project, source_vocab=source_vocab)
    if isinstance(config.output, LexicalOutputConfig):
        size = config.embedding.size
        return LexicalOutput(
            project,
            hidden=Linear(size, size, bias=False),
            lexicon=Linear(size, target_vocab, bias=False),
            dictionary=Dictionary(source_vocab, target_vocab) if config.output.dictionary else None,
        )
    return OutputLayer(project)


def _encoder_of(config: ModelConfig, make_embedding: Callable[[], Embedding]) -> Encoder:
    """Build the encoder; `make_embedding` makes its input layer if it reads text."""
    encoder = config.encoder
    if isinstance(encoder, NoEncoderConfig):
        return NoEncoder()
    if isinstance(encoder, NumbersEncoderConfig):
        return build_reader(config, encoder.reader, NumbersInput(encoder.features))
    return build_reader(config, encoder, make_embedding())


def build_reader(
    config: ModelConfig, reader: AnyReaderConfig, inputs: Embedding | NumbersInput
) -> RecurrentEncoder | ConvolutionalEncoder | BagEncoder:
    """Build an encoder of any source, with `inputs` as its input layer."""
    dropout = config.dropout
    if isinstance(reader, BagEncoderConfig):
        return BagEncoder(
            inputs, pool=reader.pool, dropout=dropout.layers, variational=dropout.variational
        )
    if isinstance(reader, ConvolutionalEncoderConfig):
        levels = _levels(
            config, reader, inputs.size, causal=reader.causal, batch_norm=reader.batch_norm
        )
        return ConvolutionalEncoder(inputs, levels)
    return build_encoder(config, reader, inputs)


def _levels(
    config: ModelConfig,
    sizes: ConvolutionalEncoderConfig | ConvolutionalDecoderConfig,
    input_size: int,
    *,
    causal: bool,
    batch_norm: bool = False,
) -> ConvolutionalStack:
    """Build the levels of an encoder or decoder."""
    return ConvolutionalStack(
        input_size,
        sizes.hidden_size,
        levels=sizes.layers,
        kernel_size=sizes.kernel_size,
        causal=causal,
        dropout=config.dropout.layers,
        variational=config.dropout.variational,
        batch_norm=batch_norm,
    )


def _flat_decoder(
    config: ModelConfig, decoder: LabelDecoderConfig | AlignedDecoderConfig, memory_size: int
) -> LabelDecoder | AlignedDecoder:
    """Build a decoder that reads nothing of the target."""
    size, dropout = decoder.hidden_size, config.dropout.readout
    if isinstance(decoder, AlignedDecoderConfig):
        return AlignedDecoder(memory_size, hidden_size=size, dropout=dropout)
    return LabelDecoder(memory_size, summary=decoder.summary, hidden_size=size, dropout=dropout)


def build_encoder(
    config: ModelConfig, encoder: EncoderConfig, embedding: Embedding | NumbersInput
) -> RecurrentEncoder:
    """Build a recurrent encoder, with `embedding` as its input layer."""
    dropout, decoder = config.dropout, config.decoder

    def make_layer(input_size: int) -> RecurrentLayer:
        return RecurrentLayer(
            make_cell(encoder.cell, input_size, encoder.hidden_size),
            bidirectional=encoder.bidirectional,
            learned_state=encoder.init_state == "learned",
            recurrent_dropout=dropout.recurrent,
            zoneout=make_zoneout(dropout),
            weight_dropout=dropout.weights,
            keeps_state=isinstance(decoder, DecoderConfig) and decoder.bridge == "copy",
        )

    stack = RecurrentStack(
        make_layer,
        embedding.size,
        layers=encoder.layers,
        dropout=dropout.layers,
        variational=dropout.variational,
        residual=encoder.residual,
        linear_output=encoder.layer_output == "linear",
    )
    gate_input(encoder.input_attention, stack.first, embedding.size)
    return RecurrentEncoder(
        embedding, stack, dropout=dropout.layers, variational=dropout.variational
    )


def build_decoder(
    config: ModelConfig, decoder: DecoderConfig, embedding: Embedding, memory_size: int
) -> RecurrentDecoder:
    """Build a recurrent decoder, with `embedding` as its input layer, for states of size
    `memory_size`."""
    dropout = config.dropout
    attention = make_attention(
        decoder.attention, decoder.hidden_size, memory_size, dropout=dropout.attention
    )
    shape = decoder_shape(decoder, attends=attention is not None)
    readout_size = decoder.readout_size or decoder.hidden_size

    def make_layer(input_size: int) -> RecurrentLayer:
        return RecurrentLayer(
            make_cell(decoder.cell, input_size, decoder.hidden_size),
            recurrent_dropout=dropout.recurrent,
            zoneout=make_zoneout(dropout),
            weight_dropout=dropout.weights,
        )

    input_size = cell_input_size(
        shape,
        embedding=embedding.size,
        memory=memory_size,
        readout=readout_size,
        attends=attention is not None,
    )
    stack = RecurrentStack(
        make_layer,
        input_size,
        layers=decoder.layers,
        context_size=memory_size if shape.attend == "between" else 0,
        dropout=dropout.layers,
        variational=dropout.variational,
        residual=decoder.residual,
        linear_output=decoder.layer_output == "linear",
    )
    gate_input(decoder.input_attention, stack.first, input_size)
    return RecurrentDecoder(
        embedding,
        stack,
        attention,
        memory_size=memory_size,
        readout_size=readout_size,
        shape=shape,
        dropout=dropout.readout,
    )


def decoder_shape(config: DecoderConfig, *, attends: bool) -> DecoderShape:
    """Return how the parts of a decoder are connected; input feeding requires attention."""
    return DecoderShape(
        reads_previous=config.input == "previous",
        attend=config.attend,
        input_feeding=config.input_feeding and attends and config.attend == "after",
        deep_readout=config.readout == "deep",
        bridge=config.bridge,
        reads_summary=config.summary == "each_step",
    )


def make_zoneout(config: DropoutConfig) -> Zoneout:
    """Return the rates of zoneout."""
    return Zoneout(hidden=config.zoneout_hidden, cell=config.zoneout_cell)


def gate_input(config: InputAttentionConfig, layer: RecurrentLayer, input_size: int) -> None:
    """Let the cells of a layer read their input through the configured attention, if any."""
    if isinstance(config, SoftmaxInputAttentionConfig):
        for direction, cell in enumerate(layer.cells):
            gate = InputAttention(input_size, layer.cell.hidden_size, sharpness=config.sharpness)
            layer.cells[direction] = InputGatedCell(
                cast(PlainCell, cell), gate, rescale=config.rescale
            )


def make_cell(config: CellConfig, input_size: int, hidden_size: int) -> Callable[[], PlainCell]:
    """Return a function that makes a new cell of the configured kind at each call."""
    match config:
        case RnnCellConfig():
            return partial(RnnCell, input_size, hidden_size, activation=config.activation)
        case GruCellConfig():
            return partial(GruCell, input_size, hidden_size, reset=config.reset)
        case LstmCellConfig():
            return partial(
                LstmCell,
                input_size,
                hidden_size,
                forget_bias=config.forget_bias,
                forget_gate=config.forget_gate,
            )
        case LayerNormLstmCellConfig():
            return partial(
                LayerNormLstmCell,
                input_size,
                hidden_size,
                forget_bias=config.forget_bias,
                per_gate=config.per_gate,
            )
        case DelaysCellConfig():
            return partial(
                DelaysCell,
                input_size,
                hidden_size,
                delays=config.delays,
                activation=config.activation,
            )
        case SsruCellConfig():
            return partial(SsruCell, input_size, hidden_size)
        case MinGruCellConfig():
            return partial(MinGruCell, input_size, hidden_size)
        case ClockworkCellConfig():
            return partial(
                ClockworkCell,
                input_size,
                hidden_size,
                periods=config.periods,
                activation=config.activation,
            )


def make_attention(
    config: AttentionConfig, query_size: int, memory_size: int, *, dropout: float = 0.0
) -> Attention | None:
    """Build the configured attention; None for "none"."""
    match config:
        case DotAttentionConfig() | GeneralAttentionConfig():
            kind = DotAttention if isinstance(config, DotAttentionConfig) else GeneralAttention
            return kind(
                query_size,
                memory_size,
                temperature=config.temperature or math.sqrt(query_size / config.heads),
                heads=config.heads,
                dropout=dropout,
            )
        case AdditiveAttentionConfig():
            return AdditiveAttention(
                query_size,
                memory_size,
                hidden_size=config.hidden_size,
                temperature=config.temperature,
                heads=config.heads,
                dropout=dropout,
            )
        case LocalAttentionConfig():
            return LocalAttention(
                query_size,
                memory_size,
                sigma=config.sigma,
                temperature=config.temperature or math.sqrt(query_size),
                reads_content=config.content == "general",
                dropout=dropout,
            )
        case _:
            return None


def initialize(config: InitConfig, model: EncoderDecoder) -> None:
    """Initialise the weights as configured."""
    match config:
        case UniformInitConfig():
            initialization.initialize_uniform(model, config.scale)
        case OrthogonalInitConfig():
            initialization.initialize_orthogonal(model)
        case SpectralInitConfig():
            initialization.initialize_spectral(model, config.c)
        case SparseInitConfig():
            initialization.initialize_sparse(model, nonzeros=config.nonzeros, radius=config.radius)
        case _:
            initialization.initialize_xavier(model)
