"""The two benchmark models. They never change, so figures stay comparable over the years.

Both are LSTMs with Luong's attention and input feeding, 8,000 joint pieces, of which each side
keeps those it uses, and updates of 4,096 target tokens.
"""

from pathlib import Path
from typing import Literal

from nmt.config.attention import GeneralAttentionConfig
from nmt.config.cells import LstmCellConfig
from nmt.config.data import DataConfig, TokenizerConfig
from nmt.config.decoders import DecoderConfig
from nmt.config.dropout import DropoutConfig
from nmt.config.embedding import EmbeddingConfig
from nmt.config.encoders import EncoderConfig
from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.config.search import SearchConfig
from nmt.config.training import AdamConfig, TrainingConfig

Size = Literal["small", "big"]


def model_of(size: Size) -> ModelConfig:
    """Return the model configuration of a size."""
    units, layers = (256, 1) if size == "small" else (512, 2)
    return ModelConfig(
        embedding=EmbeddingConfig(size=units, tied="none"),
        encoder=EncoderConfig(
            cell=LstmCellConfig(), hidden_size=units, layers=layers, bidirectional=True
        ),
        decoder=DecoderConfig(
            cell=LstmCellConfig(),
            hidden_size=512,
            layers=layers,
            attention=GeneralAttentionConfig(),
            attend="after",
            input_feeding=True,
        ),
        dropout=DropoutConfig(embedding=0.2, layers=0.2, readout=0.2),
    )


TRAINING = TrainingConfig(
    batch_tokens=4096,
    optimizer=AdamConfig(),
    learning_rate=1e-3,
    clip_norm=1.0,
    label_smoothing=0.1,
    device="cpu",
)
"""Training settings of both sizes."""

SAME_LENGTH = SearchConfig(
    min_length_factor=1.0, min_length_offset=1, max_length_factor=1.0, max_length_offset=1
)
"""An untrained model cannot tell where to stop, so every translation is one piece longer than its
source: roughly how much longer German is than English."""


def experiment_of(size: Size, folder: Path) -> Experiment:
    """Return the complete configuration of a size, for the text files in `folder`."""
    return Experiment(
        data=data_in(folder),
        tokenizer=TokenizerConfig(kind="word", vocab_size=8000, joint=True, byte_fallback=False),
        model=model_of(size),
        training=TRAINING,
        search=SAME_LENGTH,
    )


def data_in(folder: Path) -> DataConfig:
    """Return the data configuration for the text files in `folder`."""
    train, valid = (
        (str(folder / f"{part}.source"), str(folder / f"{part}.target"))
        for part in ("train", "valid")
    )
    return DataConfig(source="source", target="target", train=train, valid=valid)
