"""How much a decoder state attends to each source position.

Every kind has the same two methods: `keys` projects the source states once per sentence, and
`forward` scores queries against them. Queries come as [batch, queries, size]: all target
positions of a sentence, or all hypotheses of its beam, share one set of keys.
"""

import torch
from torch import Tensor, nn

from nmt.layers.products import Multiply, multiply_plainly


def normalize_scores(scores: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Softmax over real source positions; padding gets exactly 0.

    Args:
        scores: any real numbers, [batch, queries, src_len].
        mask: True at real tokens; at least one per sentence, [batch, src_len].
        temperature: divides the scores: above 1 flatter, below 1 sharper.

    Returns:
        Weights that sum to 1 over `src_len`, [batch, queries, src_len].
    """
    scores = scores.float() if scores.dtype == torch.bfloat16 else scores
    if temperature != 1.0:
        scores = scores / temperature
    return scores.masked_fill(~mask.unsqueeze(1), -torch.inf).softmax(dim=-1)


class DotAttention(nn.Module):
    """score(q, h) = q . h (Luong et al., 2015, sec. 3.1).

    Args:
        query_size: values of a query.
        memory_size: values of a source state; must equal `query_size`.
        temperature: divides the scores.
    """

    def __init__(self, query_size: int, memory_size: int, *, temperature: float = 1.0) -> None:
        super().__init__()
        if query_size != memory_size:
            raise ValueError(
                f"dot attention needs equal sizes, got query {query_size}, memory {memory_size}"
            )
        self.temperature = temperature

    def keys(self, memory: Tensor) -> Tensor:
        """Return `memory` [batch, src_len, memory] itself."""
        return memory

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Weigh `keys` [batch, src_len, query] for `query` [batch, queries, query].

        Returns weights [batch, queries, src_len]; `mask` [batch, src_len].
        """
        return normalize_scores(query @ keys.transpose(1, 2), mask, self.temperature)


class GeneralAttention(nn.Module):
    """score(q, h) = q . W h (Luong et al., 2015, sec. 3.1).

    Args:
        query_size: values of a query.
        memory_size: values of a source state.
        temperature: divides the scores.
    """

    def __init__(self, query_size: int, memory_size: int, *, temperature: float = 1.0) -> None:
        super().__init__()
        self.multiply: Multiply = multiply_plainly
        self.project_memory = nn.Linear(memory_size, query_size, bias=False)
        self.temperature = temperature

    def keys(self, memory: Tensor) -> Tensor:
        """Project `memory` [batch, src_len, memory] once a sentence -> [batch, src_len, query]."""
        return self.multiply(memory, self.project_memory.weight)

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Weigh `keys` [batch, src_len, query] for `query` [batch, queries, query].

        Returns weights [batch, queries, src_len]; `mask` [batch, src_len].
        """
        return normalize_scores(query @ keys.transpose(1, 2), mask, self.temperature)


class AdditiveAttention(nn.Module):
    """score(q, h) = v . tanh(W q + U h) (Bahdanau et al., 2015, app. A.1.2).

    Args:
        query_size: values of a query.
        memory_size: values of a source state.
        hidden_size: units of the network.
        temperature: divides the scores.
    """

    def __init__(
        self, query_size: int, memory_size: int, *, hidden_size: int, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.multiply: Multiply = multiply_plainly
        self.project_query = nn.Linear(query_size, hidden_size)
        self.project_memory = nn.Linear(memory_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)
        self.temperature = temperature

    def keys(self, memory: Tensor) -> Tensor:
        """Project `memory` [batch, src_len, memory] once a sentence -> [batch, src_len, hidden]."""
        return self.multiply(memory, self.project_memory.weight)

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Weigh `keys` [batch, src_len, hidden] for `query` [batch, queries, query].

        Returns weights [batch, queries, src_len]; `mask` [batch, src_len].
        """
        query = self.multiply(query, self.project_query.weight, self.project_query.bias)
        query = query.unsqueeze(2)  # [batch, queries, 1, hidden]
        hidden = torch.tanh(query + keys.unsqueeze(1))  # [batch, queries, src_len, hidden]
        return normalize_scores(self.score(hidden).squeeze(-1), mask, self.temperature)


Attention = DotAttention | GeneralAttention | AdditiveAttention
