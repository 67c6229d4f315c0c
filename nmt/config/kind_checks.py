"""Constraints of kinds of models other than translation models: labels, tags, numbers."""

from collections.abc import Iterator

from nmt.config.data import TokenizerConfig
from nmt.config.decoders import ConvolutionalDecoderConfig, DecoderConfig
from nmt.config.encoders import (
    AnyReaderConfig,
    ConvolutionalEncoderConfig,
    NoEncoderConfig,
    NumbersEncoderConfig,
)
from nmt.config.experiment import Experiment
from nmt.config.faults import Fault, fault_at
from nmt.config.model import ModelConfig


def kind_disagreements(model: ModelConfig, tokenizer: TokenizerConfig) -> Iterator[Fault]:
    """Yield contradictions between the kinds of a model, or between them and its pieces."""
    yield from _encoder(model, tokenizer)
    decoder = model.decoder
    if model.output.kind == "numbers" and decoder.kind != "label":
        yield fault_at(
            "model.output.kind",
            f'"numbers" needs model.decoder.kind "label", got "{decoder.kind}"',
            "model.decoder.kind",
        )
    if not isinstance(decoder, DecoderConfig) and model.uses_source:
        yield fault_at(
            "model.output.kind",
            f'"{model.output.kind}" needs model.decoder.kind "recurrent", got "{decoder.kind}"; '
            'use "softmax"',
            "model.decoder.kind",
        )
    if model.right_to_left and isinstance(model.encoder, NoEncoderConfig):
        yield fault_at(
            "model.decoder.right_to_left",
            "is for translation models: a language model continues text; leave it out",
            "model.encoder.kind",
        )
    if isinstance(decoder, ConvolutionalDecoderConfig):
        yield from _language_model(model, decoder)
    if isinstance(decoder, DecoderConfig | ConvolutionalDecoderConfig):
        return
    if isinstance(model.encoder, NoEncoderConfig):
        yield fault_at(
            "model.encoder.kind",
            f'"none" leaves a decoder of kind "{decoder.kind}" nothing to read; choose another '
            'encoder, or model.decoder.kind "recurrent" for a language model',
            "model.decoder.kind",
        )
    if model.embedding.tied != "none":
        yield fault_at(
            "model.embedding.tied",
            f'must be "none" with model.decoder.kind "{decoder.kind}", which reads no target '
            "words and so has no embeddings of them",
            "model.decoder.kind",
        )
    if decoder.kind == "aligned" and tokenizer.kind != "word":
        yield fault_at(
            "tokenizer.kind",
            'must be "word" with model.decoder.kind "aligned", which writes a word for each '
            f'source word, got "{tokenizer.kind}"',
            "model.decoder.kind",
        )


def _language_model(model: ModelConfig, decoder: ConvolutionalDecoderConfig) -> Iterator[Fault]:
    if not isinstance(model.encoder, NoEncoderConfig):
        yield fault_at(
            "model.encoder.kind",
            'must be "none" with model.decoder.kind "convolutional", a language model, got '
            f'"{model.encoder.kind}"; or set model.decoder.kind to "recurrent"',
            "model.decoder.kind",
        )
    if model.embedding.tied != "none" and decoder.hidden_size != model.embedding.size:
        yield fault_at(
            "model.embedding.tied",
            f'"{model.embedding.tied}" needs model.decoder.hidden_size = model.embedding.size, got '
            f"{decoder.hidden_size} and {model.embedding.size}; make them equal",
            "model.decoder.hidden_size",
            "model.embedding.size",
        )


def _encoder(model: ModelConfig, tokenizer: TokenizerConfig) -> Iterator[Fault]:
    encoder = model.encoder
    if isinstance(encoder, NumbersEncoderConfig):
        yield from _kernel("model.encoder.reader", encoder.reader)
        if model.decoder.kind == "aligned":
            yield fault_at(
                "model.decoder.kind",
                '"aligned" needs source words, but model.encoder.kind is "numbers"; choose "label" '
                'or "recurrent"',
                "model.encoder.kind",
            )
        if model.embedding.tied == "all":
            yield fault_at(
                "model.embedding.tied",
                '"all" needs source pieces, but model.encoder.kind is "numbers"; tie only the '
                '"target"',
                "model.encoder.kind",
            )
        if model.uses_source:
            yield fault_at(
                "model.output.kind",
                f'"{model.output.kind}" needs source pieces, but model.encoder.kind is "numbers"; '
                'use "softmax"',
                "model.encoder.kind",
            )
        if tokenizer.sampling > 0:
            yield fault_at(
                "tokenizer.sampling",
                'must be 0 with model.encoder.kind "numbers", whose source has no pieces',
                "model.encoder.kind",
            )
    elif not isinstance(encoder, NoEncoderConfig):
        yield from _kernel("model.encoder", encoder)


def _kernel(where: str, reader: AnyReaderConfig) -> Iterator[Fault]:
    is_even = isinstance(reader, ConvolutionalEncoderConfig) and reader.kernel_size % 2 == 0
    if isinstance(reader, ConvolutionalEncoderConfig) and is_even and not reader.causal:
        yield fault_at(
            f"{where}.kernel_size",
            f"must be odd to see as much on both sides, got {reader.kernel_size}; or set "
            f"{where}.causal to true",
            f"{where}.causal",
        )


def kind_disagreements_of_data(experiment: Experiment) -> Iterator[Fault]:
    """Yield contradictions between the kinds of a model and data, training or validation."""
    decoder, training = experiment.model.decoder, experiment.training
    if isinstance(decoder, DecoderConfig):
        return
    if training.scheduled_sampling.kind != "none":
        yield fault_at(
            "training.scheduled_sampling",
            f'must be "none" with model.decoder.kind "{decoder.kind}": it has no steps in training '
            "whose input could be replaced",
            "model.decoder.kind",
        )
    if training.truncation > 0:
        yield fault_at(
            "training.truncation",
            f'must be 0 with model.decoder.kind "{decoder.kind}", which has no state to cut '
            "gradients at",
            "model.decoder.kind",
        )
    metric = experiment.validation.metric
    if experiment.model.output.kind == "numbers":
        if metric != "loss":
            yield fault_at(
                "validation.metric",
                f'must be "loss" with model.output.kind "numbers", got "{metric}"; the loss is the '
                "mean squared error",
                "model.output.kind",
            )
        if training.label_smoothing > 0:
            yield fault_at(
                "training.label_smoothing",
                'must be 0 with model.output.kind "numbers", which has no probabilities',
                "model.output.kind",
            )
    elif decoder.kind == "label" and metric == "bleu":
        yield fault_at(
            "validation.metric",
            'must be "loss" or "chrf" with model.decoder.kind "label": BLEU compares sequences of '
            "up to four words and is 0 for single ones",
            "model.decoder.kind",
        )
