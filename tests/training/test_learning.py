"""Slow tests: tasks that a correct model must learn, and claims that must be confirmed."""

import json
import random

import pytest
import torch
from tiny import tiny, write_corpus

from nmt.layers.cells import RnnCell
from nmt.layers.initialization import initialize_spectral, spectral_radius
from nmt.layers.recurrent import unroll_cell
from nmt.layers.regularization import l1_penalty, l2_penalty
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator


def letters(count: int, shortest: int, longest: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [
        " ".join(chance.choices("abcdefghij", k=chance.randint(shortest, longest)))
        for _ in range(count)
    ]


@pytest.mark.slow
def test_reversing_is_learned_through_the_last_state_alone(tmp_path):
    """Without attention, 5 to 10 letters come back reversed, at least 99 % exact."""
    write_corpus(tmp_path, pairs=40_000, task="reverse", shortest=5, longest=10)
    experiment = tiny(
        tmp_path,
        "model.decoder.attention=none",
        "model.dropout=0.0",
        "model.embedding.size=32",
        "model.encoder.hidden_size=128",
        "model.decoder.hidden_size=256",
        "training.batch_tokens=1000",
        "training.max_updates=3000",
        "training.learning_rate=0.003",
        "training.schedule={kind = 'cosine', warmup = 100, updates = 3000}",
        "training.threads=1",
        "training.log_every=200",
        "validation.every=1000",
    )
    assert run_training(experiment, tmp_path / "run", RunOptions()) == 0
    held_out = letters(1000, 5, 10, seed=77)
    translations = Translator.load(tmp_path / "run").translate(held_out)
    exact = sum(t.text == t.source[::-1] for t in translations)

    assert exact >= 990


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("penalty", "strengths"), [(l1_penalty, (0.01, 0.03)), (l2_penalty, (0.05, 0.2))]
)
def test_penalties_on_weights_shorten_the_memory_of_a_recurrent_network(penalty, strengths, seed):
    """The stronger the penalty, the smaller the radius and the lag-20 contribution.

    This holds below a radius of 1; above it, a weak penalty may lengthen the memory at first, since
    smaller weights saturate fewer units.
    """
    radii, contributions = [], []
    for strength in (0.0, *strengths):
        torch.manual_seed(seed)
        cell = RnnCell(4, 16).double()
        initialize_spectral(cell, 0.7)
        optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
        for _ in range(30):
            inputs = torch.randn(8, 10, 4, dtype=torch.float64)
            states = unroll_cell(cell, inputs, (torch.zeros(8, 16, dtype=torch.float64),))
            loss = (states[:, -1, :4] - inputs[:, 0]).square().mean()
            loss = loss + strength * penalty(cell.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        nothing = torch.zeros(16, 20, 4, dtype=torch.float64)
        start = torch.zeros(16, 16, dtype=torch.float64, requires_grad=True)
        last = unroll_cell(cell, nothing, (start,))[:, -1]  # a row for each unit of the Jacobian
        (jacobian,) = torch.autograd.grad(last.diagonal().sum(), start)
        radii.append(spectral_radius(cell.recurrent.weight))
        contributions.append(jacobian.norm().item())

    assert radii[0] > radii[1] > radii[2]
    assert contributions[0] > contributions[1] > contributions[2]


@pytest.mark.slow
def test_scheduled_sampling_trains_as_well_as_teacher_forcing_on_copying(tmp_path):
    """The schedule runs down to 0.5 and the task is still learned."""
    write_corpus(tmp_path, pairs=2000)
    common = (
        "training.max_updates=600",
        "training.batch_tokens=300",
        "training.learning_rate=0.01",
        "training.schedule={kind = 'cosine', updates = 600}",
        "model.dropout=0.0",
        "model.encoder.hidden_size=24",
        "model.decoder.hidden_size=48",
        "training.log_every=100",
        "validation.every=600",
    )
    schedule = "{kind = 'inverse_sigmoid', k = 100, minimum = 0.5}"
    for run, extra in (("forced", ()), ("sampled", (f"training.scheduled_sampling={schedule}",))):
        experiment = tiny(tmp_path, *common, *extra)
        assert run_training(experiment, tmp_path / run, RunOptions()) == 0
        last = json.loads((tmp_path / run / "metrics.jsonl").read_text().splitlines()[-1])
        assert last["bleu"] > 99, run
