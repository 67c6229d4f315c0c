"""The recurrent weights of a cell, gate by gate."""

from torch import Tensor

from nmt.layers.cells import Cell, GruCell, InputGatedCell, LayerNormLstmCell, LstmCell
from nmt.layers.clockwork import ClockworkCell
from nmt.layers.delays import DelaysCell
from nmt.layers.elementwise import MinGruCell, SsruCell


def recurrent_matrices(cell: Cell) -> list[tuple[str, Tensor, float]]:
    """Return name, weights [hidden, hidden] and gamma of each recurrent product of a cell."""
    match cell:
        case InputGatedCell():
            return recurrent_matrices(cell.cell)
        case DelaysCell():
            blocks = cell.recurrent.weight.chunk(len(cell.delays), dim=1)
            each = zip(cell.delays, blocks, strict=True)
            return [(f"delay {delay}", block, cell.slopes[0]) for delay, block in each]
        case ClockworkCell():
            return [("state", cell.recurrent.weight * cell.is_read, cell.slopes[0])]
        case SsruCell() | MinGruCell():
            return []
        case _:
            gates = cell.recurrent.weight.chunk(len(cell.slopes))
            return list(zip(gate_names(cell), gates, cell.slopes, strict=True))


def gate_names(cell: Cell) -> tuple[str, ...]:
    """Return the names of a cell's gates, in the order of their blocks."""
    match cell:
        case GruCell():
            return ("reset", "update", "candidate")
        case LstmCell(forget_gate=False):
            return ("input", "candidate", "output")
        case LstmCell() | LayerNormLstmCell():
            return ("input", "forget", "candidate", "output")
        case SsruCell():
            return ("forget", "candidate")
        case MinGruCell():
            return ("update", "candidate")
        case InputGatedCell():
            return gate_names(cell.cell)
        case _:
            return ("state",)
