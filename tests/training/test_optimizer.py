import pytest
import torch
from torch import nn

from nmt.config.training import AdamConfig, SgdConfig
from nmt.errors import ConfigError
from nmt.layers.regularization import l2_penalty
from nmt.training.optimizer import (
    build_optimizer,
    divide_by_rate,
    optimizer_tensors,
    restore_optimizer,
    set_learning_rate,
)


def parameter(*values):
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def quadratic(weight, bias):
    return ((weight - 3) ** 2).sum() + (bias * weight.sum() - 1).square().sum()


def test_sgd_weight_decay_is_the_l2_penalty():
    """The same weights after 20 steps, biases included."""
    decayed = [parameter(0.5, -2.0), parameter(0.3)]
    penalised = [parameter(0.5, -2.0), parameter(0.3)]
    with_decay = build_optimizer(SgdConfig(momentum=0.5, weight_decay=0.1), decayed, 0.01)
    without = build_optimizer(SgdConfig(momentum=0.5), penalised, 0.01)
    for _ in range(20):
        with_decay.zero_grad()
        quadratic(*decayed).backward()
        with_decay.step()
        without.zero_grad()
        (quadratic(*penalised) + 0.1 * l2_penalty(penalised)).backward()
        without.step()
    torch.testing.assert_close(decayed, penalised, rtol=0, atol=1e-12)


def test_sgd_step_by_hand():
    weight = parameter(1.0)
    optimizer = build_optimizer(SgdConfig(momentum=0.9, weight_decay=0.5), [weight], 0.1)
    weight.grad = torch.tensor([2.0], dtype=torch.float64)
    optimizer.step()  # gradient 2 + 0.5 * 1 = 2.5
    assert weight.item() == pytest.approx(0.75)
    optimizer.step()  # momentum 0.9 * 2.5 + 2 + 0.5 * 0.75 = 4.625
    assert weight.item() == pytest.approx(0.2875)


def test_adam_step_by_hand():
    weight = parameter(1.0)
    config = AdamConfig(beta1=0.8, beta2=0.9, epsilon=0.5)
    optimizer = build_optimizer(config, [weight], 0.1)
    weight.grad = torch.tensor([2.0], dtype=torch.float64)
    optimizer.step()  # both means are corrected to 2 and 4
    assert weight.item() == pytest.approx(1 - 0.1 * 2 / (2 + 0.5))


def test_adamw_subtracts_the_decay_from_the_weight():
    weight = parameter(1.0)
    optimizer = build_optimizer(AdamConfig(kind="adamw", weight_decay=0.5), [weight], 0.1)
    weight.grad = torch.zeros(1, dtype=torch.float64)
    optimizer.step()
    assert weight.item() == pytest.approx(1 - 0.1 * 0.5)


@pytest.mark.parametrize("config", [SgdConfig(), AdamConfig(), AdamConfig(kind="adamw")])
def test_the_fused_step_is_used_on_the_cpu_and_frozen_weights_are_left_out(config):
    learned, frozen = parameter(1.0), parameter(1.0)
    frozen.requires_grad_(False)
    optimizer = build_optimizer(config, [learned, frozen], 0.1)
    assert optimizer.param_groups[0]["fused"]
    assert optimizer.param_groups[0]["params"] == [learned]


def test_a_device_without_fused_steps_uses_plain_ones(monkeypatch):
    from nmt.training import optimizer as module

    class OldAdam(torch.optim.Adam):
        def __init__(self, *args, fused, **options):
            if fused:
                raise RuntimeError("`fused=True` requires other devices")
            super().__init__(*args, **options)

    monkeypatch.setattr(module, "Adam", OldAdam)
    optimizer = module.build_optimizer(AdamConfig(), [parameter(1.0)], 0.1)
    assert not optimizer.param_groups[0]["fused"]


def test_the_learning_rate_of_the_next_step_is_set():
    weight = parameter(1.0)
    optimizer = build_optimizer(SgdConfig(), [weight], 0.1)
    set_learning_rate(optimizer, 0.5)
    weight.grad = torch.ones(1, dtype=torch.float64)
    optimizer.step()
    assert weight.item() == pytest.approx(0.5)


def two_layers() -> nn.Module:
    torch.manual_seed(1)
    return nn.ModuleDict({"first": nn.Linear(2, 2), "second": nn.Linear(2, 1)}).double()


def test_weights_learn_at_rates_of_their_own():
    """Of several patterns the first that matches counts; SGD steps by rate times factor."""
    model = two_layers()
    optimizer = build_optimizer(SgdConfig(), model.parameters(), 0.1)
    divided = divide_by_rate(optimizer, model, {"*.bias": 2.0, "first.*": 0.5})
    set_learning_rate(optimizer, 0.2)  # as a schedule does
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()

    steps = {"first.weight": 0.1, "first.bias": 0.4, "second.weight": 0.2, "second.bias": 0.4}
    for name, weight in model.named_parameters():
        torch.testing.assert_close(before[name] - weight, torch.full_like(weight, steps[name]))
    assert divided == {
        0.5: ["first.weight"],
        2.0: ["first.bias", "second.bias"],
        1.0: ["second.weight"],
    }


@pytest.mark.parametrize(
    "config",
    [
        SgdConfig(momentum=0.5, weight_decay=0.1),
        AdamConfig(weight_decay=0.1),
        AdamConfig(kind="adamw", weight_decay=0.1),
    ],
)
def test_a_factor_of_zero_keeps_weights_bit_for_bit(config):
    model = two_layers()
    optimizer = build_optimizer(config, model.parameters(), 0.1)
    divide_by_rate(optimizer, model, {"first.*": 0.0})
    before = [weight.detach().clone() for weight in model.parameters()]
    for _ in range(3):
        for weight in model.parameters():
            weight.grad = torch.randn_like(weight)
        optimizer.step()

    same = [torch.equal(*each) for each in zip(before, model.parameters(), strict=True)]
    assert same == [True, True, False, False]


def test_the_state_of_divided_weights_resumes_whatever_their_factors():
    models = [two_layers(), two_layers()]
    for number, model in enumerate(models):
        optimizer = build_optimizer(AdamConfig(), model.parameters(), 0.1)
        divide_by_rate(optimizer, model, {"second.*": 0.5})
        for step in range(4):
            if number and step == 2:
                tensors = optimizer_tensors(optimizer, model)
                optimizer = build_optimizer(AdamConfig(), model.parameters(), 0.1)
                divide_by_rate(optimizer, model, {"first.weight": 1.0, "second.*": 0.5})
                restore_optimizer(optimizer, model, tensors)
                set_learning_rate(optimizer, 0.1)
            for weight in model.parameters():
                weight.grad = torch.full_like(weight, step + 1.0)
            optimizer.step()

    assert all(torch.equal(*each) for each in zip(*map(nn.Module.parameters, models), strict=True))


def test_a_pattern_without_weights_is_refused_with_their_names():
    model = two_layers()
    optimizer = build_optimizer(SgdConfig(), model.parameters(), 0.1)

    with pytest.raises(ConfigError) as error:
        divide_by_rate(optimizer, model, {"first.*": 0.5, "third.*": 0.1})
    assert str(error.value) == (
        'training.learning_rates: "third.*" matches no weights; they are:\n'
        "  first.weight\n  first.bias\n  second.weight\n  second.bias"
    )
