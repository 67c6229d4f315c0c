"""How much a decoder state attends to each source position.

Every kind has the same methods: `keys` projects the source states once per sentence, `forward`
scores queries against them, and `attend` sums the states with these weights. Queries come as
[batch, queries, size]: all target positions of a sentence, or all hypotheses of its beam, share one
set of keys.
"""

import torch
from torch import Tensor, nn

from nmt.layers.linear import Linear


def normalize_scores(scores: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Softmax over real source positions; padding gets exactly 0.

    Args:
        scores: any real numbers, [batch, queries, src_len].
        mask: True at real tokens; at least one per sentence, [batch, src_len].
        temperature: divides the scores: above 1 flatter, below 1 sharper.

    Returns:
        Weights that sum to 1 over `src_len`, [batch, queries, src_len].
    """
    scores = scores / temperature
    return scores.masked_fill(~mask.unsqueeze(1), -torch.inf).softmax(dim=-1)


def weighted_sum(weights: Tensor, states: Tensor) -> Tensor:
    """Return contexts [batch, queries, enc]: `states` [batch, src_len, enc] summed with `weights`.

    `weights` are [batch, queries, src_len].
    """
    return torch.bmm(weights.to(states), states)


class ProductAttention(nn.Module):
    """score(q, k) = q . k / temperature; subclasses define the keys k."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Weigh `keys` [batch, src_len, query] for `query` [batch, queries, query].

        Returns weights [batch, queries, src_len]; `mask` [batch, src_len].
        """
        return normalize_scores(query @ keys.transpose(1, 2), mask, self.temperature)

    def attend(
        self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return contexts [batch, queries, enc] and weights [batch, queries, src_len]."""
        weights = self(query, keys, mask)
        return weighted_sum(weights, states), weights


class DotAttention(ProductAttention):
    """score(q, h) = q . h (Luong et al., 2015, sec. 3.1).

    Args:
        query_size: size of a query.
        memory_size: size of a source state; must equal `query_size`.
        temperature: divides the scores.
    """

    def __init__(self, query_size: int, memory_size: int, *, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        if query_size != memory_size:
            raise ValueError(
                f"dot attention needs equal sizes, got query {query_size}, memory {memory_size}"
            )

    def keys(self, memory: Tensor) -> Tensor:
        """Return `memory` [batch, src_len, memory] itself."""
        return memory


class GeneralAttention(ProductAttention):
    """score(q, h) = q . W h (Luong et al., 2015, sec. 3.1).

    Args:
        query_size: size of a query.
        memory_size: size of a source state.
        temperature: divides the scores.
    """

    def __init__(self, query_size: int, memory_size: int, *, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        self.project_memory = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """Project `memory` [batch, src_len, memory] once a sentence -> [batch, src_len, query]."""
        keys: Tensor = self.project_memory(memory)
        return keys


class AdditiveAttention(nn.Module):
    """score(q, h) = v . tanh(W q + U h) (Bahdanau et al., 2015, app. A.1.2).

    Args:
        query_size: size of a query.
        memory_size: size of a source state.
        hidden_size: units of the network.
        temperature: divides the scores.
    """

    def __init__(
        self, query_size: int, memory_size: int, *, hidden_size: int, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.project_query = nn.Linear(query_size, hidden_size)
        self.project_memory = nn.Linear(memory_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)
        self.temperature = temperature

    def keys(self, memory: Tensor) -> Tensor:
        """Project `memory` [batch, src_len, memory] once a sentence -> [batch, src_len, hidden]."""
        keys: Tensor = self.project_memory(memory)
        return keys

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Weigh `keys` [batch, src_len, hidden] for `query` [batch, queries, query].

        Returns weights [batch, queries, src_len]; `mask` [batch, src_len].
        """
        query = self.project_query(query).unsqueeze(2)  # [batch, queries, 1, hidden]
        hidden = torch.tanh(query + keys.unsqueeze(1))  # [batch, queries, src_len, hidden]
        return normalize_scores(self.score(hidden).squeeze(-1), mask, self.temperature)

    def attend(
        self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return contexts [batch, queries, enc] and weights [batch, queries, src_len]."""
        weights = self(query, keys, mask)
        return weighted_sum(weights, states), weights


class LocalAttention(nn.Module):
    """Local attention with a predicted position (Luong et al., 2015, sec. 3.2, "local-p").

        p = S * sigma(v . tanh(W_p q))
        a_j = softmax_j(q . W h_j / temperature) * exp(-(j - p)^2 / (2 sigma^2))

    S is the number of source tokens, and positions j are 0, ..., S - 1. As in the paper, weights
    are not normalised again after the second factor, so they sum to less than 1.

    Without content, only the position counts: a_j = softmax_j(-(j - p)^2 / (2 sigma^2)), which sums
    to 1.

    Args:
        query_size: size of a query q.
        memory_size: size of a source state h_j.
        sigma: standard deviation of the window around p, in tokens.
        temperature: divides the scores of the content.
        reads_content: False for weights by position alone.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        sigma: float,
        temperature: float = 1.0,
        reads_content: bool = True,
    ) -> None:
        super().__init__()
        self.sigma, self.temperature = sigma, temperature
        self.project_memory = Linear(memory_size, query_size, bias=False) if reads_content else None
        self.project_query = Linear(query_size, query_size, bias=False)
        self.score = Linear(query_size, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """Project `memory` [batch, src_len, memory] once a sentence -> [batch, src_len, query].

        Without content, keys have size 0.
        """
        if self.project_memory is None:
            return memory[..., :0]
        keys: Tensor = self.project_memory(memory)
        return keys

    def position(self, query: Tensor, mask: Tensor) -> Tensor:
        """Return p of `query` [batch, queries, query], in tokens, [batch, queries, 1]."""
        # float32, because bfloat16 has no whole numbers above 256 that differ by 1
        lengths = mask.sum(dim=1, dtype=torch.float32).view(-1, 1, 1)
        share: Tensor = torch.sigmoid(self.score(torch.tanh(self.project_query(query))))
        return lengths * share

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Weigh `keys` [batch, src_len, query] for `query` [batch, queries, query].

        Returns weights [batch, queries, src_len], 0 at padding; `mask` [batch, src_len].
        """
        places = torch.arange(mask.shape[1], device=mask.device)
        distance = places - self.position(query, mask)  # [batch, queries, src_len]
        log_window = -distance.square() / (2.0 * self.sigma**2)
        if self.project_memory is None:
            return normalize_scores(log_window, mask, 1.0)
        content = normalize_scores(query @ keys.transpose(1, 2), mask, self.temperature)
        return content * log_window.exp()

    def attend(
        self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return contexts [batch, queries, enc] and weights [batch, queries, src_len]."""
        weights = self(query, keys, mask)
        return weighted_sum(weights, states), weights


Attention = DotAttention | GeneralAttention | AdditiveAttention | LocalAttention
