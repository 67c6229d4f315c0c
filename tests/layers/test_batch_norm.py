"""Batch normalisation counts real positions alone, and no other sentence outside training."""

import torch

from nmt.layers.batch_norm import BatchNorm
from nmt.layers.convolution import ConvolutionalStack
from nmt.layers.initialization import initialize_uniform


def test_real_positions_are_normalised_as_torch_does():
    ours, theirs = BatchNorm(3).double(), torch.nn.BatchNorm1d(3).double()
    with torch.no_grad():
        for own, other in ((ours.gain, theirs.weight), (ours.shift, theirs.bias)):
            own.copy_(other.copy_(torch.randn(3)))
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        inputs = torch.randn(4, 5, 3).double()
        mask = torch.arange(5) < torch.tensor([[5], [2], [3], [1]])
        found = ours(inputs, mask.unsqueeze(-1))[mask]
        torch.testing.assert_close(found, theirs(inputs[mask]), rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.mean.data, theirs.running_mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.variance.data, theirs.running_var, rtol=0, atol=1e-12)


def test_gradients_go_through_the_means_of_the_batch():
    norm = BatchNorm(2).double()
    inputs = torch.randn(2, 3, 2).double().requires_grad_()
    mask = torch.tensor([[True, True, True], [True, False, False]]).unsqueeze(-1)
    assert torch.autograd.gradcheck(lambda x: norm(x, mask) * mask, inputs)


def test_after_training_a_sentence_does_not_depend_on_the_others():
    made = ConvolutionalStack(4, 6, levels=2, kernel_size=3, causal=False, batch_norm=True).double()
    initialize_uniform(made, 0.5)
    inputs, mask = torch.randn(3, 7, 4).double(), torch.ones(3, 7, dtype=torch.bool)
    mask[1, 4:] = False
    made(inputs, mask)
    made.eval()
    together = made(inputs, mask)
    assert (together[1, 4:] == 0).all()
    alone = made(inputs[1:2, :4], mask[1:2, :4])
    torch.testing.assert_close(alone[0], together[1, :4], rtol=0, atol=1e-12)


def test_a_single_position_leaves_numbers():
    norm = BatchNorm(2)
    assert norm(torch.randn(1, 1, 2), torch.ones(1, 1, 1, dtype=torch.bool)).isfinite().all()
    assert norm.variance.isfinite().all()
