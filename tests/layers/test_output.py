"""The chunked loss is plain cross-entropy, in value and in gradient."""

import pytest
import torch
from torch.nn import functional as F

from nmt.layers.initialization import initialize_uniform
from nmt.layers.output import OutputLayer


def make(chunk: int = 3) -> OutputLayer:
    output = OutputLayer(4, 7, chunk=chunk).double()
    initialize_uniform(output, 1.0)
    torch.nn.init.uniform_(output.bias)
    return output


FEATURES = torch.linspace(-1, 1, 2 * 5 * 4, dtype=torch.float64).view(2, 5, 4)
TARGET = torch.tensor([[1, 2, 3, 4, 5], [6, 5, 4, 0, 0]])
MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_loss_equals_cross_entropy_in_value_and_gradient(smoothing, chunk):
    output = make(chunk)
    features = FEATURES.clone().requires_grad_()
    loss = output.loss(features, TARGET, MASK, smoothing=smoothing)
    scores = F.linear(features, output.weight, output.bias)[MASK]
    expected = F.cross_entropy(scores, TARGET[MASK], reduction="sum", label_smoothing=smoothing)
    plain = F.cross_entropy(scores, TARGET[MASK], reduction="sum")

    torch.testing.assert_close(loss.total, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(loss.nll, plain.detach(), rtol=0, atol=1e-12)
    assert loss.tokens == 8
    wanted = [features, output.weight, output.bias]
    ours = torch.autograd.grad(2.5 * loss.total, wanted)
    theirs = torch.autograd.grad(2.5 * expected, wanted)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_loss_needs_no_gradient_to_be_measured():
    output = make()
    with torch.no_grad():
        measured = output.loss(FEATURES, TARGET, MASK)
    torch.testing.assert_close(measured.total, output.loss(FEATURES, TARGET, MASK).total.detach())


def test_log_probs_are_normalised():
    log_probs = make().log_probs(FEATURES[0])

    torch.testing.assert_close(log_probs.exp().sum(dim=-1), torch.ones(5, dtype=torch.float64))


def test_bf16_loss_is_close_and_its_gradient_too():
    output = make().float()
    features = FEATURES.float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        low = output.loss(features, TARGET, MASK, smoothing=0.1)
    full = output.loss(features, TARGET, MASK, smoothing=0.1)

    torch.testing.assert_close(low.total, full.total, rtol=0.02, atol=0)
    for a, b in zip(
        torch.autograd.grad(low.total, [features, output.weight]),
        torch.autograd.grad(full.total, [features, output.weight]),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.02)


def test_tied_weights_must_fit():
    with pytest.raises(ValueError, match=r"\(7, 5\), the output layer needs \(7, 4\)"):
        OutputLayer(4, 7, tied=torch.nn.Parameter(torch.zeros(7, 5)))
