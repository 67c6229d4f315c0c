"""The whole configuration: one section per concern."""

from nmt.config.data import DataConfig, NormalizationConfig, TokenizerConfig
from nmt.config.model import ModelConfig
from nmt.config.search import SearchConfig
from nmt.config.section import Section
from nmt.config.training import TrainingConfig, ValidationConfig


class Experiment(Section):
    """Everything a run depends on."""

    data: DataConfig
    normalization: NormalizationConfig = NormalizationConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    validation: ValidationConfig = ValidationConfig()
    search: SearchConfig = SearchConfig()
