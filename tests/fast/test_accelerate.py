"""Fast modules compute what the plain ones do: values, gradients and random numbers."""

import copy
import itertools
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.config.model import ModelConfig
from nmt.fast.accelerate import Purpose, accelerate, describe
from nmt.fast.decoder import FastDecoder
from nmt.fast.kernels import Kernels, kernels
from nmt.machine import has_int8
from nmt.models.build import build_model
from nmt.models.translation import ScheduledSampling, TranslationModel

VOCAB = 23
CELLS: dict[str, Any] = {
    "lstm": "lstm",
    "gru": "gru",
    "gru that resets before": {"kind": "gru", "reset": "before"},
    "tanh": {"kind": "rnn", "activation": "tanh"},
    "sigmoid": {"kind": "rnn", "activation": "sigmoid"},
}
ATTENTIONS: dict[str, Any] = {
    "dot": "dot",
    "general": {"kind": "general", "temperature": 2.0},
    "additive": {"kind": "additive", "hidden_size": 5, "temperature": 0.5},
}
ARRANGEMENTS: dict[str, Any] = {
    "after": {},
    "before": {"attend": "before"},
    "feeding": {"input_feeding": True},
}
READOUTS: dict[str, Any] = {
    "simple": {},
    "deep": {"readout": "deep", "bridge": "mean", "residual": True, "layer_output": "linear"},
    "blind": {"input": "none", "bridge": "zero"},
}
DECODERS = {
    " ".join(names): {"attention": ATTENTIONS[names[0]]}
    | ARRANGEMENTS[names[1]]
    | READOUTS[names[2]]
    for names in itertools.product(ATTENTIONS, ARRANGEMENTS, READOUTS)
} | {f"none {name}": {"attention": "none"} | readout for name, readout in READOUTS.items()}
FEW_DECODERS = ["none simple", "general after simple", "general before deep", "dot feeding blind"]
MODELS = [
    *itertools.product(["lstm"], DECODERS),
    *(("gru", name) for name in DECODERS if name.startswith(("dot", "none"))),
    *itertools.product(["gru that resets before", "tanh", "sigmoid"], FEW_DECODERS),
]
FEW_MODELS = list(itertools.product(["lstm", "gru"], FEW_DECODERS))

torch.manual_seed(3)
LENGTHS = torch.tensor([*range(1, 6), 2, 2, 4, 4, 1, 3, 5, *range(5, 0, -1), 2])  # 18 sentences
MASK = torch.arange(5) < LENGTHS.unsqueeze(1)
SOURCE = torch.randint(4, VOCAB, MASK.shape) * MASK
TARGET, TARGET_MASK = SOURCE.flip(0), MASK.flip(0)
TARGET_IN = torch.cat([torch.full((len(TARGET), 1), 2), TARGET[:, :-1]], dim=1)


@dataclass(frozen=True)
class Way:
    """How the fast modules compute."""

    dtype: torch.dtype
    unit: int
    """Sizes are multiples of it; our kernels support those of 16."""
    tolerance: float
    has_kernels: bool = True
    int8: bool = False


@pytest.fixture
def way(request: pytest.FixtureRequest) -> Way:
    """Return a way, and turn the kernels off if it has none."""
    way: Way = request.param
    if not way.has_kernels:
        request.getfixturevalue("no_kernels")
    elif way.dtype != torch.float64 and kernels() is None:
        pytest.skip("there is no C++ compiler")
    if way.int8 and not has_int8():
        pytest.skip("this torch has no 8-bit products")
    return way


def in_each_way(ways: dict[str, Way]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("way", ways.values(), ids=ways.keys(), indirect=True)


FLOAT64 = Way(torch.float64, 16, 1e-11)
FLOAT32 = Way(torch.float32, 16, 2e-5)
MORE_FLOAT32 = {
    "mixed sizes": replace(FLOAT32, unit=8),
    "odd sizes": replace(FLOAT32, unit=5),
    "no kernels": replace(FLOAT32, has_kernels=False),
}
BF16 = {
    "bf16": Way(torch.bfloat16, 16, 0.04),
    "bf16, mixed sizes": Way(torch.bfloat16, 8, 0.04),
    "bf16, no kernels": Way(torch.bfloat16, 16, 0.04, has_kernels=False),
}
INT8 = {
    "int8": Way(torch.float32, 16, 0.03, int8=True),
    "int8, odd sizes": Way(torch.float32, 5, 0.03, int8=True),
    "int8, no kernels": Way(torch.float32, 16, 0.03, has_kernels=False, int8=True),
}


def build(cell: str, decoder: str, unit: int, **dropout: float) -> TranslationModel:
    """Return a plain model of float64 whose weights, biases and first states are all random.

    Sizes let the first layer of a decoder add what it reads to its output, if it is residual.
    """
    kind, _, rest = decoder.partition(" ")
    is_before, is_feeding = rest.startswith("before"), rest.startswith("feeding")
    hidden = 3 * unit if is_before and kind != "dot" else 2 * unit
    config = ModelConfig.model_validate(
        {
            "embedding": {"size": unit if is_before or is_feeding else 2 * unit},
            "encoder": {
                "cell": CELLS[cell],
                "hidden_size": unit,
                "layers": 2,
                "bidirectional": True,
                "residual": "deep" in rest,
                "init_state": "learned",
            },
            "decoder": {
                "cell": CELLS[cell],
                "hidden_size": hidden,
                "layers": 2,
                "readout_size": unit,
                **DECODERS[decoder],
            },
            "dropout": dropout,
        }
    )
    torch.manual_seed(1)
    model = build_model(config, source_vocab=VOCAB, target_vocab=VOCAB)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -(unit**-0.5), unit**-0.5)
    return model.double()


def exchanged(plain: TranslationModel, way: Way, purpose: Purpose) -> TranslationModel:
    """Return a copy with fast modules; bfloat16 is for search, training has autocast."""
    is_wide = purpose == "training" and way.dtype == torch.bfloat16
    fast = copy.deepcopy(plain).to(torch.float32 if is_wide else way.dtype)
    accelerate(fast, purpose, int8=way.int8)
    return fast


def train(
    model: TranslationModel, *, bf16: bool = False, sampling: ScheduledSampling | None = None
) -> dict[str, Tensor]:
    """Return features, losses and gradients of a batch."""
    model.train()
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        features = model.decode(model.encode(SOURCE, MASK), TARGET_IN, sampling=sampling)
        losses, nll = model.output.losses(features[TARGET_MASK], TARGET[TARGET_MASK], smoothing=0.1)
    names, weights = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(
        losses.sum(), weights, allow_unused=True, materialize_grads=True
    )
    return {"features": features.detach(), "losses": losses.detach(), "nll": nll} | dict(
        zip(names, gradients, strict=True)
    )


@torch.no_grad()
def search(model: TranslationModel) -> dict[str, Tensor]:
    """Return what two hypotheses of each sentence see at each step."""
    model.eval()
    memory = model.encode(SOURCE, MASK)
    state, found = model.start(memory, copies=2), []
    tokens = torch.stack([TARGET_IN, SOURCE], dim=1).flatten(0, 1)
    for position in range(tokens.shape[1]):
        step = model.step(tokens[:, position], state, memory)
        state = step.state
        log_probs = model.output.log_probs(step.features)
        found.append([memory.summary, step.features, log_probs])
        if step.attention is not None:
            found[-1].append(step.attention)
    names = ("summary", "features", "log_probs", "attention")
    return {name: torch.stack(parts) for name, parts in zip(names, zip(*found, strict=True))}


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Compare tensors by the norm of their difference."""
    assert found.keys() == expected.keys()
    errors = {}
    for name, value in expected.items():
        distance = (found[name].double() - value.double()).norm()
        errors[name] = float(distance / value.double().norm().clamp(min=1e-2))
    wrong = {name: error for name, error in errors.items() if not error <= tolerance}
    assert not wrong


@cache
def plain_results(
    cell: str, decoder: str, unit: int, sampling: ScheduledSampling | None = None, **dropout: float
) -> tuple[TranslationModel, dict[str, Tensor], dict[str, Tensor]]:
    """Return a plain model, and what it computes in training and in search."""
    model = build(cell, decoder, unit, **dropout)
    return model, train(model, sampling=sampling), search(model)


def check(way: Way, cell: str, decoder: str, sampling: Any = None, **dropout: float) -> None:
    """Compare fast modules to the plain ones, in training, validation and search."""
    plain, trained, searched = plain_results(cell, decoder, way.unit, sampling, **dropout)
    fast = exchanged(plain, way, "training")
    is_low = way.dtype == torch.bfloat16
    assert_close(train(fast, bf16=is_low, sampling=sampling), trained, way.tolerance)
    for model in (fast, exchanged(plain, way, "search")):
        assert_close(search(model), searched, way.tolerance)


DROPOUT = {"embedding": 0.2, "layers": 0.2, "readout": 0.2}


@in_each_way({"float64": FLOAT64, "float32": FLOAT32})
@pytest.mark.parametrize(("cell", "decoder"), MODELS)
def test_fast_modules_compute_what_plain_ones_do(cell, decoder, way):
    """With the same random numbers for dropout."""
    check(way, cell, decoder, **DROPOUT)


@in_each_way(MORE_FLOAT32 | BF16)
@pytest.mark.parametrize(("cell", "decoder"), FEW_MODELS)
def test_they_do_in_all_sizes_and_precisions_and_without_kernels(cell, decoder, way):
    check(way, cell, decoder, **DROPOUT)


@in_each_way({"float64": FLOAT64, "float32": FLOAT32})
@pytest.mark.parametrize(("cell", "decoder"), FEW_MODELS)
@pytest.mark.parametrize("pick", [None, "sample", "argmax"])
def test_they_do_with_scheduled_sampling_and_every_kind_of_dropout(cell, decoder, way, pick):
    """In float64, whose random numbers a draw of pieces does not share with float32."""
    if pick == "sample" and way.dtype != torch.float64:
        pytest.skip("float32 draws other pieces")
    sampling = None if pick is None else ScheduledSampling(0.5, pick)
    words = {"source_words": 0.2, "target_words": 0.2}
    check(way, cell, decoder, sampling, recurrent=0.3, variational=True, **words, **DROPOUT)


@in_each_way(INT8)
@pytest.mark.parametrize(("cell", "decoder"), MODELS)
def test_a_search_in_int8_is_near_the_plain_one(cell, decoder, way):
    plain = build(cell, decoder, way.unit)
    assert_close(search(exchanged(plain, way, "search")), search(plain), way.tolerance)
