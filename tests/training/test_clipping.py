import math

import pytest
import torch
from torch import nn

from nmt.training.step import clip_gradients


def parameters(*gradients):
    result = []
    for gradient in gradients:
        gradient = torch.tensor(gradient, dtype=torch.float64)
        result.append(nn.Parameter(torch.zeros_like(gradient)))
        result[-1].grad = gradient
    return result


def flat(parameters):
    return torch.cat([parameter.grad.flatten() for parameter in parameters])


def test_a_large_gradient_keeps_its_direction_and_is_clipped_to_the_norm():
    clipped = parameters([3.0, -4.0], [[12.0]])
    before = flat(clipped)
    assert clip_gradients(clipped, 2.0) == pytest.approx(13.0, abs=1e-12)
    after = flat(clipped)
    assert after.norm().item() == pytest.approx(2.0, abs=1e-12)
    assert torch.cosine_similarity(before, after, dim=0).item() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("max_norm", [13.0, 20.0, 0.0])
def test_a_small_gradient_and_one_that_is_only_measured_are_untouched(max_norm):
    clipped = parameters([3.0, -4.0], [[12.0]])
    assert clip_gradients(clipped, max_norm) == 13.0
    assert flat(clipped).tolist() == [3.0, -4.0, 12.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_norm_that_is_not_finite_is_reported_and_changes_nothing(bad):
    clipped = parameters([3.0, bad], [[12.0]])
    assert not math.isfinite(clip_gradients(clipped, 1.0))
    assert clipped[0].grad[0] == 3.0
    assert clipped[1].grad.item() == 12.0


def test_parameters_without_a_gradient_count_as_zero():
    assert clip_gradients([nn.Parameter(torch.ones(3))], 1.0) == 0.0
    assert clip_gradients([nn.Parameter(torch.ones(3)), *parameters([5.0])], 1.0) == 5.0
