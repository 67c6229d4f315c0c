"""The whole configuration: one section per concern."""

from typing import Annotated

from nmt.config.data import DataConfig, NormalizationConfig, TokenizerConfig
from nmt.config.model import ModelConfig
from nmt.config.search import SearchConfig
from nmt.config.section import FIXED_BY_DATA, FIXED_BY_WEIGHTS, Section
from nmt.config.training import TrainingConfig, ValidationConfig


class Experiment(Section):
    """Everything a run depends on."""

    data: Annotated[DataConfig, FIXED_BY_DATA]
    normalization: Annotated[NormalizationConfig, FIXED_BY_DATA] = NormalizationConfig()
    tokenizer: Annotated[TokenizerConfig, FIXED_BY_DATA] = TokenizerConfig()
    model: Annotated[ModelConfig, FIXED_BY_WEIGHTS] = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    validation: ValidationConfig = ValidationConfig()
    search: SearchConfig = SearchConfig()
