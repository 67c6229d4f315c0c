import torch
from torch import nn

from nmt.layers.regularization import l1_penalty, l2_penalty


def parameters():
    values = [[1.0, -2.0], [0.0]]
    return [nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in values]


def test_l1_by_hand():
    first, second = parameters()
    penalty = l1_penalty([first, second])
    penalty.backward()
    assert penalty.item() == 3.0
    assert first.grad.tolist() == [1.0, -1.0]
    assert second.grad.tolist() == [0.0]


def test_l2_by_hand():
    first, second = parameters()
    penalty = l2_penalty([first, second])
    penalty.backward()
    assert penalty.item() == 2.5
    assert first.grad.tolist() == [1.0, -2.0]
    assert second.grad.tolist() == [0.0]


def test_the_penalty_of_no_parameters_is_zero():
    assert l1_penalty([]).item() == l2_penalty([]).item() == 0.0
