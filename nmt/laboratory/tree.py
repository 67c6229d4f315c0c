"""An LSTM over trees instead of lines (Tai et al., 2015, section 3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt.layers.cells import LstmCell, State, zero_state


@dataclass(frozen=True)
class Tree:
    """A node with its input and what is below it."""

    inputs: Tensor
    """x, [rows, input]: trees of the same form are read together."""
    children: "Sequence[Tree]" = ()


class ChildSumTreeLstm(nn.Module):
    """LSTM whose memory adds up that of all children, each through a forget gate of its own.

        h~ = sum_k h_k,  i, o = sigma(W x + U h~ + b),  g = tanh(W_g x + U_g h~ + b_g)
        f_k = sigma(W_f x + U_f h_k + b_f)
        c = sum_k f_k * c_k + i * g,  h = o * tanh(c)

    With one child it is an LSTM, whose weights it has. The order of children is lost.

    Args:
        cell: its weights.
    """

    def __init__(self, cell: LstmCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, tree: Tree) -> State:
        """Return (h, c) of the root, each [rows, hidden]."""
        below = [self(child) for child in tree.children]
        if not below:
            below = [zero_state(self.cell, tree.inputs.shape[0])]
        hidden = torch.stack([h for h, _ in below])  # [children, rows, hidden]
        memory = torch.stack([c for _, c in below])
        gates = self.cell.project(tree.inputs) + self.cell.recurrent(hidden.sum(dim=0))
        input_f = self.cell.project(tree.inputs).chunk(4, dim=-1)[1]
        recurrent_f = self.cell.recurrent(hidden).chunk(4, dim=-1)[1]
        f = torch.sigmoid(input_f + recurrent_f)  # [children, rows, hidden]
        i, _, g, o = gates.chunk(4, dim=-1)  # each [rows, hidden]
        c = (f * memory).sum(dim=0) + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
