"""Settings to start from, by the size of the corpus.

Small corpora need small vocabularies, small batches and much dropout (Sennrich and Zhang, 2019);
large ones need large models and little dropout. These are starting points: tune on `valid`. They
have not been compared systematically: the choice is still to be repeated on development sets, with
several seeds, as CONTRIBUTING demands.
"""

from dataclasses import dataclass
from typing import Literal

from nmt.config.data import DataConfig, TokenizerConfig
from nmt.config.decoders import DecoderConfig
from nmt.config.dropout import DropoutConfig
from nmt.config.embedding import EmbeddingConfig
from nmt.config.encoders import EncoderConfig
from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.config.search import SearchConfig
from nmt.config.training import PlateauScheduleConfig, TrainingConfig, ValidationConfig


@dataclass(frozen=True)
class Preset:
    """Settings for corpora up to a size."""

    name: str
    pairs: int | None
    """For corpora with fewer pairs than this; None = any."""
    vocab_size: int
    embedding_size: int
    hidden_size: int
    """Of the decoder, and of the encoder's two directions together."""
    layers: int
    is_tied: bool
    """Whether the target embedding is also the output layer; needs `hidden_size` = its size."""
    dropout: float
    word_dropout: float
    batch_tokens: int
    learning_rate: float
    max_updates: int
    valid_every: int
    """Updates between two validations."""
    metric: Literal["loss", "bleu"]
    """What selects the best weights; while BLEU is near 0, its noise would."""
    no_repeat_ngram: int
    """Pieces of n-grams that a translation may not repeat: models of little text repeat themselves.
    English to Irish from 8,000 pairs: 2.9 BLEU on dev without, 3.3 with 4, 3.2 with 3."""


# fmt: off
PRESETS = (
    # name, pairs, vocabulary, embedding, hidden, layers, tied, dropout, word dropout,
    # batch, rate, updates, updates between validations, metric, unrepeated n-grams
    Preset("tiny",      10_000,  2_000, 256,   256, 1, True,  0.2, 0.0,
             512, 1e-3,  20_000,   500, "loss", 4),
    Preset("small",    100_000,  6_000, 256,   512, 1, False, 0.3, 0.1,
           1_024, 2e-3,  60_000, 1_000, "bleu", 0),
    Preset("medium", 1_000_000, 16_000, 512,   512, 2, False, 0.2, 0.0,
           4_096, 1e-3, 100_000, 2_000, "bleu", 0),
    Preset("large",       None, 32_000, 512, 1_024, 2, False, 0.1, 0.0,
           8_192, 1e-3, 300_000, 4_000, "bleu", 0),
)
# fmt: on


def preset_for(pairs: int) -> Preset:
    """Return the preset for a corpus of this many sentence pairs."""
    return next(preset for preset in PRESETS if preset.pairs is None or pairs < preset.pairs)


def from_preset(preset: Preset, data: DataConfig, tokenizer: TokenizerConfig) -> Experiment:
    """Return a complete configuration: the sizes of a preset, and what all presets share.

    Shared are decoding of whole sequences (no input feeding), a plateau schedule that goes back to
    the best weights, a moving average of the weights, label smoothing, and early stopping.
    """
    return Experiment(
        data=data,
        tokenizer=tokenizer,
        model=ModelConfig(
            embedding=EmbeddingConfig(
                size=preset.embedding_size, tied="target" if preset.is_tied else "none"
            ),
            encoder=EncoderConfig(
                hidden_size=preset.hidden_size // 2,
                layers=preset.layers,
                residual=preset.layers > 1,
            ),
            decoder=DecoderConfig(
                hidden_size=preset.hidden_size,
                layers=preset.layers,
                residual=preset.layers > 1,
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
        search=SearchConfig(no_repeat_ngram=preset.no_repeat_ngram),
        validation=ValidationConfig(every=preset.valid_every, metric=preset.metric, patience=8),
    )
