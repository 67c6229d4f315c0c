"""Fast modules equal the plain ones: in values, gradients and random numbers."""

import copy
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.config.model import ModelConfig
from nmt.fast import shared
from nmt.fast.accelerate import Purpose, accelerate, describe_exchanges
from nmt.fast.decoder import FastDecoder
from nmt.fast.kernels import kernels
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder, ScheduledSampling

VOCAB = 23
CELLS: dict[str, Any] = {
    "lstm": "lstm",
    "gru": "gru",
    "gru that resets before": {"kind": "gru", "reset": "before"},
    "tanh": {"kind": "rnn", "activation": "tanh"},
    "sigmoid": {"kind": "rnn", "activation": "sigmoid"},
    "lnlstm": "lnlstm",
    "lnlstm by gate": {"kind": "lnlstm", "per_gate": True},
    "lstm of 1997": {"kind": "lstm", "forget_gate": False},
    "delays": {"kind": "delays", "delays": [1, 3]},
    "clockwork": {"kind": "clockwork", "periods": [1, 2, 4]},
    "ssru": "ssru",
    "mingru": "mingru",
}
ATTENTIONS: dict[str, Any] = {
    "dot": "dot",
    "general": {"kind": "general", "temperature": 2.0},
    "additive": {"kind": "additive", "hidden_size": 5, "temperature": 0.5},
}
ARRANGEMENTS: dict[str, Any] = {
    "after": {},
    "before": {"attend": "before"},
    "between": {"attend": "between"},
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
DECODERS |= {f"{kind} with heads": {"attention": {"kind": kind, "heads": 2}} for kind in ATTENTIONS}
FEW_DECODERS = ["none simple", "general after simple", "general before deep", "dot feeding blind"]
MODELS = [
    *itertools.product(["lstm"], DECODERS),
    *(("gru", name) for name in DECODERS if name.startswith(("dot", "none"))),
    *itertools.product(["gru that resets before", "tanh", "sigmoid", "lnlstm"], FEW_DECODERS),
    *itertools.product(
        ["lstm of 1997", "delays", "clockwork", "ssru", "mingru"], FEW_DECODERS[1:3]
    ),
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
    """Relative; gradients may be five times as far."""
    has_kernels: bool = True
    int8: bool = False


@pytest.fixture
def way(request: pytest.FixtureRequest) -> Way:
    """Make the machine compute in a way, and return that way."""
    way: Way = request.param
    if not way.has_kernels:
        request.getfixturevalue("no_kernels")
    elif way.dtype != torch.float64 and kernels() is None:
        pytest.skip("there is no C++ compiler")
    if way.int8:
        request.getfixturevalue("int8")
    return way


def in_each_way(ways: dict[str, Way]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("way", ways.values(), ids=ways.keys(), indirect=True)


FLOAT64 = Way(torch.float64, 16, 1e-13)
FLOAT32 = Way(torch.float32, 16, 2e-6)
MORE_FLOAT32 = {
    "mixed sizes": replace(FLOAT32, unit=8),
    "odd sizes": replace(FLOAT32, unit=5),
    "no kernels": replace(FLOAT32, has_kernels=False),
}
BF16 = {
    "bf16": Way(torch.bfloat16, 16, 0.02),
    "bf16, mixed sizes": Way(torch.bfloat16, 8, 0.02),
    "bf16, no kernels": Way(torch.bfloat16, 16, 0.02, has_kernels=False),
}
INT8 = Way(torch.float32, 16, 0.03, int8=True)
MORE_INT8 = {
    "odd sizes": replace(INT8, unit=5),
    "no kernels": replace(INT8, has_kernels=False),
}


def build(cell: str, decoder: str, unit: int, **dropout: float) -> EncoderDecoder:
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


def exchanged(plain: EncoderDecoder, way: Way, purpose: Purpose) -> EncoderDecoder:
    """Return a copy with fast modules, in bfloat16 only for search: training uses autocast."""
    is_wide = purpose == "training" and way.dtype == torch.bfloat16
    fast = copy.deepcopy(plain).to(torch.float32 if is_wide else way.dtype)
    accelerate(fast, purpose, int8=way.int8)
    return fast


def train(
    model: EncoderDecoder, *, bf16: bool = False, sampling: ScheduledSampling | None = None
) -> dict[str, Tensor]:
    """Return features, losses and gradients of a batch."""
    model.train()
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        features = model.decode(model.encode(SOURCE, MASK), TARGET_IN, sampling=sampling).features
        losses, nll = model.output.losses(features[TARGET_MASK], TARGET[TARGET_MASK], smoothing=0.1)
    names, weights = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(
        losses.sum(), weights, allow_unused=True, materialize_grads=True
    )
    return {"features": features.detach(), "losses": losses.detach(), "nll": nll} | dict(
        zip(names, gradients, strict=True)
    )


@torch.no_grad()
def search(model: EncoderDecoder) -> dict[str, Tensor]:
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
    return {
        name: torch.stack(parts)
        for name, parts in zip(names, zip(*found, strict=True), strict=False)
    }


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Compare tensors by the norm of their difference."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        error = (found[name].double() - value.double()).norm() / value.double().norm().clamp(1e-2)
        is_gradient = "." in name
        assert error <= tolerance * (5 if is_gradient else 1), name


@cache
def plain_results(
    cell: str, decoder: str, unit: int, sampling: ScheduledSampling | None = None, **dropout: float
) -> tuple[EncoderDecoder, dict[str, Tensor], dict[str, Tensor]]:
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
def test_fast_modules_equal_plain_ones(cell, decoder, way):
    """With the same random numbers for dropout."""
    check(way, cell, decoder, **DROPOUT)


@in_each_way(MORE_FLOAT32 | BF16)
@pytest.mark.parametrize(("cell", "decoder"), FEW_MODELS)
def test_fast_modules_equal_plain_ones_in_all_sizes_and_precisions(cell, decoder, way):
    check(way, cell, decoder, **DROPOUT)


@pytest.mark.parametrize(
    ("way", "pick"),
    [(FLOAT64, None), (FLOAT32, None), (FLOAT64, "sample"), (FLOAT32, "argmax")],
    indirect=["way"],
    ids=["float64", "float32", "float64, sample", "float32, argmax"],
)
@pytest.mark.parametrize(("cell", "decoder"), FEW_MODELS)
def test_fast_modules_equal_plain_ones_with_scheduled_sampling_and_dropout(
    cell, decoder, way, pick
):
    """Pieces are drawn in float64, because float32 would draw other ones."""
    sampling = None if pick is None else ScheduledSampling(0.5, pick)
    words = {"source_words": 0.2, "target_words": 0.2}
    check(way, cell, decoder, sampling, recurrent=0.3, variational=True, **words, **DROPOUT)


@in_each_way({"float64": FLOAT64, "float32": FLOAT32})
@pytest.mark.parametrize("decoder", ["dot feeding simple", "general after simple"])
def test_fast_modules_equal_plain_ones_with_dropout_of_attention(decoder, way):
    check(way, "lstm", decoder, attention=0.3)


@in_each_way({"float64": FLOAT64, "float32": FLOAT32, "bf16": BF16["bf16"]})
@pytest.mark.parametrize(
    ("cell", "decoder"),
    [*FEW_MODELS, ("clockwork", "general after simple"), ("tanh", "none simple")],
)
def test_fast_modules_equal_plain_ones_with_dropout_of_weights(cell, decoder, way):
    check(way, cell, decoder, weights=0.3)


def check_int8(way: Way, cell: str, decoder: str) -> None:
    plain = build(cell, decoder, way.unit)
    assert_close(search(exchanged(plain, way, "search")), search(plain), way.tolerance)


@in_each_way({"int8": INT8})
@pytest.mark.parametrize(("cell", "decoder"), MODELS)
def test_a_search_in_int8_is_close_to_the_plain_one(cell, decoder, way):
    check_int8(way, cell, decoder)


@in_each_way(MORE_INT8)
@pytest.mark.parametrize(("cell", "decoder"), FEW_MODELS)
def test_int8_is_close_in_all_sizes_and_without_kernels(cell, decoder, way):
    check_int8(way, cell, decoder)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("cell", "decoder"), FEW_MODELS)
def test_fast_modules_equal_plain_ones_with_either_library(cell, decoder):
    check(replace(FLOAT32, unit=5), cell, decoder, **DROPOUT)


@pytest.mark.parametrize("has_table", [True, False])
@pytest.mark.parametrize("is_int8", [True, False])
@pytest.mark.parametrize("decoder", FEW_DECODERS)
def test_a_decoder_looks_pieces_up_unless_the_table_is_too_large(
    decoder, is_int8, has_table, request
):
    if is_int8:
        request.getfixturevalue("int8")
    plain = build("lstm", decoder, 16)
    model = copy.deepcopy(plain).float()
    fast = FastDecoder.of(model.decoder)
    gates = plain.decoder.stack.first.cell.input.out_features
    table_bytes = VOCAB * (plain.decoder.embedding.size + gates) * 4
    fast.tabulate(most_bytes=table_bytes - (0 if has_table else 1))
    assert (fast.table is not None) is has_table
    model.decoder = fast
    accelerate(model, "search", int8=is_int8)
    assert_close(search(model), search(plain), INT8.tolerance if is_int8 else FLOAT32.tolerance)


# --- what is replaced --------------------------------------------------------------------------


@pytest.mark.parametrize("tied", ["none", "target", "all"])
def test_parameters_keep_their_identity_and_names(tied):
    config = ModelConfig.model_validate(
        {
            "embedding": {"size": 6, "tied": tied},
            "encoder": {"hidden_size": 16, "init_state": "learned"},
            "decoder": {"hidden_size": 32, "readout_size": 6, "attention": "additive"},
        }
    )
    model = build_model(config, source_vocab=VOCAB, target_vocab=VOCAB)
    before, names = dict(model.named_parameters(remove_duplicate=False)), list(model.state_dict())
    model.decoder.eval()

    accelerate(model, "training")
    after = dict(model.named_parameters(remove_duplicate=False))
    assert list(after) == list(before)
    assert all(after[name] is weight for name, weight in before.items())
    assert list(model.state_dict()) == names
    assert model.training
    assert not any(module.training for module in model.decoder.modules())
    # Search adds prepared weights, but neither renames nor replaces parameters.
    accelerate(model, "search")
    assert all(model.get_parameter(name) is weight for name, weight in before.items())


def test_the_replacements_are_returned_and_logged(caplog):
    caplog.set_level(logging.DEBUG)
    model = build("lstm", "general feeding simple", 16)
    exchanges = accelerate(model, "training")

    modules = dict(model.named_modules())
    assert all(type(modules[each.name]).__name__ == each.fast for each in exchanges)
    lines = describe_exchanges(exchanges)
    assert caplog.messages == [f"training: {line}" for line in lines]
    assert "LstmCell -> FastLstmCell  x 6" in lines
    assert "RecurrentLayer -> FastRecurrentLayer  x 4" in lines
    assert "GeneralAttention -> FastGeneralAttention  x 1" in lines
    assert "RecurrentDecoder -> FastDecoder  x 1" in lines
    assert "OutputLayer -> FastOutput  x 1" in lines
    assert {each.name for each in exchanges if each.fast == "SharedLinear"} >= {
        "decoder.readout",
        "decoder.stack.layers.0.cells.0.recurrent",
        "decoder.attention.project_memory",
    }


@pytest.mark.parametrize(
    ("purpose", "is_int8"), [("training", False), ("search", False), ("search", True)]
)
@pytest.mark.usefixtures("library")
def test_a_second_call_replaces_nothing(purpose, is_int8, request):
    if is_int8:
        request.getfixturevalue("int8")
    model = build("gru", "general feeding simple", 16).float()
    assert accelerate(model, purpose, int8=is_int8)
    modules = dict(model.named_modules())

    assert accelerate(model, purpose, int8=is_int8) == []
    assert dict(model.named_modules()) == modules


def test_modules_without_a_fast_counterpart_stay():
    for cell in set(CELLS) - {"lstm", "gru"}:
        model = build(cell, "additive after simple", 16)
        kept = {type(model.decoder.stack.first.cell).__name__, "AdditiveAttention", "Embedding"}
        assert not kept & {each.plain for each in accelerate(model, "search")}


# --- which code runs ---------------------------------------------------------------------------


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of kernels that have been called."""
    names: set[str] = set()

    def noting(name: str, function: Callable[..., None]) -> Callable[..., None]:
        def note(*arguments: Any) -> None:
            names.add(name)
            function(*arguments)

        return note

    if (native := kernels()) is not None:
        functions = {key: noting(key[0], each) for key, each in native._functions.items()}
        monkeypatch.setattr(native, "_functions", functions)
    return names


@in_each_way({"float32": FLOAT32, "bf16": BF16["bf16"]})
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_kernels_compute_what_they_support(cell, way, called):
    plain = build(cell, "general feeding simple", 16)
    train(exchanged(plain, way, "training"), bf16=way.dtype == torch.bfloat16)
    assert called == {
        f"{cell}_forward",
        f"{cell}_backward",
        "attend",
        "attend_backward",
        "cross_entropy",
        "sum_rows",
    }
    called.clear()
    search(exchanged(plain, way, "search"))
    assert called == {f"{cell}_forward", "attend", "log_sum_exp"}


def test_a_gru_without_kernels_multiplies_once_per_step(no_kernels, monkeypatch):
    plain = build("gru", "general feeding simple", 10)
    cell = exchanged(plain, FLOAT32, "training").decoder.stack.first.cell
    products = []
    multiply = cell.recurrent.forward
    monkeypatch.setattr(
        cell.recurrent, "forward", lambda read: [products.append(read), multiply(read)][1]
    )
    cell(torch.zeros(2, 60), (torch.zeros(2, 20),))
    assert len(products) == 1


def test_a_single_step_with_gradients_reads_the_current_weights():
    fast = exchanged(build("lstm", "general feeding simple", 16).float(), FLOAT32, "training")
    memory = fast.encode(torch.tensor([[5, 6, 3]]), torch.ones(1, 3, dtype=torch.bool))
    state, tokens = fast.start(memory), torch.tensor([7])
    before = fast.step(tokens, fast.step(tokens, state, memory).state, memory).features
    with torch.no_grad():
        fast.decoder.stack.first.cell.input.weight.mul_(2.0)
    after = fast.step(tokens, fast.step(tokens, state, memory).state, memory).features
    with torch.no_grad():
        expected = fast.step(tokens, fast.step(tokens, state, memory).state, memory).features
    torch.testing.assert_close(after, expected)
    assert not torch.allclose(after, before)


def test_without_kernels_none_is_called(no_kernels, called):
    plain = build("lstm", "general feeding simple", 16).float()
    train(exchanged(plain, FLOAT32, "training"))
    search(exchanged(plain, FLOAT32, "search"))
    assert not called


def test_weights_that_a_loop_reads_at_every_step_get_one_gradient(monkeypatch):
    """It is formed once for all steps, rather than at each step."""
    formed = []
    backward = shared._Tap.backward

    def note(ctx: Any, *gradients: Tensor) -> Any:
        formed.append(len(ctx.record.inputs))
        return backward(ctx, *gradients)

    monkeypatch.setattr(shared._Tap, "backward", staticmethod(note))
    train(exchanged(build("lstm", "general feeding simple", 5), FLOAT64, "training"))
    # Two recurrences, the input of the second layer, the feed, the readout, keys and states; and
    # the bridge, once.
    assert sorted(formed) == [1] + [MASK.shape[1]] * 7
