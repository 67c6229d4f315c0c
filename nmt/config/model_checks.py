"""Constraints on the model."""

from collections.abc import Iterator

from nmt.config.attention import AdditiveAttentionConfig, LocalAttentionConfig, NoAttentionConfig
from nmt.config.cells import (
    CellConfig,
    ClockworkCellConfig,
    DelaysCellConfig,
    LayerNormLstmCellConfig,
    LstmCellConfig,
    MinGruCellConfig,
    SsruCellConfig,
)
from nmt.config.data import TokenizerConfig
from nmt.config.decoders import AnyDecoderConfig, DecoderConfig
from nmt.config.dropout import DropoutConfig
from nmt.config.dump import choice
from nmt.config.encoders import (
    AnyEncoderConfig,
    EncoderConfig,
    NoEncoderConfig,
    NumbersEncoderConfig,
)
from nmt.config.faults import Fault, fault_at
from nmt.config.kind_checks import kind_disagreements
from nmt.config.model import ModelConfig


def model_disagreements(model: ModelConfig, tokenizer: TokenizerConfig) -> Iterator[Fault]:
    """Yield contradictions within a model, or between it and its pieces."""
    yield from kind_disagreements(model, tokenizer)
    embedding, encoder, decoder = model.embedding, model.encoder, model.decoder
    yield from _cells(encoder, decoder, model.dropout)
    if not isinstance(decoder, DecoderConfig):
        return
    if embedding.tied == "all" and not tokenizer.joint:
        yield fault_at(
            "model.embedding.tied",
            '"all" needs one vocabulary for both languages: '
            'set tokenizer.joint to true, or tie only the "target"',
            "tokenizer.joint",
        )
    readout_key = f"model.decoder.{'readout_size' if decoder.readout_size else 'hidden_size'}"
    readout_size = decoder.readout_size or decoder.hidden_size
    if embedding.tied != "none" and readout_size != embedding.size:
        yield fault_at(
            "model.embedding.tied",
            f'"{embedding.tied}" needs {readout_key} = model.embedding.size, '
            f"got {readout_size} and {embedding.size}; set model.decoder.readout_size to "
            f"{embedding.size}",
            "model.embedding.size",
            "model.decoder.hidden_size",
            "model.decoder.readout_size",
        )
    if model.dropout.attention > 0.0 and decoder.attention.kind == "none":
        yield fault_at(
            "model.dropout.attention",
            'must be 0 since model.decoder.attention is "none": there are no weights to drop',
            "model.decoder.attention",
        )
    if decoder.attend == "between" and decoder.layers == 1:
        yield fault_at(
            "model.decoder.attend",
            '"between" needs model.decoder.layers = 2 or more, since layers above the first read '
            'what is attended to, got 1; add a layer, or use "after"',
            "model.decoder.layers",
        )
    if decoder.attend != "after" and decoder.attention.kind == "none":
        yield fault_at(
            "model.decoder.attend",
            f'"{decoder.attend}" needs an attention, but model.decoder.attention is "none"; '
            'choose one, or "after"',
            "model.decoder.attention",
        )
    feeds_something = decoder.attend == "after" and decoder.attention.kind != "none"
    if decoder.input_feeding and not feeds_something:
        yield fault_at(
            "model.decoder.input_feeding",
            "feeds the attentional vector of the step before, which there is only with an "
            'attention and attend = "after"; set it to false',
            "model.decoder.attention",
            "model.decoder.attend",
        )
    reads_something = decoder.input == "previous" or decoder.summary == "each_step"
    if decoder.input_attention.kind != "none" and not (
        reads_something or decoder.attend == "before" or decoder.input_feeding
    ):
        yield fault_at(
            "model.decoder.input_attention",
            'needs an input, but model.decoder.input is "none"; set model.decoder.summary to '
            '"each_step", or leave it out',
            "model.decoder.input",
            "model.decoder.summary",
        )
    yield from _vectors(model)
    yield from _output(model, decoder)
    if isinstance(encoder, NoEncoderConfig):
        for key, value, allowed in (
            ("attention", decoder.attention.kind, ("none",)),
            ("bridge", decoder.bridge, ("zero", "learned")),
            ("summary", decoder.summary, ("start",)),
        ):
            if value not in allowed:
                yield fault_at(
                    f"model.decoder.{key}",
                    f'must be {choice(allowed)} without an encoder, got "{value}"',
                    "model.encoder",
                )
        return
    if decoder.bridge == "copy":
        yield from _copied_states(encoder, decoder)
    encoder_size = model.memory_size
    yield from _heads(decoder, encoder_size)
    if decoder.attention.kind == "dot" and encoder_size != decoder.hidden_size:
        is_double = isinstance(encoder, EncoderConfig) and encoder.bidirectional
        both = " (2 directions)" if is_double else ""
        yield fault_at(
            "model.decoder.attention",
            '"dot" needs states of one size, but the encoder yields '
            f"{encoder_size}{both} and model.decoder.hidden_size is {decoder.hidden_size}; "
            'make them equal or use "general"',
            "model.encoder.hidden_size",
            "model.encoder.bidirectional",
            "model.decoder.hidden_size",
        )


def _heads(decoder: DecoderConfig, encoder_size: int) -> Iterator[Fault]:
    """Yield why states of size `encoder_size` cannot be divided among the heads of attention."""
    attention = decoder.attention
    if isinstance(attention, NoAttentionConfig | LocalAttentionConfig):
        return
    sizes = [("the size of a source state", encoder_size, "model.encoder.hidden_size")]
    if not isinstance(attention, AdditiveAttentionConfig):
        sizes.append(
            ("model.decoder.hidden_size", decoder.hidden_size, "model.decoder.hidden_size")
        )
    for name, size, key in sizes:
        if size % attention.heads:
            yield fault_at(
                "model.decoder.attention.heads",
                f"must divide {name}, {size}, got {attention.heads}",
                key,
            )


def _cells(
    encoder: AnyEncoderConfig, decoder: AnyDecoderConfig, dropout: DropoutConfig
) -> Iterator[Fault]:
    """Yield options that a recurrent cell of either side does not have."""
    sides: list[tuple[str, EncoderConfig | DecoderConfig]] = []
    if isinstance(encoder, EncoderConfig):
        sides.append(("encoder", encoder))
    elif isinstance(encoder, NumbersEncoderConfig) and isinstance(encoder.reader, EncoderConfig):
        sides.append(("encoder.reader", encoder.reader))
    if isinstance(decoder, DecoderConfig):
        sides.append(("decoder", decoder))
    for name, side in sides:
        cell = side.cell
        if isinstance(cell, ClockworkCellConfig) and len(cell.periods) > side.hidden_size:
            yield fault_at(
                f"model.{name}.cell.periods",
                f"needs a unit for each of its {len(cell.periods)} periods, but model.{name}."
                f"hidden_size is {side.hidden_size}; leave periods out or add units",
                f"model.{name}.hidden_size",
            )
        if isinstance(cell, DelaysCellConfig) and dropout.recurrent > 0.0:
            yield fault_at(
                "model.dropout.recurrent",
                f'must be 0 since model.{name}.cell is "delays": it would drop the last state '
                "alone, not those of longer delays; use zoneout_hidden instead",
                f"model.{name}.cell",
            )
    if sides and all(isinstance(side.cell, SsruCellConfig | MinGruCellConfig) for _, side in sides):
        for key in ("recurrent", "weights"):
            if getattr(dropout, key) > 0.0:
                yield fault_at(
                    f"model.dropout.{key}",
                    'must be 0 since no cell has a recurrent product, "ssru" and "mingru" having '
                    "none; use zoneout instead",
                    *(f"model.{name}.cell" for name, _ in sides),
                )
    if dropout.zoneout_cell > 0.0 and not any(_has_cell_state(side.cell) for _, side in sides):
        yield fault_at(
            "model.dropout.zoneout_cell",
            'needs a cell with a cell state, "lstm", "lnlstm" or "ssru", on either side; '
            "set it to 0 and use zoneout_hidden",
            *(f"model.{name}.cell" for name, _ in sides),
        )


def _has_cell_state(cell: CellConfig) -> bool:
    return isinstance(cell, LstmCellConfig | LayerNormLstmCellConfig | SsruCellConfig)


def _copied_states(encoder: AnyEncoderConfig, decoder: DecoderConfig) -> Iterator[Fault]:
    """Yield why the decoder cannot start from a copy of the encoder's last states."""
    remedy = 'change it or use model.decoder.bridge = "last"'
    reader = encoder.reader if isinstance(encoder, NumbersEncoderConfig) else encoder
    if not isinstance(reader, EncoderConfig):
        yield fault_at(
            "model.decoder.bridge",
            f'"copy" needs the states of a recurrent encoder, which "{reader.kind}" is not; '
            f"{remedy}",
            "model.encoder",
        )
        return
    both = " (2 directions)" if reader.bidirectional else ""
    for key, found, needed in (
        ("cell", f'"{decoder.cell.kind}"', f'"{reader.cell.kind}"'),
        ("layers", f"{decoder.layers}", f"{reader.layers}"),
        ("hidden_size", f"{decoder.hidden_size}", f"{reader.output_size}{both}"),
    ):
        if found != needed.removesuffix(both):
            yield fault_at(
                f"model.decoder.{key}",
                f'must be that of the encoder, {needed}, since model.decoder.bridge is "copy", '
                f"got {found}; {remedy}",
                "model.decoder.bridge",
                "model.encoder",
            )
    if isinstance(decoder.cell, DelaysCellConfig):
        yield fault_at(
            "model.decoder.bridge",
            '"copy" needs cells with a single last state, but model.decoder.cell is "delays"; '
            f"{remedy}",
            "model.decoder.cell",
        )


def _vectors(model: ModelConfig) -> Iterator[Fault]:
    """Yield contradictions between pretrained vectors and the model."""
    embedding = model.embedding
    for key in ("source_vectors", "target_vectors"):
        vectors = getattr(embedding, key)
        if vectors.freeze and not vectors.file:
            yield fault_at(
                f"model.embedding.{key}.freeze",
                "there is nothing to keep, since no file is named; "
                f"set model.embedding.{key}.file, or set it to false",
                f"model.embedding.{key}",
            )
    if not embedding.source_vectors.file:
        return
    if not model.encoder.reads_source:
        yield fault_at(
            "model.embedding.source_vectors",
            'must be left out, since model.encoder.kind is "none"',
            "model.encoder",
        )
    elif embedding.tied == "all" and embedding.target_vectors.file:
        yield fault_at(
            "model.embedding.source_vectors",
            'both sides share one matrix with model.embedding.tied "all"; '
            "name only target_vectors, with a file of both languages",
            "model.embedding.tied",
            "model.embedding.target_vectors",
        )


def _output(model: ModelConfig, decoder: DecoderConfig) -> Iterator[Fault]:
    """Yield contradictions between an output that needs pieces of the source and the model."""
    kind = model.output.kind
    if not model.uses_source:
        return
    does = "writes" if model.writes_source else "translates"
    if not model.encoder.reads_source:
        yield fault_at(
            "model.output",
            f'"{kind}" {does} pieces of the source, but model.encoder.kind is "none"; '
            'use "softmax"',
            "model.encoder",
        )
    elif kind != "pointer" and decoder.attention.kind == "none":
        does = "copies" if kind == "copy" else does
        yield fault_at(
            "model.output",
            f'"{kind}" {does} what is attended to, but model.decoder.attention is "none"; '
            "choose an attention",
            "model.decoder.attention",
        )
    attention = decoder.attention
    by_content = isinstance(attention, LocalAttentionConfig) and attention.content != "none"
    if kind == "copy" and by_content:
        yield fault_at(
            "model.output",
            '"copy" needs attention that sums to 1, but the window of model.decoder.attention '
            '"local" takes from it; set its content to "none", or choose another',
            "model.decoder.attention",
        )
    if kind == "pointer" and model.embedding.tied == "target":
        yield fault_at(
            "model.embedding.tied",
            '"target" shares a matrix with the output layer, which model.output "pointer" has '
            'none of; use "none" or "all"',
            "model.output",
        )
