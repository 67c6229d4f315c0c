"""Kernels of a search equal what torch computes."""

import numpy as np
import pytest
import torch
from nmt.native.kernels import kernels

from nmt.layers.output import log_sum_exp
from nmt.search import candidates
from nmt.search.candidates import best_continuations
from nmt.search.scorer import ScorerStep
from nmt.text.vocabulary import EOS, UNK

pytestmark = pytest.mark.skipif(kernels() is None, reason="there is no C++ compiler")


def step_of(scores: torch.Tensor) -> ScorerStep:
    return ScorerStep(scores, log_sum_exp(scores), None, None)


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


@pytest.mark.parametrize(("beam", "count"), [(1, 2), (5, 10), (30, 60)])
@pytest.mark.parametrize("vocab", [70, 1003])
@pytest.mark.parametrize("levels", [None, 3])
def test_best_continuations_are_those_of_the_plain_path(beam, count, vocab, levels, monkeypatch):
    torch.manual_seed(beam + vocab)
    batch = 40
    if levels is None:
        scores = 3 * torch.randn(batch * beam, vocab)
    else:  # many equals: ties go to the lower index
        scores = torch.randint(levels, (batch * beam, vocab)).float()
    step = step_of(scores)
    sums = -np.sort(np.random.default_rng(0).integers(0, 3, (batch, beam)).astype(float), axis=1)
    sums[3, 1:] = -np.inf  # one hypothesis alone, as at the first step
    may_end = np.arange(batch) % 2 == 0

    fast = best_continuations(step, sums, may_end, count)
    monkeypatch.setattr(candidates, "kernels", lambda: None)
    plain = best_continuations(step, sums, may_end, count)

    np.testing.assert_array_equal(fast.log_prob, plain.log_prob)
    finite = np.isfinite(plain.log_prob)
    np.testing.assert_array_equal(fast.parent[finite], plain.parent[finite])
    np.testing.assert_array_equal(fast.piece[finite], plain.piece[finite])
    assert not ((fast.piece == EOS) & ~may_end[:, None])[finite].any()


@pytest.mark.parametrize("fast", [False, True])
def test_unk_is_written_where_nothing_else_is_open(fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(candidates, "kernels", lambda: None)
    scores = torch.full((4, 20), -torch.inf)
    scores[:, UNK] = 1.0
    scores[2:, 7] = 0.5

    found = best_continuations(
        step_of(scores), np.array([[0.0, -1.0], [0.0, -1.0]]), np.array([False, False]), 3
    )

    np.testing.assert_allclose(found.log_prob[0], [0.0, -1.0, -np.inf])
    assert found.parent[:, :2].tolist() == [[0, 1], [0, 1]]
    assert found.piece[:, :2].tolist() == [[UNK, UNK], [7, 7]]


@pytest.mark.parametrize("fast", [False, True])
def test_nan_comes_first(fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(candidates, "kernels", lambda: None)
    scores = torch.zeros(4, 20)
    scores[3, 5] = torch.nan

    found = best_continuations(step_of(scores), np.zeros((2, 2)), np.array([True, True]), 3)

    assert np.isfinite(found.log_prob[0]).all()
    assert np.isnan(found.log_prob[1, 0])


def test_bytes_are_rounded_to_the_nearest():
    inputs = torch.tensor([[1.27, -1.27, 0.0, 0.004, 0.006, -0.004, -0.006]])

    as_bytes, scales = kernels().to_bytes(inputs)

    assert as_bytes.tolist() == [[255, 1, 128, 128, 129, 128, 127]]
    torch.testing.assert_close(scales, torch.tensor([0.01]))
