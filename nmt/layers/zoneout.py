"""Zoneout: units keep their previous value at random (Krueger et al., 2017).

    c_t = d_c * c_{t-1} + (1 - d_c) * c~_t
    h_t = d_h * h_{t-1} + (1 - d_h) * h~_t

(h~, c~) is the state that the cell computes from (h_{t-1}, c_{t-1}); in an LSTM, h~ = o * tanh(c~)
thus reads c~ before zoneout. In training, d_c and d_h are 0 or 1, drawn for each unit and step, and
1 with the probability of their rate; otherwise they are the rates themselves, so that a step yields
the mean over all draws. Unlike dropout, which hides values, this passes gradients on unchanged.
"""

from dataclasses import dataclass

from torch import Tensor

from nmt.layers.cell_basics import State
from nmt.layers.dropout import keep_mask

Kept = tuple[Tensor | float, ...]
"""d_h and d_c: how much of the previous h, and of c if there is one, is kept."""


@dataclass(frozen=True)
class Zoneout:
    """Rates of zoneout."""

    hidden: float = 0.0
    """Probability with which a unit of h keeps its value."""
    cell: float = 0.0
    """Probability with which a unit of an LSTM's cell state keeps its value."""

    def acts_on(self, states: int) -> bool:
        """Whether any rate of a cell with `states` state tensors is above 0."""
        return any(self.rates(states))

    def rates(self, states: int) -> Kept:
        """Return the mean of d_h and, for a cell with a cell state, of d_c."""
        return (self.hidden, self.cell)[:states]

    def draw(self, like: Tensor, states: int, shape: tuple[int, ...]) -> Kept:
        """Draw d_h and d_c of `shape`, in the type of `like`; a rate of 0 needs no draw."""
        return tuple(
            keep_mask(shape, 1.0 - rate, like.device).to(like.dtype) if rate else rate
            for rate in (self.hidden, self.cell)[:states]
        )


def zone_out(before: State, after: State, kept: Kept) -> State:
    """Return the state after zoneout: `before` where it is kept, else `after`.

    What a cell's state has beside h and c stays that of `after`.
    """
    mixed = [d * old + (1 - d) * new for d, old, new in zip(kept, before, after, strict=False)]
    return (*mixed, *after[len(mixed) :])


def at(kept: Kept, position: int) -> Kept:
    """Return d [rows, hidden] of one position, from those of all, [rows, length, hidden]."""
    return tuple(d if isinstance(d, float) else d[:, position] for d in kept)
