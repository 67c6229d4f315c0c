"""Products of 8-bit integers are exact, and close to the products that they replace."""

import copy

import pytest
import torch
from torch import Tensor, nn

from nmt import machine
from nmt.fast import int8 as module
from nmt.fast.accelerate import accelerate
from nmt.fast.int8 import Int8Linear
from nmt.fast.kernels import kernels
from nmt.layers.cells import GruCell, LstmCell, RnnCell
from nmt.layers.recurrent import RecurrentLayer, unroll_cell

pytestmark = pytest.mark.usefixtures("int8")


@pytest.fixture(params=["torch", "oneDNN between kernels", "kernel"])
def path(request, monkeypatch):
    """Multiply in each way; a machine without AVX-512-VNNI uses the second one twice."""
    if request.param == "torch":
        request.getfixturevalue("no_kernels")
    monkeypatch.setattr(module, "has_amx", lambda: request.param != "kernel")
    monkeypatch.setattr(module, "_FEW_ROWS", 0)


def make(size: int, outputs: int, *, bias: bool = True) -> tuple[nn.Linear, Int8Linear]:
    """Return a linear layer with normal weights, and its counterpart in int8."""
    torch.manual_seed(0)
    linear = nn.Linear(size, outputs, bias=bias)
    for parameter in linear.parameters():
        nn.init.normal_(parameter)
    return linear, Int8Linear.of(linear)


def by_hand(inputs: Tensor, linear: nn.Linear) -> Tensor:
    """Round both factors as the module says, and multiply whole numbers in float64."""
    weight = linear.weight.detach()
    weight_scale = weight.abs().amax(dim=1).div(127).clamp_min(1e-12)
    scale = inputs.abs().amax(dim=1, keepdim=True).div(127).clamp_min(1e-12)
    whole_weight = torch.round(weight / weight_scale.unsqueeze(1)).double()
    whole = torch.floor(inputs / scale + 128.5).double() - 128  # 0 is 128
    product = whole @ whole_weight.t() * scale.double() * weight_scale.double()
    return product if linear.bias is None else product + linear.bias.detach().double()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 64, 320])
@pytest.mark.parametrize(("size", "outputs"), [(48, 37), (50, 64), (3, 1), (512, 200)])
def test_the_product_is_that_of_the_rounded_factors(rows, size, outputs, bias):
    linear, low = make(size, outputs, bias=bias)
    inputs = torch.rand(rows, size) * 4 - 2
    torch.testing.assert_close(low(inputs).double(), by_hand(inputs, linear), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("outputs", [16, 1000])
def test_the_product_is_close_to_the_exact_one(outputs):
    linear, low = make(512, outputs)
    inputs = torch.randn(64, 512)
    exact = linear(inputs).detach()
    assert (low(inputs) - exact).std() < 0.02 * exact.std()


@pytest.mark.usefixtures("path")
def test_a_row_gets_the_same_bits_in_any_batch():
    _, low = make(256, 300)
    inputs = torch.rand(64, 256)
    together = low(inputs)
    for first, last in ((0, 1), (3, 10), (10, 64)):
        assert torch.equal(low(inputs[first:last]), together[first:last])


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("size", [32, 35])
def test_nan_stays_nan(size):
    """Search looks for NaN, and reports that the model is damaged."""
    _, low = make(size, 7)
    for position in (0, 20, size - 1):
        inputs = torch.rand(3, size)
        inputs[1, position] = torch.nan
        product = low(inputs)
        assert product[1].isnan().all()
        assert product[[0, 2]].isfinite().all()


def test_leading_dimensions_and_rows_of_zeros_are_kept():
    linear, low = make(16, 7)
    product = low(torch.zeros(2, 3, 16))
    assert product.shape == (2, 3, 7)
    assert torch.equal(product, linear.bias.detach().expand(2, 3, 7))


def test_a_narrowed_layer_computes_its_outputs_as_the_whole_layer_does():
    _, low = make(16, 7)
    inputs, outputs = torch.randn(4, 16), torch.tensor([5, 0, 6])
    assert torch.equal(low.narrow(outputs)(inputs), low(inputs)[:, outputs])


def random_layer(make_cell, size: int, *, bidirectional: bool = False) -> RecurrentLayer:
    torch.manual_seed(0)
    layer = RecurrentLayer(lambda: make_cell(12, size), bidirectional=bidirectional).eval()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -0.3, 0.3)
    return layer


def in_int8(layer: RecurrentLayer) -> RecurrentLayer:
    model = nn.Sequential(copy.deepcopy(layer))
    accelerate(model, "search", int8=True)
    return model[0]


@torch.no_grad()
@pytest.mark.parametrize(
    "make_cell", [RnnCell, GruCell, LstmCell, lambda *a: GruCell(*a, reset="before")]
)
def test_an_int8_layer_is_close_to_the_plain_one(make_cell):
    plain = random_layer(make_cell, 16, bidirectional=True)
    low = in_int8(plain)
    inputs, mask = torch.randn(4, 9, 12), torch.arange(9) < torch.tensor([[9], [5], [1], [7]])
    exact, found = plain(inputs, mask), low(inputs, mask)
    alone = low(inputs[1:2, :5], mask[1:2, :5])
    assert not torch.equal(found.outputs, exact.outputs)
    torch.testing.assert_close(found.outputs, exact.outputs, rtol=0, atol=0.03)
    torch.testing.assert_close(found.last, exact.last, rtol=0, atol=0.03)
    torch.testing.assert_close(alone.outputs[0], found.outputs[1, :5], rtol=0, atol=0.01)


@torch.no_grad()
@pytest.mark.parametrize("make_cell", [GruCell, LstmCell])
@pytest.mark.parametrize("batch", [1, 3, 40])
@pytest.mark.parametrize("in_one_call", [True, False])
def test_reading_a_sentence_at_once_equals_step_by_step(make_cell, batch, in_one_call, monkeypatch):
    if not in_one_call and (native := kernels()) is not None:
        monkeypatch.setattr(native, "multiplies_int8", False)
    layer = in_int8(random_layer(make_cell, 32))
    inputs = torch.randn(batch, 9, 12)
    state = tuple(torch.randn(batch, 32) for _ in range(layer.cell.states))
    found, steps = layer.unroll(inputs, state), unroll_cell(layer.cell, inputs, state)
    torch.testing.assert_close(found, steps, rtol=0, atol=0)


@pytest.mark.skipif(kernels() is None, reason="there is no C++ compiler")
def test_values_are_rounded_to_the_nearest_byte():
    inputs = torch.tensor([[1.27, -1.27, 0.0, 0.004, 0.006, -0.004, -0.006]])
    as_bytes, scales = kernels().to_bytes(inputs)

    assert as_bytes.tolist() == [[255, 1, 128, 128, 129, 128, 127]]
    torch.testing.assert_close(scales, torch.tensor([0.01]))


def test_a_torch_without_8_bit_products_is_recognised(monkeypatch):
    monkeypatch.setattr(torch.ops, "onednn", object())
    assert not machine.has_int8()
