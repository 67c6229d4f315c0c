"""Whole sequences and single steps of the encoder-decoder are one model."""

import copy
import itertools
from typing import Any

import pytest
import torch
from stepping import features_by_steps

from nmt.config.model import ModelConfig
from nmt.fast.accelerate import accelerate
from nmt.layers.initialization import recurrent_blocks, spectral_radius
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder, ScheduledSampling

VOCAB = 11
BASE: dict[str, Any] = {
    "embedding": {"size": 6},
    "encoder": {"hidden_size": 4, "layers": 2},
    "decoder": {"hidden_size": 8, "layers": 2, "input_feeding": True},
    "initialization": {"kind": "uniform", "scale": 0.5},
}


def make(**decoder: Any) -> EncoderDecoder:
    """Return a small float64 model with random weights, in evaluation mode."""
    config = {**BASE, "decoder": {**BASE["decoder"], **decoder}}
    return build(config)


def build(config: dict[str, Any]) -> EncoderDecoder:
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
        [
            *("none", "dot", "general", {"kind": "local", "sigma": 2.0}),
            {"kind": "additive", "hidden_size": 5, "temperature": 0.5},
        ],
        ["after", "before", "between"],
        [True, False],
        [{}, {"readout": "deep", "bridge": "mean", "residual": True, "layer_output": "linear"}],
    )
    if not (attention == "none" and (attend != "after" or feed))
]


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: "-".join(str(v) for v in d.values()))
def test_whole_sequence_equals_a_loop_of_steps(decoder):
    model = make(**decoder)
    memory = model.encode(*source_batch())

    at_once = model.decode(memory, TARGET_IN).features
    torch.testing.assert_close(
        at_once, features_by_steps(model, memory, TARGET_IN), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("attention", ["none", "general"])
def test_batched_loss_equals_the_stepwise_decoder_fed_the_reference(attention):
    model = make(attention=attention)
    source, mask = source_batch()
    target_out = torch.tensor([[4, 5, 6, 7, 8, 3], [9, 9, 4, 3, 0, 0]])
    target_mask = target_out != 0
    memory = model.encode(source, mask)
    features = model.decode(memory, TARGET_IN).features
    _, nll = model.output.losses(features[target_mask], target_out[target_mask])

    total = 0.0
    for row, length in ((0, 6), (1, 4)):
        real = mask[row].sum()
        alone = model.encode(source[row : row + 1, :real], mask[row : row + 1, :real])
        state = model.start(alone)
        for position in range(length):
            step = model.step(TARGET_IN[row : row + 1, position], state, alone)
            state = step.state
            total -= model.output.log_probs(step.features)[0, target_out[row, position]].item()
    assert nll.sum().item() == pytest.approx(total, abs=1e-10)


@pytest.mark.parametrize("kind", ["dot", "general"])
def test_scores_are_divided_by_the_root_of_the_query_size_by_default(kind):
    by_default = make(attention=kind)
    told = make(attention={"kind": kind, "temperature": 8**0.5})
    told.load_state_dict(by_default.state_dict())
    source, mask = source_batch()

    features = [m.decode(m.encode(source, mask), TARGET_IN).features for m in (by_default, told)]
    assert torch.equal(*features)


def test_hypotheses_share_the_memory_of_their_sentence():
    model = make()
    memory = model.encode(*source_batch())
    tokens = torch.tensor([4, 5, 6, 7])  # two hypotheses of each of two sentences
    together = model.step(tokens, model.start(memory, copies=2), memory)
    apart = memory.select(torch.tensor([0, 0, 1, 1]))
    separate = model.step(tokens, model.start(apart), apart)

    torch.testing.assert_close(together.features, separate.features)
    torch.testing.assert_close(together.attention, separate.attention)


def test_selected_rows_continue_as_if_they_had_always_been_there():
    model = make()
    memory = model.encode(*source_batch())
    first = model.step(torch.tensor([4, 5]), model.start(memory), memory)
    swap = torch.tensor([1, 0])

    direct = model.step(torch.tensor([6, 7]), first.state, memory)
    swapped = model.step(torch.tensor([7, 6]), first.state.select(swap), memory.select(swap))
    torch.testing.assert_close(swapped.features, direct.features[swap])


@torch.no_grad()
def test_layers_above_the_first_read_the_context():
    model = make(attend="between", input_feeding=False, layers=3)
    memory = model.encode(*source_batch())
    assert [layer.cell.input.in_features for layer in model.decoder.stack.each_layer()] == [
        *(6, 8 + 8, 8 + 8)
    ]
    start = model.start(memory)
    step = model.step(TARGET_IN[:, 0], start, memory)
    embedded, states = model.decoder.embedding(TARGET_IN[:, :1])[:, 0], start.layers
    layers = model.decoder.stack.each_layer()
    first = layers[0].cell(layers[0].cell.project(embedded), states[0])[0]
    context, weights = model.decoder.attend_rows(first, memory)
    second = layers[1].cell(layers[1].cell.project(torch.cat([first, context], 1)), states[1])[0]
    third = layers[2].cell(layers[2].cell.project(torch.cat([second, context], 1)), states[2])[0]
    features = torch.tanh(model.decoder.readout(torch.cat([third, context], 1)))
    torch.testing.assert_close(step.features, features, rtol=0, atol=1e-12)
    torch.testing.assert_close(step.attention, weights, rtol=0, atol=1e-12)


@torch.no_grad()
def test_rows_are_reordered_with_attention_between_layers():
    model = make(attend="between", input_feeding=False)
    memory = model.encode(*source_batch())
    first = model.step(torch.tensor([4, 5, 6, 7]), model.start(memory, copies=2), memory)
    rows = torch.tensor([1, 1, 3, 2])  # within each sentence
    tokens = torch.tensor([6, 7, 8, 9])
    moved = model.step(tokens[rows], first.state.select(rows), memory)
    expected = model.step(tokens, first.state, memory).features[rows]
    torch.testing.assert_close(moved.features, expected, rtol=0, atol=1e-12)


def test_padding_of_the_source_changes_nothing():
    model = make()
    source, mask = source_batch((4,))
    padded = torch.cat([source, torch.zeros(1, 3, dtype=torch.long)], dim=1)
    padded_mask = torch.cat([mask, torch.zeros(1, 3, dtype=torch.bool)], dim=1)

    alone = model.decode(model.encode(source, mask), TARGET_IN[:1]).features
    beside = model.decode(model.encode(padded, padded_mask), TARGET_IN[:1]).features
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bridge", ["last", "mean"])
def test_under_autocast_the_first_state_is_in_the_precision_of_the_weights(bridge):
    """An LSTM accumulates in its cell state."""
    model = make(bridge=bridge).float()
    with torch.autocast("cpu", torch.bfloat16):
        state = model.start(model.encode(*source_batch()))
    assert {part.dtype for layer in state.layers for part in layer} == {torch.float32}


def test_decoder_without_input_ignores_the_reference_prefix():
    model = make(input="none", attention="none")
    memory = model.encode(*source_batch())

    assert torch.equal(
        model.decode(memory, TARGET_IN).features, model.decode(memory, TARGET_IN.flip(1)).features
    )
    torch.testing.assert_close(
        model.decode(memory, TARGET_IN).features, features_by_steps(model, memory, TARGET_IN)
    )


def test_without_attention_the_source_is_seen_through_the_first_state_only():
    model = make(attention="none", bridge="zero")
    features = [model.decode(model.encode(*source_batch()), TARGET_IN).features for _ in range(2)]

    assert torch.equal(features[0], features[1])


# --- scheduled sampling ------------------------------------------------------------------------


def test_always_reading_the_reference_is_teacher_forcing_bit_for_bit():
    model = make()
    memory = model.encode(*source_batch())
    generator = torch.get_rng_state()
    sampled = model.decode(memory, TARGET_IN, sampling=ScheduledSampling(1.0)).features

    assert torch.equal(sampled, model.decode(memory, TARGET_IN).features)
    assert torch.equal(torch.get_rng_state(), generator)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["none", "general"])
def test_never_reading_the_reference_is_free_running(attention):
    model = make(attention=attention)
    memory = model.encode(*source_batch())
    sampled = model.decode(memory, TARGET_IN, sampling=ScheduledSampling(0.0, "argmax")).features

    tokens, state = TARGET_IN[:, 0], model.start(memory)
    for position in range(TARGET_IN.shape[1]):
        step = model.step(tokens, state, memory)
        torch.testing.assert_close(sampled[:, position], step.features)
        tokens, state = model.output.log_probs(step.features).argmax(dim=-1), step.state


def test_scheduled_sampling_decides_for_every_token_of_every_sentence():
    """Each row and each column has both reference and sampled pieces."""
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
    assert 0.3 < share < 0.6  # half of the draws; a few sampled pieces equal the reference
    assert ((own.any(dim=0)) & (~own).any(dim=0)).all()
    assert ((own.any(dim=1)) & (~own).any(dim=1)).all()


def test_no_gradient_flows_through_a_sampled_piece():
    """Fed as if they were the reference, the sampled pieces give the same gradients."""
    model = make()
    source, mask = source_batch()
    read: list[torch.Tensor] = []
    advance = model.decoder.embedding.step
    model.decoder.embedding.step = lambda ids: (read.append(ids), advance(ids))[1]
    features = model.decode(
        model.encode(source, mask), TARGET_IN, sampling=ScheduledSampling(0.3)
    ).features
    sampled = torch.autograd.grad(features.square().sum(), list(model.decoder.parameters()))
    model.decoder.embedding.step = advance

    forced = model.decode(model.encode(source, mask), torch.stack(read, dim=1)).features
    expected = torch.autograd.grad(forced.square().sum(), list(model.decoder.parameters()))
    for a, b in zip(sampled, expected, strict=True):
        torch.testing.assert_close(a, b)


def passes_of(model: EncoderDecoder, target_in: torch.Tensor, sampling: ScheduledSampling):
    """Return what the decoder read in each pass, and the features of each."""
    source, mask = source_batch()
    memory = model.encode(source[: len(target_in)], mask[: len(target_in)])
    read: list[torch.Tensor] = []
    features: list[torch.Tensor] = []

    def spy(decoder, arguments, output):
        read.append(arguments[1])
        features.append(output.features)

    hook = model.decoder.register_forward_hook(spy)
    model.decode(memory, target_in, sampling=sampling)
    hook.remove()
    return read, features, memory


DECODED_BY_STEPS = pytest.mark.parametrize(
    "decoder",
    [{"input_feeding": False}, {"input_feeding": True}, {"attend": "before"}],
    ids=["at once", "input feeding", "before"],
)


def test_two_passes_with_the_reference_alone_are_teacher_forcing_bit_for_bit():
    generator = torch.get_rng_state()
    read, *_ = passes_of(model := make(), TARGET_IN, ScheduledSampling(1.0, form="two_pass"))
    assert len(read) == 1
    memory = model.encode(*source_batch())
    torch.set_rng_state(generator)
    forced = model.decode(memory, TARGET_IN).features
    sampling = ScheduledSampling(1.0, form="two_pass")
    assert torch.equal(model.decode(memory, TARGET_IN, sampling=sampling).features, forced)
    assert torch.equal(torch.get_rng_state(), generator)


@DECODED_BY_STEPS
def test_without_the_reference_the_second_pass_reads_the_predictions_of_the_first(decoder):
    model = make(**decoder)
    sampling = ScheduledSampling(0.0, "argmax", "two_pass")
    read, features, memory = passes_of(model, TARGET_IN, sampling)
    assert torch.equal(read[0], TARGET_IN[:, :-1])
    predicted = model.output.scores(features[0]).argmax(dim=-1)
    assert torch.equal(read[1], torch.cat([TARGET_IN[:, :1], predicted], dim=1))
    torch.testing.assert_close(features[1], model.decode(memory, read[1]).features)


def test_the_first_pass_carries_no_gradient():
    """Fed as if it were the reference, what the second pass read gives the same gradients."""
    model = make()
    read, features, memory = passes_of(model, TARGET_IN, ScheduledSampling(0.3, form="two_pass"))
    assert not features[0].requires_grad
    weights = list(model.decoder.parameters())
    sampled = torch.autograd.grad(features[1].square().sum(), weights, retain_graph=True)
    forced = model.decode(memory, read[1]).features
    expected = torch.autograd.grad(forced.square().sum(), weights)
    for a, b in zip(sampled, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_two_passes_decide_for_every_token_of_every_sentence():
    model, batch = make(input_feeding=False), 20
    target_in = torch.full((batch, 20), 5)
    source = torch.randint(4, VOCAB, (batch, 3))
    memory = model.encode(source, torch.ones_like(source, dtype=torch.bool))
    read: list[torch.Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, arguments: read.append(arguments[1]))
    model.decode(memory, target_in, sampling=ScheduledSampling(0.5, form="two_pass"))
    own = read[1][:, 1:] != 5

    share = own.double().mean().item()
    assert 0.3 < share < 0.6  # half of the draws; a few sampled pieces equal the reference
    assert ((own.any(dim=0)) & (~own).any(dim=0)).all()
    assert ((own.any(dim=1)) & (~own).any(dim=1)).all()


def test_two_passes_over_an_empty_target_read_the_begin_symbol():
    read, *_ = passes_of(make(), TARGET_IN[:, :1], ScheduledSampling(0.0, form="two_pass"))
    assert [each.tolist() for each in read] == [[[2], [2]]]


@DECODED_BY_STEPS
def test_fast_modules_decode_in_two_passes_alike(decoder):
    """The first pass runs without gradients among others that have some."""
    plain = make(**decoder).train()
    fast = copy.deepcopy(plain)
    accelerate(fast, "training")
    gradients = []
    for model in (plain, fast):
        torch.manual_seed(1)  # the same source
        sampling = ScheduledSampling(0.0, "argmax", "two_pass")
        _, features, _ = passes_of(model, TARGET_IN, sampling)
        weights = list(model.decoder.parameters())
        gradients.append(torch.autograd.grad(features[1].square().sum(), weights))
    for a, b in zip(*gradients, strict=True):
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
        shared = [model.output.project.weight is target, model.encoder.embedding.weight is target]
        assert sum(shared) == same


def test_sparse_initialization_applies_only_to_recurrent_weights():
    torch.manual_seed(1)
    model = build({**BASE, "initialization": {"kind": "sparse", "nonzeros": 3, "radius": 0.5}})
    recurrent = {name for name, _ in model.named_parameters() if name.endswith("recurrent.weight")}
    assert recurrent
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            nonzeros = 3 if name in recurrent else weight.shape[1]
            assert ((weight != 0).sum(dim=1) == nonzeros).all(), name
    for block, _ in recurrent_blocks(model):
        assert spectral_radius(block) == pytest.approx(0.5, abs=1e-4)


def test_spectral_initialization_gives_every_gate_of_a_model_its_radius():
    """c / gamma: 1.1 for a tanh, 4.4 for the sigmoid of a gate."""
    for cell, radii in (("rnn", [1.1]), ("gru", [4.4, 4.4, 1.1]), ("lstm", [4.4, 4.4, 1.1, 4.4])):
        torch.set_default_dtype(torch.float64)
        try:
            model = build(
                {
                    **BASE,
                    "encoder": {**BASE["encoder"], "cell": cell},
                    "decoder": {**BASE["decoder"], "cell": cell},
                    "initialization": {"kind": "spectral", "c": 1.1},
                }
            )
        finally:
            torch.set_default_dtype(torch.float32)
        found = [spectral_radius(block) for block, _ in recurrent_blocks(model)]
        assert len(found) == 6 * len(radii)  # two layers in two directions, and two of the decoder
        assert found == pytest.approx(radii * 6, abs=1e-10)


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
        once, again = (model.decode(model.encode(*batch), TARGET_IN).features for _ in range(2))
        assert torch.equal(once, again)
        model.train()
        once, again = (model.decode(model.encode(*batch), TARGET_IN).features for _ in range(2))
        assert not torch.equal(once, again)


def test_gradients_of_the_whole_model_are_correct():
    model = make(attention="additive", layers=1)
    source, mask = source_batch()
    weight = model.decoder.stack.first.cell.input.weight

    def loss() -> torch.Tensor:
        features = model.decode(model.encode(source, mask), TARGET_IN).features
        losses, _ = model.output.losses(features.flatten(0, 1), TARGET_IN.flatten(), smoothing=0.1)
        return losses.sum()

    (gradient,) = torch.autograd.grad(loss(), weight)
    with torch.no_grad():
        for row, column in ((0, 0), (5, 3), (20, 7)):
            weight[row, column] += 1e-6
            up = loss()
            weight[row, column] -= 2e-6
            slope = (up - loss()) / 2e-6
            weight[row, column] += 1e-6
            torch.testing.assert_close(gradient[row, column], slope, rtol=1e-6, atol=1e-8)


def test_word_dropout_of_the_target_is_noise_in_what_the_decoder_reads():
    """A dropped piece is read as zeros, whole pieces at the given rate; in search, none is."""
    model = build({**BASE, "dropout": {"target_words": 0.3}}).train()
    tokens = torch.randint(4, VOCAB, (50, 40))
    embedding = model.decoder.embedding
    read = embedding(tokens, embedding.draw_mask(tokens))

    dropped = (read == 0).all(dim=2)
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert torch.equal(read[~dropped], embedding(tokens)[~dropped])

    memory = model.encode(*source_batch())
    noisy = model.decode(memory, TARGET_IN).features
    model.eval()
    assert not torch.equal(noisy, model.decode(memory, TARGET_IN).features)
    assert embedding.draw_mask(TARGET_IN) is None
