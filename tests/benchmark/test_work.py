"""The count of operations agrees with one made by hand."""

import pytest
import torch

from nmt.benchmark.matrix import measure_rate
from nmt.benchmark.sizes import Size, model_of
from nmt.benchmark.work import Sample, Work, work_of
from nmt.config.model import DecoderConfig, EmbeddingConfig, EncoderConfig, ModelConfig
from nmt.models.build import build_model

MULTI30K = Sample(source_length=15.28, target_length=15.76, target_tokens=4096)


def work(config: ModelConfig, sample: Sample, *, vocab: int = 8000) -> Work:
    with torch.device("meta"):
        return work_of(build_model(config, source_vocab=vocab, target_vocab=vocab), sample)


@pytest.mark.parametrize(
    ("size", "forward", "training"), [("small", 17.05, 51.2), ("big", 41.6, 125.0)]
)
def test_the_work_of_both_sizes_is_that_of_the_calculation_by_hand(size: Size, forward, training):
    found = work(model_of(size), MULTI30K)
    assert found.forward == pytest.approx(forward, rel=2e-3)
    assert found.training == pytest.approx(training, rel=2e-3)


def test_the_stations_of_small_are_those_of_the_calculation_by_hand():
    found = work(model_of("small"), MULTI30K).by_station()
    by_hand = {
        "encoder": 2.03,
        "keys": 0.51,
        "gates": 5.24,
        "combine": 1.05,
        "attention": 0.03,
        "logits": 8.19,
    }
    assert found == pytest.approx(by_hand, abs=0.006)


def test_longer_sources_are_more_work_for_the_encoder_alone():
    once = work(model_of("small"), Sample(10.0, 10.0, 1000)).by_station()
    twice = work(model_of("small"), Sample(20.0, 10.0, 1000)).by_station()
    for station in ("encoder", "keys", "attention"):
        assert twice[station] == pytest.approx(2 * once[station])
    for station in ("gates", "combine", "logits"):
        assert twice[station] == once[station]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_rate_of_the_matrix_products_is_that_of_some_machine(dtype):
    config = ModelConfig(
        embedding=EmbeddingConfig(size=8),
        encoder=EncoderConfig(hidden_size=8),
        decoder=DecoderConfig(hidden_size=16),
    )
    with torch.device("cpu"):
        model = build_model(config, source_vocab=50, target_vocab=50)
    rate = measure_rate(work_of(model, Sample(5.0, 5.0, 100)), dtype, seconds=0.0)
    assert 1e-4 < rate < 1e6
