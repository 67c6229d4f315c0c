"""How much a decoder state attends to each source position.

Every kind has the same methods: `keys` projects the source states once per sentence, `forward`
scores queries against them, and `attend` sums up the states as well. Queries come as
[batch, queries, size]: all target positions of a sentence, or all hypotheses of its beam, share one
set of keys.
"""

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from nmt.layers.products import Multiply, multiply_plainly
from nmt.native.kernels import WIDTH, Kernels, kernels, knows

_FEW_QUERIES = 16  # with more, products of matrices are worth their preparation


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


def attend(
    query: Tensor, keys: Tensor, states: Tensor, mask: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Attend with scores q . k, by the fastest path that fits.

    In a block of shared products, where gradients are wanted, the block decides.

    Args:
        query: [batch, queries, key].
        keys: [batch, src_len, key].
        states: [batch, src_len, enc].
        mask: True at real tokens, [batch, src_len].
        temperature: divides the scores.

    Returns:
        Contexts [batch, queries, enc] and weights [batch, queries, src_len].
    """
    if has_torch_function_unary(query):
        both: tuple[Tensor, Tensor] = handle_torch_function(
            attend, (query,), query, keys, states, mask, temperature
        )
        return both
    native = None if torch.is_grad_enabled() else attention_kernels(query, keys, states)
    if native is not None:
        return native.attend(query.contiguous(), keys, states, mask.contiguous(), temperature)
    return attend_plainly(query, keys, states, mask, temperature)


def attend_plainly(
    query: Tensor, keys: Tensor, states: Tensor, mask: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Do the same as `attend`, as it is written in the paper."""
    weights = normalize_scores(query @ keys.transpose(1, 2), mask, temperature)
    return torch.bmm(weights.to(states.dtype), states), weights


def attention_kernels(query: Tensor, keys: Tensor, states: Tensor) -> Kernels | None:
    """Return the kernels if they attend with these, see `attend`; else None."""
    few = query.shape[1] <= _FEW_QUERIES
    whole = keys.shape[2] % WIDTH == states.shape[2] % WIDTH == 0
    as_they_lie = keys.is_contiguous() and states.is_contiguous()
    fits = few and whole and as_they_lie and knows(query, keys, states)
    return kernels() if fits else None


class ProductAttention(nn.Module):
    """score = q . k / temperature; who derives from it says what the keys k are."""

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
        return attend(query, keys, states, mask, self.temperature)


class DotAttention(ProductAttention):
    """score(q, h) = q . h (Luong et al., 2015, sec. 3.1).

    Args:
        query_size: values of a query.
        memory_size: values of a source state; must equal `query_size`.
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
        query_size: values of a query.
        memory_size: values of a source state.
        temperature: divides the scores.
    """

    def __init__(self, query_size: int, memory_size: int, *, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        self.multiply: Multiply = multiply_plainly
        self.project_memory = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """Project `memory` [batch, src_len, memory] once a sentence -> [batch, src_len, query]."""
        return self.multiply(memory, self.project_memory.weight)


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

    def attend(
        self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return contexts [batch, queries, enc] and weights [batch, queries, src_len]."""
        weights = self(query, keys, mask)
        return torch.bmm(weights.to(states.dtype), states), weights


Attention = DotAttention | GeneralAttention | AdditiveAttention
