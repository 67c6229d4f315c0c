"""Settings to start from, by the size of the corpus.

Small corpora need small vocabularies, small batches and much dropout (Sennrich and Zhang, 2019);
large ones need large models and little dropout. These are starting points: tune on `valid`. "tiny"
was chosen on the development set of English-Irish (recipes/loresmt21-en-ga), with one seed; the
others have not been compared systematically.
"""

from dataclasses import dataclass
from typing import Literal

from nmt.config.data import DataConfig, NormalizationConfig, TokenizerConfig
from nmt.config.decoders import DecoderConfig
from nmt.config.dropout import DropoutConfig
from nmt.config.embedding import EmbeddingConfig
from nmt.config.encoders import EncoderConfig
from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.config.outputs import LexicalOutputConfig, SoftmaxOutputConfig
from nmt.config.search import SearchConfig
from nmt.config.training import (
    InverseSqrtScheduleConfig,
    PlateauScheduleConfig,
    ScheduleConfig,
    TrainingConfig,
    ValidationConfig,
)


@dataclass(frozen=True)
class Preset:
    """Settings for corpora up to a size."""

    name: str
    pairs: int | None
    """For corpora with fewer pairs than this; None = any."""
    vocab_size: int
    bpe_dropout: float
    """Pieces are joined anew in each epoch (Provilkov et al., 2020); 0 = a unigram model, whose
    pieces stay."""
    embedding_size: int
    hidden_size: int
    """Of the decoder, and of the encoder's two directions together."""
    layers: int
    is_tied: bool
    """Whether the target embedding is also the output layer, which then reads as many units."""
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
    English to Irish from 8,000 pairs: 3.5 BLEU on dev without, 4.5 with 4."""
    is_lexical: bool
    """Whether the output has a lexical model. English to Irish from 8,000 pairs, equally many
    updates: it lowers the perplexity on dev from 60 to 46."""
    schedule: ScheduleConfig
    """The plateau schedule goes back to the best weights."""


# fmt: off
PRESETS = (
    # name, pairs, vocabulary, BPE-dropout, embedding, hidden, layers, tied, dropout, word dropout,
    # batch, rate, updates, updates between validations, metric, unrepeated n-grams,
    # lexical model, schedule
    Preset("tiny",      10_000,  2_000, 0.1, 256,   512, 1, True,  0.4, 0.1,
           1_024, 2e-3,  20_000,   500, "loss", 4,
           True, InverseSqrtScheduleConfig(warmup=500)),
    Preset("small",    100_000,  6_000, 0.0, 256,   512, 1, False, 0.3, 0.1,
           1_024, 2e-3,  60_000, 1_000, "bleu", 0,
           False, PlateauScheduleConfig(warmup=500)),
    Preset("medium", 1_000_000, 16_000, 0.0, 512,   512, 2, False, 0.2, 0.0,
           4_096, 1e-3, 100_000, 2_000, "bleu", 0,
           False, PlateauScheduleConfig(warmup=500)),
    Preset("large",       None, 32_000, 0.0, 512, 1_024, 2, False, 0.1, 0.0,
           8_192, 1e-3, 300_000, 4_000, "bleu", 0,
           False, PlateauScheduleConfig(warmup=500)),
)
# fmt: on


def preset_for(pairs: int) -> Preset:
    """Return the preset for a corpus of this many sentence pairs."""
    return next(preset for preset in PRESETS if preset.pairs is None or pairs < preset.pairs)


def from_preset(
    preset: Preset, data: DataConfig, tokenizer: TokenizerConfig, *, repair: bool = False
) -> Experiment:
    """Return a complete configuration: the sizes of a preset, and what all presets share.

    Shared are decoding of whole sequences (no input feeding), a moving average of the weights,
    label smoothing, early stopping, and the search: without its penalties, translations are too
    short.
    """
    return Experiment(
        data=data,
        normalization=NormalizationConfig(repair=repair),
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
                readout_size=preset.embedding_size if preset.is_tied else 0,
            ),
            output=LexicalOutputConfig() if preset.is_lexical else SoftmaxOutputConfig(),
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
            schedule=preset.schedule,
            label_smoothing=0.1,
            ema=0.999,
        ),
        search=SearchConfig(
            length_penalty="gnmt",
            alpha=1.0,
            coverage_penalty=0.1,
            no_repeat_ngram=preset.no_repeat_ngram,
        ),
        validation=ValidationConfig(every=preset.valid_every, metric=preset.metric, patience=8),
    )
