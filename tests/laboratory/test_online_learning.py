"""Learning while reading takes the step that backpropagation would have taken."""

import pytest
import torch
from torch.optim import SGD

from nmt.laboratory.network import ManyToOne
from nmt.laboratory.online import OnlineLearner
from nmt.laboratory.rtrl import Rtrl, Truncated
from nmt.laboratory.tasks import Recall
from nmt.laboratory.training import loss_of
from nmt.layers.cells import Cell, LstmCell, RnnCell
from nmt.layers.initialization import initialize_uniform


def make_network(cell: Cell) -> ManyToOne:
    torch.manual_seed(1)
    network = ManyToOne(cell, 2).double()
    initialize_uniform(network, 0.8)
    return network


@pytest.mark.parametrize("kind", [RnnCell, LstmCell])
def test_a_step_after_an_episode_is_that_of_backpropagation(kind):
    online, offline = make_network(kind(4, 5)), make_network(kind(4, 5))
    examples = Recall(4).draw(3, torch.Generator().manual_seed(1))
    inputs = examples.inputs.double()
    learner = OnlineLearner(online, Rtrl(), SGD(online.parameters(), lr=0.5), rows=3)
    for x in inputs.unbind(dim=1)[:-1]:
        learner.read(x)
    answer = learner.read(inputs[:, -1], examples.targets)

    optimizer = SGD(offline.parameters(), lr=0.5)
    outputs = offline(inputs)
    loss_of(outputs, examples.targets).backward()
    optimizer.step()
    torch.testing.assert_close(answer, outputs.detach(), rtol=0, atol=1e-12)
    for one, other in zip(online.parameters(), offline.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_without_answers_nothing_is_learned():
    network = make_network(RnnCell(4, 5))
    before = [parameter.clone() for parameter in network.parameters()]
    learner = OnlineLearner(network, Rtrl(), SGD(network.parameters(), lr=0.5))
    learner.read(torch.ones(1, 4).double())

    for one, other in zip(network.parameters(), before, strict=True):
        assert torch.equal(one, other)


def right_at_the_end(rule: type[Rtrl] | type[Truncated], episodes: int) -> float:
    """Learn to recall the first of four equal symbols; return the share of the last ten answers."""
    torch.manual_seed(1)
    task, generator = Recall(3, alike=True), torch.Generator().manual_seed(1)
    network = ManyToOne(RnnCell(2, 8), 2)
    initialize_uniform(network, 0.3)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    right = []
    for _ in range(episodes):
        examples = task.draw(20, generator)
        learner = OnlineLearner(network, rule() if rule is Rtrl else rule(1), optimizer, rows=20)
        for x in examples.inputs.unbind(dim=1)[:-1]:
            learner.read(x)
        outputs = learner.read(examples.inputs[:, -1], examples.targets)
        right.append((outputs.argmax(dim=-1) == examples.targets).double().mean())
    return float(torch.stack(right[-10:]).mean())


def test_the_exact_gradient_finds_what_lies_back_and_a_truncated_one_does_not():
    exact, truncated = right_at_the_end(Rtrl, 60), right_at_the_end(Truncated, 60)

    assert exact > 0.95
    assert truncated < 0.75


def test_a_stream_carries_its_state_on():
    """Two halves of a sequence, read by the same learner, end where the whole would."""
    network = make_network(LstmCell(4, 5))
    inputs = Recall(5).draw(2, torch.Generator().manual_seed(1)).inputs.double()
    learner = OnlineLearner(network, Rtrl(), SGD(network.parameters(), lr=0.5), rows=2)
    outputs = [learner.read(x) for x in inputs.unbind(dim=1)]

    torch.testing.assert_close(outputs[-1], network(inputs).detach(), rtol=0, atol=1e-12)
