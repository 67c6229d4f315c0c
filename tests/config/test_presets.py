"""Presets: valid configurations that grow with the corpus."""

from itertools import pairwise

import pytest

from nmt.config.checks import disagreements
from nmt.config.data import DataConfig, TokenizerConfig
from nmt.config.presets import PRESETS, from_preset, preset_for

DATA = DataConfig(source="de", target="en", train=("a", "b"), valid=("c", "d"))


@pytest.mark.parametrize(
    ("pairs", "name"),
    [
        (1, "tiny"),
        (9_999, "tiny"),
        (10_000, "small"),
        (99_999, "small"),
        (100_000, "medium"),
        (400_000, "large"),
        (10**9, "huge"),
    ],
)
def test_the_size_of_the_corpus_selects_the_preset(pairs, name):
    assert preset_for(pairs).name == name


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
@pytest.mark.parametrize("copies", [False, True])
def test_every_preset_is_consistent(preset, copies):
    made = from_preset(preset, DATA, TokenizerConfig(), tokens=100_000, copies=copies)
    assert list(disagreements(made)) == []


def test_larger_corpora_get_larger_models_and_less_dropout():
    for small, large in pairwise(PRESETS):
        assert small.vocab_size < large.vocab_size
        assert small.hidden_size <= large.hidden_size
        assert small.batch_tokens <= large.batch_tokens
        assert small.dropout >= large.dropout


def test_noise_of_bleu_near_zero_selects_no_weights_of_small_corpora():
    few = from_preset(preset_for(3_000), DATA, TokenizerConfig(), tokens=100_000)
    assert few.validation.metric == "chrf"  # "loss" would score no translations


def test_small_corpora_are_trained_for_as_many_passes_whatever_their_size():
    tiny = preset_for(3_000)
    few, more = (
        from_preset(tiny, DATA, TokenizerConfig(), tokens=tokens) for tokens in (40_000, 280_000)
    )
    assert (few.training.max_updates, more.training.max_updates) == (1_100, 8_200)
    assert (few.validation.every, more.validation.every) == (50, 500)
    least = from_preset(tiny, DATA, TokenizerConfig(), tokens=10).training
    assert (least.max_updates, least.schedule.warmup) == (500, 125)


def test_large_corpora_are_trained_until_validation_stops_improving():
    large = from_preset(preset_for(10**6), DATA, TokenizerConfig(), tokens=10**8)
    assert large.training.schedule.kind == "plateau"
    assert large.validation.every == 4_000
