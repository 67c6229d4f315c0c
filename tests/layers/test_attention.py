"""Attention weights and contexts."""

import pytest
import torch

from nmt.layers.attention import (
    AdditiveAttention,
    Attention,
    DotAttention,
    GeneralAttention,
    LocalAttention,
)
from nmt.layers.initialization import initialize_uniform


def make(kind: str, temperature: float = 1.0) -> Attention:
    attention: Attention
    match kind:
        case "dot":
            attention = DotAttention(6, 6, temperature=temperature)
        case "general":
            attention = GeneralAttention(4, 6, temperature=temperature)
        case _:
            attention = AdditiveAttention(4, 6, hidden_size=5, temperature=temperature)
    return attention.double()


def query_for(kind: str, queries: int = 1) -> torch.Tensor:
    return torch.randn(2, queries, 6 if kind == "dot" else 4, dtype=torch.float64)


KINDS = pytest.mark.parametrize("kind", ["dot", "general", "additive"])
FULL = torch.ones(2, 3, dtype=torch.bool)


@KINDS
def test_weights_sum_to_one(kind):
    attention, memory = make(kind), torch.randn(2, 3, 6, dtype=torch.float64)
    weights = attention(query_for(kind, 7), attention.keys(memory), FULL)

    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 7, dtype=torch.float64))


@KINDS
def test_padding_gets_no_weight_and_does_not_change_the_weights_of_real_tokens(kind):
    attention, query = make(kind), query_for(kind)
    memory = torch.randn(2, 3, 6, dtype=torch.float64)
    padded = torch.cat([memory, torch.randn(2, 2, 6, dtype=torch.float64)], dim=1)

    alone = attention(query, attention.keys(memory), FULL)
    mask = torch.tensor([[True, True, True, False, False]] * 2)
    beside = attention(query, attention.keys(padded), mask)
    torch.testing.assert_close(beside[..., :3], alone)
    assert (beside[..., 3:] == 0).all()


@KINDS
def test_permuting_source_states_permutes_the_weights_and_keeps_the_context(kind):
    attention, query = make(kind), query_for(kind)
    memory = torch.randn(2, 3, 6, dtype=torch.float64)
    order = [2, 0, 1]

    weights = attention(query, attention.keys(memory), FULL)
    permuted = attention(query, attention.keys(memory[:, order]), FULL)
    torch.testing.assert_close(permuted, weights[..., order])
    torch.testing.assert_close(permuted @ memory[:, order], weights @ memory)


@KINDS
def test_all_queries_at_once_equal_one_by_one(kind):
    attention, queries = make(kind), query_for(kind, 5)
    keys = attention.keys(torch.randn(2, 3, 6, dtype=torch.float64))

    at_once = attention(queries, keys, FULL)
    for index in range(5):
        one = attention(queries[:, index : index + 1], keys, FULL)
        torch.testing.assert_close(at_once[:, index : index + 1], one)


@KINDS
def test_temperature_sharpens_and_flattens(kind):
    plain, query = make(kind), query_for(kind)
    memory = torch.randn(2, 3, 6, dtype=torch.float64)

    def weights(temperature: float) -> torch.Tensor:
        attention = make(kind, temperature)
        attention.load_state_dict(plain.state_dict())
        return attention(query, attention.keys(memory), FULL)

    assert weights(1e-6).max(dim=-1).values.min() > 0.999
    torch.testing.assert_close(
        weights(1e6), torch.full_like(weights(1.0), 1 / 3), atol=1e-4, rtol=0
    )


def test_additive_scores_follow_bahdanau():
    attention, query = make("additive"), query_for("additive")
    memory = torch.randn(2, 3, 6, dtype=torch.float64)
    w, b = attention.project_query.weight, attention.project_query.bias
    u, v = attention.project_memory.weight, attention.score.weight[0]
    scores = torch.stack(
        [
            torch.stack([v @ torch.tanh(w @ query[i, 0] + b + u @ memory[i, j]) for j in range(3)])
            for i in range(2)
        ]
    )

    weights = attention(query, attention.keys(memory), FULL)[:, 0]
    torch.testing.assert_close(weights, scores.softmax(dim=-1), rtol=0, atol=1e-12)


def test_dot_attention_refuses_unequal_sizes():
    with pytest.raises(ValueError, match="needs equal sizes, got query 4, memory 6"):
        DotAttention(4, 6)


@KINDS
def test_the_context_is_the_weighted_sum_of_the_states(kind):
    attention, query = make(kind), query_for(kind, 3)
    memory = torch.randn(2, 3, 6, dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    keys = attention.keys(memory)

    context, weights = attention.attend(query, keys, memory, mask)
    assert torch.equal(weights, attention(query, keys, mask))
    torch.testing.assert_close(context, weights @ memory)
    torch.testing.assert_close(context[1], memory[1, :1].expand(3, -1))


# --- local attention ---------------------------------------------------------------------------


def make_local(**options: float | bool) -> LocalAttention:
    attention = LocalAttention(4, 6, **{"sigma": 1.5, **options}).double()
    initialize_uniform(attention, 0.8)
    return attention


MEMORY = torch.randn(2, 5, 6, dtype=torch.float64)
RAGGED = torch.tensor([[True] * 5, [True, True, True, False, False]])


@pytest.mark.parametrize("reads_content", [True, False])
def test_local_weights_follow_luong(reads_content):
    """a_j = softmax_j(q . W h_j / t) exp(-(j - p)^2 / 2 sigma^2), p = S sigma(v . tanh(W_p q))."""
    attention = make_local(temperature=0.7, reads_content=reads_content)
    query = query_for("local", 3)
    found = attention(query, attention.keys(MEMORY), RAGGED)
    for row, length in ((0, 5), (1, 3)):
        for number, q in enumerate(query[row]):
            v, w_p = attention.score.weight[0], attention.project_query.weight
            p = length * torch.sigmoid(v @ torch.tanh(w_p @ q))
            places = torch.arange(length, dtype=torch.float64)
            window = torch.exp(-((places - p) ** 2) / (2 * 1.5**2))
            expected = window / window.sum()
            if reads_content:
                scores = MEMORY[row, :length] @ attention.project_memory.weight.T @ q
                expected = (scores / 0.7).softmax(dim=0) * window
            torch.testing.assert_close(found[row, number, :length], expected, rtol=0, atol=1e-12)
            assert (found[row, number, length:] == 0).all()


def test_a_wide_window_is_general_attention():
    local, general = make_local(sigma=1e6), make("general")
    general.project_memory.weight = local.project_memory.weight
    query = query_for("general", 3)
    expected = general(query, general.keys(MEMORY), RAGGED)
    found = local(query, local.keys(MEMORY), RAGGED)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert (found.sum(dim=-1) <= 1.0).all()


def test_a_narrow_window_by_position_selects_the_token_nearest_to_it():
    attention, query = make_local(sigma=1e-3, reads_content=False), query_for("local", 3)
    nearest = attention.position(query, FIVE).round().squeeze(-1).long().clamp(max=4)
    weights = attention(query, attention.keys(MEMORY), FIVE)
    assert torch.equal(weights, torch.nn.functional.one_hot(nearest, 5).double())


FIVE = torch.ones(2, 5, dtype=torch.bool)


def test_weights_by_position_alone_do_not_depend_on_the_states_but_sum_to_1():
    attention, query = make_local(reads_content=False), query_for("local", 3)
    weights = attention(query, attention.keys(MEMORY), RAGGED)
    assert torch.equal(weights, attention(query, attention.keys(-MEMORY), RAGGED))
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("reads_content", [True, False])
def test_gradients_of_local_attention_equal_finite_differences(reads_content):
    """They reach the position, too, unlike with a window of whole tokens."""
    attention = make_local(reads_content=reads_content)
    query, memory = query_for("local", 2).requires_grad_(), MEMORY.clone().requires_grad_()

    def attend(query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        return attention.attend(query, attention.keys(memory), memory, RAGGED)[0]

    assert torch.autograd.gradcheck(attend, (query, memory), fast_mode=True)
    context = attend(query, memory)
    (gradient,) = torch.autograd.grad(context.sum(), attention.score.weight)
    assert (gradient != 0).all()


def test_in_bfloat16_positions_in_long_sentences_are_whole_tokens_apart():
    attention = make_local(reads_content=False).to(torch.bfloat16)
    mask = torch.ones(1, 600, dtype=torch.bool)
    weights = attention(torch.randn(1, 1, 4).bfloat16(), torch.zeros(1, 600, 0), mask)
    around = weights[0, 0, weights.argmax() - 1 : weights.argmax() + 2]
    assert len(set(around.tolist())) > 1
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-4)
