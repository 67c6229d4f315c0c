"""Dilated convolutions see what they should, and run at once or position by position alike."""

import pytest
import torch

from nmt.layers.convolution import Convolution, ConvolutionalStack
from nmt.layers.initialization import initialize_xavier


def stack(levels: int = 3, kernel_size: int = 2, **options) -> ConvolutionalStack:
    """Return levels with random weights and biases, in double precision."""
    made = ConvolutionalStack(4, 6, levels=levels, kernel_size=kernel_size, **options)
    initialize_xavier(made)
    for parameter in made.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter)
    return made.double().eval()


def everywhere(inputs: torch.Tensor) -> torch.Tensor:
    return torch.ones(inputs.shape[:2], dtype=torch.bool)


def reached(made: ConvolutionalStack, length: int, position: int) -> list[int]:
    """Return the positions whose outputs a change of the input at `position` may alter.

    Weights and inputs are positive, so that no ReLU hides a dependence.
    """
    inputs = torch.rand(1, length, 4, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.abs_()
    outputs = made(inputs, everywhere(inputs)).sum(dim=-1)[0]
    seen = []
    for place in range(length):
        (gradient,) = torch.autograd.grad(outputs[place], inputs, retain_graph=True)
        if gradient[0, position].abs().sum() > 0:
            seen.append(place)
    return seen


@pytest.mark.parametrize("causal", [True, False])
def test_a_convolution_is_that_of_torch(causal):
    ours = Convolution(4, 5, kernel_size=3, dilation=2, causal=causal).double()
    torch.nn.init.normal_(ours.project.weight)
    torch.nn.init.normal_(ours.project.bias)
    theirs = torch.nn.Conv1d(4, 5, 3, dilation=2).double()
    weight = ours.project.weight.view(5, 3, 4).transpose(1, 2)  # [output, input, kernel]
    with torch.no_grad():
        theirs.weight.copy_(weight)
        theirs.bias.copy_(ours.project.bias)
    inputs = torch.randn(2, 7, 4, dtype=torch.float64)
    around = (4, 0) if causal else (2, 2)
    expected = theirs(torch.nn.functional.pad(inputs.transpose(1, 2), around)).transpose(1, 2)
    torch.testing.assert_close(ours(inputs), expected)


@pytest.mark.parametrize(("kernel", "levels", "field"), [(2, 3, 15), (3, 4, 61), (7, 8, 3061)])
def test_the_receptive_field_is_that_of_the_formula(kernel, levels, field):
    made = stack(levels, kernel)
    assert made.receptive_field == field == 1 + 2 * (kernel - 1) * (2**levels - 1)


def test_an_output_sees_the_receptive_field_and_nothing_after_it():
    assert reached(stack(3, 2), 40, 10) == list(range(10, 10 + 15))


def test_a_centred_output_sees_as_much_on_both_sides():
    assert reached(stack(2, 3, causal=False), 40, 20) == list(range(20 - 6, 20 + 7))


def test_a_change_of_a_later_input_changes_no_earlier_output():
    made = stack()
    inputs = torch.randn(1, 12, 4, dtype=torch.float64)
    changed = inputs.clone()
    changed[:, 7:] = torch.randn(1, 5, 4, dtype=torch.float64)
    before, after = made(inputs, everywhere(inputs)), made(changed, everywhere(changed))
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.equal(before[:, 7], after[:, 7])


def test_position_by_position_equals_all_at_once():
    made = stack()
    inputs = torch.randn(2, 20, 4, dtype=torch.float64)
    state, outputs = made.start(2, inputs.device), []
    for position in inputs.unbind(dim=1):
        output, state = made.step(position, state)
        outputs.append(output)
    torch.testing.assert_close(
        torch.stack(outputs, dim=1), made(inputs, everywhere(inputs)), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing_and_yields_zeros(causal):
    made = stack(2, 3, causal=causal)
    inputs = torch.randn(1, 5, 4, dtype=torch.float64)
    padded = torch.cat([inputs, torch.randn(1, 3, 4, dtype=torch.float64)], dim=1)
    mask = torch.arange(8).unsqueeze(0) < 5
    outputs = made(padded, mask)
    torch.testing.assert_close(outputs[:, :5], made(inputs, mask[:, :5]), rtol=0, atol=1e-12)
    assert (outputs[:, 5:] == 0).all()


def test_variational_dropout_drops_whole_channels():
    made = stack(1, 2, dropout=0.5, variational=True).train()
    inputs = torch.rand(1, 30, 4, dtype=torch.float64) + 0.5
    dropped = made.levels[0].drop(inputs)
    assert set((dropped == 0).sum(dim=1).flatten().tolist()) <= {0, 30}


def test_an_even_kernel_has_no_centre():
    with pytest.raises(ValueError, match="an even kernel has no centre, got size 2"):
        Convolution(4, 5, kernel_size=2, causal=False)
