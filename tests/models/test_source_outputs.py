"""Models that write pieces of the source: training, search and folder are one distribution."""

from typing import Any

import numpy as np
import pytest
import torch

from nmt.config.data import TokenizerConfig
from nmt.config.model import ModelConfig
from nmt.config.model_checks import model_disagreements
from nmt.config.search import SearchConfig
from nmt.data.batch import make_batch
from nmt.fast.accelerate import accelerate
from nmt.models.build import build_model
from nmt.objectives.likelihood import Likelihood
from nmt.search.forced import score_targets
from nmt.search.scorers import EnsembleScorer, ModelScorer
from nmt.search.search import search

SOURCE_VOCAB, VOCAB, EOS = 12, 10, 3
OUTPUTS = [
    {"output": "copy"},
    {"output": "copy", "decoder": {"attention": "additive", "attend": "before"}},
    {"output": "copy", "embedding": {"size": 16, "tied": "target"}},
    {"output": {"kind": "pointer", "hidden_size": 5}},
    {"output": {"kind": "pointer", "hidden_size": 5}, "decoder": {"attention": "none"}},
]
SMALL: dict[str, Any] = {
    "embedding": {"size": 6},
    "encoder": {"hidden_size": 16},
    "decoder": {"hidden_size": 16},
    "initialization": {"kind": "uniform", "scale": 0.6},
}


def held(read: int, written: int) -> int:
    """Return the id of a source piece that is read as `read` and written as `written`."""
    return read + SOURCE_VOCAB * (written + 1)


PAIRS = [
    ([5, held(11, 7), held(1, VOCAB), held(1, VOCAB + 1), EOS], [7, VOCAB + 1, 5, EOS]),
    ([held(1, VOCAB), 5, EOS], [5, VOCAB, EOS]),
]


def build(config: dict[str, Any]) -> torch.nn.Module:
    torch.manual_seed(3)
    parts = {key: SMALL.get(key, {}) | value for key, value in config.items() if key != "output"}
    whole = ModelConfig.model_validate(SMALL | parts | {"output": config["output"]})
    assert not list(model_disagreements(whole, TokenizerConfig()))
    return build_model(whole, source_vocab=SOURCE_VOCAB, target_vocab=VOCAB).eval()


@pytest.fixture(params=OUTPUTS, ids=lambda config: "-".join(map(str, config.values())))
def model(request):
    return build(request.param)


BATCH = make_batch(PAIRS, [0, 1])


def token_losses(model: torch.nn.Module, **options: Any) -> torch.Tensor:
    memory = model.encode(BATCH.source, BATCH.source_mask)
    decoded = model.decode(memory, BATCH.target_in)
    return model.losses(memory, decoded, BATCH.target_out, BATCH.target_mask, **options)[0]


def test_the_loss_is_that_of_the_steps(model):
    model = model.double()
    scored = score_targets(
        ModelScorer(model), BATCH.source, BATCH.source_mask, BATCH.target_out, BATCH.target_mask
    )

    expected = -scored.log_probs[BATCH.target_mask]
    torch.testing.assert_close(token_losses(model), expected, rtol=0, atol=1e-12)


def test_every_step_sums_to_one(model):
    scorer = ModelScorer(model.double())
    state = scorer.start(BATCH.source, BATCH.source_mask, copies=2)
    for tokens in ([2, 2, 2, 2], [5, 7, VOCAB, VOCAB]):
        step = scorer.step(torch.tensor(tokens), state)
        state = step.state
        total = step.log_probs.exp().sum(dim=1)
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)


def test_the_probability_of_a_sentence_does_not_depend_on_its_batch(model):
    alone = make_batch(PAIRS[1:], [1])
    scores = [
        score_targets(
            ModelScorer(model), b.source, b.source_mask, b.target_out, b.target_mask
        ).log_probs[-1, :3]
        for b in (BATCH, alone)
    ]

    torch.testing.assert_close(*scores)


def test_a_beam_finds_what_it_says_and_samples_do_as_well(model):
    for options in ({"beam": 4, "n_best": 2}, {"sample": True, "n_best": 3}):
        config = SearchConfig.model_validate(options | {"max_length_offset": 4})
        found = search(ModelScorer(model), BATCH.source, BATCH.source_mask, config)
        for source, hypotheses in zip(PAIRS, found, strict=True):
            for hypothesis in hypotheses:
                tokens = [*hypothesis.tokens, EOS] if hypothesis.finished else hypothesis.tokens
                one = make_batch([(source[0], list(tokens))], [0])
                scored = score_targets(
                    ModelScorer(model), one.source, one.source_mask, one.target_out, one.target_mask
                )
                assert scored.log_probs.sum().item() == pytest.approx(hypothesis.log_prob, abs=1e-4)


def test_two_copies_of_a_model_are_an_ensemble_equal_to_it(model):
    single = ModelScorer(model.double())
    both = EnsembleScorer([single, single])
    scores = [
        score_targets(
            scorer, BATCH.source, BATCH.source_mask, BATCH.target_out, BATCH.target_mask
        ).log_probs
        for scorer in (single, both)
    ]

    torch.testing.assert_close(*scores, rtol=0, atol=1e-12)


@pytest.mark.parametrize("config", OUTPUTS, ids=lambda config: "-".join(map(str, config.values())))
def test_fast_modules_compute_the_same_loss_and_gradients(config):
    models = [build(config).train(), build(config).train()]
    accelerate(models[1], "training")
    objective = Likelihood(smoothing=0.1)
    losses = [objective.loss(model, BATCH).total for model in models]
    for loss in losses:
        loss.backward()

    torch.testing.assert_close(*losses)
    grads = [{n: p.grad for n, p in m.named_parameters() if p.grad is not None} for m in models]
    assert grads[0].keys() == grads[1].keys()
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, msg=name, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", OUTPUTS[::3], ids=["copy", "pointer"])
def test_search_in_bf16_and_int8_stays_close(config, int8):
    scores = []
    for precision in ("fp32", "bf16", "int8"):
        model = build(config)
        if precision == "bf16":
            model.to(torch.bfloat16)
        accelerate(model, "search", int8=precision == "int8")
        scored = score_targets(
            ModelScorer(model), BATCH.source, BATCH.source_mask, BATCH.target_out, BATCH.target_mask
        )
        assert scored.log_probs.dtype == torch.float32
        scores.append(scored.log_probs)

    assert all((each - scores[0]).abs().max() < 0.1 for each in scores[1:])


def test_a_pointer_gives_nothing_to_what_is_not_in_the_source():
    scorer = ModelScorer(build(OUTPUTS[3]))
    state = scorer.start(BATCH.source, BATCH.source_mask, copies=1)
    step = scorer.step(torch.tensor([2, 2]), state)

    there = [np.flatnonzero(row).tolist() for row in step.log_probs.detach().exp().numpy()]
    assert there == [[EOS, 5, 7, VOCAB, VOCAB + 1], [EOS, 5, VOCAB]]


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (
            {"output": "copy", "decoder": {"attention": "none"}},
            'model.output: "copy" copies what is attended to, but model.decoder.attention is '
            '"none"; choose an attention',
        ),
        (
            {
                "output": "pointer",
                "encoder": {"kind": "none"},
                "decoder": {"attention": "none", "bridge": "zero"},
            },
            'model.output: "pointer" writes pieces of the source, but model.encoder.kind is '
            '"none"; use "softmax"',
        ),
        (
            {"output": "pointer", "embedding": {"tied": "target"}},
            'model.embedding.tied: "target" shares a matrix with the output layer, which '
            'model.output "pointer" has none of; use "none" or "all"',
        ),
    ],
)
def test_outputs_that_do_not_fit_the_model_are_refused(model, fault):
    config = ModelConfig.model_validate(model)
    found = [
        f"{one.where}: {one.message}" for one in model_disagreements(config, TokenizerConfig())
    ]

    assert fault in found
