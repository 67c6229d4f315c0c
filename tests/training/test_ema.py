import pytest
import torch
from torch import nn

from nmt.errors import ModelError
from nmt.training.optimizer import MovingAverage


def set_weight(model, value):
    with torch.no_grad():
        model.weight.fill_(value)


def test_the_average_equals_the_calculation_by_hand_with_a_faster_start():
    model = nn.Linear(1, 1, bias=False)
    set_weight(model, 1.0)
    average = MovingAverage(model, decay=0.5)
    set_weight(model, 3.0)
    average.update(model, 1)  # decay 2/11
    first = 2 / 11 + 9 / 11 * 3
    assert average.weights["weight"].item() == pytest.approx(first)
    average.update(model, 1000)  # the configured decay
    assert average.weights["weight"].item() == pytest.approx(0.5 * first + 0.5 * 3)


def test_tied_weights_are_averaged_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert list(MovingAverage(model, 0.9).weights) == ["0.weight", "0.bias", "1.bias"]


def test_the_model_has_the_average_inside_the_block_and_its_own_weights_after_it():
    model = nn.Linear(3, 2)
    average = MovingAverage(model, 0.9)
    first = model.weight.detach().clone()
    set_weight(model, 7.0)
    with average.swapped_into(model):
        assert torch.equal(model.weight, first)
    assert (model.weight == 7.0).all()
    assert torch.equal(average.weights["weight"], first)


def test_the_model_gets_its_weights_back_after_an_error():
    model = nn.Linear(3, 2)
    average = MovingAverage(model, 0.9)
    set_weight(model, 7.0)
    with pytest.raises(RuntimeError), average.swapped_into(model):
        model(torch.ones(1, 1))
    assert (model.weight == 7.0).all()


def test_a_saved_average_is_restored_and_that_of_another_model_refused():
    model = nn.Linear(3, 2)
    average = MovingAverage(model, 0.9)
    average.restore({"weight": torch.ones(2, 3), "bias": torch.zeros(2)})
    assert (average.weights["weight"] == 1).all()
    with pytest.raises(
        ModelError,
        match=r"^the saved average does not fit the model, see `weight`; resume with the "
        r"configuration the run was started with\.$",
    ):
        average.restore({"weight": torch.ones(3, 3), "bias": torch.zeros(2)})
