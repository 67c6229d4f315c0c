"""What training minimises, and how its losses are summed."""

import pytest
import torch
from traced import batch_of

from nmt.config.model import ModelConfig
from nmt.config.training import (
    ConstantSamplingConfig,
    NoSamplingConfig,
    ScheduledSamplingConfig,
    TrainingConfig,
)
from nmt.models.build import build_model
from nmt.objectives.build import build_objective
from nmt.objectives.likelihood import Likelihood, Model
from nmt.text.vocabulary import EOS

VOCAB = 11
PAIRS = [([4, 5, 6, EOS], [7, EOS]), ([9, EOS], [5, 8, 8, 10, EOS]), ([4, 4, EOS], [6, 7, EOS])]


@pytest.fixture
def model() -> Model:
    torch.manual_seed(1)
    sizes = {"embedding": {"size": 6}, "encoder": {"hidden_size": 4}, "decoder": {"hidden_size": 8}}
    config = ModelConfig.model_validate(sizes)
    return build_model(config, source_vocab=VOCAB, target_vocab=VOCAB).eval()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_per_pair_are_those_of_the_pairs_alone_and_add_up(model, smoothing):
    objective = Likelihood(smoothing=smoothing)
    per_pair = objective.losses_per_pair(model, batch_of(*PAIRS))
    alone = torch.stack([objective.loss(model, batch_of(pair)).total for pair in PAIRS])
    torch.testing.assert_close(per_pair, alone)
    torch.testing.assert_close(per_pair.sum(), objective.loss(model, batch_of(*PAIRS)).total)


def test_losses_per_pair_give_the_gradient_of_the_sum(model):
    objective, gradients = Likelihood(smoothing=0.1), []
    for per_pair in (True, False):
        model.zero_grad()
        batch = batch_of(*PAIRS)
        found = objective.losses_per_pair(model, batch).sum() if per_pair else None
        (objective.loss(model, batch).total if found is None else found).backward()
        gradients.append([weight.grad.clone() for weight in model.parameters()])
    torch.testing.assert_close(*gradients)


def test_smoothing_changes_what_is_minimised_and_not_the_likelihood(model):
    plain, smooth = (Likelihood(smoothing=s).loss(model, batch_of(*PAIRS)) for s in (0.0, 0.2))
    torch.testing.assert_close(plain.total.detach(), plain.nll)
    torch.testing.assert_close(smooth.nll, plain.nll)
    assert smooth.total.item() != pytest.approx(plain.total.item())
    assert plain.tokens == smooth.tokens == 10


@pytest.mark.parametrize("sampling", [None, NoSamplingConfig()])
def test_without_scheduled_sampling_the_reference_is_read(model, sampling):
    objective = Likelihood(sampling=sampling)
    training, validation = (objective.loss(model, batch_of(*PAIRS), updates=u) for u in (5, None))
    assert torch.equal(training.nll, validation.nll)


def test_scheduled_sampling_is_used_only_in_training(model):
    never: ScheduledSamplingConfig = ConstantSamplingConfig(probability=0.0, pick="argmax")
    objective, batch = Likelihood(sampling=never), batch_of(*PAIRS)
    forced = Likelihood().loss(model, batch).nll
    assert torch.equal(objective.loss(model, batch).nll, forced)
    assert objective.loss(model, batch, updates=0).nll.item() != pytest.approx(forced.item())


def test_penalties_are_weighted_sums_over_all_parameters(model):
    weights = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    expected = 0.5 * weights.abs().sum() + 0.25 * weights.square().sum() / 2
    torch.testing.assert_close(Likelihood(l1=0.5, l2=0.25).penalty(model).detach(), expected)
    assert Likelihood().penalty(model) is None


def test_the_objective_is_built_from_the_configuration():
    config = TrainingConfig(label_smoothing=0.1, l1=0.2, l2=0.3)
    assert build_objective(config) == Likelihood(
        smoothing=0.1, l1=0.2, l2=0.3, sampling=NoSamplingConfig()
    )
