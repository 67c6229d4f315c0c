import pytest
import torch
from torch import nn

from nmt.config.training import AdamConfig, SgdConfig
from nmt.layers.regularization import l2_penalty
from nmt.training.optimizer import build_optimizer, set_learning_rate


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
