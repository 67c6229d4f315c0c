"""Settings to start from, by the size of the corpus.

Small corpora want small vocabularies, small batches and much dropout (Sennrich and Zhang, 2019);
large ones want large models and little dropout. These are starting points: tune on `valid`.
"""

from dataclasses import dataclass

from nmt.config.data import DataConfig, TokenizerConfig
from nmt.config.experiment import Experiment
from nmt.config.model import (
    DecoderConfig,
    DropoutConfig,
    EmbeddingConfig,
    EncoderConfig,
    ModelConfig,
)
from nmt.config.training import PlateauScheduleConfig, TrainingConfig, ValidationConfig


@dataclass(frozen=True)
class Preset:
    """One step of the ladder of sizes."""

    name: str
    pairs: int | None
    """It fits corpora with fewer pairs than this; None = any."""
    vocab_size: int
    embedding_size: int
    hidden_size: int
    """Of the decoder, and of the encoder's two directions together."""
    layers: int
    dropout: float
    word_dropout: float
    batch_tokens: int
    learning_rate: float
    max_updates: int
    valid_every: int
    """Updates between two validations."""


PRESETS = (
    Preset(
        name="tiny",
        pairs=10_000,
        vocab_size=2000,
        embedding_size=256,
        hidden_size=256,
        layers=1,
        dropout=0.4,
        word_dropout=0.2,
        batch_tokens=512,
        learning_rate=2e-3,
        max_updates=20_000,
        valid_every=500,
    ),
    Preset(
        name="small",
        pairs=100_000,
        vocab_size=6000,
        embedding_size=256,
        hidden_size=512,
        layers=1,
        dropout=0.3,
        word_dropout=0.1,
        batch_tokens=1024,
        learning_rate=2e-3,
        max_updates=60_000,
        valid_every=1000,
    ),
    Preset(
        name="medium",
        pairs=1_000_000,
        vocab_size=16_000,
        embedding_size=512,
        hidden_size=512,
        layers=2,
        dropout=0.2,
        word_dropout=0.0,
        batch_tokens=4096,
        learning_rate=1e-3,
        max_updates=100_000,
        valid_every=2000,
    ),
    Preset(
        name="large",
        pairs=None,
        vocab_size=32_000,
        embedding_size=512,
        hidden_size=1024,
        layers=2,
        dropout=0.1,
        word_dropout=0.0,
        batch_tokens=8192,
        learning_rate=1e-3,
        max_updates=300_000,
        valid_every=4000,
    ),
)


def preset_for(pairs: int) -> Preset:
    """Return the preset for a corpus of this many sentence pairs."""
    return next(preset for preset in PRESETS if preset.pairs is None or pairs < preset.pairs)


def from_preset(preset: Preset, data: DataConfig) -> Experiment:
    """Return a whole configuration: the preset's sizes, and what all of them share.

    Shared are pieces learned from both languages together, decoding of whole sequences (no input
    feeding), a plateau schedule that goes back to the best weights, a moving average of the
    weights, label smoothing, and stopping when BLEU no longer rises.
    """
    return Experiment(
        data=data,
        tokenizer=TokenizerConfig(vocab_size=preset.vocab_size),
        model=ModelConfig(
            embedding=EmbeddingConfig(size=preset.embedding_size),
            encoder=EncoderConfig(
                hidden_size=preset.hidden_size // 2,
                layers=preset.layers,
                residual=preset.layers > 1,
            ),
            decoder=DecoderConfig(
                hidden_size=preset.hidden_size,
                layers=preset.layers,
                residual=preset.layers > 1,
                input_feeding=False,
            ),
            dropout=DropoutConfig(
                embedding=preset.dropout,
                layers=preset.dropout,
                readout=preset.dropout,
                source_words=preset.word_dropout,
                target_words=preset.word_dropout,
            ),
        ),
        training=TrainingConfig(
            batch_tokens=preset.batch_tokens,
            max_updates=preset.max_updates,
            learning_rate=preset.learning_rate,
            schedule=PlateauScheduleConfig(warmup=min(500, preset.valid_every)),
            label_smoothing=0.1,
            ema=0.999,
        ),
        validation=ValidationConfig(every=preset.valid_every, patience=8),
    )
