"""Losses are torch's cross-entropy token by token, and probabilities are normalised."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nmt.layers.initialization import initialize_uniform
from nmt.layers.linear import Linear
from nmt.layers.output import OutputLayer

TOKENS, VOCAB = 8, 7
TARGET = torch.tensor([1, 2, 3, 4, 5, 6, 5, 4])


def make(dtype: torch.dtype = torch.float64) -> OutputLayer:
    torch.manual_seed(1)
    output = OutputLayer(Linear(4, VOCAB)).to(dtype)
    initialize_uniform(output, 1.0)
    nn.init.uniform_(output.project.bias)
    return output


def make_features(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.linspace(-1, 1, TOKENS * 4, dtype=dtype).view(TOKENS, 4).requires_grad_()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_equal_cross_entropy_in_value_and_gradient(smoothing):
    """Token by token, so also with other weights than 1."""
    output, features = make(), make_features()
    losses, nll = output.losses(features, TARGET, smoothing=smoothing)
    scores = output.project(features)
    expected = F.cross_entropy(scores, TARGET, reduction="none", label_smoothing=smoothing)

    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(nll, F.cross_entropy(scores, TARGET, reduction="none").detach())
    assert not nll.requires_grad
    weights, wanted = torch.linspace(0, 2, TOKENS).double(), [features, *output.parameters()]
    ours = torch.autograd.grad(losses @ weights, wanted)
    theirs = torch.autograd.grad(expected @ weights, wanted)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_losses_are_the_same_without_gradients():
    output, features = make(), make_features()
    with torch.no_grad():
        measured, _ = output.losses(features, TARGET)
    assert torch.equal(measured, output.losses(features, TARGET)[0].detach())


def test_log_probs_are_normalised_and_equal_scores_minus_log_mass():
    output, features = make(), make_features()
    log_probs, scores = output.log_probs(features), output.scores(features)

    torch.testing.assert_close(log_probs.exp().sum(dim=-1), torch.ones(TOKENS).double())
    torch.testing.assert_close(log_probs, scores - output.log_mass(scores).unsqueeze(1))


def test_a_narrowed_layer_scores_its_pieces_as_the_whole_layer_does():
    output, features = make(), make_features()
    pieces = torch.tensor([0, 3, 6])
    narrow = output.narrow(pieces)

    torch.testing.assert_close(narrow.scores(features), output.scores(features)[:, pieces])
    assert not any(parameter.requires_grad for parameter in narrow.parameters())


def test_under_autocast_the_loss_is_close_and_its_gradient_too():
    """Logits are bf16; the softmax is float32."""
    output, features = make(torch.float32), make_features(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        low, _ = output.losses(features, TARGET, smoothing=0.1)
    full, _ = output.losses(features, TARGET, smoothing=0.1)

    assert low.dtype == torch.float32
    torch.testing.assert_close(low.sum(), full.sum(), rtol=0.02, atol=0)
    for a, b in zip(
        torch.autograd.grad(low.sum(), [features, output.project.weight]),
        torch.autograd.grad(full.sum(), [features, output.project.weight]),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.02)


def test_an_output_layer_may_share_the_weights_of_an_embedding():
    """Both uses add to one gradient (Press and Wolf, 2017)."""
    output, features = make(), make_features()
    embedding = nn.Embedding(VOCAB, 4).double()
    output.project.weight = embedding.weight
    losses, _ = output.losses(features + embedding(TARGET), TARGET)
    (tied,) = torch.autograd.grad(losses.sum(), embedding.weight)

    apart = nn.Parameter(embedding.weight.detach().clone())
    output.project.weight = apart
    losses, _ = output.losses(features + embedding(TARGET), TARGET)
    both = torch.autograd.grad(losses.sum(), [embedding.weight, apart])
    torch.testing.assert_close(tied, sum(both))
