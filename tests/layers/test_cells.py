"""Cells equal torch's, and follow their equations at the extremes."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from nmt.layers.cells import Cell, GruCell, LstmCell, RnnCell, zero_state
from nmt.layers.initialization import initialize_uniform


def make(cell: Cell, scale: float = 0.5) -> Cell:
    """Give a cell random weights and biases in float64."""
    cell = cell.double()
    initialize_uniform(cell, scale)
    nn.init.uniform_(cell.input.bias, -scale, scale)
    return cell


def run(cell: Cell, inputs: torch.Tensor) -> torch.Tensor:
    """Step through [batch, length, input] from zeros -> [batch, length, hidden]."""
    state = zero_state(cell, inputs.shape[0])
    outputs = []
    for position in cell.project(inputs).unbind(dim=1):
        state = cell(position, state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1)


def copy_into(cell: Cell, theirs: nn.RNNBase) -> None:
    """Give torch's layer the cell's weights; its second bias, which ours lacks, stays zero."""
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(cell.input.weight)
        theirs.weight_hh_l0.copy_(cell.recurrent.weight)
        theirs.bias_ih_l0.copy_(cell.input.bias)
        theirs.bias_hh_l0.zero_()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RnnCell(3, 4), nn.RNN(3, 4, batch_first=True)),
        (RnnCell(3, 4, activation="relu"), nn.RNN(3, 4, batch_first=True, nonlinearity="relu")),
        (GruCell(3, 4), nn.GRU(3, 4, batch_first=True)),
        (LstmCell(3, 4), nn.LSTM(3, 4, batch_first=True)),
    ],
    ids=["tanh", "relu", "gru", "lstm"],
)
def test_cell_equals_torch(ours, theirs):
    make(ours)
    theirs = theirs.double()
    copy_into(ours, theirs)
    inputs = torch.randn(2, 6, 3, dtype=torch.float64)

    torch.testing.assert_close(run(ours, inputs), theirs(inputs)[0], rtol=0, atol=1e-12)


def test_rnn_bias_is_the_sum_of_torchs_two():
    ours, theirs = make(RnnCell(3, 4)), nn.RNN(3, 4, batch_first=True).double()
    copy_into(ours, theirs)
    with torch.no_grad():
        theirs.bias_hh_l0.copy_(torch.randn(4))
        ours.input.bias += theirs.bias_hh_l0
    inputs = torch.randn(2, 6, 3, dtype=torch.float64)

    torch.testing.assert_close(run(ours, inputs), theirs(inputs)[0], rtol=0, atol=1e-12)


def test_torchs_gru_differs_when_it_has_a_bias_inside_the_reset_gate():
    ours, theirs = make(GruCell(3, 4)), nn.GRU(3, 4, batch_first=True).double()
    copy_into(ours, theirs)
    with torch.no_grad():
        theirs.bias_hh_l0[8:] = 0.5  # b_hn, which the published equations do not have
    inputs = torch.randn(2, 6, 3, dtype=torch.float64)

    assert (run(ours, inputs) - theirs(inputs)[0]).abs().max() > 1e-3


def test_identity_rnn_computes_a_linear_recurrence():
    """f(n) = f(n-1) + f(n-2) + 2 from f(0) = 1, f(1) = 2 gives 1, 2, 5, 9, 16, 27."""
    cell = RnnCell(1, 2, activation="identity").double()
    with torch.no_grad():
        cell.recurrent.weight.copy_(torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
        cell.input.weight.copy_(torch.tensor([[2.0], [0.0]]))
    state = (torch.tensor([[2.0, 1.0]], dtype=torch.float64),)
    values = [1.0, 2.0]
    for _ in range(4):
        state = cell(cell.project(torch.ones(1, 1, dtype=torch.float64)), state)
        values.append(state[0][0, 0].item())

    assert values == [1.0, 2.0, 5.0, 9.0, 16.0, 27.0]


def test_reset_before_the_product_differs_from_reset_after_it():
    after, before = make(GruCell(3, 4)), GruCell(3, 4, reset="before").double()
    before.load_state_dict(after.state_dict())
    inputs = torch.randn(2, 6, 3, dtype=torch.float64)

    assert (run(after, inputs) - run(before, inputs)).abs().max() > 1e-3


def test_reset_before_the_product_follows_cho_et_al():
    cell = make(GruCell(3, 4, reset="before"))
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    w_r, w_z, w_n = cell.input.weight.chunk(3)
    u_r, u_z, u_n = cell.recurrent.weight.chunk(3)
    b_r, b_z, b_n = cell.input.bias.chunk(3)
    r = torch.sigmoid(x @ w_r.T + h @ u_r.T + b_r)
    z = torch.sigmoid(x @ w_z.T + h @ u_z.T + b_z)
    expected = (1 - z) * torch.tanh(x @ w_n.T + (r * h) @ u_n.T + b_n) + z * h

    torch.testing.assert_close(cell(cell.project(x), (h,))[0], expected, rtol=0, atol=1e-12)


def test_negating_the_update_gate_turns_keeping_into_writing():
    """Some papers let z write: h' = z * n + (1 - z) * h."""
    cell, negated = make(GruCell(3, 4)), GruCell(3, 4).double()
    negated.load_state_dict(cell.state_dict())
    with torch.no_grad():
        for parameter in negated.parameters():
            parameter[4:8] *= -1
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    gates, recurrent = cell.project(x), h @ cell.recurrent.weight.T
    r, z = torch.sigmoid(gates + recurrent)[:, :8].chunk(2, dim=-1)
    n = torch.tanh(gates[:, 8:] + r * recurrent[:, 8:])

    writes = negated(negated.project(x), (h,))[0]
    torch.testing.assert_close(writes, z * n + (1 - z) * h, rtol=0, atol=1e-12)


def test_gru_with_a_closed_update_gate_copies_its_state():
    cell = make(GruCell(3, 4))
    with torch.no_grad():
        cell.input.bias[4:8] = 1e3  # z -> 1
    projected = cell.project(torch.randn(3, dtype=torch.float64))
    h = torch.randn(4, dtype=torch.float64)

    jacobian = torch.autograd.functional.jacobian(lambda h: cell(projected, (h,))[0], h)
    torch.testing.assert_close(jacobian, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-12)


def test_gru_jacobian_follows_the_closed_form():
    """J = D(z) + D(h-n)D(z(1-z))U_z + D(1-z)D(1-n^2)[D(r)U_n + D(U_n h)D(r(1-r))U_r]."""
    cell = make(GruCell(3, 4))
    gates, h = cell.project(torch.randn(3, dtype=torch.float64)), torch.randn(4).double()
    u_r, u_z, u_n = cell.recurrent.weight.chunk(3)
    g_r, g_z, g_n = gates.chunk(3)
    r, z = torch.sigmoid(g_r + u_r @ h), torch.sigmoid(g_z + u_z @ h)
    n = torch.tanh(g_n + r * (u_n @ h))
    d = torch.diag
    expected = (
        d(z)
        + d(h - n) @ d(z * (1 - z)) @ u_z
        + d(1 - z) @ d(1 - n**2) @ (d(r) @ u_n + d(u_n @ h) @ d(r * (1 - r)) @ u_r)
    )

    jacobian = torch.autograd.functional.jacobian(lambda h: cell(gates, (h,))[0], h)
    torch.testing.assert_close(jacobian, expected, rtol=0, atol=1e-12)


def lstm_with_gates(*, forget: float, read: float) -> LstmCell:
    """An LSTM whose forget and input gates are stuck open (1e3) or closed (-1e3)."""
    cell = LstmCell(3, 4).double()
    for parameter in cell.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        cell.input.bias[:4], cell.input.bias[4:8] = read, forget
        nn.init.uniform_(cell.input.weight[8:12])
    return cell


def test_lstm_that_only_remembers_keeps_its_cell_state_unchanged():
    cell = lstm_with_gates(forget=1e3, read=-1e3)
    inputs = cell.project(torch.randn(20, 3, dtype=torch.float64))

    def last_cell(c: torch.Tensor) -> torch.Tensor:
        state = (torch.zeros(4, dtype=torch.float64), c)
        for position in inputs:
            state = cell(position, state)
        return state[1]

    c = torch.randn(4, dtype=torch.float64)
    assert torch.equal(last_cell(c), c)
    jacobian = torch.autograd.functional.jacobian(last_cell, c)
    torch.testing.assert_close(jacobian, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-12)


def test_lstm_with_closed_forget_gate_ignores_its_past():
    cell = lstm_with_gates(forget=-1e3, read=1e3)
    projected = cell.project(torch.randn(1, 3, dtype=torch.float64))
    h = torch.zeros(1, 4, dtype=torch.float64)
    one, other = (cell(projected, (h, torch.randn(1, 4, dtype=torch.float64))) for _ in range(2))

    assert torch.equal(one[1], other[1])


def without_forget_gate(cell: LstmCell) -> LstmCell:
    """Return a cell of the form of 1997 with the other weights of `cell`."""
    other = LstmCell(3, 4, forget_gate=False).double()
    with torch.no_grad():
        for name, weight in other.named_parameters():
            blocks = cell.get_parameter(name).chunk(4)
            weight.copy_(torch.cat([blocks[0], *blocks[2:]]))
    return other


def test_without_a_forget_gate_the_cell_state_adds_up_what_is_written_into_it():
    """c_T = c_0 + sum_t i_t * g_t, and h_t = o_t * tanh(c_t) (Hochreiter and Schmidhuber, 1997)."""
    cell = without_forget_gate(make(LstmCell(3, 4)))
    assert cell.input.out_features == 12
    h, c = (torch.randn(2, 4, dtype=torch.float64) for _ in range(2))
    for x in torch.randn(5, 2, 3, dtype=torch.float64):
        i, g, o = (cell.project(x) + h @ cell.recurrent.weight.T).chunk(3, dim=-1)
        found = cell(cell.project(x), (h, c))
        c = c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        torch.testing.assert_close(found, (h, c), rtol=0, atol=1e-12)


def test_without_a_forget_gate_it_is_an_lstm_that_never_forgets():
    cell = make(LstmCell(3, 4))
    with torch.no_grad():
        cell.input.bias[4:8] = 1e3  # f = 1, to the last bit
    inputs = torch.randn(2, 6, 3, dtype=torch.float64)
    expected = run(cell, inputs)
    torch.testing.assert_close(run(without_forget_gate(cell), inputs), expected, rtol=0, atol=1e-12)


def test_without_a_forget_gate_gradients_pass_the_cell_state_unchanged():
    """With closed input gates, dc_T / dc_0 = I however long the sequence is."""
    cell = without_forget_gate(make(LstmCell(3, 4)))
    with torch.no_grad():
        cell.input.bias[:4] = -1e3
    inputs = cell.project(torch.randn(50, 3, dtype=torch.float64))

    def last_cell(c: torch.Tensor) -> torch.Tensor:
        state = (torch.zeros(4, dtype=torch.float64), c)
        for position in inputs:
            state = cell(position, state)
        return state[1]

    c = torch.randn(4, dtype=torch.float64)
    assert torch.equal(last_cell(c), c)
    jacobian = torch.autograd.functional.jacobian(last_cell, c)
    assert torch.equal(jacobian, torch.eye(4, dtype=torch.float64))


def test_forget_bias_initializes_the_forget_gate_only():
    bias = LstmCell(3, 2, forget_bias=1.5).input.bias.tolist()

    assert bias == [0, 0, 1.5, 1.5, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "cell",
    [
        RnnCell(3, 2),
        RnnCell(3, 2, activation="sigmoid"),
        RnnCell(3, 2, activation="relu"),
        RnnCell(3, 2, activation="identity"),
        GruCell(3, 2),
        GruCell(3, 2, reset="before"),
        LstmCell(3, 2),
        LstmCell(3, 2, forget_gate=False),
    ],
    ids=["tanh", "sigmoid", "relu", "identity", "gru", "gru-before", "lstm", "lstm-1997"],
)
def test_gradients_of_a_cell_are_correct(cell):
    make(cell)
    inputs = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)

    assert gradcheck(lambda x: run(cell, x), inputs)


@pytest.mark.parametrize("make_cell", [GruCell, LstmCell])
def test_under_autocast_sums_over_steps_stay_in_float32(make_cell):
    cell = make_cell(3, 4)
    nn.init.normal_(cell.input.weight)
    nn.init.normal_(cell.recurrent.weight)
    state = zero_state(cell, 2)
    with torch.autocast("cpu", torch.bfloat16):
        for position in cell.project(torch.randn(2, 5, 3)).unbind(dim=1):
            assert position.dtype == torch.bfloat16
            state = cell(position, state)
    assert state[-1].dtype == torch.float32


@pytest.mark.parametrize(
    "cell",
    [RnnCell(3, 4), GruCell(3, 4), GruCell(3, 4, reset="before"), LstmCell(3, 4)],
    ids=["rnn", "gru", "gru-before", "lstm"],
)
def test_recurrent_dropout_replaces_the_state_in_the_recurrent_product_only(cell):
    """With U = 0 the dropped state is never read; the state itself still is."""
    make(cell)
    projected = cell.project(torch.randn(2, 3, dtype=torch.float64))
    state = tuple(torch.randn(2, 4, dtype=torch.float64) for _ in range(cell.states))
    dropped = torch.randn(2, 4, dtype=torch.float64)

    kept = cell(projected, state, state[0])
    assert all(torch.equal(a, b) for a, b in zip(kept, cell(projected, state), strict=True))
    assert not torch.equal(cell(projected, state, dropped)[0], kept[0])
    nn.init.zeros_(cell.recurrent.weight)
    unread = cell(projected, state, dropped)
    assert all(torch.equal(a, b) for a, b in zip(unread, cell(projected, state), strict=True))
