"""Cells and layers by kernels equal the plain equations, in value and in gradient."""

import copy
import itertools
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from nmt.fast import recurrent
from nmt.fast.accelerate import accelerate
from nmt.fast.cells import FastGruCell, FastLstmCell, Gates
from nmt.fast.kernels import kernels
from nmt.fast.packing import Packing, pack, unpack
from nmt.fast.recurrent import FastRecurrentLayer, unroll_torch
from nmt.fast.shapes import rounded
from nmt.layers.cells import Cell, GruCell, LstmCell, RnnCell, State, zero_state
from nmt.layers.recurrent import RecurrentLayer, unroll_cell

needs_kernels = pytest.mark.skipif(kernels() is None, reason="there is no C++ compiler")

CELLS = {"lstm": LstmCell, "gru": GruCell}
EACH_CELL = pytest.mark.parametrize("kind", CELLS)
EACH_PATH = pytest.mark.parametrize("path", ["steps", "at once"])


def make(kind: str, input_size: int, hidden_size: int, **options: bool) -> list[RecurrentLayer]:
    """Return a layer by kernels, in float32, and the plain one in float64."""
    plain = RecurrentLayer(lambda: CELLS[kind](input_size, hidden_size), **options)
    for parameter in plain.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    model = nn.Sequential(copy.deepcopy(plain))
    accelerate(model, "training")
    return [model[0], plain.double()]


def run(layer: RecurrentLayer, inputs: Tensor, state: State, path: str) -> list[Tensor]:
    """Return outputs and all gradients, in float64."""
    inputs = inputs.detach().requires_grad_()
    state = tuple(part.detach().requires_grad_() for part in state)
    if path == "steps":
        outputs = unroll_cell(layer.cell, inputs, state)
    else:
        outputs = layer.unroll(inputs, state)
    weights = torch.linspace(-1, 1, outputs.numel()).view(outputs.shape)
    (outputs * weights.to(outputs.dtype)).sum().backward()
    learned = [inputs, *state, *layer.cell.parameters()]
    return [outputs.detach().double(), *(tensor.grad.double() for tensor in learned)]


def run_plainly(layer: RecurrentLayer, inputs: Tensor, state: State) -> list[Tensor]:
    return run(layer, inputs.double(), tuple(part.double() for part in state), "steps")


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * max(1.0, float(b.abs().max())))


@needs_kernels
@EACH_CELL
@EACH_PATH
@pytest.mark.parametrize(
    ("batch", "length", "input_size", "hidden_size"),
    [(1, 1, 3, 16), (3, 7, 5, 32), (130, 4, 20, 144)],  # the last is shared among threads
)
def test_kernels_equal_the_plain_cell(kind, path, batch, length, input_size, hidden_size):
    torch.manual_seed(1)
    fast, plain = make(kind, input_size, hidden_size)
    inputs = torch.randn(batch, length, input_size)
    state = tuple(torch.randn(batch, hidden_size) for _ in range(fast.cell.states))

    assert_close(run(fast, inputs, state, path), run_plainly(plain, inputs, state))


@needs_kernels
@EACH_CELL
@EACH_PATH
def test_bf16_is_close(kind, path):
    torch.manual_seed(1)
    fast, plain = make(kind, 5, 32)
    inputs, state = torch.randn(3, 7, 5), tuple(torch.randn(3, 32) for _ in range(fast.cell.states))

    with torch.autocast("cpu", torch.bfloat16):
        ours = run(fast, inputs, state, path)
    for a, b in zip(ours, run_plainly(plain, inputs, state), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0.02 * float(b.abs().max()))


@needs_kernels
@EACH_PATH
def test_gates_are_correct_where_they_saturate(path):
    fast, plain = make("lstm", 16, 16)
    inputs = torch.tensor([-1e6, -90.0, -8.0, -1e-6, 0.0, 1e-6, 8.0, 90.0, 1e6]).view(-1, 1, 1)
    inputs = inputs.expand(-1, 2, 16)
    state = (torch.zeros(9, 16), torch.zeros(9, 16))

    ours, expected = run(fast, inputs, state, path), run_plainly(plain, inputs, state)
    torch.testing.assert_close(ours[0], expected[0], rtol=1e-5, atol=1e-7)


@needs_kernels
@EACH_CELL
@EACH_PATH
def test_nan_propagates_from_where_it_enters(kind, path):
    fast, _ = make(kind, 3, 16)
    inputs = torch.zeros(2, 3, 3)
    inputs[1, 1, 0] = torch.nan
    state = tuple(torch.zeros(2, 16) for _ in range(fast.cell.states))

    outputs = run(fast, inputs, state, path)[0]
    assert outputs[0].isfinite().all()
    assert outputs[1, 0].isfinite().all()
    assert outputs[1, 1:].isnan().all()


@pytest.mark.parametrize(
    ("cell", "dtype"),
    [
        (FastLstmCell(3, 24), torch.float32),
        (FastLstmCell(3, 32), torch.float64),
        (FastLstmCell(3, 32), torch.float16),
        (FastGruCell(3, 24), torch.float32),
        (GruCell(3, 32, reset="before"), torch.float32),
        (RnnCell(3, 32), torch.float32),
    ],
)
def test_there_are_no_kernels_for_other_sizes_types_and_cells(cell, dtype):
    share = torch.zeros(2, cell.input.out_features, dtype=dtype)
    assert Gates.of(cell, share) is None


@pytest.mark.parametrize("hidden_size", [4, 16])
@pytest.mark.parametrize("low", ["autocast", "weights"])
def test_an_lstm_accumulates_in_float32_where_products_are_bf16(hidden_size, low):
    torch.manual_seed(1)
    layer = make("lstm", 3, hidden_size)[0]
    inputs, state = torch.randn(2, 5, 3), zero_state(layer.cell, 2)
    if low == "weights":
        inputs, state = inputs.bfloat16(), zero_state(layer.bfloat16().cell, 2)
    with torch.autocast("cpu", torch.bfloat16, enabled=low == "autocast"):
        for position in layer.cell.project(inputs).unbind(dim=1):
            state = layer.cell(position, state)
    assert [part.dtype for part in state] == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("hidden_size", [4, 16])
def test_a_gru_accumulates_in_the_precision_of_its_weights(hidden_size):
    torch.manual_seed(1)
    cell = make("gru", 3, hidden_size)[0].cell
    state = zero_state(cell, 2)
    with torch.autocast("cpu", torch.bfloat16):
        for position in cell.project(torch.randn(2, 5, 3)).unbind(dim=1):
            state = cell(position, state)
    assert state[0].dtype == torch.float32


# --- torch's kernels ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make_cell",
    [RnnCell, partial(RnnCell, activation="relu"), GruCell, LstmCell],
    ids=["tanh", "relu", "gru", "lstm"],
)
def test_torchs_kernel_equals_the_plain_cell(make_cell):
    cell: Cell = make_cell(3, 4).double()
    for parameter in cell.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    inputs = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(2, 4).double().requires_grad_() for _ in range(cell.states))

    both = unroll_torch(cell, inputs, state), unroll_cell(cell, inputs, state)
    torch.testing.assert_close(*both, rtol=0, atol=1e-12)
    weights, wanted = torch.randn_like(both[0]), [inputs, *state, *cell.parameters()]
    ours, plain = (torch.autograd.grad((outputs * weights).sum(), wanted) for outputs in both)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "cell", [RnnCell(3, 4, activation="sigmoid"), GruCell(3, 4, reset="before")]
)
def test_torch_has_no_kernel_for_other_cells(cell):
    with pytest.raises(ValueError, match="torch has no kernel for"):
        unroll_torch(cell, torch.zeros(2, 5, 3), zero_state(cell, 2))


# --- packing -----------------------------------------------------------------------------------

LENGTHS = {
    "one": [1],
    "equal": [3, 3],
    "unsorted": [2, 7, 1, 7, 4],
    "portions": [*range(1, 41), 40, 9],  # steps of 42 and fewer rows
}
EACH_LENGTH = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)


def mask_of(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)


@EACH_LENGTH
def test_a_packed_batch_holds_every_word_once_and_little_padding(lengths):
    """Rows of a step continue those of the step before; their number is rounded up."""
    mask, batch = mask_of(lengths), len(lengths)
    packing = Packing.of(mask)
    rows = [sum(length > position for length in lengths) for position in range(max(lengths))]
    assert packing.counts == [min(batch, rounded(count)) for count in rows]
    for places in (packing.forward, packing.backward):
        assert len(set(places.tolist())) == len(places) == sum(packing.counts)
        assert set(mask.flatten().nonzero().flatten().tolist()) <= set(places.tolist())
    sentences = (packing.forward // mask.shape[1]).split(packing.counts)
    for before, after in itertools.pairwise(sentences):
        assert torch.equal(before[: len(after)], after)
    backward = packing.backward % mask.shape[1]
    ends = torch.tensor(lengths)[packing.backward[:batch] // mask.shape[1]] - 1
    assert torch.equal(backward[:batch], ends)


@EACH_LENGTH
def test_packing_and_unpacking_restores_words_and_gradients(lengths):
    mask = mask_of(lengths)
    places = Packing.of(mask).backward
    padded = torch.randn(*mask.shape, 3, dtype=torch.float64, requires_grad=True)
    restored = unpack(pack(padded, places), places, *mask.shape)

    assert torch.equal(restored[mask], padded[mask])
    (gradient,) = torch.autograd.grad(restored[mask].square().sum(), padded)
    torch.testing.assert_close(gradient, 2 * padded.detach() * mask.unsqueeze(-1))


@needs_kernels
@EACH_CELL
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "learned_state": True}])
@EACH_LENGTH
def test_a_layer_on_a_packed_batch_equals_one_on_a_padded_batch(
    kind, options, lengths, monkeypatch
):
    torch.manual_seed(1)
    fast, plain = make(kind, 5, 16, **options)
    mask = mask_of(lengths)
    inputs, packed, unroll = torch.randn(*mask.shape, 5), [], recurrent.unroll
    monkeypatch.setattr(
        recurrent, "unroll", lambda *given: packed.append(given[4]) or unroll(*given)
    )

    assert_close(read_layer(fast, inputs, mask), read_layer(plain, inputs.double(), mask))
    assert packed == [Packing.of(mask).counts] * len(fast.cells)


def read_layer(layer: RecurrentLayer, inputs: Tensor, mask: Tensor) -> list[Tensor]:
    """Return outputs, last outputs and all gradients, in float64."""
    inputs = inputs.detach().requires_grad_()
    read = layer(inputs, mask)
    assert not read.outputs[~mask].any()
    weights = torch.linspace(-1, 1, read.outputs.numel()).view(read.outputs.shape)
    loss = read.last.square().sum() + (read.outputs * weights.to(read.outputs.dtype)).sum()
    loss.backward()
    learned = [inputs, *layer.parameters()]
    found = [read.outputs.detach(), read.last.detach(), *(tensor.grad for tensor in learned)]
    return [tensor.double() for tensor in found]


def test_batches_with_an_empty_sentence_or_without_gradients_are_not_packed():
    """An empty sentence cannot be packed, and search results must not depend on the batch."""
    layer = make("lstm", 5, 16, bidirectional=True)[0]
    assert isinstance(layer, FastRecurrentLayer)
    inputs = torch.randn(2, 3, 5)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    wordless = layer(inputs, mask)
    alone = layer(inputs[:1, :2], mask[:1, :2])
    torch.testing.assert_close(wordless.outputs[:1, :2], alone.outputs)
    assert not wordless.outputs[~mask].any()
    with torch.no_grad():
        torch.testing.assert_close(layer(inputs, mask).outputs, wordless.outputs.detach())
