"""Matrix products equal those of torch, with any library and in any shape."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nmt.fast.exchange import adopt
from nmt.fast.linear import FastLinear, multiply
from nmt.fast.shapes import blocks, multiply_transposed, pad_rows, rounded


@pytest.mark.usefixtures("library")
def test_products_equal_those_of_torch_for_any_layout_of_the_weights():
    torch.manual_seed(0)
    inputs, whole, bias = torch.randn(2, 5, 12), torch.randn(7, 20), torch.randn(7)
    transposed = torch.randn(12, 7).t()
    for weight in (whole[:, 8:], whole[:, 8:].contiguous(), transposed):
        found = multiply(inputs, weight, bias)
        torch.testing.assert_close(found, F.linear(inputs, weight, bias))
    nothing = multiply(inputs[..., :0], whole[:, :0], bias)
    torch.testing.assert_close(nothing, bias.expand(2, 5, 7))


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 12), (33, 12), (3, 7, 12), (0, 12), (700, 12)])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_layer_has_the_values_and_gradients_of_nn_linear(shape, bias, bf16):
    torch.manual_seed(0)
    fast = adopt(FastLinear, nn.Linear(12, 7, bias=bias))
    plain = nn.Linear(12, 7, bias=bias).double()
    plain.load_state_dict(fast.state_dict())
    inputs = torch.randn(shape, requires_grad=True)
    wide = inputs.detach().double().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        outputs = fast(inputs)
        with torch.no_grad():
            torch.testing.assert_close(fast(inputs), outputs)
    assert outputs.dtype == (torch.bfloat16 if bf16 else torch.float32)
    expected = plain(wide)
    weights = torch.linspace(-1, 2, expected.numel()).view(expected.shape).to(outputs.dtype)
    ours = torch.autograd.grad((outputs * weights).sum(), [inputs, *fast.parameters()])
    theirs = torch.autograd.grad((expected * weights).sum(), [wide, *plain.parameters()])
    tolerance = 0.02 if bf16 else 1e-5
    for found, right in zip((outputs, *ours), (expected, *theirs), strict=True):
        assert (found.double() - right).norm() <= tolerance * right.norm()
    assert {gradient.dtype for gradient in ours} == {torch.float32}


def test_rows_are_rounded_up_to_few_sizes_at_little_cost():
    sizes = [rounded(rows) for rows in range(1, 4097)]
    assert sizes == sorted(sizes)
    assert all(rows <= size for rows, size in enumerate(sizes, start=1))
    assert all(size < 1.25 * rows for rows, size in enumerate(sizes, start=1) if rows > 16)
    assert all(rounded(size) == size for size in sizes)
    assert len(set(sizes)) < 80


def test_padding_rows_are_zero_and_do_not_change_weight_gradients():
    left, right = torch.randn(37, 3), torch.randn(37, 5)
    padded = pad_rows(left)
    assert len(padded) == rounded(37)
    assert torch.equal(padded[:37], left)
    assert not padded[37:].any()
    low = multiply_transposed(left.bfloat16(), right.bfloat16())
    torch.testing.assert_close(low.float(), left.t() @ right, rtol=0.05, atol=0.1)
    torch.testing.assert_close(multiply_transposed(left, right), left.t() @ right)


def test_many_rows_are_cut_into_blocks_of_few_sizes_without_copying_most_of_them():
    sizes = set()
    for rows in [*range(1, 5000, 7), 513, 4096, 4097]:
        values = torch.arange(rows * 2.0).view(rows, 2) + 1
        parts = blocks(values)
        joined = torch.cat(parts)
        assert torch.equal(joined[:rows], values)
        assert not joined[rows:].any()
        assert len(joined) < 1.04 * rows or rows <= 512
        assert parts[0].data_ptr() == values.data_ptr() or rows <= 512
        sizes.update(map(len, parts))
    assert len(sizes) < 100


def test_weight_gradients_of_many_rows_are_those_of_all_rows():
    left, right = torch.randn(1111, 3), torch.randn(1111, 5)
    low = multiply_transposed(left.bfloat16(), right.bfloat16())
    assert (low.float() - left.t() @ right).norm() < 0.01 * (left.t() @ right).norm()
