"""Attention with several heads, and dropout of its weights."""

import pytest
import torch
from torch import Tensor, nn

from nmt.config.model import ModelConfig
from nmt.layers.attention import AdditiveAttention, Attention, DotAttention, GeneralAttention
from nmt.models.build import build_model

KINDS = pytest.mark.parametrize("kind", ["dot", "general", "additive"])
MEMORY = torch.randn(2, 5, 8, dtype=torch.float64)
MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])
TEMPERATURE = 0.7


def make(kind: str, *, heads: int = 1, dropout: float = 0.0) -> Attention:
    attention: Attention
    match kind:
        case "dot":
            attention = DotAttention(8, 8, temperature=TEMPERATURE, heads=heads, dropout=dropout)
        case "general":
            attention = GeneralAttention(
                4, 8, temperature=TEMPERATURE, heads=heads, dropout=dropout
            )
        case _:
            attention = AdditiveAttention(
                4, 8, hidden_size=5, temperature=TEMPERATURE, heads=heads, dropout=dropout
            )
    return attention.double()


def query_for(kind: str) -> Tensor:
    return torch.randn(2, 3, 8 if kind == "dot" else 4, dtype=torch.float64)


def score(attention: Attention, head: int, query: Tensor, state: Tensor) -> Tensor:
    """Return the score of one head, for a single query [query] and source state [memory]."""
    heads = attention.heads
    match attention:
        case AdditiveAttention():
            inner = attention.project_query(query) + attention.project_memory.weight @ state
            return attention.score.weight[head] @ torch.tanh(inner)
        case GeneralAttention():
            key = attention.project_memory.weight @ state
        case _:
            key = state
    return query[head::heads] @ key[head::heads]


@torch.no_grad()
@KINDS
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_each_head_follows_the_equations(kind, heads):
    """And what is returned as weights is the mean over the heads."""
    attention, query = make(kind, heads=heads), query_for(kind)
    contexts, weights = attention.attend(query, attention.keys(MEMORY), MEMORY, MASK)
    for row, length in ((0, 5), (1, 3)):
        states = MEMORY[row, :length]
        for number, q in enumerate(query[row]):
            context, mean = torch.empty(8).double(), torch.zeros(5).double()
            for head in range(heads):
                scores = torch.stack([score(attention, head, q, state) for state in states])
                own = (scores / TEMPERATURE).softmax(dim=0)
                context[head::heads] = own @ states[:, head::heads]
                mean[:length] += own / heads
            torch.testing.assert_close(contexts[row, number], context, rtol=0, atol=1e-12)
            torch.testing.assert_close(weights[row, number], mean, rtol=0, atol=1e-12)
    assert torch.equal(weights, attention(query, attention.keys(MEMORY), MASK))


@torch.no_grad()
@KINDS
def test_one_head_computes_what_a_single_softmax_does_bit_by_bit(kind):
    attention, query = make(kind).float(), query_for(kind).float()
    states = MEMORY.float()
    keys = attention.keys(states)
    if isinstance(attention, AdditiveAttention):
        inner = attention.project_query(query).unsqueeze(2) + keys.unsqueeze(1)
        scores = attention.score(torch.tanh(inner)).squeeze(-1)
    else:
        scores = query @ keys.transpose(1, 2)
    masked = (scores / TEMPERATURE).masked_fill(~MASK.unsqueeze(1), -torch.inf)
    contexts, weights = attention.attend(query, keys, states, MASK)
    assert torch.equal(weights, masked.softmax(dim=-1))
    assert torch.equal(contexts, torch.bmm(weights, states))


@KINDS
def test_gradients_equal_finite_differences(kind):
    attention, query = make(kind, heads=2), query_for(kind).requires_grad_()
    memory = MEMORY.clone().requires_grad_()

    def attend(query: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        contexts, weights = attention.attend(query, attention.keys(memory), memory, MASK)
        return contexts, weights

    assert torch.autograd.gradcheck(attend, (query, memory), fast_mode=True)


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 2])
def test_dropout_changes_the_context_alone_and_keeps_its_mean(heads):
    plain, attention = make("dot", heads=heads), make("dot", heads=heads, dropout=0.25)
    query = query_for("dot")
    expected, weights = plain.attend(query, MEMORY, MEMORY, MASK)

    draws = [attention.attend(query, MEMORY, MEMORY, MASK) for _ in range(4000)]
    assert all(torch.equal(found, weights) for _, found in draws)
    contexts = torch.stack([context for context, _ in draws])
    error = contexts.std(dim=0) / len(draws) ** 0.5
    assert ((contexts.mean(dim=0) - expected).abs() <= 5 * error).all()
    assert torch.equal(attention.eval().attend(query, MEMORY, MEMORY, MASK)[0], expected)


@pytest.mark.parametrize("kind", ["dot", "general"])
def test_scores_are_divided_by_the_root_of_the_units_of_a_head(kind):
    config = {
        "embedding": {"size": 6},
        "encoder": {"hidden_size": 4},
        "decoder": {"hidden_size": 8, "attention": {"kind": kind, "heads": 2}},
        "dropout": {"attention": 0.1},
    }
    model = build_model(ModelConfig.model_validate(config), source_vocab=9, target_vocab=9)
    attention: nn.Module = model.decoder.attention
    assert (attention.heads, attention.temperature, attention.dropout) == (2, 4**0.5, 0.1)
