"""The whole-sequence path and the step path of the encoder-decoder are one model."""

import contextlib
import itertools
from typing import Any

import pytest
import torch

import nmt.layers.recurrent
import nmt.models.decoder
from nmt.config.model import ModelConfig
from nmt.layers.initialization import recurrent_blocks, spectral_radius
from nmt.models.build import build_model
from nmt.models.translation import ScheduledSampling, TranslationModel

VOCAB = 11
BASE: dict[str, Any] = {
    "embedding": {"size": 6},
    "encoder": {"hidden_size": 4, "layers": 2},
    "decoder": {"hidden_size": 8, "layers": 2},
    "initialization": {"kind": "uniform", "scale": 0.5},
}


def make(**decoder: Any) -> TranslationModel:
    """A small float64 model with random weights, outside training."""
    config = {**BASE, "decoder": {**BASE["decoder"], **decoder}}
    return build(config)


def build(config: dict[str, Any]) -> TranslationModel:
    model = build_model(ModelConfig.model_validate(config), source_vocab=VOCAB, target_vocab=VOCAB)
    return model.double().eval()


def source_batch(lengths: tuple[int, ...] = (5, 3)) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.arange(max(lengths)).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)
    source = torch.randint(4, VOCAB, mask.shape) * mask
    return source, mask


TARGET_IN = torch.tensor([[2, 4, 5, 6, 7, 8], [2, 9, 9, 4, 10, 3]])

DECODERS = [
    {"cell": cell, "attention": attention, "attend": attend, "input_feeding": feed, **rest}
    for cell, attention, attend, feed, rest in itertools.product(
        ["lstm", {"kind": "gru", "reset": "before"}],
        ["none", "dot", "general", {"kind": "additive", "hidden_size": 5, "temperature": 0.5}],
        ["after", "before"],
        [True, False],
        [{}, {"readout": "deep", "bridge": "mean", "residual": True, "layer_output": "linear"}],
    )
    if not (attention == "none" and (attend == "before" or feed))
]


@torch.no_grad()
def stepwise(model: TranslationModel, memory: Any, target_in: torch.Tensor) -> torch.Tensor:
    state, features = model.start(memory), []
    for position in range(target_in.shape[1]):
        step = model.step(target_in[:, position], state, memory)
        state = step.state
        features.append(step.features)
    return torch.stack(features, dim=1)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: "-".join(str(v) for v in d.values()))
def test_whole_sequence_equals_a_loop_of_steps(decoder):
    model = make(**decoder)
    memory = model.encode(*source_batch())

    at_once = model.decode(memory, TARGET_IN)
    torch.testing.assert_close(at_once, stepwise(model, memory, TARGET_IN), rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", ["none", "general"])
def test_batched_loss_equals_the_stepwise_decoder_fed_gold(attention):
    model = make(attention=attention)
    source, mask = source_batch()
    target_out = torch.tensor([[4, 5, 6, 7, 8, 3], [9, 9, 4, 3, 0, 0]])
    target_mask = target_out != 0
    memory = model.encode(source, mask)
    loss = model.output.loss(model.decode(memory, TARGET_IN), target_out, target_mask)

    total = 0.0
    for row, length in ((0, 6), (1, 4)):
        real = mask[row].sum()
        alone = model.encode(source[row : row + 1, :real], mask[row : row + 1, :real])
        state = model.start(alone)
        for position in range(length):
            step = model.step(TARGET_IN[row : row + 1, position], state, alone)
            state = step.state
            total -= model.output.log_probs(step.features)[0, target_out[row, position]].item()
    assert loss.nll.item() == pytest.approx(total, abs=1e-10)


@pytest.mark.parametrize("kind", ["dot", "general"])
def test_products_are_divided_by_the_root_of_their_size_unless_told_otherwise(kind):
    by_default = make(attention=kind)
    told = make(attention={"kind": kind, "temperature": 8**0.5})
    told.load_state_dict(by_default.state_dict())
    source, mask = source_batch()

    features = [m.decode(m.encode(source, mask), TARGET_IN) for m in (by_default, told)]
    assert torch.equal(*features)


@pytest.mark.parametrize("decoder", [DECODERS[0], DECODERS[-1], {"input": "none"}])
def test_a_table_of_what_is_made_of_each_piece_changes_nothing(decoder):
    model = make(**decoder)
    memory = model.encode(*source_batch())
    plain = stepwise(model, memory, TARGET_IN)
    width = model.decoder.embedding.size + model.decoder.stack.first.cell.bias.numel()
    table_bytes = VOCAB * width * 8
    model.decoder.tabulate(most_bytes=table_bytes - 1)
    assert model.decoder._table is None
    model.decoder.tabulate(most_bytes=table_bytes)
    assert model.decoder._table is not None
    tabulated = stepwise(model, memory, TARGET_IN)
    torch.testing.assert_close(tabulated, plain, rtol=0, atol=1e-12)


def test_copies_of_a_row_share_their_sentences_memory():
    model = make()
    memory = model.encode(*source_batch())
    tokens = torch.tensor([4, 5, 6, 7])  # two hypotheses of each of two sentences
    together = model.step(tokens, model.start(memory, copies=2), memory)
    apart = memory.select(torch.tensor([0, 0, 1, 1]))
    separate = model.step(tokens, model.start(apart), apart)

    torch.testing.assert_close(together.features, separate.features)
    torch.testing.assert_close(together.attention, separate.attention)


def test_selected_rows_go_on_as_if_they_had_always_stood_there():
    model = make()
    memory = model.encode(*source_batch())
    first = model.step(torch.tensor([4, 5]), model.start(memory), memory)
    swap = torch.tensor([1, 0])

    direct = model.step(torch.tensor([6, 7]), first.state, memory)
    swapped = model.step(torch.tensor([7, 6]), first.state.select(swap), memory.select(swap))
    torch.testing.assert_close(swapped.features, direct.features[swap])


def test_padding_of_the_source_changes_nothing():
    model = make()
    source, mask = source_batch((4,))
    padded = torch.cat([source, torch.zeros(1, 3, dtype=torch.long)], dim=1)
    padded_mask = torch.cat([mask, torch.zeros(1, 3, dtype=torch.bool)], dim=1)

    alone = model.decode(model.encode(source, mask), TARGET_IN[:1])
    beside = model.decode(model.encode(padded, padded_mask), TARGET_IN[:1])
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-12)


def test_decoder_without_input_ignores_the_gold_prefix():
    model = make(input="none", attention="none")
    memory = model.encode(*source_batch())

    assert torch.equal(model.decode(memory, TARGET_IN), model.decode(memory, TARGET_IN.flip(1)))
    torch.testing.assert_close(model.decode(memory, TARGET_IN), stepwise(model, memory, TARGET_IN))


def test_without_attention_the_source_is_seen_through_the_first_state_only():
    model = make(attention="none", bridge="zero")
    features = [model.decode(model.encode(*source_batch()), TARGET_IN) for _ in range(2)]

    assert torch.equal(features[0], features[1])


# --- scheduled sampling (T10) ------------------------------------------------------------------


def test_always_reading_the_reference_is_teacher_forcing_bit_for_bit():
    model = make()
    memory = model.encode(*source_batch())
    generator = torch.get_rng_state()
    sampled = model.decode(memory, TARGET_IN, sampling=ScheduledSampling(1.0))

    assert torch.equal(sampled, model.decode(memory, TARGET_IN))
    assert torch.equal(torch.get_rng_state(), generator)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["none", "general"])
def test_never_reading_the_reference_is_running_free(attention):
    model = make(attention=attention)
    memory = model.encode(*source_batch())
    sampled = model.decode(memory, TARGET_IN, sampling=ScheduledSampling(0.0, "argmax"))

    tokens, state = TARGET_IN[:, 0], model.start(memory)
    for position in range(TARGET_IN.shape[1]):
        step = model.step(tokens, state, memory)
        torch.testing.assert_close(sampled[:, position], step.features)
        tokens, state = model.output.log_probs(step.features).argmax(dim=-1), step.state


def test_a_coin_falls_for_every_token_of_every_sentence():
    """Where the own choice differs from the reference, both occur within one column and one row."""
    model = make()
    batch, length = 20, 20
    source = torch.randint(4, VOCAB, (batch, 3))
    memory = model.encode(source, torch.ones_like(source, dtype=torch.bool))
    target_in = torch.full((batch, length), 5)
    read: list[torch.Tensor] = []
    advance = model.decoder.embedding.step

    def spy(ids: torch.Tensor) -> torch.Tensor:
        read.append(ids)
        return advance(ids)

    model.decoder.embedding.step = spy  # type: ignore[method-assign]
    model.decode(memory, target_in, sampling=ScheduledSampling(0.5))
    own = torch.stack(read[1:], dim=1) != 5  # [batch, length - 1]

    share = own.double().mean().item()
    assert 0.3 < share < 0.6  # half the coins; a few own choices equal the reference
    assert ((own.any(dim=0)) & (~own).any(dim=0)).all()
    assert ((own.any(dim=1)) & (~own).any(dim=1)).all()


def test_no_gradient_flows_through_a_sampled_piece():
    """With the sampled pieces fed as if they were the reference, gradients are the same."""
    model = make()
    source, mask = source_batch()
    read: list[torch.Tensor] = []
    advance = model.decoder.embedding.step
    model.decoder.embedding.step = lambda ids: (read.append(ids), advance(ids))[1]
    features = model.decode(model.encode(source, mask), TARGET_IN, sampling=ScheduledSampling(0.3))
    sampled = torch.autograd.grad(features.square().sum(), list(model.decoder.parameters()))
    model.decoder.embedding.step = advance

    forced = model.decode(model.encode(source, mask), torch.stack(read, dim=1))
    expected = torch.autograd.grad(forced.square().sum(), list(model.decoder.parameters()))
    for a, b in zip(sampled, expected, strict=True):
        torch.testing.assert_close(a, b)


# --- tying, dropout, parts ---------------------------------------------------------------------


def test_tied_embeddings_are_one_parameter():
    for tied, same in (("none", 0), ("target", 1), ("all", 2)):
        config = {
            **BASE,
            "embedding": {"size": 6, "tied": tied},
            "decoder": {"hidden_size": 8, "readout_size": 6},
        }
        model = build(config)
        target = model.decoder.embedding.weight
        shared = [model.output.weight is target, model.encoder.embedding.weight is target]
        assert sum(shared) == same


def test_sparse_first_values_are_those_of_the_recurrent_weights_alone():
    torch.manual_seed(1)
    model = build({**BASE, "initialization": {"kind": "sparse", "nonzeros": 3, "radius": 0.5}})
    recurrent = {name for name, _ in model.named_parameters() if name.endswith("weight_hidden")}
    assert recurrent
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            nonzeros = 3 if name in recurrent else weight.shape[1]
            assert ((weight != 0).sum(dim=1) == nonzeros).all(), name
    for block, _ in recurrent_blocks(model):
        assert spectral_radius(block) == pytest.approx(0.5, abs=1e-4)


def test_dropout_acts_in_training_only_and_on_both_paths():
    rates = {"embedding": 0.3, "layers": 0.3, "readout": 0.3, "recurrent": 0.3, "source_words": 0.2}
    for feed in (True, False):
        model = build(
            {
                **BASE,
                "decoder": {**BASE["decoder"], "input_feeding": feed},
                "dropout": {**rates, "target_words": 0.2, "variational": feed},
            }
        )
        batch = source_batch()
        once, again = (model.decode(model.encode(*batch), TARGET_IN) for _ in range(2))
        assert torch.equal(once, again)
        model.train()
        once, again = (model.decode(model.encode(*batch), TARGET_IN) for _ in range(2))
        assert not torch.equal(once, again)


def test_gradients_of_the_whole_model_are_right():
    model = make(attention="additive", layers=1)
    source, mask = source_batch()
    weight = model.decoder.stack.first.cell.weight_input

    def loss() -> torch.Tensor:
        features = model.decode(model.encode(source, mask), TARGET_IN)
        return model.output.loss(features, TARGET_IN, TARGET_IN > 0, smoothing=0.1).total

    (gradient,) = torch.autograd.grad(loss(), weight)
    with torch.no_grad():
        for row, column in ((0, 0), (5, 3), (20, 7)):
            weight[row, column] += 1e-6
            up = loss()
            weight[row, column] -= 2e-6
            slope = (up - loss()) / 2e-6
            weight[row, column] += 1e-6
            torch.testing.assert_close(gradient[row, column], slope, rtol=1e-6, atol=1e-8)


def gradients(model: TranslationModel, sampling: ScheduledSampling | None) -> list[torch.Tensor]:
    """Return the gradient of every weight after a batch, the same random numbers each time."""
    torch.manual_seed(5)
    features = model.decode(model.encode(*source_batch()), TARGET_IN, sampling=sampling)
    loss = model.output.loss(features, TARGET_IN, TARGET_IN > 0, smoothing=0.1)
    return list(torch.autograd.grad(loss.total, list(model.parameters()), materialize_grads=True))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("sampling", [None, ScheduledSampling(0.5)], ids=["gold", "own"])
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: "-".join(str(v) for v in d.values()))
def test_sharing_the_work_for_gradients_changes_none(monkeypatch, decoder, sampling, layers):
    model = make(**{**decoder, "layers": layers})
    shared = gradients(model, sampling)
    for module in (nmt.models.decoder, nmt.layers.recurrent):
        monkeypatch.setattr(module, "shared_products", contextlib.nullcontext)

    for one, other in zip(shared, gradients(model, sampling), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
