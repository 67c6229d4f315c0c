"""The lexical model of the output: its equations, and that training, search and folder agree."""

import copy
from typing import Any

import pytest
import torch

from nmt.config.data import TokenizerConfig
from nmt.config.model import ModelConfig
from nmt.config.model_checks import model_disagreements
from nmt.config.search import SearchConfig
from nmt.config.training import RDropConfig
from nmt.data.batch import make_batch
from nmt.fast.accelerate import accelerate
from nmt.layers.lexical import LexicalOutput
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder, ScheduledSampling
from nmt.models.shortlist import Choice
from nmt.models.state import DecodeOptions
from nmt.objectives.build import Objective
from nmt.objectives.consistency import Consistency
from nmt.objectives.likelihood import Likelihood
from nmt.search.forced import score_targets
from nmt.search.scorers import EnsembleScorer, ModelScorer, NarrowOutput
from nmt.search.search import search

VOCAB, EOS, EMBEDDING = 12, 3, 16
SMALL: dict[str, Any] = {
    "embedding": {"size": EMBEDDING},
    "encoder": {"hidden_size": 16},
    "decoder": {"hidden_size": 32},
    "initialization": {"kind": "uniform", "scale": 0.6},
    "output": "lexical",
}
MODELS: dict[str, dict[str, Any]] = {
    "at once": {},
    "by steps": {"decoder": {"hidden_size": 32, "input_feeding": True}},
    "before": {"decoder": {"hidden_size": 32, "attend": "before", "attention": "additive"}},
    "tied": {
        "embedding": {"size": EMBEDDING, "tied": "all"},
        "decoder": {"hidden_size": 32, "readout_size": EMBEDDING},
    },
    "bag": {"encoder": {"kind": "bag"}},
    "convolutions": {"encoder": {"kind": "convolutional", "hidden_size": 16}},
    "dictionary": {"output": {"kind": "lexical", "dictionary": True}},
    "dictionary by steps": {
        "output": {"kind": "lexical", "dictionary": True},
        "decoder": {"hidden_size": 32, "input_feeding": True},
    },
}
PAIRS = [([5, 11, 7, 4, EOS], [7, 10, 5, EOS]), ([9, 5, EOS], [5, 8, EOS])]
BATCH = make_batch(PAIRS, [0, 1])


def build(parts: dict[str, Any]) -> EncoderDecoder:
    torch.manual_seed(3)
    config = ModelConfig.model_validate(SMALL | parts)
    assert not list(model_disagreements(config, TokenizerConfig()))
    model = build_model(config, source_vocab=VOCAB, target_vocab=VOCAB).eval()
    assert isinstance(model.output, LexicalOutput)
    if (dictionary := model.output.dictionary) is not None:
        likely = torch.stack([torch.randperm(VOCAB) for _ in range(VOCAB)])[:, :5]
        dictionary.likely[:, :5] = likely
        dictionary.probability[:, :5] = torch.rand(VOCAB, 5).square() / 5
        dictionary.probability[4] = 0.0  # a piece that is never translated
    return model


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def model(request) -> EncoderDecoder:
    return build(request.param)


def forced(model: EncoderDecoder, batch=BATCH) -> torch.Tensor:
    return score_targets(
        ModelScorer(model), batch.source, batch.source_mask, batch.target_out, batch.target_mask
    ).log_probs


def test_the_distribution_is_that_of_the_equations(model):
    model = model.double().requires_grad_(False)
    output, decoder = model.output, model.decoder
    assert isinstance(output, LexicalOutput)
    memory = model.encode(BATCH.source, BATCH.source_mask)
    plain = decoder(memory, BATCH.target_in, DecodeOptions(keep_attention=True))
    decoded = model.decode(memory, BATCH.target_in)
    found = output.distribution(decoded.features[BATCH.target_mask])

    x = model.encoder.embedding(BATCH.source)
    for row, (sentence, place) in enumerate(BATCH.target_mask.nonzero().tolist()):
        weights = plain.attention[sentence, place]
        assert weights[~BATCH.source_mask[sentence]].sum() == 0
        e = torch.tanh(sum(a * x_j for a, x_j in zip(weights, x[sentence], strict=True)))
        lexical = torch.tanh(output.hidden.weight @ e) + e
        logits = output.project.weight @ plain.features[sentence, place] + output.project.bias
        logits = logits + output.lexicon.weight @ lexical
        if (dictionary := output.dictionary) is not None:
            found_for = torch.zeros(VOCAB, dtype=torch.float64)  # sum_j a_j p(e | x_j)
            for weight, piece in zip(weights, BATCH.source[sentence].tolist(), strict=True):
                for e, p in zip(
                    dictionary.likely[piece], dictionary.probability[piece], strict=True
                ):
                    found_for[e] += weight * p
            logits = logits + (found_for + 1e-3).log()  # as in the paper
        expected = logits - logits.exp().sum().log()
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-12)


def test_the_loss_is_that_of_the_steps(model):
    model = model.double()
    memory = model.encode(BATCH.source, BATCH.source_mask)
    decoded = model.decode(memory, BATCH.target_in)
    losses, _ = model.losses(memory, decoded, BATCH.target_out, BATCH.target_mask)
    torch.testing.assert_close(-forced(model)[BATCH.target_mask], losses, rtol=0, atol=1e-12)


def test_a_sentence_does_not_depend_on_its_batch_nor_on_when_it_joined(model):
    model = model.double()
    scorer, alone = ModelScorer(model), make_batch(PAIRS[1:], [1])
    torch.testing.assert_close(forced(model)[1, :3], forced(model, alone)[0])
    first = make_batch(PAIRS[:1], [0])
    joined = scorer.start(first.source, first.source_mask, copies=2).concat(
        scorer.start(alone.source, alone.source_mask, copies=2)
    )
    whole = scorer.start(BATCH.source, BATCH.source_mask, copies=2)
    swapped = whole.select_sentences(torch.tensor([1, 0]), torch.tensor([2, 3, 0, 1]))
    tokens = torch.tensor([2, 5, 7, 9])
    scores = [scorer.step(tokens, state).scores for state in (whole, joined)]
    torch.testing.assert_close(*scores, rtol=0, atol=1e-12)
    other = scorer.step(tokens[[2, 3, 0, 1]], swapped).scores
    torch.testing.assert_close(other[[2, 3, 0, 1]], scores[0], rtol=0, atol=1e-12)


def test_a_beam_and_an_ensemble_score_as_training_does(model):
    single = ModelScorer(model)
    config = SearchConfig.model_validate({"beam": 3, "max_length_offset": 4})
    for scorer in (single, EnsembleScorer([single, single])):
        found = search(scorer, BATCH.source, BATCH.source_mask, config)
        for (source, _), (best, *_) in zip(PAIRS, found, strict=True):
            tokens = [*best.tokens, EOS] if best.finished else [*best.tokens]
            log_prob = forced(model, make_batch([(source, tokens)], [0])).sum().item()
            assert log_prob == pytest.approx(best.log_prob, abs=1e-4)


@pytest.mark.parametrize("config", [None, RDropConfig(weight=3.0)], ids=["one", "two"])
@pytest.mark.parametrize("parts", MODELS.values(), ids=MODELS.keys())
def test_fast_modules_compute_the_same_loss_and_gradients(parts, config):
    found = []
    objective: Objective = Likelihood(smoothing=0.1)
    if config is not None:
        objective = Consistency(likelihood=Likelihood(smoothing=0.1), config=config)
    for fast in (False, True):
        model = build(parts | {"dropout": {"embedding": 0.2, "readout": 0.3}}).train()
        if fast:
            exchanged = {each.fast for each in accelerate(model, "training")}
            assert "FastLexicalOutput" in exchanged
        torch.manual_seed(5)
        loss = objective.loss(model, BATCH).total
        loss.backward()
        grads = {n: w.grad for n, w in model.named_parameters() if w.grad is not None}
        found.append({"loss": loss.detach()} | grads)
    assert found[0].keys() == found[1].keys()
    assert {"output.hidden.weight", "output.lexicon.weight"} <= found[0].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, msg=name, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_search_stays_close_in_every_precision(precision, int8):
    model = build(MODELS["by steps"])
    plain = forced(model)
    if precision == "bf16":
        model.to(torch.bfloat16)
    accelerate(model, "search", int8=precision == "int8")
    tolerance = 1e-5 if precision == "fp32" else 0.1
    assert (forced(model) - plain).abs().max() < tolerance


@pytest.mark.parametrize("precision", ["plain", "fast", "int8"])
@pytest.mark.parametrize("parts", [{}, MODELS["dictionary"]], ids=["plain", "dictionary"])
def test_a_shortlist_keeps_the_scores_of_its_pieces(parts, precision, int8):
    model = build(parts)
    plain = copy.deepcopy(model)
    if precision != "plain":
        accelerate(model, "search", int8=precision == "int8")
    pieces = torch.tensor([0, 1, 2, 3, 5, 9])
    features = torch.randn(4, 32 + EMBEDDING + (VOCAB if parts else 0))
    closed = torch.zeros(2, len(pieces), dtype=torch.bool)
    narrow = NarrowOutput.of(model.output, Choice(pieces, closed))
    expected = plain.output.scores(features)[:, pieces]
    torch.testing.assert_close(
        narrow.scores(features), expected, rtol=0, atol=0.3 if precision == "int8" else 1e-5
    )


def test_only_rare_words_that_are_attended_to_change_the_lexical_part():
    model = build({}).double().requires_grad_(False)
    memory = model.encode(BATCH.source, BATCH.source_mask)
    before = model.decode(memory, BATCH.target_in).features
    model.encoder.embedding.weight[11] += 1.0
    changed = model.encoder.embedding(BATCH.source)
    extended = model.output.extend(
        before[..., :-EMBEDDING],
        model.decoder(memory, BATCH.target_in, DecodeOptions(keep_attention=True)).attention,
        changed,
        BATCH.source,
    )
    assert torch.equal(extended[..., :-EMBEDDING], before[..., :-EMBEDDING])
    assert torch.equal(extended[1], before[1])
    assert not torch.isclose(extended[0, 0, -EMBEDDING:], before[0, 0, -EMBEDDING:]).any()


def test_scheduled_sampling_is_refused():
    model = build({})
    memory = model.encode(BATCH.source, BATCH.source_mask)
    with pytest.raises(TypeError, match="an output that sees the features alone"):
        model.decode(memory, BATCH.target_in, sampling=ScheduledSampling(0.0))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"decoder": {"attention": "none"}},
            'model.output: "lexical" translates what is attended to, but model.decoder.attention '
            'is "none"; choose an attention',
        ),
        (
            {"encoder": {"kind": "none"}, "decoder": {"attention": "none", "bridge": "zero"}},
            'model.output: "lexical" translates pieces of the source, but model.encoder.kind is '
            '"none"; use "softmax"',
        ),
        (
            {"encoder": {"kind": "numbers", "features": 2}},
            'model.output.kind: "lexical" needs source pieces, but model.encoder.kind is '
            '"numbers"; use "softmax"',
        ),
        (
            {"decoder": {"kind": "label"}},
            'model.output.kind: "lexical" needs model.decoder.kind "recurrent", got "label"; use '
            '"softmax"',
        ),
    ],
)
def test_models_that_it_does_not_fit_are_refused(parts, message):
    config = ModelConfig.model_validate(parts | {"output": "lexical"})
    found = [
        f"{one.where}: {one.message}" for one in model_disagreements(config, TokenizerConfig())
    ]
    assert message in found
