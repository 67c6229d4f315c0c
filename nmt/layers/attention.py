"""How much a decoder state attends to each source position.

Every kind has the same methods: `keys` projects the source states once per sentence, `forward`
scores queries against them, and `attend` sums the states with these weights. Queries come as
[batch, queries, size]: all target positions of a sentence, or all hypotheses of its beam, share one
set of keys.

With several heads (Vaswani et al., 2017, sec. 3.2.2; Chen et al., 2018), each head has weights of
its own and sums its share of the units of each state:

    a_i = softmax_j(score_i(q, h_j) / temperature),  c_i = sum_j a_ij h_ij,  c = [c_1; ..; c_n]

Units are dealt to the heads in turn, so that each head reads both directions of an encoder. There
is no projection of queries, values or c: the layers around the attention are linear as well. What
`forward` and `attend` return as weights, for alignments, copying and pictures, is the mean over the
heads.
"""

import torch
from torch import Tensor, nn

from nmt.layers.dropout import dropout_mask
from nmt.layers.linear import Linear


def normalize_scores(scores: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Softmax over real source positions; padding gets exactly 0.

    Args:
        scores: any real numbers, [batch, queries, src_len], or with heads [batch, heads, queries,
            src_len].
        mask: True at real tokens; at least one per sentence, [batch, src_len], or with heads
            [batch, 1, src_len].
        temperature: divides the scores: above 1 flatter, below 1 sharper.

    Returns:
        Weights that sum to 1 over `src_len`, of the shape of the scores.
    """
    scores = scores / temperature
    return scores.masked_fill(~mask.unsqueeze(-2), -torch.inf).softmax(dim=-1)


def split_heads(vectors: Tensor, heads: int) -> Tensor:
    """Deal the units of `vectors` [batch, length, size] to heads in turn.

    Returns [batch, heads, length, size / heads].
    """
    batch, length, size = vectors.shape
    return vectors.reshape(batch, length, size // heads, heads).permute(0, 3, 1, 2)


def weighted_sum(weights: Tensor, states: Tensor) -> Tensor:
    """Return contexts [batch, queries, enc]: `states` [batch, src_len, enc] summed with `weights`.

    `weights` are [batch, heads, queries, src_len].
    """
    parts = weights.to(states) @ split_heads(states, weights.shape[1])
    return parts.permute(0, 2, 3, 1).flatten(2)  # the units where they were


def drop_weights(weights: Tensor, rate: float, *, training: bool) -> Tensor:
    """Apply dropout to `weights` [batch, heads, queries, src_len] (Vaswani et al., 2017)."""
    if not training or rate == 0.0:
        return weights
    return weights * dropout_mask(weights, tuple(weights.shape), rate)


class ContentAttention(nn.Module):
    """Attention by scores of queries and keys, which subclasses define.

    Args:
        temperature: divides the scores.
        heads: number of heads; must divide the size of a source state.
        dropout: dropout rate of the weights with which states are summed.
    """

    def __init__(self, temperature: float, heads: int, dropout: float) -> None:
        super().__init__()
        self.temperature, self.heads, self.dropout = temperature, heads, dropout

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Score `keys` [batch, src_len, key] for `query` [batch, queries, query].

        Returns [batch, heads, queries, src_len].
        """
        raise NotImplementedError

    def weigh(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Return the weights of each head, [batch, heads, queries, src_len]."""
        return normalize_scores(self.scores(query, keys), mask.unsqueeze(1), self.temperature)

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Weigh `keys` [batch, src_len, key] for `query` [batch, queries, query].

        Returns weights [batch, queries, src_len]; `mask` [batch, src_len].
        """
        return self.weigh(query, keys, mask).mean(dim=1)

    def attend(
        self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return contexts [batch, queries, enc] and weights [batch, queries, src_len].

        The weights are those before dropout.
        """
        weights = self.weigh(query, keys, mask)
        kept = drop_weights(weights, self.dropout, training=self.training)
        return weighted_sum(kept, states), weights.mean(dim=1)


class ProductAttention(ContentAttention):
    """score_i(q, k) = q_i . k_i; subclasses define the keys k."""

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """See `ContentAttention`."""
        return split_heads(query, self.heads) @ split_heads(keys, self.heads).mT


class DotAttention(ProductAttention):
    """score(q, h) = q . h (Luong et al., 2015, sec. 3.1).

    Args:
        query_size: size of a query.
        memory_size: size of a source state; must equal `query_size`.
        temperature: see `ContentAttention`.
        heads: see `ContentAttention`.
        dropout: see `ContentAttention`.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        temperature: float = 1.0,
        heads: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(temperature, heads, dropout)
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
        query_size: size of a query; with several heads, a multiple of their number.
        memory_size: size of a source state.
        temperature: see `ContentAttention`.
        heads: see `ContentAttention`.
        dropout: see `ContentAttention`.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        temperature: float = 1.0,
        heads: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(temperature, heads, dropout)
        self.project_memory = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """Project `memory` [batch, src_len, memory] once a sentence -> [batch, src_len, query]."""
        keys: Tensor = self.project_memory(memory)
        return keys


class AdditiveAttention(ContentAttention):
    """score_i(q, h) = v_i . tanh(W q + U h) (Bahdanau et al., 2015, app. A.1.2).

    Args:
        query_size: size of a query.
        memory_size: size of a source state.
        hidden_size: units of the network.
        temperature: see `ContentAttention`.
        heads: see `ContentAttention`.
        dropout: see `ContentAttention`.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        hidden_size: int,
        temperature: float = 1.0,
        heads: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(temperature, heads, dropout)
        self.project_query = nn.Linear(query_size, hidden_size)
        self.project_memory = nn.Linear(memory_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, heads, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """Project `memory` [batch, src_len, memory] once a sentence -> [batch, src_len, hidden]."""
        keys: Tensor = self.project_memory(memory)
        return keys

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """See `ContentAttention`."""
        query = self.project_query(query).unsqueeze(2)  # [batch, queries, 1, hidden]
        hidden = torch.tanh(query + keys.unsqueeze(1))  # [batch, queries, src_len, hidden]
        scores: Tensor = self.score(hidden)  # [batch, queries, src_len, heads]
        return scores.permute(0, 3, 1, 2)


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
        dropout: dropout rate of the weights with which states are summed.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        sigma: float,
        temperature: float = 1.0,
        reads_content: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sigma, self.temperature, self.dropout = sigma, temperature, dropout
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
        """Return contexts [batch, queries, enc] and weights [batch, queries, src_len].

        The weights are those before dropout.
        """
        weights = self(query, keys, mask)
        kept = drop_weights(weights.unsqueeze(1), self.dropout, training=self.training)
        return weighted_sum(kept, states), weights


Attention = DotAttention | GeneralAttention | AdditiveAttention | LocalAttention
