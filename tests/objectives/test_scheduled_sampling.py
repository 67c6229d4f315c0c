import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import entries, tiny

from nmt.config.training import (
    ConstantSamplingConfig,
    ExponentialSamplingConfig,
    InverseSigmoidSamplingConfig,
    LinearSamplingConfig,
    NoSamplingConfig,
)
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.scheduled_sampling import reference_probability
from nmt.training.run import RunOptions, run_training


@pytest.mark.parametrize(
    ("update", "probability"), [(0, 0.990099), (100, 0.973537), (460.517, 0.5), (1000, 0.004519)]
)
def test_inverse_sigmoid_has_the_known_values(update, probability):
    config = InverseSigmoidSamplingConfig(k=100.0)
    assert reference_probability(config, update) == pytest.approx(probability, abs=1e-6)


@given(k=st.floats(1.0, 1e4), update=st.integers(0, 10_000))
def test_inverse_sigmoid_equals_the_formula_of_the_paper(k, update):
    config = InverseSigmoidSamplingConfig(k=k)
    if update / k < 700:
        naive = k / (k + math.exp(update / k))
        assert reference_probability(config, update) == pytest.approx(naive, rel=1e-9, abs=1e-300)


def test_inverse_sigmoid_does_not_overflow_late():
    assert reference_probability(InverseSigmoidSamplingConfig(k=1.0), 10**6) == 0.0


def test_exponential_has_the_known_value():
    config = ExponentialSamplingConfig(k=0.99)
    assert reference_probability(config, 0) == 1.0
    assert reference_probability(config, 100) == pytest.approx(0.366032, abs=1e-6)


def test_linear_falls_by_c_per_update_down_to_its_minimum():
    config = LinearSamplingConfig(k=0.9, c=0.01, minimum=0.25)
    values = [reference_probability(config, update) for update in (0, 10, 65, 1000)]
    assert values == pytest.approx([0.9, 0.8, 0.25, 0.25])


@pytest.mark.parametrize(
    "config",
    [ExponentialSamplingConfig(k=0.5, minimum=0.3), InverseSigmoidSamplingConfig(k=2, minimum=0.3)],
)
def test_the_minimum_holds(config):
    assert reference_probability(config, 1000) == 0.3


def test_constant_is_constant_and_none_is_teacher_forcing():
    config = ConstantSamplingConfig(probability=0.6)
    assert {reference_probability(config, update) for update in range(5)} == {0.6}
    assert reference_probability(NoSamplingConfig(), 12345) == 1.0


@pytest.mark.parametrize("form", ["steps", "two_pass"])
def test_each_update_decodes_with_the_probability_of_that_update(tmp_path, monkeypatch, form):
    """Also after resuming; and the log has what was used."""
    used = []
    decode = EncoderDecoder.decode

    def note(self, memory, target_in, *, sampling=None, **others):
        if sampling is not None:
            used.append((sampling.probability, sampling.form))
        return decode(self, memory, target_in, sampling=sampling, **others)

    monkeypatch.setattr(EncoderDecoder, "decode", note)
    schedule = f"{{kind = 'linear', k = 0.9, c = 0.2, form = '{form}'}}"
    for updates in (2, 4):
        experiment = tiny(
            tmp_path,
            f"training.scheduled_sampling={schedule}",
            f"training.max_updates={updates}",
        )
        assert run_training(experiment, tmp_path / "run", RunOptions()) == 0
    assert [probability for probability, _ in used] == pytest.approx([0.9, 0.7, 0.5, 0.3])
    assert {found for _, found in used} == {form}
    logged = [entry["reference_probability"] for entry in entries(tmp_path / "run", "update")]
    assert logged == pytest.approx([0.9, 0.7, 0.5, 0.3])
