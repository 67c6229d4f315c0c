"""From features to a distribution over the vocabulary, and to a loss.

Scores over the vocabulary are by far the largest tensor of the model, so the loss takes them in
chunks and never keeps them: each chunk's gradient is formed at once, while it is at hand.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt.layers.products import Multiply, anew, multiply_plainly


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
        vocab, device = weight.shape[0], features.device.type
        wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
        # Autocast reaches neither in-place products nor the backward pass of a custom function:
        # the precision of the products is chosen by hand.
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else wide
        features_low, weight_low = features.to(low), weight.to(low)
        total, nll = (torch.zeros((), dtype=wide, device=features.device) for _ in range(2))
        needs_gradient = any(ctx.needs_input_grad[:3])
        if needs_gradient:
            grad_features = torch.empty_like(features)
            grad_weight = torch.zeros_like(weight)
            grad_bias = torch.zeros_like(bias)
        for begin in range(0, features.shape[0], chunk):
            part = features_low[begin : begin + chunk]  # [chunk, features]
            gold = target[begin : begin + chunk].unsqueeze(1)  # [chunk, 1]
            scores = (part @ weight_low.t()).to(wide).add_(bias)  # [chunk, vocab]
            log_probs = scores.log_softmax(dim=-1)
            part_nll = -log_probs.gather(1, gold).sum()
            nll += part_nll
            total += (1.0 - smoothing) * part_nll
            if smoothing > 0.0:
                total -= smoothing / vocab * log_probs.sum()
            if needs_gradient:
                # d total / d scores = softmax - (1 - smoothing) * one-hot - smoothing / vocab
                grad = log_probs.exp_()
                if smoothing > 0.0:
                    grad -= smoothing / vocab
                grad.scatter_add_(1, gold, grad.new_full(gold.shape, smoothing - 1.0))
                grad_bias += grad.sum(dim=0)
                grad = grad.to(low)
                grad_features[begin : begin + chunk] = grad @ weight_low
                grad_weight += grad.t() @ part
        if needs_gradient:
            ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        grad_features, grad_weight, grad_bias = ctx.saved_tensors
        scale = grad_outputs[0]
        return grad_features * scale, grad_weight * scale, grad_bias * scale, None, None, None


class OutputLayer(nn.Module):
    """Softmax over the vocabulary: p = softmax(W f + b).

    Args:
        size: values of a feature vector.
        vocab_size: number of pieces.
        tied: use these weights [vocab, size] of an embedding as W (Press and Wolf, 2017).
        chunk: target tokens whose scores exist at the same time.
    """

    def __init__(
        self, size: int, vocab_size: int, *, tied: nn.Parameter | None = None, chunk: int = 1024
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
        narrow.multiply = anew(self.multiply)
        return narrow

    def log_probs(self, features: Tensor, closed: Tensor | None = None) -> Tensor:
        """Return normalised log-probabilities [rows, vocab] of `features` [rows, size] in ±1.

        What is `closed` to a sentence [batch, vocab] is -inf; its rows are next to each other.
        """
        scores = self.multiply(features, self.weight, self.bias, bound=1.0)  # [rows, vocab]
        scores = scores.float() if scores.dtype == torch.bfloat16 else scores
        if closed is not None:
            of_sentences = scores.view(len(closed), -1, scores.shape[1])
            of_sentences.masked_fill_(closed.unsqueeze(1), -torch.inf)
        return scores.log_softmax(dim=-1)

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
