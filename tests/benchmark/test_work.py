"""Operation counts agree with a calculation by hand, and with the weights of the model."""

import pytest
import torch

from nmt.benchmark.matrix import measure_rate
from nmt.benchmark.sizes import Size, model_of
from nmt.benchmark.work import Sample, Work, work_of
from nmt.config.decoders import DecoderConfig
from nmt.config.embedding import EmbeddingConfig
from nmt.config.encoders import EncoderConfig
from nmt.config.model import ModelConfig
from nmt.models.build import build_model

MULTI30K = Sample(source_length=15.33, target_length=15.84, target_tokens=4096)


def work(size: Size, sample: Sample = MULTI30K) -> Work:
    return work_of(model_of(size), target_vocab=8000, sample=sample)


@pytest.mark.parametrize(
    ("size", "forward", "training"), [("small", 17.05, 51.2), ("big", 41.6, 125.0)]
)
def test_the_work_of_both_sizes_equals_the_calculation_by_hand(size: Size, forward, training):
    assert work(size).forward == pytest.approx(forward, rel=2e-3)
    assert work(size).training == pytest.approx(training, rel=2e-3)


def test_the_stations_of_small_equal_the_calculation_by_hand():
    by_hand = {
        "encoder": 2.03,
        "keys": 0.51,
        "gates": 5.24,
        "combine": 1.05,
        "attention": 0.03,
        "logits": 8.19,
    }
    assert work("small").by_station() == pytest.approx(by_hand, abs=0.006)


@pytest.mark.parametrize("size", ["small", "big"])
def test_every_matrix_of_the_model_is_counted_once(size: Size):
    with torch.device("meta"):
        model = build_model(model_of(size), source_vocab=9000, target_vocab=8000)
    stations = {
        "encoder": model.encoder.stack,
        "keys": model.decoder.attention,
        "gates": model.decoder.stack,
        "combine": model.decoder.readout,
        "logits": model.output,
    }
    for station, module in stations.items():
        counted = [p.inner * p.columns for p in work(size).products if p.station == station]
        matrices = [weight.numel() for weight in module.parameters() if weight.dim() == 2]
        assert sum(counted) == sum(matrices)


def test_longer_sources_cost_more_only_in_encoder_and_attention():
    once = work("small", Sample(10.0, 10.0, 1000)).by_station()
    twice = work("small", Sample(20.0, 10.0, 1000)).by_station()
    for station in ("encoder", "keys", "attention"):
        assert twice[station] == pytest.approx(2 * once[station])
    for station in ("gates", "combine", "logits"):
        assert twice[station] == once[station]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("onednn", [False, True])
def test_the_measured_rate_of_matrix_products_is_plausible(dtype, onednn, monkeypatch):
    monkeypatch.setattr("nmt.benchmark.matrix.prefers_onednn", lambda: onednn)
    config = ModelConfig(
        embedding=EmbeddingConfig(size=8),
        encoder=EncoderConfig(hidden_size=8),
        decoder=DecoderConfig(hidden_size=16),
    )
    found = work_of(config, target_vocab=50, sample=Sample(5.0, 5.0, 100))
    assert 1e-4 < measure_rate(found, dtype, seconds=0.0) < 1e6
