"""What the coverage penalty takes off, by its equation."""

import math

import numpy as np
import pytest
import torch

from nmt.errors import UsageError
from nmt.search.coverage import FLOOR, Coverage


def test_the_penalty_is_the_sum_of_logarithms_of_what_was_read():
    mask = torch.tensor([[True, True, True], [True, True, False]])
    coverage = Coverage(mask, copies=1, weight=0.5)
    assert coverage.penalties().tolist() == [0.0, 0.0]
    coverage.add(torch.tensor([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]]))
    coverage.add(torch.tensor([[0.2, 0.8, 0.0], [0.3, 0.2, 0.5]]))
    expected = [0.5 * (math.log(0.7) + math.log(FLOOR)), 0.5 * math.log(0.3)]
    np.testing.assert_allclose(coverage.penalties(), expected, rtol=1e-6)

    coverage.select(torch.tensor([1]))
    np.testing.assert_allclose(coverage.penalties(), expected[1:], rtol=1e-6)


def test_a_model_without_attention_has_no_coverage():
    coverage = Coverage(torch.ones(1, 2, dtype=torch.bool), copies=1, weight=0.1)
    refusal = (
        r"^coverage_penalty: the model has no attention, so coverage is unknown; set it to 0\.$"
    )
    with pytest.raises(UsageError, match=refusal):
        coverage.add(None)
    Coverage(torch.ones(1, 2, dtype=torch.bool), copies=1, weight=0.0).add(None)
