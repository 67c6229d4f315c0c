"""Initialization of weights.

A cell's weight matrices stack one block per gate, and each block is initialized separately. Biases
keep the values set by their layer (zeros, or the forget bias).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nmt.layers.cells import Cell, InputGatedCell
from nmt.layers.clockwork import ClockworkCell
from nmt.layers.embedding import Embedding


def cells_of(model: nn.Module) -> Iterator[Cell]:
    """Yield every recurrent cell inside `model`; of a cell with a gated input, the inner one."""
    for module in model.modules():
        if isinstance(module, Cell) and not isinstance(module, InputGatedCell):
            yield module


def recurrent_blocks(model: nn.Module) -> Iterator[tuple[Tensor, float]]:
    """Yield each square block of recurrent weights and the largest slope of its activation.

    There is a block [hidden, hidden] for each gate, with delays for each delay as well; in a
    clockwork cell, a block for the units of each period, whose radii are those of the whole.
    """
    for cell in cells_of(model):
        if cell.recurrent is None:
            continue
        weight = cell.recurrent.weight
        if isinstance(cell, ClockworkCell):
            yield from ((weight[group, group], cell.slopes[0]) for group in cell.groups)
            continue
        for gate, slope in zip(weight.chunk(len(cell.slopes)), cell.slopes, strict=True):
            blocks = gate.chunk(gate.shape[1] // len(gate), dim=1)
            yield from ((block, slope) for block in blocks)


@torch.no_grad()
def initialize_uniform(model: nn.Module, scale: float) -> None:
    """Draw every weight uniformly from [-scale, scale]; biases are unchanged."""
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.uniform_(-scale, scale)


@torch.no_grad()
def initialize_xavier(model: nn.Module) -> None:
    """Draw matrices by fan-in and fan-out, gate by gate (Glorot and Bengio, 2010).

    Embeddings keep their normal distribution with variance 1 / size, even if tied to an output
    layer.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, Embedding)}
    blocks: dict[int, int] = {}
    for cell in cells_of(model):
        for product in (cell.input, cell.recurrent):
            if product is not None:
                blocks[id(product.weight)] = len(cell.slopes)
    for parameter in model.parameters():
        if parameter.dim() != 2 or parameter.numel() == 0 or id(parameter) in embeddings:
            continue
        for block in parameter.chunk(blocks.get(id(parameter), 1)):
            nn.init.xavier_uniform_(block)


@torch.no_grad()
def initialize_orthogonal(model: nn.Module) -> None:
    """Like Xavier, but with orthogonal recurrent weights, gate by gate (Saxe et al., 2014)."""
    initialize_xavier(model)
    for block, _ in recurrent_blocks(model):
        nn.init.orthogonal_(block)


@torch.no_grad()
def initialize_spectral(model: nn.Module, c: float) -> None:
    """Like Xavier, but recurrent weights have spectral radius c / gamma (Pascanu et al., 2013).

    gamma is the largest slope of the gate's activation: 1 for tanh and ReLU, 1/4 for sigmoid.
    The radius decides whether gradients vanish in a linear layer only: with other activations they
    vanish at any radius where slopes are far below gamma, and can grow at radius 0 where slopes
    differ between units.
    """
    initialize_xavier(model)
    for block, slope in recurrent_blocks(model):
        scale_to_radius(block, c / slope)


@torch.no_grad()
def initialize_sparse(model: nn.Module, *, nonzeros: int, radius: float) -> None:
    """Like Xavier, but with sparse recurrent weights of a given spectral radius.

    Each row of a gate's block has `nonzeros` normally distributed values at random positions, or
    is dense if it has no more columns than that. The block is then scaled to `radius`, whatever
    its activation. The scale of the drawn values cancels out, so it is not an option.

    15 incoming weights per unit come from Martens (2010), and for recurrent networks from Martens
    and Sutskever (2011). Only recurrent weights are sparse, as in Sutskever et al. (2013), where
    the radius is 1.1, and in the "smart tanh" of Pascanu et al. (2013), where it is 0.95.
    """
    initialize_xavier(model)
    for block, _ in recurrent_blocks(model):
        places = torch.rand_like(block).topk(min(nonzeros, block.shape[1])).indices
        values = block.new_empty(places.shape).normal_()  # [hidden, nonzeros]
        block.zero_().scatter_(1, places, values)
        scale_to_radius(block, radius)


def scale_to_radius(block: Tensor, radius: float) -> None:
    """Scale a square matrix in place to spectral radius `radius`."""
    block.mul_(radius / spectral_radius(block))


def spectral_radius(matrix: Tensor) -> float:
    """Return the largest absolute eigenvalue of a square matrix, computed in float64."""
    return float(torch.linalg.eigvals(matrix.detach().double()).abs().max())
