"""A trace holds the states of every layer and the gradients that reach them."""

import pytest
import torch
from traced import PAIRS, batch_of, model_of, total_loss

from nmt.diagnostics.trace import Walk, trace
from nmt.models.encoder_decoder import EncoderDecoder

EXACT = {"rtol": 0.0, "atol": 1e-12}
CELLS = [
    "rnn",
    {"kind": "rnn", "activation": "relu"},
    "gru",
    {"kind": "gru", "reset": "before"},
    "lstm",
    "lnlstm",
    {"kind": "lstm", "forget_gate": False},
    {"kind": "delays", "delays": [1, 3]},
    {"kind": "clockwork", "periods": [1, 2]},
]


def walk_named(model: EncoderDecoder, name: str, *pairs: tuple[list[int], list[int]]) -> Walk:
    found = trace(model, batch_of(*(pairs or PAIRS)), total_loss)
    return next(walk for walk in found.walks if walk.name == name)


def test_gradients_are_those_of_backpropagation_through_time_by_hand():
    """An Elman network under a readout and a softmax: delta_t is written out from the equations."""
    model = model_of(cell="rnn", attention="none", bridge="zero")
    (_, target), decoder = PAIRS[1], model.decoder
    walk = walk_named(model, "decoder 1", PAIRS[1])

    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    cell = "decoder.stack.layers.0.cells.0"
    w, b = weights[f"{cell}.input.weight"], weights[f"{cell}.input.bias"]
    u = weights[f"{cell}.recurrent.weight"]
    r, v = weights["decoder.readout.weight"], weights["output.project.weight"]
    states, errors = [torch.zeros(8, dtype=torch.float64)], []
    for read, wanted in zip([2, *target[:-1]], target, strict=True):
        x = decoder.embedding.weight[read].detach() * 6**0.5
        states.append(torch.tanh(w @ x + b + u @ states[-1]))
        f = torch.tanh(r @ states[-1] + weights["decoder.readout.bias"])
        p = torch.softmax(v @ f + weights["output.project.bias"], dim=0)
        p[wanted] -= 1.0
        errors.append(r.T @ ((1.0 - f**2) * (v.T @ p)))
    deltas = [errors[-1]]
    for h, error in zip(states[:1:-1], errors[-2::-1], strict=True):
        deltas.insert(0, error + u.T @ ((1.0 - h**2) * deltas[0]))

    for step, (state, delta) in enumerate(zip(states[1:], deltas, strict=True)):
        torch.testing.assert_close(walk.states[step][0][0].detach(), state, **EXACT)
        torch.testing.assert_close(walk.gradients[step][0][0], delta, **EXACT)
        torch.testing.assert_close(walk.immediate[step][0][0], errors[step], **EXACT)


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize(
    "decoder",
    [
        {"attention": "none"},
        {"attention": "general", "input_feeding": True, "layers": 2},
        {"attention": {"kind": "additive", "hidden_size": 3}, "attend": "before"},
    ],
    ids=["none", "feeding", "before"],
)
def test_contributions_of_all_later_steps_sum_to_the_gradient(cell, decoder):
    require_sums(model_of(encoder={"cell": cell, "layers": 2}, cell=cell, **decoder))


@pytest.mark.parametrize("cell", ["gru", "lstm", "delays"])
def test_zoneout_and_input_attention_are_part_of_a_step(cell):
    options = {"cell": cell, "input_attention": "softmax"}
    rates = {"zoneout_hidden": 0.3} | ({"zoneout_cell": 0.5} if cell == "lstm" else {})
    model = model_of(encoder=options, dropout=rates, **options)
    require_sums(model)
    found = trace(model, batch_of(*PAIRS), total_loss)
    assert [walk.name for walk in found.walks] == [
        "encoder 1 forward",
        "encoder 1 backward",
        "decoder 1",
    ]
    (forward, *_) = found.walks
    memory = model.eval().encode(batch_of(*PAIRS).source, batch_of(*PAIRS).source_mask)
    assert torch.equal(memory.states[0, 1, :4], forward.states[1][0][0])


def test_the_cell_state_at_the_end_of_an_lstm_gets_no_gradient():
    """h_T is made from it within the step; as a state, nothing reads it."""
    walk = walk_named(model_of(), "decoder 1", PAIRS[1])
    hidden, memory = walk.gradients[-1]
    assert (hidden != 0.0).any()
    assert (memory == 0.0).all()


def require_sums(model: EncoderDecoder) -> None:
    """Assert that d+L/ds_t ds_t/ds_i, summed over all t from i on, is dL/ds_i."""
    for walk in trace(model, batch_of(*PAIRS), total_loss).walks:
        steps, batch = len(walk.states), len(walk.lengths)
        sums = [tuple(torch.zeros_like(part) for part in state) for state in walk.states]
        for step in range(steps):
            carried = walk.carry(walk.immediate, torch.full((batch,), step))
            sums = [
                tuple(a + b for a, b in zip(*both, strict=True))
                for both in zip(sums, carried, strict=True)
            ]
        for total, gradient in zip(sums, walk.gradients, strict=True):
            for a, b in zip(total, gradient, strict=True):
                torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_backward_direction_is_traced_from_the_end_of_each_sentence(cell):
    """It equals that of the sentence alone, and at its first step it has read the last word."""
    model = model_of(encoder={"cell": cell})
    together = walk_named(model, "encoder 1 backward")
    for row, pair in enumerate(PAIRS):
        alone = walk_named(model, "encoder 1 backward", pair)
        assert together.lengths[row] == len(pair[0]) == len(alone.states)
        for step in range(len(alone.states)):
            assert together.real(step)[row]
            for both in (
                (together.states[step], alone.states[step]),
                (together.gradients[step], alone.gradients[step]),
            ):
                for many, one in zip(*both, strict=True):
                    torch.testing.assert_close(many[row].detach(), one[0].detach(), **EXACT)
    batch = batch_of(*PAIRS)
    memory = model.eval().encode(batch.source, batch.source_mask)
    for row, (source, _) in enumerate(PAIRS):
        for step in range(len(source)):
            state = together.states[step][0][row]
            torch.testing.assert_close(
                memory.states[row, len(source) - 1 - step, 4:], state, **EXACT
            )


def test_padding_gets_no_gradient():
    model = model_of(encoder={"layers": 2})
    for walk in trace(model, batch_of(*PAIRS), total_loss).walks:
        for step, gradient in enumerate(walk.gradients):
            assert all((part[~walk.real(step)] == 0.0).all() for part in gradient)
            assert (gradient[0][walk.real(step)] != 0.0).any()


def test_layers_and_directions_have_names():
    model = model_of(encoder={"layers": 2}, layers=2)
    assert [walk.name for walk in trace(model, batch_of(*PAIRS), total_loss).walks] == [
        "encoder 1 forward",
        "encoder 1 backward",
        "encoder 2 forward",
        "encoder 2 backward",
        "decoder 1",
        "decoder 2",
    ]


def test_without_a_way_to_the_loss_gradients_are_zero():
    walk = walk_named(model_of(attention="none", bridge="zero"), "encoder 1 forward")
    assert all((part == 0.0).all() for gradient in walk.gradients for part in gradient)


def test_tracing_leaves_the_model_as_it_was():
    model = model_of()
    model.train()
    found = trace(model, batch_of(*PAIRS), total_loss)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    expected = total_loss(model.eval(), batch_of(*PAIRS))
    assert torch.equal(found.loss, expected.detach())
