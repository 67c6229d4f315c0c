"""Constraints between sections."""

import re
import unicodedata
from collections.abc import Iterator

from nmt.config.attention import (
    AdditiveAttentionConfig,
    LocalAttentionConfig,
    NoAttentionConfig,
)
from nmt.config.cells import (
    CellConfig,
    ClockworkCellConfig,
    DelaysCellConfig,
    LayerNormLstmCellConfig,
    LstmCellConfig,
    MinGruCellConfig,
    SsruCellConfig,
)
from nmt.config.data import DataConfig, TokenizerConfig
from nmt.config.decoders import AnyDecoderConfig, DecoderConfig
from nmt.config.dropout import DropoutConfig
from nmt.config.dump import choice, toml_value
from nmt.config.encoders import (
    AnyEncoderConfig,
    EncoderConfig,
    NoEncoderConfig,
    NumbersEncoderConfig,
)
from nmt.config.experiment import Experiment
from nmt.config.faults import Fault
from nmt.config.kind_checks import kind_disagreements, kind_disagreements_of_data
from nmt.config.model import ModelConfig
from nmt.config.training import CosineScheduleConfig
from nmt.paths import why_not_sides

_NAMES_OF_PIECES = re.compile("<pad>|<unk>|<s>|</s>|<0x[0-9A-F]{2}>")


def disagreements(experiment: Experiment) -> Iterator[Fault]:
    """Yield each value of a well-formed configuration that contradicts another one."""
    yield from _data(experiment)
    yield from model_disagreements(experiment.model, experiment.tokenizer)
    yield from kind_disagreements_of_data(experiment)
    yield from _training(experiment)


def _fault(where: str, message: str, *involves: str) -> Fault:
    """Return a fault at the dotted key to change first, and the other keys it follows from."""
    return Fault(tuple(where.split(".")), message, involves)


def _data(experiment: Experiment) -> Iterator[Fault]:
    data, tokenizer = experiment.data, experiment.tokenizer
    yield from _source(experiment)
    if data.join_lines and data.has_source:
        yield _fault(
            "data.join_lines", "is for language models, which have no source; leave it out"
        )
    if data.join_lines and tokenizer.sampling:
        yield _fault(
            "data.join_lines",
            "joins the pieces of lines, which tokenizer.sampling would draw anew; set one of them "
            "to 0",
            "tokenizer.sampling",
        )
    for key, pair in _file_pairs(data):
        # Without a source, as for a language model, the first name is empty.
        if any("\0" in name for name in pair) or not pair[1]:
            yield _fault(
                f"data.{key}", "holds a name that is empty or has a NUL in it; name two text files"
            )
        elif pair[0] and (reason := why_not_sides(*pair)):
            yield _fault(f"data.{key}", reason)
    yield from _symbols(experiment)
    if tokenizer.sampling > 0 and tokenizer.kind not in ("unigram", "bpe"):
        yield _fault(
            "tokenizer.sampling",
            'needs tokenizer.kind "unigram" or "bpe", '
            f'since "{tokenizer.kind}" has only one segmentation; set it to 0',
            "tokenizer.kind",
        )
    if tokenizer.sampling > 0 and tokenizer.sampled == "source" and not data.has_source:
        yield _fault(
            "tokenizer.sampled",
            'must be "both" or "target" for a language model, which has no source',
        )


def _symbols(experiment: Experiment) -> Iterator[Fault]:
    """Yield symbols that cannot be pieces, or could not be told from others."""
    symbols, kind = experiment.tokenizer.symbols, experiment.tokenizer.kind
    if symbols and kind == "word":
        yield _fault(
            "tokenizer.symbols",
            'needs tokenizer.kind "unigram", "bpe" or "char", since "word" keeps all whole that '
            "stands between spaces; put spaces around symbols in the text instead",
            "tokenizer.kind",
        )
    form = experiment.normalization.unicode
    seen: set[str] = set()
    for symbol in symbols:
        written = symbol
        if form != "off":
            written = unicodedata.normalize("NFC" if form == "nfc" else "NFKC", symbol)
        if reason := _why_no_symbol(written, written in seen):
            yield _fault("tokenizer.symbols", f"{toml_value(symbol)} {reason}")
        seen.add(written)


def _why_no_symbol(symbol: str, is_repeated: bool) -> str | None:
    if not symbol:
        return "is empty; leave it out"
    if any(character.isspace() or character in "\0▁▅" for character in symbol):
        return 'has a space, or one of the signs that stand for one, "▁" and "▅"; use other signs'
    if _NAMES_OF_PIECES.fullmatch(symbol):
        return "is the name of a special piece; choose another"
    return "is listed twice; leave one out" if is_repeated else None


def _source(experiment: Experiment) -> Iterator[Fault]:
    """Yield a missing source of a translation model, or a superfluous one of a language model."""
    data, reads_source = experiment.data, experiment.model.encoder.reads_source
    if reads_source and not data.source:
        yield _fault("data.source", 'missing: language code of the source side, for example "en"')
    for key, pair in _file_pairs(data):
        if bool(pair[0]) != reads_source:
            needed = "one text file, without a source and not called .tsv"
            if reads_source:
                needed = "two text files, or one .tsv of tab-separated pairs"
            yield _fault(
                f"data.{key}",
                f'must be {needed}, since model.encoder.kind is "{experiment.model.encoder.kind}"',
                "model.encoder",
            )
    if not reads_source and data.source:
        yield _fault("data.source", "must be left out: a language model reads no source")
    if not reads_source and experiment.validation.metric != "loss":
        yield _fault(
            "validation.metric",
            'must be "loss" for a language model, which translates nothing',
            "model.encoder",
        )


def _file_pairs(data: DataConfig) -> list[tuple[str, tuple[str, str]]]:
    """Return the pairs of files there are, by their keys."""
    pairs = (("train", data.train), ("valid", data.valid), ("test", data.test))
    return [(key, pair) for key, pair in pairs if pair is not None]


def model_disagreements(model: ModelConfig, tokenizer: TokenizerConfig) -> Iterator[Fault]:
    """Yield contradictions within a model, or between it and its pieces."""
    yield from kind_disagreements(model, tokenizer)
    embedding, encoder, decoder = model.embedding, model.encoder, model.decoder
    yield from _cells(encoder, decoder, model.dropout)
    if not isinstance(decoder, DecoderConfig):
        return
    if embedding.tied == "all" and not tokenizer.joint:
        yield _fault(
            "model.embedding.tied",
            '"all" needs one vocabulary for both languages: '
            'set tokenizer.joint to true, or tie only the "target"',
            "tokenizer.joint",
        )
    readout_key = f"model.decoder.{'readout_size' if decoder.readout_size else 'hidden_size'}"
    readout_size = decoder.readout_size or decoder.hidden_size
    if embedding.tied != "none" and readout_size != embedding.size:
        yield _fault(
            "model.embedding.tied",
            f'"{embedding.tied}" needs {readout_key} = model.embedding.size, '
            f"got {readout_size} and {embedding.size}; set model.decoder.readout_size to "
            f"{embedding.size}",
            "model.embedding.size",
            "model.decoder.hidden_size",
            "model.decoder.readout_size",
        )
    if model.dropout.attention > 0.0 and decoder.attention.kind == "none":
        yield _fault(
            "model.dropout.attention",
            'must be 0 since model.decoder.attention is "none": there are no weights to drop',
            "model.decoder.attention",
        )
    if decoder.attend == "between" and decoder.layers == 1:
        yield _fault(
            "model.decoder.attend",
            '"between" needs model.decoder.layers = 2 or more, since layers above the first read '
            'what is attended to, got 1; add a layer, or use "after"',
            "model.decoder.layers",
        )
    if decoder.attend != "after" and decoder.attention.kind == "none":
        yield _fault(
            "model.decoder.attend",
            f'"{decoder.attend}" needs an attention, but model.decoder.attention is "none"; '
            'choose one, or "after"',
            "model.decoder.attention",
        )
    feeds_something = decoder.attend == "after" and decoder.attention.kind != "none"
    if decoder.input_feeding and not feeds_something:
        yield _fault(
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
        yield _fault(
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
                yield _fault(
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
        yield _fault(
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
            yield _fault(
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
            yield _fault(
                f"model.{name}.cell.periods",
                f"needs a unit for each of its {len(cell.periods)} periods, but model.{name}."
                f"hidden_size is {side.hidden_size}; leave periods out or add units",
                f"model.{name}.hidden_size",
            )
        if isinstance(cell, DelaysCellConfig) and dropout.recurrent > 0.0:
            yield _fault(
                "model.dropout.recurrent",
                f'must be 0 since model.{name}.cell is "delays": it would drop the last state '
                "alone, not those of longer delays; use zoneout_hidden instead",
                f"model.{name}.cell",
            )
    if sides and all(isinstance(side.cell, SsruCellConfig | MinGruCellConfig) for _, side in sides):
        for key in ("recurrent", "weights"):
            if getattr(dropout, key) > 0.0:
                yield _fault(
                    f"model.dropout.{key}",
                    'must be 0 since no cell has a recurrent product, "ssru" and "mingru" having '
                    "none; use zoneout instead",
                    *(f"model.{name}.cell" for name, _ in sides),
                )
    if dropout.zoneout_cell > 0.0 and not any(_has_cell_state(side.cell) for _, side in sides):
        yield _fault(
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
        yield _fault(
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
            yield _fault(
                f"model.decoder.{key}",
                f'must be that of the encoder, {needed}, since model.decoder.bridge is "copy", '
                f"got {found}; {remedy}",
                "model.decoder.bridge",
                "model.encoder",
            )
    if isinstance(decoder.cell, DelaysCellConfig):
        yield _fault(
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
            yield _fault(
                f"model.embedding.{key}.freeze",
                "there is nothing to keep, since no file is named; "
                f"set model.embedding.{key}.file, or set it to false",
                f"model.embedding.{key}",
            )
    if not embedding.source_vectors.file:
        return
    if not model.encoder.reads_source:
        yield _fault(
            "model.embedding.source_vectors",
            'must be left out, since model.encoder.kind is "none"',
            "model.encoder",
        )
    elif embedding.tied == "all" and embedding.target_vectors.file:
        yield _fault(
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
        yield _fault(
            "model.output",
            f'"{kind}" {does} pieces of the source, but model.encoder.kind is "none"; '
            'use "softmax"',
            "model.encoder",
        )
    elif kind != "pointer" and decoder.attention.kind == "none":
        does = "copies" if kind == "copy" else does
        yield _fault(
            "model.output",
            f'"{kind}" {does} what is attended to, but model.decoder.attention is "none"; '
            "choose an attention",
            "model.decoder.attention",
        )
    attention = decoder.attention
    by_content = isinstance(attention, LocalAttentionConfig) and attention.content != "none"
    if kind == "copy" and by_content:
        yield _fault(
            "model.output",
            '"copy" needs attention that sums to 1, but the window of model.decoder.attention '
            '"local" takes from it; set its content to "none", or choose another',
            "model.decoder.attention",
        )
    if kind == "pointer" and model.embedding.tied == "target":
        yield _fault(
            "model.embedding.tied",
            '"target" shares a matrix with the output layer, which model.output "pointer" has '
            'none of; use "none" or "all"',
            "model.output",
        )


def _training(experiment: Experiment) -> Iterator[Fault]:
    training, validation = experiment.training, experiment.validation
    schedule = training.schedule
    if isinstance(schedule, CosineScheduleConfig):
        key = "training.schedule.updates" if schedule.updates else "training.max_updates"
        end = schedule.updates or training.max_updates
        if schedule.warmup >= end:
            yield _fault(
                "training.schedule.warmup",
                f"must be less than {key}, got {schedule.warmup} and {end}",
                key,
            )
    decoder = experiment.model.decoder
    reads_nothing = isinstance(decoder, DecoderConfig) and decoder.input == "none"
    if reads_nothing and training.scheduled_sampling.kind != "none":
        yield _fault(
            "training.scheduled_sampling",
            'must be "none" when model.decoder.input is "none": '
            "such a decoder reads no previous piece that could be replaced",
            "model.decoder.input",
        )
    yield from _consistency(experiment)
    yield from _guided_alignment(experiment)
    yield from _minimum_risk(experiment)
    if training.activation_l1 and not experiment.model.encoder.reads_source:
        yield _fault(
            "training.activation_l1",
            'is a penalty on the encoder\'s states, but model.encoder.kind is "none"; set it to 0',
            "model.encoder",
        )
    output, writes_source = experiment.model.output, experiment.model.writes_source
    if experiment.model.uses_source and training.scheduled_sampling.kind != "none":
        yield _fault(
            "training.scheduled_sampling",
            f'must be "none" with model.output "{output.kind}": what it takes from the source is '
            "not drawn while a sentence is decoded in training",
            "model.output",
        )
    if writes_source and experiment.search.shortlist:
        yield _fault(
            "search.shortlist",
            f'must be 0 with model.output "{output.kind}": a shortlist may lack what is copied',
            "model.output",
        )
    if experiment.model.right_to_left and experiment.search.ban:
        yield _fault(
            "search.ban",
            "must be empty with model.decoder.right_to_left, which writes the end of a word first",
            "model.decoder.right_to_left",
        )
    if writes_source and experiment.tokenizer.sampling > 0:
        yield _fault(
            "tokenizer.sampling",
            f'must be 0 with model.output "{output.kind}": what is copied must be spelled alike '
            "on both sides",
            "model.output",
        )
    if validation.average > training.keep_best:
        yield _fault(
            "validation.average",
            f"must be at most training.keep_best, got {validation.average} "
            f"and {training.keep_best}",
            "training.keep_best",
        )


def _consistency(experiment: Experiment) -> Iterator[Fault]:
    """Yield why two predictions of a pair cannot be compared, or would always be equal."""
    training, model = experiment.training, experiment.model
    kind = training.consistency.kind
    if kind == "none":
        return
    if model.output.kind == "numbers":
        yield _fault(
            "training.consistency",
            'must be "none" with model.output.kind "numbers", which has no probabilities to '
            "compare",
            "model.output.kind",
        )
    if training.scheduled_sampling.kind != "none":
        yield _fault(
            "training.consistency",
            'must be "none" with training.scheduled_sampling: two predictions of a pair would '
            "follow different prefixes; use one of them",
            "training.scheduled_sampling",
        )
    if kind == "simcut" and not model.has_embeddings:
        yield _fault(
            "training.consistency",
            '"simcut" cuts pieces, but model.encoder.kind is "numbers" and model.decoder.kind '
            f'"{model.decoder.kind}"; use "r_drop"',
            "model.encoder.kind",
            "model.decoder.kind",
        )
    rates = model.dropout.model_dump(exclude={"variational"}).values()
    if kind == "r_drop" and not any(rates):
        yield _fault(
            "training.consistency",
            '"r_drop" compares two predictions with different dropout masks, but every rate in '
            "model.dropout is 0; set one, such as model.dropout = 0.3",
            "model.dropout",
        )


def _guided_alignment(experiment: Experiment) -> Iterator[Fault]:
    """Yield why there are no links to guide the attention, or no attention to be guided."""
    model, decoder = experiment.model, experiment.model.decoder
    if experiment.training.guided_alignment.weight == 0.0:
        return
    if (model.source_lines, model.target_lines) != ("text", "text"):
        yield _fault(
            "training.guided_alignment.weight",
            "must be 0 unless both sides are text, whose pieces can be linked",
            "model.encoder.kind",
            "model.decoder.kind",
        )
    elif isinstance(decoder, DecoderConfig) and decoder.attention.kind == "none":
        yield _fault(
            "training.guided_alignment.weight",
            'must be 0 since model.decoder.attention is "none": there is nothing to guide',
            "model.decoder.attention",
        )


def _minimum_risk(experiment: Experiment) -> Iterator[Fault]:
    """Yield why the model's translations cannot be drawn and scored."""
    training, model = experiment.training, experiment.model
    if training.minimum_risk.weight == 0.0:
        return
    if model.target_lines != "text" or not model.encoder.reads_source:
        yield _fault(
            "training.minimum_risk.weight",
            "must be 0 unless the model translates into text",
            "model.encoder.kind",
            "model.decoder.kind",
        )
    if model.writes_source:
        yield _fault(
            "training.minimum_risk.weight",
            f'must be 0 with model.output "{model.output.kind}": what is copied from the source '
            "has no pieces of the target; use another output",
            "model.output",
        )
    if training.consistency.kind != "none":
        yield _fault(
            "training.minimum_risk.weight",
            f'must be 0 with training.consistency "{training.consistency.kind}"; use one of them',
            "training.consistency",
        )
