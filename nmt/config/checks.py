"""Constraints between sections."""

from collections.abc import Iterator

from nmt.config.data_checks import data_disagreements
from nmt.config.experiment import Experiment
from nmt.config.faults import Fault
from nmt.config.kind_checks import kind_disagreements_of_data
from nmt.config.model_checks import model_disagreements
from nmt.config.training_checks import training_disagreements


def disagreements(experiment: Experiment) -> Iterator[Fault]:
    """Yield each value of a well-formed configuration that contradicts another one."""
    yield from data_disagreements(experiment)
    yield from model_disagreements(experiment.model, experiment.tokenizer)
    yield from kind_disagreements_of_data(experiment)
    yield from training_disagreements(experiment)
