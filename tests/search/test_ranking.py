"""The best candidates are those of a stable sort, whichever way they are found."""

import numpy as np
import pytest
import torch

from nmt.search.ranking import top_candidates


def by_sorting(scores, count):
    """The best of each row by a sort that keeps equals in order."""
    values, indices = scores.sort(dim=1, descending=True, stable=True)
    return values[:, :count].double().numpy(), indices[:, :count].numpy()


@pytest.mark.parametrize("length", [12, 64, 700, 1000, 5003])
@pytest.mark.parametrize("levels", [None, 50, 2])
def test_top_candidates_equal_those_of_a_stable_sort(length, levels):
    generator = torch.Generator().manual_seed(length)
    scores = torch.randn(5, length, generator=generator)
    if levels is not None:  # many equals, also across the edges of chunks
        scores = torch.randint(levels, (5, length), generator=generator).float()
    scores[3, 2:] = -torch.inf
    values, indices = top_candidates(scores, 10)
    expected = by_sorting(scores, 10)
    np.testing.assert_array_equal(values, expected[0])
    finite = np.isfinite(values)
    np.testing.assert_array_equal(indices[finite], expected[1][finite])


@pytest.mark.parametrize("has_ties", [False, True])
def test_nan_comes_first(has_ties):
    scores = torch.ones(2, 3000) if has_ties else torch.rand(2, 3000)
    scores[1, 1234] = torch.nan
    values, indices = top_candidates(scores, 4)
    assert not np.isnan(values[0]).any()
    assert np.isnan(values[1, 0])
    assert indices[1, 0] == 1234
