"""From features to a distribution over the vocabulary, and to a loss.

Scores over the vocabulary are by far the largest tensor of the model, so the loss takes them in
chunks and never keeps them: each chunk's gradient is formed at once, while it is at hand.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nmt.layers.products import Multiply, MultiplyInt8, multiply_forward, multiply_plainly
from nmt.native.kernels import kernels, knows


@dataclass(frozen=True)
class LossSum:
    """Sums over target tokens, to be divided once by the tokens of a whole update."""

    total: Tensor
    """What is minimised, label smoothing included; carries the gradient."""
    nll: Tensor
    """Negative log-likelihood of the reference in nats, detached."""
    tokens: int
    """Target tokens in both sums, end symbols included."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy with label smoothing of a linear layer's scores, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        target: Tensor,
        smoothing: float,
        chunk: int,
    ) -> tuple[Tensor, Tensor]:
        device = features.device.type
        wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
        # Autocast reaches neither in-place products nor the backward pass of a custom function:
        # the precision of the products is chosen by hand.
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else wide
        features_low, weight_low = features.to(low), weight.to(low)
        is_compiled = knows(features_low) and bias.dtype == wide and kernels() is not None
        cross_entropy = _compiled_cross_entropy if is_compiled else _cross_entropy
        total, nll = (torch.zeros((), dtype=wide, device=features.device) for _ in range(2))
        needs_gradient = any(ctx.needs_input_grad[:3])
        if needs_gradient:
            grad_features = torch.empty_like(features)
            grad_weight = torch.zeros_like(weight)
            grad_bias = torch.zeros_like(bias)
        for begin in range(0, features.shape[0], chunk):
            part = features_low[begin : begin + chunk]  # [chunk, features]
            gold = target[begin : begin + chunk]  # [chunk]
            scores = multiply_forward(part, weight_low)  # [chunk, vocab]
            part_total, part_nll, grad, of_bias = cross_entropy(scores, bias, gold, smoothing)
            total += part_total
            nll += part_nll
            if needs_gradient:
                grad_bias += of_bias
                grad_features[begin : begin + chunk] = grad @ weight_low
                grad_weight += grad.t() @ part
        if needs_gradient:
            ctx.gradients = [grad_features, grad_weight, grad_bias]
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        if not ctx.gradients:
            raise RuntimeError("the gradient of this loss was taken already, and is not kept")
        scaled = [gradient.mul_(grad_outputs[0]) for gradient in ctx.gradients]
        ctx.gradients = []  # nobody else holds them: a parameter takes them without a copy
        return *scaled, None, None, None


def _cross_entropy(
    scores: Tensor, bias: Tensor, gold: Tensor, smoothing: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return loss, negative log-likelihood, and gradients of scores [chunk, vocab] and bias.

    Args:
        scores: without bias, [chunk, vocab]; belongs to this function.
        bias: [vocab].
        gold: reference ids, [chunk].
        smoothing: probability mass spread evenly over the vocabulary.
    """
    vocab, low, gold = scores.shape[1], scores.dtype, gold.unsqueeze(1)
    log_probs = (scores.to(bias.dtype) + bias).log_softmax(dim=-1)
    nll = -log_probs.gather(1, gold).sum()
    loss = (1.0 - smoothing) * nll - smoothing / vocab * log_probs.sum()
    # d loss / d scores = softmax - (1 - smoothing) * one-hot - smoothing / vocab
    grad = log_probs.exp_().sub_(smoothing / vocab)
    grad.scatter_add_(1, gold, grad.new_full(gold.shape, smoothing - 1.0))
    return loss, nll, grad.to(low), grad.sum(dim=0)


def _compiled_cross_entropy(
    scores: Tensor, bias: Tensor, gold: Tensor, smoothing: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Do the same by compiled kernels; the gradient takes the place of the scores."""
    native = kernels()
    assert native is not None
    loss, nll = native.cross_entropy(scores, bias, gold.contiguous(), smoothing)  # each [chunk]
    return loss.sum(), nll.sum(), scores, native.sum_rows(scores)


def log_sum_exp(scores: Tensor) -> Tensor:
    """Return the logarithm of the summed exponentials of `scores` [rows, vocab], [rows].

    Of bfloat16 it is float32; it carries no gradient.
    """
    scores = scores.detach()
    if knows(scores) and (native := kernels()) is not None:
        return native.log_sum_exp(scores.contiguous())
    wide = scores.float() if scores.dtype == torch.bfloat16 else scores
    return wide.logsumexp(dim=1)


class OutputLayer(nn.Module):
    """Softmax over the vocabulary: p = softmax(W f + b).

    Args:
        size: values of a feature vector.
        vocab_size: number of pieces.
        tied: use these weights [vocab, size] of an embedding as W (Press and Wolf, 2017).
        chunk: target tokens whose scores exist at the same time.
    """

    def __init__(
        self, size: int, vocab_size: int, *, tied: nn.Parameter | None = None, chunk: int = 2048
    ) -> None:
        super().__init__()
        if tied is not None and tied.shape != (vocab_size, size):
            raise ValueError(
                f"tied weights are {tuple(tied.shape)}, the output layer needs {(vocab_size, size)}"
            )
        self.multiply: Multiply = multiply_plainly
        self.weight = nn.Parameter(torch.empty(vocab_size, size)) if tied is None else tied
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.chunk = chunk

    def narrow(self, pieces: Tensor) -> "OutputLayer":
        """Return a layer that knows the `pieces` [kept] alone, for search."""
        weight = nn.Parameter(self.weight[pieces], requires_grad=False)
        narrow = OutputLayer(weight.shape[1], len(pieces), tied=weight)
        narrow.bias = nn.Parameter(self.bias[pieces], requires_grad=False)
        if isinstance(self.multiply, MultiplyInt8):
            narrow.multiply = self.multiply.narrow(self.weight, pieces, weight)
        return narrow

    def scores(self, features: Tensor, barred: Tensor | None = None) -> Tensor:
        """Return W f + b [rows, vocab] of `features` [rows, size].

        `barred` is -inf where a piece is closed to a sentence, else 0, [batch, vocab]; the rows of
        a sentence are next to each other.
        """
        scores = self.multiply(features, self.weight, self.bias)  # [rows, vocab]
        if barred is not None:
            scores.view(len(barred), -1, scores.shape[1]).add_(barred.unsqueeze(1))
        return scores

    def log_probs(self, features: Tensor) -> Tensor:
        """Return normalised log-probabilities [rows, vocab] of `features` [rows, size]."""
        scores = self.scores(features)
        return scores - log_sum_exp(scores).unsqueeze(1)

    def loss(
        self, features: Tensor, target: Tensor, mask: Tensor, *, smoothing: float = 0.0
    ) -> LossSum:
        """Sum the cross-entropy over the real tokens of a batch.

        Args:
            features: [batch, tgt_len, size].
            target: reference ids, [batch, tgt_len].
            mask: True at real tokens, [batch, tgt_len].
            smoothing: probability mass spread evenly over the vocabulary.
        """
        real = features[mask]  # [tokens, size]
        total, nll = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            real, self.weight, self.bias, target[mask], smoothing, self.chunk
        )
        return LossSum(total, nll, real.shape[0])
