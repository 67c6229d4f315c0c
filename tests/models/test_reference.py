"""The model and its gradients equal a slow reference written from the published equations."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import BOS, Array, Pair, Weights, decode, log_probs, loss, slope
from stepping import features_by_steps

from nmt.config.data import TokenizerConfig
from nmt.config.model import ModelConfig
from nmt.config.model_checks import model_disagreements
from nmt.config.search import SearchConfig
from nmt.fast.accelerate import Purpose, accelerate
from nmt.fast.kernels import kernels
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.search.scorers import ModelScorer
from nmt.search.search import search

VOCAB = 11
EOS = 3


@dataclass(frozen=True)
class Path:
    """One of the ways in which the model computes."""

    dtype: torch.dtype
    hidden_size: int
    """Of the encoder; our own kernels support multiples of 16 in single precision."""
    tolerance: float
    purpose: Purpose | None = None
    """What modules are exchanged for; None = the plain ones stay."""

    @property
    def has_kernels(self) -> bool:
        """Whether our own kernels compute."""
        return self.purpose is not None and self.hidden_size == 16


PATHS = {
    "plain": Path(torch.float64, 3, 1e-12),
    "torch kernels": Path(torch.float64, 3, 1e-12, "training"),
    "torch kernels in single precision": Path(torch.float32, 3, 1e-5, "training"),
    "own kernels": Path(torch.float32, 16, 1e-5, "training"),
    "search": Path(torch.float64, 3, 1e-12, "search"),
    "search with own kernels": Path(torch.float32, 16, 1e-5, "search"),
}

CELLS: list[Any] = [
    *("lstm", "gru", {"kind": "gru", "reset": "before"}),
    *({"kind": "rnn", "activation": name} for name in ("tanh", "relu", "sigmoid", "identity")),
    {"kind": "lstm", "forget_gate": False},
    {"kind": "delays", "delays": [1, 3]},
    {"kind": "clockwork", "periods": [1, 2]},
]
ATTENTIONS: list[Any] = [
    *("none", "dot", "general", {"kind": "general", "temperature": 0.7}),
    *({"kind": "additive", "hidden_size": 4, "temperature": t} for t in (1.0, 0.5)),
    *({"kind": "local", "sigma": 1.5, "content": content} for content in ("general", "none")),
]


@st.composite
def model_configs(draw: st.DrawFn, hidden_size: int) -> ModelConfig:
    """Draw any small encoder-decoder that can be configured."""
    both_ways = draw(st.booleans())
    cells = CELLS if hidden_size < 16 else ["lstm", "gru"]
    memory_size = hidden_size * (2 if both_ways else 1)
    with_heads = [{"kind": kind, "heads": hidden_size} for kind in ("dot", "general", "additive")]
    attention = draw(st.sampled_from([*ATTENTIONS, *with_heads]))
    bridge = draw(st.sampled_from(["zero", "learned", "last", "last", "mean", "copy"]))
    cell, layers = draw(st.sampled_from(cells)), draw(st.integers(1, 3))
    is_divided = attention == "dot" or attention in with_heads
    is_whole = is_divided or hidden_size == 16 or bridge == "copy"
    decoder_layers = layers if bridge == "copy" else draw(st.integers(1, 3))
    attend = draw(st.sampled_from(["after", "before", "between"][: 2 + (decoder_layers > 1)]))
    tied = draw(st.sampled_from(["none", "target", "all"]))
    embedding_size = draw(st.integers(1, 5))
    config = ModelConfig.model_validate(
        {
            "embedding": {"size": embedding_size, "tied": tied},
            "encoder": {
                "cell": cell,
                "hidden_size": hidden_size,
                "layers": layers,
                "bidirectional": both_ways,
                "residual": draw(st.booleans()),
                "layer_output": draw(st.sampled_from(["identity", "linear"])),
                "init_state": draw(st.sampled_from(["zero", "learned"])),
                "input_attention": draw(st.sampled_from(["none", "none", "softmax"])),
            },
            "decoder": {
                "cell": cell if bridge == "copy" else draw(st.sampled_from(cells)),
                "hidden_size": memory_size if is_whole else 5,
                "layers": decoder_layers,
                "residual": draw(st.booleans()),
                "layer_output": draw(st.sampled_from(["identity", "linear"])),
                "input": draw(st.sampled_from(["previous", "previous", "none"])),
                "bridge": bridge,
                "summary": draw(st.sampled_from(["start", "start", "each_step"])),
                "input_attention": draw(st.sampled_from(["none", "none", "none", "softmax"])),
                "attention": attention,
                "attend": attend,
                "input_feeding": attend == "after" and draw(st.booleans()),
                "readout": draw(st.sampled_from(["simple", "deep"])),
                "readout_size": draw(st.sampled_from([0, 4])) if tied == "none" else embedding_size,
            },
        }
    )
    assume(not list(model_disagreements(config, TokenizerConfig())))
    return config


WORDS = st.integers(4, VOCAB - 1)
SENTENCES = st.lists(WORDS, max_size=5).map(lambda words: [*words, EOS])
PAIRS = st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=3)


def make(config: ModelConfig, path: Path, seed: int) -> EncoderDecoder:
    """Return a plain model with random weights, biases and first states among them."""
    model = build_model(config, source_vocab=VOCAB, target_vocab=VOCAB).to(path.dtype)
    generator = torch.Generator().manual_seed(seed)
    scale = path.hidden_size**-0.5  # sums then neither grow nor lose digits
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -scale, scale, generator=generator)
    return model


def weights_of(model: EncoderDecoder) -> dict[str, Array]:
    return {name: value.double().numpy() for name, value in model.state_dict().items()}


def padded(sentences: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(ids) for ids in sentences])
    mask = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
    ids = torch.zeros(mask.shape, dtype=torch.long)
    ids[mask] = torch.tensor([piece for sentence in sentences for piece in sentence])
    return ids, mask


def directions(model: EncoderDecoder, generator: np.random.Generator) -> Iterator[dict]:
    """Yield a direction of unit length for each weight; tied weights move together."""
    names: dict[int, list[str]] = {}
    for name, value in model.state_dict().items():
        names.setdefault(value.data_ptr(), []).append(name)
    for parameter in model.parameters():
        way = generator.normal(size=parameter.shape)
        way /= np.linalg.norm(way)
        yield dict.fromkeys(names[parameter.data_ptr()], way)


def check_features(
    config: ModelConfig,
    model: EncoderDecoder,
    pairs: list[Pair],
    weights: Weights,
    within: float,
) -> None:
    """Compare the whole-sequence path and the loop of steps with the reference."""
    memory = model.encode(*padded([source for source, _ in pairs]))
    target_in, mask = padded([[BOS, *target[:-1]] for _, target in pairs])
    at_once = model.decode(memory, target_in).features
    stepwise = features_by_steps(model, memory, target_in)
    found_log_probs = model.output.log_probs(at_once.flatten(0, 1)).view(*mask.shape, -1)
    for row, (source, target) in enumerate(pairs):
        expected = decode(config, weights, source, [BOS, *target[:-1]])
        length = len(target)
        for found in (at_once, stepwise):
            np.testing.assert_allclose(found[row, :length], expected, rtol=0, atol=within)
        np.testing.assert_allclose(
            found_log_probs[row, :length],
            [log_probs(weights, feature) for feature in expected],
            rtol=within,
            atol=within,
        )


def check_gradients(
    config: ModelConfig,
    model: EncoderDecoder,
    pairs: list[Pair],
    *,
    smoothing: float,
    within: float,
    seed: int,
) -> None:
    """Compare loss and gradients with the reference: one random direction for each weight."""
    source, source_mask = padded([source for source, _ in pairs])
    target_in, _ = padded([[BOS, *target[:-1]] for _, target in pairs])
    target, target_mask = padded([target for _, target in pairs])
    features = model.decode(model.encode(source, source_mask), target_in).features
    losses, nll = model.output.losses(
        features[target_mask], target[target_mask], smoothing=smoothing
    )
    gradients = torch.autograd.grad(
        losses.sum(), list(model.parameters()), allow_unused=True, materialize_grads=True
    )

    by_name = weights_of(model)
    total, plain = loss(config, Weights(by_name), pairs, smoothing=smoothing)
    assert losses.sum().item() == pytest.approx(total.real, rel=within, abs=within)
    assert nll.sum().item() == pytest.approx(plain.real, rel=within, abs=within)
    generator = np.random.default_rng(seed)
    for gradient, way in zip(gradients, directions(model, generator), strict=True):
        expected = slope(lambda w: loss(config, w, pairs, smoothing=smoothing)[0], by_name, way)
        actual = float((gradient.double().numpy() * next(iter(way.values()))).sum())
        size = 1.0 + float(gradient.double().norm())
        assert abs(actual - expected) <= within * size, sorted(way)


@pytest.mark.parametrize("name", PATHS)
def test_features_loss_and_gradients_equal_the_reference(name, examples):
    path = PATHS[name]
    if path.has_kernels and kernels() is None:
        pytest.skip("there is no C++ compiler")

    @given(
        config=model_configs(path.hidden_size),
        pairs=PAIRS,
        smoothing=st.sampled_from([0.0, 0.1]),
        seed=st.integers(0, 2**32),
    )
    @settings(max_examples=examples(quick=25, full=250))
    def hold(config: ModelConfig, pairs: list[Pair], smoothing: float, seed: int) -> None:
        model, within = make(config, path, seed), path.tolerance
        weights = Weights(weights_of(model))
        if path.purpose is not None:
            accelerate(model, path.purpose)
        with torch.no_grad():
            check_features(config, model, pairs, weights, within)
        if path.purpose != "search":
            check_gradients(config, model, pairs, smoothing=smoothing, within=within, seed=seed)

    hold()


def test_beam_search_finds_what_exhaustive_search_over_the_reference_finds(examples):
    """With a wide enough beam, over all translations of up to three words out of three."""
    words, longest = range(4, 7), 4
    space = [each for n in range(longest) for each in itertools.product(words, repeat=n)]
    options = SearchConfig(
        beam=4**longest,  # of continuations, those that end among them
        n_best=5,
        length_penalty="average",
        max_length_factor=0.0,
        max_length_offset=longest,
    )

    @given(
        config=model_configs(3),
        sources=st.lists(SENTENCES, min_size=1, max_size=3),
        seed=st.integers(0, 2**32),
    )
    @settings(max_examples=examples(quick=5, full=60))
    def hold(config: ModelConfig, sources: list[list[int]], seed: int) -> None:
        model = make(config, PATHS["search"], seed)
        with torch.no_grad():  # leave three words and the end
            model.output.project.bias[7:] = -torch.inf
        weights = Weights(weights_of(model))
        accelerate(model, "search")
        found = search(ModelScorer(model.eval()), *padded(sources), options)
        for hypotheses, source in zip(found, sources, strict=True):
            scores = {each: mean_log_prob(config, weights, source, each) for each in space}
            best = sorted(scores.values(), reverse=True)[: options.n_best]
            assert [each.score for each in hypotheses] == pytest.approx(best, abs=1e-6)
            assert [scores[each.tokens] for each in hypotheses] == pytest.approx(best, abs=1e-6)

    hold()


def mean_log_prob(
    config: ModelConfig, weights: Weights, source: list[int], words: tuple[int, ...]
) -> float:
    features = decode(config, weights, source, [BOS, *words])
    each = zip(features, [*words, EOS], strict=True)
    return float(np.mean([log_probs(weights, feature)[piece].real for feature, piece in each]))
