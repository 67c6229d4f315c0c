"""Products of 8-bit integers are exact, and near the products they stand for."""

import pytest
import torch
from nmt.layers.products import (
    MultiplyInt8,
    can_quantize,
    multiply_forward,
    multiply_plainly,
    quantize,
)
from torch.nn import functional as F

from nmt.layers import products
from nmt.layers.cells import GruCell, LstmCell, RnnCell
from nmt.layers.recurrent import RecurrentLayer, unroll_steps

pytestmark = pytest.mark.skipif(not can_quantize(), reason="this torch has no 8-bit products")


def by_hand(inputs, weight, bias=None):
    """Round both factors as the module says, and multiply whole numbers in float64."""
    weight_scale = weight.abs().amax(dim=1).div(127).clamp_min(1e-12)
    scale = inputs.abs().amax(dim=1, keepdim=True).div(127).clamp_min(1e-12)
    whole_weight = torch.round(weight / weight_scale.unsqueeze(1)).double()
    whole = torch.floor(inputs / scale + 128.5).double() - 128  # 0 is 128
    product = whole @ whole_weight.t() * scale.double() * weight_scale.double()
    return product if bias is None else product + bias.double()


@pytest.fixture(params=["torch", "oneDNN between kernels", "kernel"])
def path(request, monkeypatch):
    """Take each way to multiply; a machine without AVX-512-VNNI takes the second one twice."""
    if request.param == "torch":
        monkeypatch.setattr(products, "kernels", lambda: None)
    monkeypatch.setattr(products, "has_amx", lambda: request.param != "kernel")
    monkeypatch.setattr(products, "_FEW_ROWS", 0)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 64, 320])
@pytest.mark.parametrize(("size", "outputs"), [(48, 37), (50, 64), (3, 1), (512, 200)])
def test_it_is_the_product_of_the_rounded_factors(rows, size, outputs):
    torch.manual_seed(0)
    inputs = torch.rand(rows, size) * 4 - 2
    weight, bias = torch.randn(outputs, size), torch.randn(outputs)
    found = MultiplyInt8()(inputs, weight, bias)
    torch.testing.assert_close(found.double(), by_hand(inputs, weight, bias), rtol=2e-5, atol=2e-5)
    without = MultiplyInt8()(inputs, weight)
    torch.testing.assert_close(without.double(), by_hand(inputs, weight), rtol=2e-5, atol=2e-5)


def test_it_is_near_the_plain_product():
    torch.manual_seed(0)
    inputs, weight = torch.randn(64, 512), torch.randn(1000, 512)
    plain = multiply_plainly(inputs, weight)
    error = MultiplyInt8()(inputs, weight) - plain
    assert error.std() < 0.02 * plain.std()


@pytest.mark.usefixtures("path")
def test_a_row_is_the_same_bits_in_any_company():
    torch.manual_seed(0)
    inputs, weight, bias = torch.rand(64, 256), torch.randn(300, 256), torch.randn(300)
    multiply = MultiplyInt8()
    together = multiply(inputs, weight, bias)
    for first, last in ((0, 1), (3, 10), (10, 64)):
        alone = multiply(inputs[first:last], weight, bias)
        assert torch.equal(alone, together[first:last])


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("size", [32, 35])
def test_what_is_no_number_stays_none(size):
    """A search looks for it, and says that the model is damaged."""
    weight, bias = torch.rand(7, size), torch.randn(7)
    multiply = MultiplyInt8()
    for position in (0, 20, size - 1):
        inputs = torch.rand(3, size)
        inputs[1, position] = torch.nan
        product = multiply(inputs, weight, bias)
        assert product[1].isnan().all()
        assert product[[0, 2]].isfinite().all()


def test_a_square_matrix_and_its_transpose_are_two():
    torch.manual_seed(0)
    inputs, weight, multiply = torch.randn(4, 16), torch.randn(16, 16), MultiplyInt8()
    for matrix in (weight, weight.t()):
        error = multiply(inputs, matrix) - multiply_plainly(inputs, matrix)
        assert error.abs().max() < 0.3


def test_leading_dimensions_and_rows_of_zeros_are_kept():
    weight, bias = torch.randn(7, 16), torch.randn(7)
    product = MultiplyInt8()(torch.zeros(2, 3, 16), weight, bias)
    assert product.shape == (2, 3, 7)
    assert torch.equal(product, bias.expand(2, 3, 7))


def test_columns_of_a_matrix_are_a_matrix_of_their_own():
    torch.manual_seed(0)
    weight, inputs = torch.randn(8, 24), torch.randn(5, 8)
    multiply = MultiplyInt8()
    multiply(torch.randn(5, 24), weight)
    found = multiply(inputs, weight[:, :8])
    torch.testing.assert_close(found.double(), by_hand(inputs, weight[:, :8]), rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(found, F.linear(inputs, weight[:, :8]), rtol=0.1, atol=0.15)


@pytest.mark.parametrize(
    "make", [RnnCell, GruCell, LstmCell, lambda *a: GruCell(*a, reset="before")]
)
def test_a_quantized_layer_reads_as_the_plain_one(make):
    torch.manual_seed(0)
    layer = RecurrentLayer(lambda: make(12, 16), bidirectional=True).eval()
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.3, 0.3)
    inputs, mask = torch.randn(4, 9, 12), torch.arange(9) < torch.tensor([[9], [5], [1], [7]])
    with torch.no_grad():
        plain = layer(inputs, mask)
        quantize(layer)
        found = layer(inputs, mask)
        alone = layer(inputs[1:2, :5], mask[1:2, :5])
    assert not torch.equal(found.outputs, plain.outputs)
    torch.testing.assert_close(found.outputs, plain.outputs, rtol=0, atol=0.03)
    torch.testing.assert_close(found.last, plain.last, rtol=0, atol=0.03)
    torch.testing.assert_close(alone.outputs[0], found.outputs[1, :5], rtol=0, atol=0.01)


@pytest.mark.parametrize("make", [GruCell, LstmCell])
@pytest.mark.parametrize("batch", [1, 3, 40])
@pytest.mark.parametrize("in_one_call", [True, False])
def test_a_quantized_sentence_is_read_at_once_as_step_by_step(
    make, batch, in_one_call, monkeypatch
):
    if not in_one_call:
        monkeypatch.setattr(MultiplyInt8, "pack", lambda *_: None)
    torch.manual_seed(0)
    layer = RecurrentLayer(lambda: make(12, 32)).eval()
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.3, 0.3)
    quantize(layer)
    inputs = torch.randn(batch, 9, 12)
    state = tuple(torch.randn(batch, 32) for _ in range(layer.cell.states))
    with torch.no_grad():
        found, steps = layer.unroll(inputs, state), unroll_steps(layer.cell, inputs, state)
    torch.testing.assert_close(found, steps, rtol=0, atol=0)


def test_a_torch_without_them_is_known(monkeypatch):
    monkeypatch.setattr(products.torch.ops, "onednn", object())
    assert not can_quantize()


@pytest.mark.parametrize("onednn", [False, True])
def test_forward_products_are_those_of_torch_however_the_weights_lie(onednn, monkeypatch):
    monkeypatch.setattr(products, "prefers_onednn", lambda: onednn)
    torch.manual_seed(0)
    inputs, whole, bias = torch.randn(2, 5, 12), torch.randn(7, 20), torch.randn(7)
    transposed = torch.randn(12, 7).t()
    for weight in (whole[:, 8:], whole[:, 8:].contiguous(), transposed):
        found = multiply_forward(inputs, weight, bias)
        torch.testing.assert_close(found, F.linear(inputs, weight, bias))
    nothing = multiply_forward(inputs[..., :0], whole[:, :0], bias)
    torch.testing.assert_close(nothing, bias.expand(2, 5, 7))
