"""From features to a distribution over the vocabulary."""

from typing import Protocol

from torch import Tensor, nn

from nmt.layers.linear import Linear
from nmt.layers.regularization import PairWeights, divergence


class _Output(Protocol):
    def cross_entropy(
        self, log_probs: Tensor, target: Tensor, *, smoothing: float
    ) -> tuple[Tensor, Tensor]: ...


def pair_losses(
    output: _Output,
    log_p: Tensor,
    log_q: Tensor,
    target: Tensor,
    weights: PairWeights,
    *,
    smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Return a CE(p) + b CE(q) + u KL(p || q) + v KL(q || p), and -log p of the reference.

    Args:
        output: what made both, and defines the cross-entropies CE with label smoothing.
        log_p: the first prediction of each token, [tokens, vocab].
        log_q: the second, [tokens, vocab].
        target: reference ids, [tokens].
        weights: a, b, u and v.
        smoothing: see `OutputLayer.losses`.

    Returns:
        The loss, which carries the gradient, and the other without; [tokens] each, in nats.
    """
    losses, nll = output.cross_entropy(log_p, target, smoothing=smoothing)
    others, _ = output.cross_entropy(log_q, target, smoothing=smoothing)
    total = weights.a * losses + weights.b * others
    total = total + weights.u * divergence(log_p, log_q) + weights.v * divergence(log_q, log_p)
    return total, nll


class OutputLayer(nn.Module):
    """Softmax over the vocabulary: p = softmax(W f + b).

    Args:
        project: the linear map f -> W f + b, with b; W may be an embedding's weights
            (Press and Wolf, 2017).
    """

    loss_name = "nll"
    """What `losses` returns: negative log-likelihoods."""

    def __init__(self, project: Linear) -> None:
        super().__init__()
        self.project = project

    @property
    def weight(self) -> Tensor:
        """W, [vocab, size]."""
        return self.project.weight

    def split(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the features that W reads [rows, size], and what is added to its product, [rows,
        vocab]; None = only b."""
        return features, None

    def scores(self, features: Tensor) -> Tensor:
        """Return the logits W f + b [rows, vocab] of `features` f [rows, size]."""
        scores: Tensor = self.project(features)
        return scores

    def log_mass(self, scores: Tensor) -> Tensor:
        """Return log sum exp of each row of logits `scores` [rows, vocab], [rows].

        It is computed in the type of the weights, even if the logits have a narrower one.
        """
        return scores.to(self.project.bias).logsumexp(dim=-1)

    def log_probs(self, features: Tensor) -> Tensor:
        """Return normalised log-probabilities [rows, vocab] of `features` [rows, size]."""
        return self.scores(features).log_softmax(dim=-1)

    def losses(
        self, features: Tensor, target: Tensor, *, smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of each token with label smoothing, and without, in nats.

        Label smoothing trains towards q = (1 - smoothing) one-hot + smoothing / vocab
        (Szegedy et al., 2016, sec. 7).

        Args:
            features: [tokens, size].
            target: reference ids, [tokens].
            smoothing: probability mass spread evenly over the vocabulary.

        Returns:
            -sum_j q_j log p_j, which carries the gradient, and -log p of the reference, detached;
            [tokens] each, in the type of the weights.
        """
        return self.cross_entropy(self.distribution(features), target, smoothing=smoothing)

    def distribution(self, features: Tensor) -> Tensor:
        """Return log p of each piece [tokens, vocab] for `features` [tokens, size], with its
        gradient and in the type of the weights."""
        return self.scores(features).to(self.project.bias).log_softmax(dim=-1)

    def cross_entropy(
        self, log_probs: Tensor, target: Tensor, *, smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Return what `losses` does, from log p of each piece, [tokens, vocab]."""
        nll = -log_probs.gather(1, target.unsqueeze(1)).squeeze(1)  # [tokens]
        return (1.0 - smoothing) * nll - smoothing * self.spread(log_probs), nll.detach()

    def spread(self, log_probs: Tensor) -> Tensor:
        """Return the mean log p over the pieces that label smoothing trains towards, [tokens]."""
        return log_probs.mean(dim=-1)

    def pair_losses(
        self,
        features: Tensor,
        others: Tensor,
        target: Tensor,
        weights: PairWeights,
        *,
        smoothing: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of two predictions of each token, as `pair_losses` does.

        Args:
            features: of the first prediction, [tokens, size].
            others: of the second, [tokens, size].
            target: reference ids, [tokens].
            weights: of the terms of the loss.
            smoothing: as in `losses`.
        """
        log_p, log_q = self.distribution(features), self.distribution(others)
        return pair_losses(self, log_p, log_q, target, weights, smoothing=smoothing)

    def narrow(self, pieces: Tensor) -> "OutputLayer":
        """Return a layer restricted to `pieces` [kept], for search."""
        return type(self)(self.project.narrow(pieces))
