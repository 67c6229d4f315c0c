"""One loop trains plainly, clipped or regularised, and long lags are learned."""

import math

import pytest
import torch
from torch import Generator, nn

from nmt.laboratory.network import ManyToOne, initialize_smart_tanh
from nmt.laboratory.omega import omega
from nmt.laboratory.tasks import Adding, Recall, TemporalOrder
from nmt.laboratory.training import Settings, error_of, loss_of, set_gradients, train
from nmt.layers.cells import Cell, GruCell, LstmCell, RnnCell
from nmt.layers.initialization import initialize_orthogonal, initialize_sparse, spectral_radius


def make_network(seed: int = 1) -> ManyToOne:
    torch.manual_seed(seed)
    network = ManyToOne(RnnCell(6, 50), 4)
    initialize_sparse(network, nonzeros=15, radius=0.95)
    return network


def generator() -> Generator:
    return Generator().manual_seed(1)


def gradients(network: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad for parameter in network.parameters()]


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_a_clipped_gradient_keeps_its_direction_and_has_the_threshold_as_norm(weight):
    network, examples = make_network(), TemporalOrder(10).draw(20, generator())
    norm = set_gradients(network, examples.inputs, examples.targets, Settings(1, omega=weight))
    whole = gradients(network)
    settings = Settings(1, clip=norm / 3, omega=weight)

    assert set_gradients(network, examples.inputs, examples.targets, settings) == norm
    for one, other in zip(gradients(network), whole, strict=True):
        torch.testing.assert_close(one, other / 3)


def test_the_regulariser_adds_its_gradient_to_that_of_the_recurrent_weights_alone():
    network, examples = make_network(), TemporalOrder(10).draw(20, generator())
    set_gradients(network, examples.inputs, examples.targets, Settings(1))
    plain = gradients(network)
    set_gradients(network, examples.inputs, examples.targets, Settings(1, omega=2.0))
    states = network.states(examples.inputs)
    loss = loss_of(network.output(states[-1]), examples.targets)
    grad_states = torch.autograd.grad(loss, states)
    penalty = omega(network.cell, states, grad_states, form="squared", average=True)
    (added,) = torch.autograd.grad(penalty, network.cell.recurrent.weight)

    for name, one, other in zip(
        dict(network.named_parameters()), gradients(network), plain, strict=True
    ):
        expected = other + 2 * added if name == "cell.recurrent.weight" else other
        torch.testing.assert_close(one, expected)


METHODS = {
    "plain": Settings(400, check_every=50),
    "clipped": Settings(400, check_every=50, clip=1.0),
    "regularised": Settings(400, check_every=50, clip=1.0, omega=2.0),
}


@pytest.mark.parametrize("method", METHODS)
def test_temporal_order_of_ten_symbols_is_learned(method):
    *_, last = train(make_network(), TemporalOrder(10), METHODS[method], generator())

    assert last.is_solved


def test_smart_tanh_has_few_recurrent_inputs_and_small_other_weights():
    network = ManyToOne(RnnCell(6, 50), 4)
    initialize_smart_tanh(network)

    assert ((network.cell.recurrent.weight != 0).sum(dim=1) == 15).all()
    assert spectral_radius(network.cell.recurrent.weight) == pytest.approx(0.95, abs=1e-5)
    for weights in (network.cell.input.weight, network.output.weight):
        assert 0.005 < float(weights.detach().std()) < 0.015


@pytest.mark.slow
def test_from_small_weights_the_regulariser_finds_the_long_lag():
    torch.manual_seed(1)
    network = ManyToOne(RnnCell(6, 50), 4)
    initialize_smart_tanh(network)
    settings = Settings(4000, clip=1.0, omega=2.0)
    *_, last = train(network, TemporalOrder(20), settings, generator())

    assert last.is_solved


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_temporal_order_of_twenty_symbols_is_learned(weight):
    settings = Settings(4000, clip=1.0, omega=weight)
    *_, last = train(make_network(), TemporalOrder(20), settings, generator())

    assert last.is_solved


def error_of_adding(cell: Cell, length: int, updates: int) -> float:
    torch.manual_seed(1)
    network = ManyToOne(cell, 1)
    initialize_orthogonal(network)
    settings = Settings(updates, rate=0.005, clip=1.0, adaptive=True, check_every=updates)
    *_, last = train(network, Adding(length), settings, generator())
    return last.error


def test_gates_learn_to_add_where_a_plain_network_answers_the_mean():
    assert error_of_adding(GruCell(2, 32), 20, 300) < 0.06
    assert error_of_adding(RnnCell(2, 32), 20, 300) > 0.1


@pytest.mark.slow
def test_gates_learn_to_add_over_fifty_steps():
    assert error_of_adding(GruCell(2, 32), 50, 900) < 0.01
    assert error_of_adding(LstmCell(2, 32), 50, 1500) < 0.01
    assert error_of_adding(RnnCell(2, 32), 50, 900) > 0.1


def test_training_ends_when_the_numbers_are_none():
    network = make_network()
    nn.init.constant_(network.output.weight, math.nan)
    measured = list(train(network, TemporalOrder(10), Settings(50), generator()))

    assert len(measured) == 1
    assert not math.isfinite(measured[0].error)
    assert not measured[0].is_solved


def test_wrong_answers_are_counted_on_new_examples():
    task = Recall(0)

    def right(inputs: torch.Tensor) -> torch.Tensor:
        return inputs[:, 0, :2]

    assert error_of(right, task, generator()) == 0.0
    assert error_of(lambda inputs: -right(inputs), task, generator()) == 1.0
