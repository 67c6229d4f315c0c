"""Kernels for search compute what torch does."""

import numpy as np
import pytest
import torch

from nmt.fast.kernels import kernels
from nmt.fast.ranking import ranking
from nmt.search.ranking import rank_plainly

pytestmark = pytest.mark.skipif(kernels() is None, reason="there is no C++ compiler")


rank_fast = ranking(rank_plainly)


def log_sum_exp(scores: torch.Tensor) -> torch.Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32)).logsumexp(dim=1)


@pytest.mark.parametrize("vocab", [5, 16, 1003])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_log_sum_exp(vocab, dtype):
    torch.manual_seed(vocab)
    scores = (20 * torch.randn(300, vocab)).to(dtype)
    scores[1, 2:] = -torch.inf
    scores[2] = -torch.inf
    scores[3, 1] = torch.nan

    found = kernels().log_sum_exp(scores)

    assert found[2] == -torch.inf
    expected = scores.double().logsumexp(dim=1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize(("beam", "count"), [(1, 2), (5, 10), (30, 60), (40, 80)])
@pytest.mark.parametrize("vocab", [70, 1003])
@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_best_continuations_equal_those_of_the_plain_ranking(beam, count, vocab, levels, dtype):
    torch.manual_seed(beam + vocab)
    batch = 40
    if levels is None:
        scores = 3 * torch.randn(batch * beam, vocab)
    else:  # many ties, which go to the lower index
        scores = torch.randint(levels, (batch * beam, vocab)).float()
    scores[:, :3] = -torch.inf  # closed by a rule
    scores = scores.to(dtype)
    sums = -np.sort(np.random.default_rng(0).integers(0, 3, (batch, beam)).astype(float), axis=1)
    sums[3, 1:] = -np.inf  # one hypothesis alone, as at the first step
    log_mass = log_sum_exp(scores)

    fast = rank_fast(scores, log_mass, sums, count)
    plain = rank_plainly(scores, log_mass, sums, count)

    finite = np.isfinite(plain[0])
    np.testing.assert_array_equal(fast[0], plain[0])
    for found, expected in zip(fast[1:], plain[1:], strict=True):
        np.testing.assert_array_equal(found[finite], expected[finite])
    assert (plain[2][finite] > 2).all()


@pytest.mark.parametrize("rank", [rank_fast, rank_plainly])
def test_nan_comes_first(rank):
    scores = torch.zeros(4, 20)
    scores[3, 5] = torch.nan

    log_prob, *_ = rank(scores, log_sum_exp(scores), np.zeros((2, 2)), 3)

    assert np.isfinite(log_prob[0]).all()
    assert np.isnan(log_prob[1, 0])


@pytest.mark.parametrize("rank", [rank_fast, rank_plainly])
def test_rows_of_minus_infinity_have_no_candidates(rank):
    scores = torch.full((4, 20), -torch.inf)
    scores[2:, 7] = 0.5

    log_prob, parent, column = rank(scores, torch.zeros(4), np.array([[0.0, -1.0]] * 2), 3)

    np.testing.assert_allclose(log_prob, [[-np.inf] * 3, [0.5, -0.5, -np.inf]])
    assert parent[1, :2].tolist() == [0, 1]
    assert column[1, :2].tolist() == [7, 7]
