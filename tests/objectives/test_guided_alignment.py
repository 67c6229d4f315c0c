"""Guided alignment: links from the lexicon, and the penalty on attention that differs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny, write_corpus

from nmt.config.model import ModelConfig
from nmt.config.training import GuidedAlignmentConfig
from nmt.data.batch import Batch, make_batch
from nmt.errors import ConfigError, DataError
from nmt.fast.accelerate import accelerate
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.guide import Guide
from nmt.objectives.likelihood import Likelihood
from nmt.storage.tensors import load_arrays, load_tensors, save_arrays
from nmt.text.vocabulary import EOS
from nmt.training.run import RunOptions, run_training

VOCAB, WEIGHT = 12, 0.7
LIKELY = torch.zeros(VOCAB, 2, dtype=torch.long)
PROBABILITY = torch.zeros(VOCAB, 2, dtype=torch.float64)
LIKELY[4], LIKELY[5] = torch.tensor([7, 8]), torch.tensor([8, 0])
PROBABILITY[4, 0], PROBABILITY[4, 1], PROBABILITY[5, 0] = 0.6, 0.3, 0.9
PAIRS = [([4, 5, 6, EOS], [8, 7, 11, EOS]), ([4, 4, EOS], [7, EOS])]


def batch_of(*pairs: tuple[list[int], list[int]], **options) -> Batch:
    ids = [(np.array(source), np.array(target)) for source, target in pairs]
    return make_batch(ids, range(len(ids)), **options)


BATCH = batch_of(*PAIRS)
LINKS = torch.tensor(
    [
        [[0.25, 0.75, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        [[0.5, 0.5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ],
    dtype=torch.float64,
)


def build(**decoder) -> EncoderDecoder:
    torch.manual_seed(1)
    config = ModelConfig.model_validate(
        {
            "embedding": {"size": 8},
            "encoder": {"hidden_size": 16},
            "decoder": {"hidden_size": 32} | decoder,
            "initialization": {"kind": "uniform", "scale": 0.5},
        }
    )
    return build_model(config, source_vocab=VOCAB, target_vocab=VOCAB).double().train()


def guide(**options) -> Guide:
    return Guide(LIKELY, PROBABILITY, GuidedAlignmentConfig(weight=WEIGHT, **options))


def guided(**options) -> Likelihood:
    return Likelihood(smoothing=0.1, guide=guide(**options))


def gradients(model: EncoderDecoder, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}


def test_links_are_the_posterior_of_ibm_model_1():
    links = guide().links(BATCH.source, BATCH.target_out)
    torch.testing.assert_close(links, LINKS, rtol=0, atol=1e-12)


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize(
    "decoder",
    [{}, {"input_feeding": True}, {"attend": "before", "attention": "additive"}],
    ids=["at once", "by steps", "before"],
)
def test_the_penalty_is_the_cross_entropy_of_attention_with_the_links(decoder, fast):
    model = build(**decoder)
    if fast:
        accelerate(model, "training")
    found = guided().loss(model, BATCH, updates=3)

    memory = model.encode(BATCH.source, BATCH.source_mask)
    attention = model.decode(memory, BATCH.target_in, keep_attention=True).attention
    likelihood = Likelihood(smoothing=0.1).loss(model, BATCH)
    expected = likelihood.total
    for place in LINKS.nonzero().tolist():
        expected = expected - WEIGHT * LINKS[tuple(place)] * attention[tuple(place)].log()
    torch.testing.assert_close(found.total, expected, rtol=1e-12, atol=0)
    assert torch.equal(found.nll, likelihood.nll)
    near = {"rtol": 1e-9, "atol": 1e-12}
    grads = [gradients(model, loss) for loss in (found.total, expected)]
    assert grads[0].keys() == grads[1].keys()
    for name, gradient in grads[1].items():
        torch.testing.assert_close(grads[0][name], gradient, msg=name, **near)


def test_neither_padding_nor_the_split_of_an_update_matters():
    model, found = build(), []
    padded = batch_of(*PAIRS, round_rows=lambda rows: rows + 2)
    for batches in ([BATCH], [padded], [batch_of(PAIRS[0]), batch_of(PAIRS[1])]):
        losses = [guided().loss(model, batch, updates=0).total for batch in batches]
        found.append(torch.stack(losses).sum())
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])


def test_the_weight_falls_to_zero():
    assert [guide(until=10).weight_after(n) for n in (0, 5, 10, 20)] == [0.7, 0.35, 0.0, 0.0]
    assert guide().weight_after(1000) == 0.7
    model = build()
    late = guided(until=10).loss(model, BATCH, updates=10).total
    assert torch.equal(late, Likelihood(smoothing=0.1).loss(model, BATCH).total)


def test_attention_follows_the_links():
    followed = []
    for objective in (Likelihood(), guided()):
        model = build()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for update in range(25):
            optimizer.zero_grad()
            objective.loss(model, BATCH, updates=update).total.backward()
            optimizer.step()
        memory = model.encode(BATCH.source, BATCH.source_mask)
        attention = model.decode(memory, BATCH.target_in, keep_attention=True).attention
        followed.append((attention[0, 1, 0] + attention[0, 0, 1]).item())
    assert followed[1] > 1.5
    assert followed[1] > followed[0]


def test_a_run_takes_its_links_from_the_prepared_data(tmp_path: Path):
    write_corpus(tmp_path)
    weights = []
    for weight in (0.0, 1.0):
        options = (f"training.guided_alignment.weight={weight}", "training.max_updates=2")
        run = tmp_path / f"run{weight}"
        assert run_training(tiny(tmp_path, *options), run, RunOptions()) == 0
        weights.append(load_tensors(run / "checkpoints/update-000002/model.safetensors"))
    assert any(not torch.equal(weights[1][name], weight) for name, weight in weights[0].items())

    lexicon = tmp_path / "run1.0" / "data" / "shortlist.safetensors"
    arrays = load_arrays(lexicon)
    del arrays["probability"]
    lexicon.unlink()
    save_arrays(lexicon, arrays, {})
    with pytest.raises(DataError) as caught:
        Guide.load(lexicon.parent, GuidedAlignmentConfig(weight=1.0), torch.device("cpu"))
    assert str(caught.value) == (
        f"{lexicon}: has no probabilities, which training.guided_alignment needs; delete "
        f"{lexicon.parent} to prepare the data again."
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.decoder.attention=none",
            'training.guided_alignment.weight: must be 0 since model.decoder.attention is "none": '
            "there is nothing to guide",
        ),
        (
            "model.decoder=label",
            "training.guided_alignment.weight: must be 0 unless both sides are text, whose pieces "
            "can be linked",
        ),
    ],
)
def test_models_without_links_or_attention_are_refused(tmp_path, override, message):
    with pytest.raises(ConfigError) as caught:
        tiny(tmp_path, "training.guided_alignment.weight=1.0", override, "validation.metric=loss")
    assert message in str(caught.value)
