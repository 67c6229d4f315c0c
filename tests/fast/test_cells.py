"""Compiled kernels equal the plain cells and the plain loss, in value and in gradient."""

import pytest
import torch
from torch import Tensor

from nmt.layers import recurrent
from nmt.layers.cells import Cell, GruCell, LstmCell, State
from nmt.layers.compiled import CompiledCell
from nmt.layers.initialization import initialize_uniform
from nmt.layers.output import OutputLayer
from nmt.layers.recurrent import RecurrentLayer, unroll_compiled, unroll_steps
from nmt.native.kernels import kernels

pytestmark = pytest.mark.skipif(kernels() is None, reason="there is no C++ compiler")

CELLS = {"lstm": LstmCell, "gru": GruCell}


def make(kind: str, input_size: int, hidden_size: int) -> tuple[Cell, Cell]:
    """Return a cell of float32, and the same of float64, which no kernel knows."""
    fast, plain = CELLS[kind](input_size, hidden_size), CELLS[kind](input_size, hidden_size)
    initialize_uniform(fast, 0.5)
    torch.nn.init.uniform_(fast.bias, -0.5, 0.5)
    plain.load_state_dict(fast.state_dict())
    return fast, plain.double()


def run(cell: Cell, inputs: Tensor, state: State, path: str) -> list[Tensor]:
    """Return outputs and all gradients, in float64."""
    inputs = inputs.detach().requires_grad_()
    state = tuple(part.detach().requires_grad_() for part in state)
    unroll = {"steps": unroll_steps, "compiled": unroll_compiled}[path]
    outputs = unroll(cell, inputs, state)
    weights = torch.linspace(-1, 1, outputs.numel()).view(outputs.shape)
    (outputs * weights.to(outputs.dtype)).sum().backward()
    learned = [inputs, *state, *cell.parameters()]
    return [outputs.detach().double(), *(tensor.grad.double() for tensor in learned)]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("path", ["steps", "compiled"])
@pytest.mark.parametrize(
    ("batch", "length", "input_size", "hidden_size"),
    [(1, 1, 3, 16), (3, 7, 5, 32), (130, 4, 20, 144)],  # the last is shared among threads
)
def test_kernels_equal_the_plain_cell(kind, path, batch, length, input_size, hidden_size):
    torch.manual_seed(1)
    fast, plain = make(kind, input_size, hidden_size)
    inputs = torch.randn(batch, length, input_size)
    state = tuple(torch.randn(batch, hidden_size) for _ in range(fast.states))

    ours = run(fast, inputs, state, path)
    expected = run(plain, inputs.double(), tuple(part.double() for part in state), "steps")

    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * max(1.0, float(b.abs().max())))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("path", ["steps", "compiled"])
def test_bf16_is_close(kind, path):
    torch.manual_seed(1)
    fast, plain = make(kind, 5, 32)
    inputs, state = torch.randn(3, 7, 5), tuple(torch.randn(3, 32) for _ in range(fast.states))

    with torch.autocast("cpu", torch.bfloat16):
        ours = run(fast, inputs, state, path)
    expected = run(plain, inputs.double(), tuple(part.double() for part in state), "steps")

    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0.02 * float(b.abs().max()))


@pytest.mark.parametrize("path", ["steps", "compiled"])
def test_gates_are_right_where_they_saturate(path):
    cell, plain = make("lstm", 16, 16)
    inputs = torch.tensor([-1e6, -90.0, -8.0, -1e-6, 0.0, 1e-6, 8.0, 90.0, 1e6]).view(-1, 1, 1)
    inputs = inputs.expand(-1, 2, 16)
    state = (torch.zeros(9, 16), torch.zeros(9, 16))

    ours = run(cell, inputs, state, path)
    expected = run(plain, inputs.double(), tuple(part.double() for part in state), "steps")

    torch.testing.assert_close(ours[0], expected[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("path", ["steps", "compiled"])
def test_nan_comes_out_where_it_goes_in(kind, path):
    cell, _ = make(kind, 3, 16)
    inputs = torch.zeros(2, 3, 3)
    inputs[1, 1, 0] = torch.nan
    state = tuple(torch.zeros(2, 16) for _ in range(cell.states))

    outputs = run(cell, inputs, state, path)[0]

    assert outputs[0].isfinite().all()
    assert outputs[1, 0].isfinite().all()
    assert outputs[1, 1:].isnan().all()


@pytest.mark.parametrize(
    ("hidden_size", "dtype"), [(24, torch.float32), (32, torch.float64), (32, torch.float16)]
)
def test_what_no_kernel_knows_is_left_to_the_plain_path(hidden_size, dtype):
    share = torch.zeros(2, 4 * hidden_size, dtype=dtype)

    assert CompiledCell.of("lstm", torch.zeros(2, hidden_size), share) is None
    assert CompiledCell.of(None, torch.zeros(2, 32), torch.zeros(2, 128)) is None


@pytest.mark.parametrize("vocab", [5, 16, 1000, 1024])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_equals_the_plain_one(vocab, smoothing):
    torch.manual_seed(1)
    fast = OutputLayer(8, vocab, chunk=30)
    initialize_uniform(fast, 1.0)
    torch.nn.init.uniform_(fast.bias)
    plain = OutputLayer(8, vocab)
    plain.load_state_dict(fast.state_dict())
    features, target = 3 * torch.randn(4, 20, 8), torch.randint(0, vocab, (4, 20))
    mask = torch.arange(20) < torch.tensor([20, 13, 1, 7]).unsqueeze(1)

    measured = []
    for output, dtype in ((fast, torch.float32), (plain.double(), torch.float64)):
        own = features.to(dtype).requires_grad_()
        loss = output.loss(own, target, mask, smoothing=smoothing)
        gradients = torch.autograd.grad(loss.total, [own, output.weight, output.bias])
        measured.append([tensor.double() for tensor in (loss.total, loss.nll, *gradients)])

    for ours, expected in zip(*measured, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_a_loss_of_bf16_products_is_close():
    torch.manual_seed(1)
    output, features = OutputLayer(8, 50), torch.randn(2, 30, 8)
    initialize_uniform(output, 1.0)
    target, mask = torch.randint(0, 50, (2, 30)), torch.ones(2, 30, dtype=torch.bool)

    with torch.autocast("cpu", torch.bfloat16):
        low = output.loss(features, target, mask, smoothing=0.1)
    full = output.loss(features, target, mask, smoothing=0.1)

    torch.testing.assert_close(low.total, full.total, rtol=2e-3, atol=0)
    torch.testing.assert_close(low.nll, full.nll, rtol=2e-3, atol=0)


LENGTHS = {
    "one": [1],
    "equal": [3, 3],
    "unsorted": [2, 7, 1, 7, 4],
    "portions": [*range(1, 41), 40, 9],  # steps of 42, 32 and 16 rows
}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "learned_state": True}])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_a_layer_without_padding_equals_one_with_it(kind, options, lengths, monkeypatch):
    torch.manual_seed(1)
    fast = RecurrentLayer(lambda: CELLS[kind](5, 16), **options)
    for parameter in fast.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    plain = RecurrentLayer(lambda: CELLS[kind](5, 16), **options).double()
    plain.load_state_dict(fast.state_dict())
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    inputs = torch.randn(*mask.shape, 5)
    steps = []
    unroll = recurrent.unroll_packed
    monkeypatch.setattr(
        recurrent, "unroll_packed", lambda *given: steps.append(given[4]) or unroll(*given)
    )

    ours, expected = read_layer(fast, inputs, mask), read_layer(plain, inputs.double(), mask)

    assert len(steps) == len(fast.cells)  # no step of the float64 layer
    batch = len(lengths)
    rows = [sum(length > t for length in lengths) for t in range(max(lengths))]
    assert steps[0] == [min(batch, (count + 15) // 16 * 16) for count in rows]
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * max(1.0, float(b.abs().max())))


def read_layer(layer: RecurrentLayer, inputs: Tensor, mask: Tensor) -> list[Tensor]:
    """Return outputs, last outputs and all gradients, in float64."""
    inputs = inputs.detach().requires_grad_()
    read = layer(inputs, mask)
    assert not read.outputs[~mask].any()
    loss = read.last.square().sum()
    weights = torch.linspace(-1, 1, read.outputs.numel()).view(read.outputs.shape)
    (loss + (read.outputs * weights.to(read.outputs.dtype)).sum()).backward()
    learned = [inputs, *layer.parameters()]
    found = [read.outputs.detach(), read.last.detach(), *(tensor.grad for tensor in learned)]
    return [tensor.double() for tensor in found]


def test_what_has_no_word_or_no_gradient_is_read_with_its_padding():
    layer = RecurrentLayer(lambda: LstmCell(5, 16), bidirectional=True)
    initialize_uniform(layer, 0.5)
    inputs = torch.randn(2, 3, 5)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    wordless = layer(inputs, mask)
    alone = layer(inputs[:1, :2], mask[:1, :2])
    torch.testing.assert_close(wordless.outputs[:1, :2], alone.outputs)
    assert not wordless.outputs[~mask].any()
    with torch.no_grad():
        torch.testing.assert_close(layer(inputs, mask).outputs, wordless.outputs.detach())
