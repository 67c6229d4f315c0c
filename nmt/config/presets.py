"""Settings to start from, by the size of the corpus.

Small corpora need small vocabularies, small batches and much dropout (Sennrich and Zhang, 2019);
large ones need large models and little dropout. These are starting points: tune on `valid`.
"tiny" and "small" were chosen on development sets, mostly with one seed; recipes/tatoeba-en-de,
recipes/loresmt21-en-ga and recipes/multi30k-en-de say what else was tried. The others have not been
measured.
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
from nmt.config.outputs import (
    CopyOutputConfig,
    LexicalOutputConfig,
    OutputConfig,
    SoftmaxOutputConfig,
)
from nmt.config.search import SearchConfig
from nmt.config.training import (
    CosineScheduleConfig,
    GuidedAlignmentConfig,
    NoConsistencyConfig,
    PlateauScheduleConfig,
    RDropConfig,
    TrainingConfig,
    ValidationConfig,
)

_WARMUP, _VALIDATIONS = 250, 16
_FEWEST_UPDATES, _MOST_UPDATES = 500, 300_000


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Settings for corpora up to a size."""

    name: str
    pairs: int | None
    """For corpora with fewer pairs than this; None = any."""
    expected: str = ""
    """What these settings have scored, after how long, and on what; "" = not measured."""
    vocab_size: int
    bpe_dropout: float = 0.0
    """Pieces are joined anew in each epoch (Provilkov et al., 2020); 0 = they stay."""
    embedding_size: int = 256
    hidden_size: int = 512
    """Of the decoder, and of the encoder's two directions together."""
    encoder_layers: int = 1
    decoder_layers: int = 1
    """With two, the upper one reads what the lower one attends to."""
    is_tied: bool = False
    """Whether the target embedding is also the output layer, which then reads as many units."""
    is_lexical: bool = False
    """Whether the output has a lexical model, and the attention follows word links. English to
    Irish from 8,000 pairs, equally many updates: the lexical model lowers the perplexity on dev
    from 60 to 46; links raise its chrF by 0.8."""
    r_drop: float = 0.0
    """Weight of R-Drop; 0 = none. English to German from 29,000 captions: 41.4 BLEU on dev
    with 2 after 2,400 updates, 40.1 without after 3,600. From 8,000 pairs and fewer, it costs more
    time than it brings."""
    dropout: float
    layer_dropout: float | None = None
    """Between layers, and of the encoder's output; None = as elsewhere."""
    word_dropout: float = 0.0
    batch_tokens: int
    learning_rate: float
    passes: int = 0
    """Passes over the corpus, during which the rate falls to 0 as half a cosine. The loss on dev
    was least after 26 passes over 3,000 pairs with the settings of "tiny", and after 9 over 20,000
    with those of "small". 0 = the rate falls, and training ends, when validation stops improving.
    """
    metric: Literal["chrf", "bleu"] = "bleu"
    """What selects the best weights. Near 0, BLEU is noise, which chrF is not."""
    beam: int = 5
    no_repeat_ngram: int = 0
    """Pieces of n-grams that a translation may not repeat: models of little text repeat themselves.
    English to Irish from 8,000 pairs: 3.5 BLEU on dev without, 4.5 with 4."""


PRESETS = (
    Preset(
        name="tiny",
        pairs=10_000,
        expected="from English to Irish, 8,112 pairs, BLEU 10.8 after 41 minutes on one core (2.0 "
        "by copying the source); from English to German, 3,000 short pairs, 14.3 after 5 (0.3)",
        vocab_size=2_000,
        bpe_dropout=0.1,
        is_tied=True,
        is_lexical=True,
        dropout=0.3,
        layer_dropout=0.4,
        word_dropout=0.1,
        batch_tokens=1_024,
        learning_rate=2e-3,
        passes=30,
        metric="chrf",
        beam=10,
        no_repeat_ngram=4,
    ),
    Preset(
        name="small",
        pairs=100_000,
        expected="from English to German, BLEU 30.8 with 20,000 short pairs, and 41.4 with 29,000 "
        "image captions, after 43 minutes on one core",
        vocab_size=6_000,
        encoder_layers=2,
        decoder_layers=2,
        is_tied=True,
        is_lexical=True,
        r_drop=2.0,
        dropout=0.3,
        layer_dropout=0.1,
        batch_tokens=2_048,
        learning_rate=3e-3,
        passes=12,
    ),
    Preset(
        name="medium",
        pairs=400_000,
        vocab_size=8_000,
        is_tied=True,
        is_lexical=True,
        dropout=0.2,
        batch_tokens=2_048,
        learning_rate=2e-3,
        passes=12,
    ),
    Preset(
        name="large",
        pairs=2_000_000,
        vocab_size=16_000,
        embedding_size=512,
        encoder_layers=2,
        decoder_layers=2,
        dropout=0.2,
        batch_tokens=4_096,
        learning_rate=1e-3,
    ),
    Preset(
        name="huge",
        pairs=None,
        vocab_size=32_000,
        embedding_size=512,
        hidden_size=1_024,
        encoder_layers=2,
        decoder_layers=2,
        dropout=0.1,
        batch_tokens=8_192,
        learning_rate=1e-3,
    ),
)


def preset_for(pairs: int) -> Preset:
    """Return the preset for a corpus of this many sentence pairs."""
    return next(preset for preset in PRESETS if preset.pairs is None or pairs < preset.pairs)


def from_preset(
    preset: Preset,
    data: DataConfig,
    tokenizer: TokenizerConfig,
    *,
    tokens: int,
    repair: bool = False,
    copies: bool = False,
) -> Experiment:
    """Return a complete configuration: the sizes of a preset, and what all presets share.

    Shared are decoding of whole sequences (no input feeding), a moving average of the weights,
    label smoothing, early stopping, and the search: without its penalties, and if it stops with the
    first finished hypotheses, translations are too short.

    Args:
        preset: the settings that depend on the size of the corpus.
        data: languages, files and what to drop.
        tokenizer: how to segment.
        tokens: target pieces of the corpus, about.
        repair: whether text is repaired, see `NormalizationConfig`.
        copies: whether the output copies pieces of the source instead of having a lexical model.
    """
    updates = _updates(preset, tokens)
    return Experiment(
        data=data,
        normalization=NormalizationConfig(repair=repair),
        tokenizer=tokenizer,
        model=_model(preset, copies=copies),
        training=TrainingConfig(
            batch_tokens=preset.batch_tokens,
            max_updates=updates,
            learning_rate=preset.learning_rate,
            schedule=CosineScheduleConfig(warmup=min(_WARMUP, updates // 4))
            if preset.passes
            else PlateauScheduleConfig(warmup=_WARMUP),
            label_smoothing=0.1,
            consistency=RDropConfig(weight=preset.r_drop)
            if preset.r_drop
            else NoConsistencyConfig(),
            guided_alignment=GuidedAlignmentConfig(weight=0.3 if preset.is_lexical else 0.0),
            ema=0.999,
        ),
        search=SearchConfig(
            beam=preset.beam,
            stop="best",
            length_penalty="gnmt",
            alpha=0.9,
            coverage_penalty=0.1,
            no_repeat_ngram=preset.no_repeat_ngram,
        ),
        validation=ValidationConfig(
            every=max(50, min(4_000, updates // _VALIDATIONS // 50 * 50)),
            metric=preset.metric,
            patience=8,
        ),
    )


def _updates(preset: Preset, tokens: int) -> int:
    """Return training.max_updates for this many target tokens, in hundreds."""
    if not preset.passes:
        return _MOST_UPDATES
    return max(_FEWEST_UPDATES, preset.passes * tokens // preset.batch_tokens // 100 * 100)


def _model(preset: Preset, *, copies: bool) -> ModelConfig:
    return ModelConfig(
        embedding=EmbeddingConfig(
            size=preset.embedding_size, tied="target" if preset.is_tied else "none"
        ),
        encoder=EncoderConfig(
            hidden_size=preset.hidden_size // 2,
            layers=preset.encoder_layers,
            residual=preset.encoder_layers > 1,
        ),
        decoder=DecoderConfig(
            hidden_size=preset.hidden_size,
            layers=preset.decoder_layers,
            residual=preset.decoder_layers > 1,
            attend="between" if preset.decoder_layers > 1 else "after",
            readout_size=preset.embedding_size if preset.is_tied else 0,
        ),
        output=_output(preset, copies=copies),
        dropout=DropoutConfig(
            embedding=preset.dropout,
            layers=preset.dropout if preset.layer_dropout is None else preset.layer_dropout,
            readout=preset.dropout,
            source_words=preset.word_dropout,
            target_words=preset.word_dropout,
        ),
    )


def _output(preset: Preset, *, copies: bool) -> OutputConfig:
    if not preset.is_lexical:
        return SoftmaxOutputConfig()
    return CopyOutputConfig() if copies else LexicalOutputConfig()
