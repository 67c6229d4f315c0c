"""First values of weights.

Recurrent weights are treated gate by gate: a cell's matrices stack one block per gate, and each
block is a map of its own. Biases keep what their layer gave them (zeros, or the forget bias).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nmt.layers.cells import Cell
from nmt.layers.embedding import Embedding


def cells_of(model: nn.Module) -> Iterator[Cell]:
    """Yield every recurrent cell inside `model`."""
    for module in model.modules():
        if isinstance(module, Cell):
            yield module


def recurrent_blocks(model: nn.Module) -> Iterator[tuple[Tensor, float]]:
    """Yield each gate's recurrent weights [hidden, hidden] and its activation's largest slope."""
    for cell in cells_of(model):
        yield from zip(cell.weight_hidden.chunk(len(cell.slopes)), cell.slopes, strict=True)


@torch.no_grad()
def initialize_uniform(model: nn.Module, scale: float) -> None:
    """Draw every weight from [-scale, scale]; biases stay as they are."""
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.uniform_(-scale, scale)


@torch.no_grad()
def initialize_xavier(model: nn.Module) -> None:
    """Draw matrices by fan-in and fan-out (Glorot and Bengio, 2010), gate by gate.

    Embeddings, also where an output layer shares them, keep their normal values of variance
    1 / size.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, Embedding)}
    blocks: dict[int, int] = {}
    for cell in cells_of(model):
        blocks[id(cell.weight_input)] = blocks[id(cell.weight_hidden)] = len(cell.slopes)
    for parameter in model.parameters():
        if parameter.dim() != 2 or parameter.numel() == 0 or id(parameter) in embeddings:
            continue
        for block in parameter.chunk(blocks.get(id(parameter), 1)):
            nn.init.xavier_uniform_(block)


@torch.no_grad()
def initialize_orthogonal(model: nn.Module) -> None:
    """As xavier, but with orthogonal recurrent weights, gate by gate (Saxe et al., 2014)."""
    initialize_xavier(model)
    for block, _ in recurrent_blocks(model):
        nn.init.orthogonal_(block)


@torch.no_grad()
def initialize_spectral(model: nn.Module, c: float) -> None:
    """As xavier, but recurrent weights have spectral radius c / gamma (Pascanu et al., 2013).

    gamma is the largest slope of the gate's activation: 1 for tanh and relu, 1/4 for sigmoid.
    A radius above 1 / gamma is necessary, not sufficient, for gradients to survive.
    """
    initialize_xavier(model)
    for block, slope in recurrent_blocks(model):
        scale_to_radius(block, c / slope)


@torch.no_grad()
def initialize_sparse(model: nn.Module, *, nonzeros: int, radius: float) -> None:
    """As xavier, but each unit listens to few others, with a given spectral radius.

    Each row of a gate's block has `nonzeros` normal values at random places, or is full where it
    is no longer than that; then the block is scaled to `radius`, whatever its activation. What
    the values' own scale was cancels in this, so it is no option.

    15 incoming weights per unit are from Martens (2010), for recurrent networks from Martens and
    Sutskever (2011). As in Sutskever et al. (2013), where the radius is 1.1, and in the
    "smart tanh" of Pascanu et al. (2013), where it is 0.95, only recurrent weights are sparse.
    """
    initialize_xavier(model)
    for block, _ in recurrent_blocks(model):
        places = torch.rand_like(block).topk(min(nonzeros, block.shape[1])).indices
        values = block.new_empty(places.shape).normal_()  # [hidden, nonzeros]
        block.zero_().scatter_(1, places, values)
        scale_to_radius(block, radius)


def scale_to_radius(block: Tensor, radius: float) -> None:
    """Scale a square matrix in place to a spectral radius."""
    block.mul_(radius / spectral_radius(block))


def spectral_radius(matrix: Tensor) -> float:
    """Return the largest absolute eigenvalue of a square matrix, computed in float64."""
    return float(torch.linalg.eigvals(matrix.detach().double()).abs().max())
