"""Paired tests tell real differences from luck, as sacrebleu's do."""

import pytest

from nmt.errors import DataError
from nmt.evaluation.metrics import score
from nmt.evaluation.significance import compare

REFERENCES = [f"The number {i} is followed by the number {i + 1}." for i in range(60)]
GOOD = [line.replace("followed", "succeeded") if i % 9 == 0 else line
        for i, line in enumerate(REFERENCES)]  # fmt: skip
BAD = [line.replace("number", "figure") for line in REFERENCES]


@pytest.mark.parametrize("metric", ["bleu", "exact"])
def test_a_clear_difference_is_significant(metric):
    [found] = compare(GOOD, BAD, REFERENCES, [metric], samples=200)
    assert found.p_value == pytest.approx(1 / 201)
    assert found.value == score(GOOD, REFERENCES, [metric])[0].value
    assert found.baseline == score(BAD, REFERENCES, [metric])[0].value
    assert found.value > found.baseline


def test_a_system_does_not_differ_from_itself():
    [found] = compare(GOOD, GOOD, REFERENCES, samples=50)
    assert found.p_value == 1.0


def test_one_better_line_may_be_luck():
    almost = [REFERENCES[0], *GOOD[1:]]
    [found] = compare(almost, GOOD, REFERENCES, ["exact"], samples=500)
    assert found.value > found.baseline
    assert found.p_value > 0.05


def test_the_comparison_prints_scores_difference_p_and_signature():
    [found] = compare(GOOD, BAD, REFERENCES, ["bleu"], samples=100)
    assert str(found) == (
        f"BLEU {found.value:.2f} against {found.baseline:.2f}: "
        f"{found.value - found.baseline:+.2f}, p = 0.0099 (paired bootstrap)  {found.signature}"
    )
    assert "bs:100|seed:12345" in found.signature


def test_unequal_counts_are_refused():
    with pytest.raises(DataError, match="the other hypothesis has 59 lines, the reference has 60"):
        compare(GOOD, BAD[:-1], REFERENCES)
