"""The outputs that write pieces of the source, against their equations."""

import math

import pytest
import torch
from torch.nn import functional as F

from nmt.layers.copying import CopyOutput, Pointed, PointerOutput
from nmt.layers.linear import Linear
from nmt.layers.output import OutputLayer

SOURCE_VOCAB, VOCAB, SIZE = 9, 7, 4


def copy_output() -> CopyOutput:
    project = Linear(SIZE, VOCAB)
    torch.nn.init.normal_(project.weight)
    torch.nn.init.normal_(project.bias)
    return CopyOutput(project, source_vocab=SOURCE_VOCAB).double()


def pointed(*, ids: list[list[int]]) -> Pointed:
    weights = torch.randn(len(ids), len(ids[0]), dtype=torch.float64).softmax(dim=1)
    return Pointed(weights, torch.tensor(ids))


IDS = [[4, 5, 4, 3], [VOCAB, 6, VOCAB + 1, 3]]  # "4" twice; two texts beyond the vocabulary


def test_copying_mixes_the_vocabulary_with_the_sum_over_equal_source_pieces():
    output, at, features = copy_output(), pointed(ids=IDS), torch.randn(2, SIZE).double()

    found = output.log_probs(features, at).exp()

    gate = torch.sigmoid(output.gate(features))
    expected = gate * F.pad(output.project(features).softmax(dim=1), (0, 4))
    for row in range(2):
        for weight, piece in zip(at.weights[row], IDS[row], strict=True):
            expected[row, piece] += (1 - gate[row, 0]) * weight
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2).double(), rtol=0, atol=1e-15)


def test_a_gate_of_one_is_the_plain_softmax():
    output, features = copy_output(), torch.randn(2, SIZE).double()
    torch.nn.init.zeros_(output.gate.weight)
    torch.nn.init.constant_(output.gate.bias, 1e4)

    found = output.log_probs(features, pointed(ids=IDS))

    plain = OutputLayer(output.project).log_probs(features)
    torch.testing.assert_close(found[:, :VOCAB], plain, rtol=0, atol=0)
    assert (found[:, VOCAB:].exp() == 0).all()


def test_a_gate_of_zero_writes_nothing_but_the_source():
    output, at = copy_output(), pointed(ids=IDS)
    torch.nn.init.zeros_(output.gate.weight)
    torch.nn.init.constant_(output.gate.bias, -1e4)

    found = output.log_probs(torch.randn(2, SIZE).double(), at).exp()

    torch.testing.assert_close(found[0, 4], at.weights[0, 0] + at.weights[0, 2])
    assert found[0, [0, 1, 2, 6]].sum() == 0


@pytest.mark.parametrize("kind", ["copy", "pointer"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradients_of_the_losses_are_correct(kind, smoothing):
    output = copy_output() if kind == "copy" else pointer_output()
    target = torch.tensor([4, VOCAB + 1])

    def loss(features, scores):
        at = Pointed(scores.softmax(dim=1), torch.tensor(IDS))
        return output.losses(features, at, target, smoothing=smoothing)[0]

    inputs = (torch.randn(2, SIZE).double(), torch.randn(2, 4).double())
    assert torch.autograd.gradcheck(loss, [each.requires_grad_() for each in inputs])


def test_smoothing_of_a_copy_spreads_over_the_vocabulary():
    output, at, features = copy_output(), pointed(ids=IDS), torch.randn(2, SIZE).double()
    target = torch.tensor([5, VOCAB])

    loss, nll = output.losses(features, at, target, smoothing=0.3)

    log_probs = output.log_probs(features, at)
    assert nll.tolist() == [-log_probs[0, 5], -log_probs[1, VOCAB]]
    expected = 0.7 * nll - 0.3 * log_probs[:, :VOCAB].mean(dim=1)
    torch.testing.assert_close(loss, expected)


def pointer_output() -> PointerOutput:
    output = PointerOutput(SIZE, 3, hidden_size=5, source_vocab=SOURCE_VOCAB, target_vocab=VOCAB)
    for parameter in output.parameters():
        torch.nn.init.normal_(parameter)
    return output.double()


def test_a_pointer_is_the_softmax_of_its_equation():
    output = pointer_output().requires_grad_(False)
    states = torch.randn(3, 3, dtype=torch.float64)
    feature = torch.randn(SIZE, dtype=torch.float64)
    parts = output.attention
    mask = torch.ones(1, 3, dtype=torch.bool)

    weights = parts(feature.view(1, 1, -1), output.keys(states.unsqueeze(0)), mask)[0]
    found = output.log_probs(feature.unsqueeze(0), Pointed(weights, torch.tensor([[4, 6, 4]])))

    scores = [
        parts.score.weight[0]
        @ torch.tanh(
            parts.project_memory.weight @ state
            + parts.project_query.weight @ feature
            + parts.project_query.bias
        )
        for state in states
    ]
    total = sum(map(math.exp, scores))
    first, second, third = (math.exp(score) / total for score in scores)
    assert found[0, 4].exp() == pytest.approx(first + third, rel=1e-12)
    assert found[0, 6].exp() == pytest.approx(second, rel=1e-12)
    assert found[0].exp().count_nonzero() == 2


def test_smoothing_of_a_pointer_spreads_over_the_source():
    output, at = pointer_output(), pointed(ids=[[4, 5, 4, 3]])

    loss, nll = output.losses(torch.randn(1, SIZE).double(), at, torch.tensor([5]), smoothing=0.3)

    log_probs = output.log_probs(torch.randn(1, SIZE), at)[0, [3, 4, 5]]
    assert loss.item() == pytest.approx((0.7 * nll - 0.3 * log_probs.mean()).item())


def test_source_ids_tell_what_is_read_and_what_is_written():
    source = torch.tensor([[3, 8, 1 + SOURCE_VOCAB * (VOCAB + 1), 5 + SOURCE_VOCAB * 3]])
    output = copy_output()

    assert output.read_ids(source).tolist() == [[3, 8, 1, 5]]
    assert output.write_ids(source).tolist() == [[3, 8, VOCAB, 2]]
    assert output.known(torch.tensor([6, VOCAB]), 1).tolist() == [6, 1]
