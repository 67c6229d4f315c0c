"""An output layer that never holds all logits at once.

Logits are by far the largest tensor of a model, so the loss computes them in chunks and does not
keep them: the gradients of each chunk are computed in the forward pass, while it is in memory.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt.fast.kernels import kernels, sum_rows, supports
from nmt.fast.linear import multiply
from nmt.fast.shapes import compiles_forward, pad_rows
from nmt.layers.lexical import LexicalOutput
from nmt.layers.output import OutputLayer
from nmt.layers.regularization import PairWeights

CHUNK = 2048
"""Target tokens whose logits are in memory at the same time."""


class FastOutput(OutputLayer):
    """See `OutputLayer`."""

    chunk = CHUNK

    def log_mass(self, scores: Tensor) -> Tensor:
        """See `OutputLayer`; float32 for bfloat16."""
        native = kernels() if supports(scores) and not scores.requires_grad else None
        if native is not None:
            return native.log_sum_exp(scores.contiguous())
        wide = scores.float() if scores.dtype == torch.bfloat16 else scores
        return wide.logsumexp(dim=1)

    def log_probs(self, features: Tensor) -> Tensor:
        """See `OutputLayer`."""
        scores = self.scores(features)
        return scores - self.log_mass(scores).unsqueeze(1)

    def losses(
        self, features: Tensor, target: Tensor, *, smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """See `OutputLayer`."""
        return self._chunked(features, target, smoothing)

    def pair_losses(
        self,
        features: Tensor,
        others: Tensor,
        target: Tensor,
        weights: PairWeights,
        *,
        smoothing: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """See `OutputLayer`."""
        pairs = torch.stack([features, others], dim=1).flatten(0, 1)  # [2 * tokens, size]
        return self._chunked(pairs, target, smoothing, weights)

    def _chunked(
        self, features: Tensor, target: Tensor, smoothing: float, pair: PairWeights | None = None
    ) -> tuple[Tensor, Tensor]:
        features, added = self.split(features)
        both: tuple[Tensor, Tensor] = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            features, self.weight, self.project.bias, added, target, smoothing, self.chunk, pair
        )
        return both


class FastLexicalOutput(FastOutput, LexicalOutput):
    """See `LexicalOutput`."""


@dataclass(frozen=True)
class _Gradients:
    """Gradients accumulated over the chunks of a batch, in the types of the weights."""

    features: Tensor
    weight: Tensor
    bias: Tensor
    added: Tensor | None


@dataclass(frozen=True)
class _Chunks:
    """The tokens of a batch and the weights of the output layer, processed in chunks."""

    features: Tensor
    """In the precision of the products, [tokens, size]; with two predictions of each token, one
    after the other, [2 * tokens, size]."""
    weight: Tensor
    """In the precision of the products, [vocab, size]."""
    bias: Tensor
    added: Tensor | None
    """Added to the logits, [rows of features, vocab]; None = nothing but the bias."""
    target: Tensor
    """[tokens]."""
    smoothing: float
    size: int
    """Tokens of a chunk."""
    pair: PairWeights | None
    """Of the loss of two predictions of each token; None = there is one."""

    def losses(
        self, gradients: _Gradients | None, importance: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return loss and negative log-likelihood of each token, [tokens] each.

        Args:
            gradients: receives the gradients of the sum of the losses; None = not needed.
            importance: weight of each token in that sum, [tokens]; None = 1.
        """
        is_compiled = supports(self.features) and self.bias.dtype == torch.float32
        native = kernels() if is_compiled else None
        losses = self.bias.new_empty(2, len(self.target))
        each = 1 if self.pair is None else 2  # predictions of a token
        for begin in range(0, len(self.target), self.size):
            tokens = slice(begin, begin + self.size)
            rows = slice(each * begin, each * (begin + self.size))
            part = self.features[rows]  # [each * chunk, size]
            count = len(part)
            part = pad_rows(part) if compiles_forward(part) else part
            # The rows of padding have logits of 0, and keep them as their gradient.
            padded = multiply(part, self.weight)  # [padded chunk, vocab]
            scores = padded[:count]  # logits, which become their gradient
            if self.added is not None:
                scores.add_(self.added[rows])
            gold = self.target[tokens].contiguous()
            if native is None:
                found = self._without_kernels(scores, gold)
            elif self.pair is None:
                found = native.cross_entropy(scores, self.bias, gold, self.smoothing)
            else:
                found = native.pair_losses(scores, self.bias, gold, self.smoothing, self.pair)
            losses[:, tokens] = torch.stack(found)
            if gradients is not None:
                if importance is not None:
                    weight = importance[tokens].to(scores.dtype).repeat_interleave(each)
                    scores.mul_(weight.unsqueeze(1))
                if gradients.added is not None:
                    gradients.added[rows] = scores
                gradients.bias.add_(sum_rows(scores, self.bias.dtype))
                gradients.features[rows] = (padded @ self.weight)[:count]
                gradients.weight.add_(padded.t() @ part)
        return losses[0], losses[1]

    def _without_kernels(self, scores: Tensor, gold: Tensor) -> tuple[Tensor, Tensor]:
        """Replace the logits `scores`, which lack their bias, by the gradient of the loss.

        Args:
            scores: [chunk, vocab], or of pairs, [2 * chunk, vocab].
            gold: reference ids, [chunk].

        Returns:
            Loss and negative log-likelihood of each token, [chunk].
        """
        log_probs = (scores.to(self.bias.dtype) + self.bias).log_softmax(dim=-1)
        if self.pair is None:
            losses, nll, gradient = _cross_entropy(log_probs, gold, self.smoothing)
        else:
            losses, nll, gradient = _pair_losses(log_probs, gold, self.smoothing, self.pair)
        scores.copy_(gradient)
        return losses, nll


def _cross_entropy(
    log_probs: Tensor, gold: Tensor, smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss, negative log-likelihood, and gradient of the logits, from log p [chunk, vocab].

    d loss / d scores = p - (1 - smoothing) one-hot - smoothing / vocab
    """
    gold = gold.unsqueeze(1)
    nll = -log_probs.gather(1, gold).squeeze(1)
    losses = (1.0 - smoothing) * nll - smoothing * log_probs.mean(dim=-1)
    grad = log_probs.exp().sub_(smoothing / log_probs.shape[1])
    grad.scatter_add_(1, gold, grad.new_full(gold.shape, smoothing - 1.0))
    return losses, nll, grad


def _pair_losses(
    log_probs: Tensor, gold: Tensor, smoothing: float, pair: PairWeights
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `_cross_entropy` does from log p and log q of each token, [2 * chunk, vocab].

    With d = log p - log q, the gradients of KL(p || q) are p (d - KL(p || q)) for the logits of p,
    and q - p for those of q.
    """
    log_p, log_q = log_probs[::2], log_probs[1::2]
    p, q, d = log_p.exp(), log_q.exp(), log_p - log_q
    of_p, nll, grad_p = _cross_entropy(log_p, gold, smoothing)
    of_q, _, grad_q = _cross_entropy(log_q, gold, smoothing)
    p_to_q, q_to_p = (p * d).sum(dim=-1), -(q * d).sum(dim=-1)
    a, b, u, v = pair.a, pair.b, pair.u, pair.v
    grad_p = a * grad_p + u * p * (d - p_to_q.unsqueeze(1)) + v * (p - q)
    grad_q = b * grad_q - v * q * (d + q_to_p.unsqueeze(1)) + u * (q - p)
    losses = a * of_p + b * of_q + u * p_to_q + v * q_to_p
    return losses, nll, torch.stack([grad_p, grad_q], dim=1).flatten(0, 1)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Cross-entropy with label smoothing of each token, from features and a linear layer; or, from
    the features of two predictions, the loss of both.

    The forward pass computes the gradients of the sum of the losses: in training, every token has
    the same weight. With other weights, the backward pass computes the chunks again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        added: Tensor | None,
        target: Tensor,
        smoothing: float,
        chunk: int,
        pair: PairWeights | None,
    ) -> tuple[Tensor, Tensor]:
        device = features.device.type
        wide = torch.promote_types(weight.dtype, torch.float32)
        # Autocast reaches neither in-place products nor the backward pass of a custom function:
        # so the precision of the products is chosen here.
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else wide
        chunks = _Chunks(
            features.to(low), weight.to(low), bias, added, target, smoothing, chunk, pair
        )
        ctx.chunks, ctx.gradients = chunks, None
        if any(ctx.needs_input_grad[:4]):
            ctx.gradients = _Gradients(
                features=torch.empty_like(features),
                weight=torch.zeros_like(weight),
                bias=torch.zeros_like(bias),
                added=None if added is None else torch.empty_like(added),
            )
        losses, nll = chunks.losses(ctx.gradients)
        ctx.mark_non_differentiable(nll)
        return losses, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        gradients, importance = ctx.gradients, grad_outputs[0]
        if gradients is None:
            raise RuntimeError("the gradient of this loss was already computed, and is not kept")
        ctx.gradients = None  # without other references, a parameter takes them without a copy
        if importance.numel() and not _is_uniform(importance):
            gradients.weight.zero_()
            gradients.bias.zero_()
            ctx.chunks.losses(gradients, importance)
        found = gradients.features, gradients.weight, gradients.bias, gradients.added
        if importance.numel() and _is_uniform(importance):
            for gradient in found:
                if gradient is not None:
                    gradient.mul_(importance[0])
        return *found, None, None, None, None


def _is_uniform(importance: Tensor) -> bool:
    """Whether all values of `importance` [tokens] are equal, as in the gradient of a sum."""
    return importance.stride(0) == 0 or bool((importance == importance[0]).all())
