"""Penalties on weights and activations, as an update adds them to its gradient."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.config.training import TrainingConfig
from nmt.data.batch import Batch, make_batch
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.build import build_objective
from nmt.objectives.likelihood import Likelihood
from nmt.text.vocabulary import EOS
from nmt.training.distributed import World
from nmt.training.step import accumulate_gradients

VOCAB = 11
RELU = {"cell": {"kind": "rnn", "activation": "relu"}, "hidden_size": 24, "bidirectional": False}


def build(**encoder: Any) -> EncoderDecoder:
    torch.manual_seed(1)
    config = {
        "embedding": {"size": 6},
        "encoder": {"hidden_size": 4} | encoder,
        "decoder": {"hidden_size": 8},
    }
    validated = ModelConfig.model_validate(config)
    return build_model(validated, source_vocab=VOCAB, target_vocab=VOCAB)


def batches(rows: int = 4) -> list[Batch]:
    chance = torch.Generator().manual_seed(2)
    made = []
    for length in (3, 5):
        ids = torch.randint(4, VOCAB, (rows, length), generator=chance).tolist()
        pairs = [([*line, EOS], [*line, EOS]) for line in ids]
        made.append(make_batch(pairs, range(rows)))
    return made


def gradients(model: EncoderDecoder, objective: Likelihood) -> dict[str, Tensor]:
    micro_batches = batches()
    accumulate_gradients(
        model,
        micro_batches,
        objective,
        tokens=sum(batch.tokens for batch in micro_batches),
        updates=0,
        precision=torch.float32,
        world=World(),
    )
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.2), (0.3, 0.2)])
def test_penalties_on_weights_reach_the_gradient_of_an_update_once(l1, l2):
    """l1 sign(w) + l2 w, however many micro-batches and tokens there are."""
    model = build()
    config = TrainingConfig.model_validate({"l1": l1, "l2": l2})
    plain, penalised = (gradients(model, each) for each in (Likelihood(), build_objective(config)))

    for name, weight in model.named_parameters():
        added = l1 * weight.detach().sign() + l2 * weight.detach()
        torch.testing.assert_close(penalised[name] - plain[name], added, rtol=1e-4, atol=1e-6)


def test_the_penalty_on_activations_is_the_sum_of_their_sizes():
    """Rows that only fill a batch do not count, nor does padding."""
    model = build(**RELU).eval()
    pairs = [([4, 5, 6, EOS], [7, EOS]), ([9, EOS], [5, EOS])]
    batch = make_batch(pairs, [0, 1], round_rows=lambda rows: rows + 2)
    plain = Likelihood().loss(model, batch)
    penalised = Likelihood(activation_l1=0.5).loss(model, batch)

    states = [
        model.encode(torch.tensor([source]), torch.ones(1, len(source), dtype=torch.bool)).states
        for source, _ in pairs
    ]
    expected = 0.5 * sum(each.abs().sum() for each in states)
    torch.testing.assert_close(penalised.total - plain.total, expected)
    assert torch.equal(penalised.nll, plain.nll)


def test_a_penalty_on_activations_makes_states_and_gradients_sparse():
    """With rectified units, more values of h and of dL/dz are exactly 0 the larger it is."""
    states, grads = [], []
    for strength in (0.0, 0.01, 0.05):
        model = build(**RELU)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        objective = Likelihood(activation_l1=strength)
        for _ in range(60):
            gradients(model, objective)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        found: list[Tensor] = []
        cell = model.encoder.stack.first.cell
        hook = cell.input.register_forward_hook(lambda _, __, out, to=found: to.append(out))
        batch = batches()[0]
        memory = model.encode(batch.source, batch.source_mask)
        hook.remove()
        decoded = model.decode(memory, batch.target_in)
        loss = model.losses(memory, decoded, batch.target_out, batch.target_mask)[0].sum()
        (grad,) = torch.autograd.grad(loss, found)
        states.append((memory.states == 0).float().mean().item())
        grads.append((grad == 0).float().mean().item())

    assert states[0] < states[1] < states[2]
    assert grads[0] < grads[1] < grads[2]


def test_a_penalty_on_activations_needs_an_encoder():
    from nmt.config.checks import disagreements

    experiment = Experiment.model_validate(
        {
            "data": {"target": "xx", "train": "text.xx", "valid": "valid.xx"},
            "model": {
                "encoder": {"kind": "none"},
                "decoder": {"attention": "none", "bridge": "zero"},
            },
            "training": {"activation_l1": 0.1},
            "validation": {"metric": "loss"},
        }
    )
    (fault,) = disagreements(experiment)
    assert fault.where == "training.activation_l1"
    assert fault.message == (
        'is a penalty on the encoder\'s states, but model.encoder.kind is "none"; set it to 0'
    )
