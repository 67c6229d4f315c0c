"""Models and corpora small enough to be measured within a test."""

from pathlib import Path

from nmt.benchmark.setup import CorpusSize, set_up
from nmt.benchmark.sizes import SAME_LENGTH, data_in
from nmt.config.data import TokenizerConfig
from nmt.config.decoders import DecoderConfig
from nmt.config.embedding import EmbeddingConfig
from nmt.config.encoders import EncoderConfig
from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.config.training import TrainingConfig


def set_up_tiny(folder: Path) -> Experiment:
    """Fill `folder` as the benchmark does, for a model of a few units."""
    experiment = Experiment(
        data=data_in(folder),
        tokenizer=TokenizerConfig(kind="word", vocab_size=60, byte_fallback=False),
        model=ModelConfig(
            embedding=EmbeddingConfig(size=4),
            encoder=EncoderConfig(hidden_size=4),
            decoder=DecoderConfig(hidden_size=8),
        ),
        training=TrainingConfig(batch_tokens=200, device="cpu"),
        search=SAME_LENGTH,
    )
    set_up(folder, experiment, CorpusSize(train=100, valid=20))
    return experiment
