"""The chunked loss equals the plain cross-entropy for each token, in value and in gradient."""

import copy

import pytest
import torch
from torch import Tensor, nn

from nmt.fast.accelerate import accelerate
from nmt.fast.output import FastOutput
from nmt.layers.linear import Linear
from nmt.layers.output import OutputLayer
from nmt.layers.regularization import PairWeights

TOKENS = 80
PAIR = PairWeights(a=0.5, b=0.3, u=2.0, v=0.7)


def make(vocab: int, chunk: int = 30) -> tuple[FastOutput, OutputLayer]:
    """Return a fast output layer in float32, and the plain one in float64."""
    torch.manual_seed(1)
    plain = OutputLayer(Linear(8, vocab))
    nn.init.uniform_(plain.project.weight, -1, 1)
    nn.init.uniform_(plain.project.bias)
    model = nn.Sequential(copy.deepcopy(plain))
    accelerate(model, "training")
    model[0].chunk = chunk
    return model[0], plain.double()


def measure(
    output: OutputLayer, importance: Tensor, smoothing: float, pair: PairWeights | None = None
) -> list[Tensor]:
    """Return losses, negative log-likelihoods and gradients, in float64."""
    torch.manual_seed(2)
    dtype, vocab = output.project.bias.dtype, output.project.out_features
    features = (3 * torch.randn(len(importance), 8)).to(dtype).requires_grad_()
    others = (3 * torch.randn(len(importance), 8)).to(dtype).requires_grad_()
    target = torch.randint(0, vocab, importance.shape)
    wanted = [features, *output.parameters()]
    if pair is None:
        losses, nll = output.losses(features, target, smoothing=smoothing)
    else:
        losses, nll = output.pair_losses(features, others, target, pair, smoothing=smoothing)
        wanted.append(others)
    gradients = torch.autograd.grad((losses * importance.to(dtype)).sum(), wanted)
    assert not nll.requires_grad
    return [each.detach().double() for each in (losses, nll, *gradients)]


IMPORTANCE = {
    "equal": torch.ones(TOKENS).expand(TOKENS) / 7,
    "unequal": torch.linspace(0, 2, TOKENS),
    "of no tokens": torch.ones(0),
}


@pytest.mark.parametrize("has_kernels", [True, False])
@pytest.mark.parametrize("importance", IMPORTANCE.values(), ids=IMPORTANCE)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("pair", [None, PAIR], ids=["one", "two"])
@pytest.mark.parametrize("vocab", [5, 16, 1000, 1024])
def test_losses_and_gradients_equal_the_plain_ones(
    vocab, pair, smoothing, importance, has_kernels, request
):
    if not has_kernels:
        request.getfixturevalue("no_kernels")
    fast, plain = make(vocab)
    torch.testing.assert_close(
        measure(fast, importance, smoothing, pair),
        measure(plain, importance, smoothing, pair),
        rtol=1e-5,
        atol=1e-5 if pair is None else 1e-4,
    )


@pytest.mark.parametrize("pair", [None, PAIR], ids=["one", "two"])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_the_chunk_size_does_not_change_results(chunk, pair):
    fast, plain = make(7, chunk)
    for importance in IMPORTANCE.values():
        torch.testing.assert_close(
            measure(fast.double(), importance, 0.1, pair),
            measure(plain, importance, 0.1, pair),
            rtol=0,
            atol=1e-12,
        )


@pytest.mark.parametrize("importance", IMPORTANCE.values(), ids=IMPORTANCE)
def test_under_autocast_losses_and_gradients_are_close(importance):
    fast, plain = make(50)
    with torch.autocast("cpu", torch.bfloat16):
        low = measure(fast, importance, 0.1)
    full = measure(plain, importance, 0.1)
    torch.testing.assert_close(low[0].sum(), full[0].sum(), rtol=2e-3, atol=0)
    torch.testing.assert_close(low[1].sum(), full[1].sum(), rtol=2e-3, atol=0)
    for found, expected in zip(low[2:], full[2:], strict=True):
        assert (found - expected).norm() <= 0.02 * expected.norm()


def test_losses_are_the_same_without_gradients():
    fast, _ = make(7)
    features, target = torch.randn(TOKENS, 8), torch.randint(0, 7, (TOKENS,))
    with torch.no_grad():
        measured = fast.losses(features, target)
    torch.testing.assert_close(
        measured, tuple(each.detach() for each in fast.losses(features, target))
    )


def test_the_gradient_can_be_taken_only_once():
    fast, _ = make(7)
    losses, _ = fast.losses(torch.randn(TOKENS, 8), torch.randint(0, 7, (TOKENS,)))
    losses.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="the gradient of this loss was already computed"):
        losses.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_log_probs_equal_the_plain_ones(dtype):
    fast, plain = make(50)
    fast, features = fast.to(dtype), torch.randn(TOKENS, 8, dtype=torch.float64)
    log_probs = fast.log_probs(features.to(dtype))
    assert log_probs.dtype == torch.promote_types(dtype, torch.float32)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.1, torch.float64: 1e-12}[dtype]
    expected = plain.log_probs(features)
    torch.testing.assert_close(log_probs.double(), expected, rtol=0, atol=tolerance)


def test_a_narrowed_layer_scores_its_pieces_as_the_whole_layer_does():
    fast, _ = make(50)
    pieces, features = torch.tensor([0, 7, 49]), torch.randn(TOKENS, 8)
    with torch.no_grad():
        narrow = fast.narrow(pieces)
        assert isinstance(narrow, FastOutput)
        torch.testing.assert_close(narrow.scores(features), fast.scores(features)[:, pieces])


def test_gradients_of_log_probs_equal_the_plain_ones():
    fast, plain = make(23)
    features = torch.randn(TOKENS, 8)
    gradients = []
    for output in (fast, plain):
        log_probs = output.log_probs(features.to(output.project.bias.dtype))
        chosen = log_probs[:, 3].square().sum()
        found = torch.autograd.grad(chosen, [*output.parameters()])
        gradients.append([each.double() for each in found])
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-4)
