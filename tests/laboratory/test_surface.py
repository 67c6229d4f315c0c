"""Where the gradient explodes, so does the curvature, and a clipped step does less harm."""

import pytest
import torch

from nmt.laboratory.surface import Surface, final_error, measure_surface, rank_correlation


@pytest.fixture(scope="module")
def surface() -> Surface:
    return measure_surface()


def test_the_gradient_and_the_curvature_explode_together(surface):
    assert surface.rank_correlation() == pytest.approx(0.964, abs=0.001)


def test_where_the_gradient_explodes_it_points_along_the_largest_curvature(surface):
    assert surface.alignment(points=20) == pytest.approx(0.994, abs=0.001)


def test_the_gradient_at_the_cliff_is_hundreds_of_times_its_median(surface):
    assert float(surface.slope.max()) == pytest.approx(26, abs=0.5)
    assert float(surface.slope.median()) == pytest.approx(0.06, abs=0.005)


def test_derivatives_of_the_surface_equal_central_differences(surface):
    row, column, h = 20, 30, 1e-5
    point = torch.tensor([surface.w[row], surface.b[column]])
    shifts = h * torch.eye(2).double()
    slopes = [(final_error(point + s) - final_error(point - s)) / (2 * h) for s in shifts]

    torch.testing.assert_close(surface.gradient[row, column], torch.stack(slopes))
    assert surface.error[row, column] == final_error(point)


def test_at_the_cliff_a_clipped_step_ends_lower_than_an_unclipped_one(surface):
    """At the 20 steepest points, with a rate at which a norm of 0.5 is a step of 0.05."""
    steepest = surface.slope.flatten().topk(20).indices
    points = torch.cartesian_prod(surface.w, surface.b)[steepest]
    gradients = surface.gradient.reshape(-1, 2)[steepest]
    norms = gradients.norm(dim=-1, keepdim=True)
    clipped = torch.stack([final_error(p) for p in points - 0.1 * gradients * 0.5 / norms])
    unclipped = torch.stack([final_error(p) for p in points - 0.1 * gradients])
    before = torch.stack([final_error(p) for p in points])

    assert (clipped - before).mean() < (unclipped - before).mean()
    assert (clipped < unclipped).float().mean() > 0.5


def test_rank_correlation_is_blind_to_a_monotonic_change():
    values = torch.randn(50).double()

    assert rank_correlation(values, values.exp()) == pytest.approx(1.0)
    assert rank_correlation(values, -values) == pytest.approx(-1.0)
