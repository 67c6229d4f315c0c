"""What sections must agree on with one another."""

from collections.abc import Iterator
from dataclasses import dataclass

from nmt.config.data import TokenizerConfig
from nmt.config.dump import toml_value
from nmt.config.experiment import Experiment
from nmt.config.interval import parse_interval
from nmt.config.model import ModelConfig
from nmt.config.training import CosineScheduleConfig
from nmt.errors import ConfigError


@dataclass(frozen=True)
class Disagreement:
    """One thing that does not fit together."""

    where: str
    """Dotted key to change first."""
    message: str
    involves: tuple[str, ...] = ()
    """The other keys it follows from."""


def disagreements(experiment: Experiment) -> Iterator[Disagreement]:
    """Yield whatever does not fit together in an otherwise well-formed configuration."""
    yield from _data(experiment)
    yield from model_disagreements(experiment.model, experiment.tokenizer)
    yield from _training(experiment)


def _data(experiment: Experiment) -> Iterator[Disagreement]:
    data, tokenizer = experiment.data, experiment.tokenizer
    if data.source == data.target:
        yield Disagreement(
            "data.target",
            f"must differ from data.source, both are {toml_value(data.source)}",
            ("data.source",),
        )
    for key, pair in (("train", data.train), ("valid", data.valid), ("test", data.test or ())):
        if any(not name or "\0" in name for name in pair):
            yield Disagreement(
                f"data.{key}", "holds a name that is empty or has a NUL in it; name two text files"
            )
    if tokenizer.sampling > 0 and tokenizer.kind not in ("unigram", "bpe"):
        yield Disagreement(
            "tokenizer.sampling",
            'needs tokenizer.kind "unigram" or "bpe", '
            f'since "{tokenizer.kind}" knows only one segmentation; set it to 0',
            ("tokenizer.kind",),
        )


def model_disagreements(model: ModelConfig, tokenizer: TokenizerConfig) -> Iterator[Disagreement]:
    """Yield what does not fit together in a model and in the pieces it reads."""
    embedding, decoder = model.embedding, model.decoder
    if embedding.tied == "all" and not tokenizer.joint:
        yield Disagreement(
            "model.embedding.tied",
            '"all" needs one vocabulary for both languages: '
            'set tokenizer.joint to true, or tie only the "target"',
            ("tokenizer.joint",),
        )
    readout_key = f"model.decoder.{'readout_size' if decoder.readout_size else 'hidden_size'}"
    readout_size = decoder.readout_size or decoder.hidden_size
    if embedding.tied != "none" and readout_size != embedding.size:
        yield Disagreement(
            "model.embedding.tied",
            f'"{embedding.tied}" needs {readout_key} = model.embedding.size, '
            f"got {readout_size} and {embedding.size}; set model.decoder.readout_size to "
            f"{embedding.size}",
            ("model.embedding.size", "model.decoder.hidden_size", "model.decoder.readout_size"),
        )
    if decoder.attend == "before" and decoder.attention.kind == "none":
        yield Disagreement(
            "model.decoder.attend",
            '"before" needs an attention, but model.decoder.attention is "none"; '
            'choose one, or "after"',
            ("model.decoder.attention",),
        )
    yield from _dot_attention(model)


def _dot_attention(model: ModelConfig) -> Iterator[Disagreement]:
    encoder, decoder = model.encoder, model.decoder
    encoder_size = encoder.hidden_size * (2 if encoder.bidirectional else 1)
    if decoder.attention.kind == "dot" and encoder_size != decoder.hidden_size:
        both = " (2 directions)" if encoder.bidirectional else ""
        yield Disagreement(
            "model.decoder.attention",
            '"dot" needs states of one size, but the encoder yields '
            f"{encoder_size}{both} and model.decoder.hidden_size is {decoder.hidden_size}; "
            'make them equal or use "general"',
            (
                "model.encoder.hidden_size",
                "model.encoder.bidirectional",
                "model.decoder.hidden_size",
            ),
        )


def _training(experiment: Experiment) -> Iterator[Disagreement]:
    training, validation = experiment.training, experiment.validation
    intervals = {
        "training.log_every": training.log_every,
        "training.save_every": training.save_every,
        "validation.every": validation.every,
    }
    for key, interval in intervals.items():
        try:
            parse_interval(interval)
        except ConfigError as error:
            yield Disagreement(key, str(error))
    schedule = training.schedule
    if isinstance(schedule, CosineScheduleConfig) and schedule.warmup >= schedule.updates:
        yield Disagreement(
            "training.schedule.warmup",
            f"must be less than training.schedule.updates, got {schedule.warmup} "
            f"and {schedule.updates}",
            ("training.schedule.updates",),
        )
    decoder_input = experiment.model.decoder.input
    if decoder_input == "none" and training.scheduled_sampling.kind != "none":
        yield Disagreement(
            "training.scheduled_sampling",
            'must be "none" when model.decoder.input is "none": '
            "such a decoder reads no previous piece that could be replaced",
            ("model.decoder.input",),
        )
    if validation.average > training.keep_best:
        yield Disagreement(
            "validation.average",
            f"must be at most training.keep_best, got {validation.average} "
            f"and {training.keep_best}",
            ("training.keep_best",),
        )
