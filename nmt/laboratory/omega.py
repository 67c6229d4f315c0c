"""The regulariser that keeps back-propagated gradients as long as they are (Pascanu et al., 2013).

    Omega = sum_k (|d_{k+1} J_{k+1}| / |d_{k+1}| - 1)^2,   J_k = dh_k / dh_{k-1} = D(phi'(z_k)) W

d_k = dL/dh_k, h_k and phi' are taken as constants, so that only the immediate derivative with
respect to W remains; otherwise the gradient of Omega would have to be propagated back through time
itself. It is added to the gradient of the loss before the sum is clipped.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from nmt.layers.cells import RnnCell

Form = Literal["ratio", "squared"]

SLOPE_AT_OUTPUT: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda h: 1 - h.square(),
    "relu": lambda h: (h > 0).to(h.dtype),
    "sigmoid": lambda h: h * (1 - h),
    "identity": torch.ones_like,
}
"""phi'(z) of each activation, from h = phi(z)."""

SMALLEST = 1e-20
"""Steps with a squared |d| below this are left out: no gradient arrives there."""


def omega(
    cell: RnnCell,
    states: Sequence[Tensor],
    grad_states: Sequence[Tensor],
    *,
    form: Form = "ratio",
    average: bool = False,
) -> Tensor:
    """Return Omega as a function of the recurrent weights only, a scalar.

    The authors' program computes `form="squared", average=True`, and adds it with a weight of 2.

    Args:
        cell: its recurrent weights W are what Omega can be differentiated by.
        states: h_1 to h_T, each [batch, hidden].
        grad_states: dL/dh_1 to dL/dh_T, each [batch, hidden].
        form: "ratio" is the published equation; "squared" has both norms squared.
        average: divide by the number of steps that a gradient reaches, instead of by the number
            of sequences.
    """
    hidden = torch.stack(list(states), dim=1).detach()  # [batch, length, hidden]
    grads = torch.stack(list(grad_states), dim=1).detach()
    squares = grads.square().sum(dim=-1)  # [batch, length]
    live = squares >= SMALLEST
    grads_z = (grads * SLOPE_AT_OUTPUT[cell.activation](hidden))[live]  # [live, hidden]
    passed = (grads_z @ cell.recurrent.weight).square().sum(dim=-1) / squares[live]  # [live]
    ratios = passed if form == "squared" else passed.sqrt()
    count = int(live.sum()) if average else hidden.shape[0]
    return (ratios - 1).square().sum() / max(count, 1)
