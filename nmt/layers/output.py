"""From features to a distribution over the vocabulary."""

from torch import Tensor, nn

from nmt.layers.linear import Linear


class OutputLayer(nn.Module):
    """Softmax over the vocabulary: p = softmax(W f + b).

    Args:
        project: the linear map f -> W f + b, with b; W may be an embedding's weights
            (Press and Wolf, 2017).
    """

    loss_name = "nll"
    """What `losses` returns: negative log-likelihoods."""

    def __init__(self, project: nn.Linear) -> None:
        super().__init__()
        self.project = project

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
        log_probs = self.scores(features).to(self.project.bias).log_softmax(dim=-1)
        nll = -log_probs.gather(1, target.unsqueeze(1)).squeeze(1)  # [tokens]
        loss = (1.0 - smoothing) * nll - smoothing * log_probs.mean(dim=-1)
        return loss, nll.detach()

    def narrow(self, pieces: Tensor) -> "OutputLayer":
        """Return a layer restricted to `pieces` [kept], for search."""
        weight, bias = self.project.weight[pieces], self.project.bias[pieces]
        project = Linear(weight.shape[1], len(pieces))
        project.weight = nn.Parameter(weight, requires_grad=False)
        project.bias = nn.Parameter(bias, requires_grad=False)
        return OutputLayer(project)
