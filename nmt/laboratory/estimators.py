"""Unbiased estimates of real-time recurrent learning that keep two vectors instead of a matrix.

The influence S = ds/dtheta [state, parameters] is replaced by v w^T, with v [state] and
w [parameters], whose mean over random signs is S. S then costs as much as a state and a gradient.
Every scale rho below cancels out in the mean, and is chosen to keep the variance small.

The mean is exact only while theta does not change. Both need nothing but the products J v and
nu^T B, which forward and reverse differentiation give without the matrices; here they are
taken from `Step`, which the exact rule needs anyway.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from nmt.laboratory.rtrl import Step

_GUARD = 1e-7
"""Added to norms before they are divided, so that 0 / 0 is 1; no scale changes the mean."""

Split = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From B [rows, state, parameters] and signs [rows, state], two vectors [rows, state] and
[rows, parameters] whose outer product has the mean B over the signs."""


def nobacktrack(immediate: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum_i eps_i rho_i e_i and sum_i eps_i b_i / rho_i (Ollivier et al., 2015).

    b_i is row i of B and rho_i^2 = |b_i|: every entry of the state has a scale of its own.
    """
    scales = (immediate.norm(dim=-1) + _GUARD).sqrt()  # rho_i, [rows, state]
    return signs * scales, torch.einsum("rs,rsp->rp", signs / scales, immediate)


def uoro(immediate: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    """Return rho_1 nu and nu^T B / rho_1 (Tallec and Ollivier, 2018).

    rho_1^2 = |nu^T B| / |nu|: one scale for the whole state is cheaper than `nobacktrack`, and
    noisier.
    """
    row = torch.einsum("rs,rsp->rp", signs, immediate)  # nu^T B
    scale = _balance(row, signs)
    return scale * signs, row / scale


class RankOne:
    """v <- rho_0 J v + dv,  w <- w / rho_0 + dw,  rho_0^2 = |w| / |J v|.

    Args:
        split: gives dv and dw, `nobacktrack` or `uoro`.
        generator: draws the signs.
    """

    def __init__(self, split: Split, generator: torch.Generator | None = None) -> None:
        self.split, self.generator = split, generator
        self.vectors: tuple[Tensor, Tensor] | None = None
        """v [rows, state] and w [rows, parameters]."""

    def advance(self, step: Step, signs: Tensor | None = None) -> None:
        """Follow the cell by one step.

        Args:
            step: the step and its derivatives.
            signs: +1 or -1, [rows, state]; drawn if not given.
        """
        if signs is None:
            drawn = torch.randint(0, 2, step.state.shape, generator=self.generator)
            signs = (2 * drawn - 1).to(step.state)
        new_v, new_w = self.split(step.by_parameters, signs)
        if self.vectors is not None:
            v, w = self.vectors
            moved = torch.einsum("rst,rt->rs", step.by_state, v)  # J v
            scale = _balance(w, moved)
            new_v, new_w = new_v + scale * moved, new_w + w / scale
        self.vectors = new_v, new_w

    def gradient(self, grad_state: Tensor) -> Tensor:
        """Return an estimate of dL/dtheta [rows, parameters] from dL/ds of the latest state."""
        if self.vectors is None:
            raise RuntimeError("there is no state yet: call `advance` first.")
        v, w = self.vectors
        return (grad_state * v).sum(dim=-1, keepdim=True) * w


def _balance(wide: Tensor, narrow: Tensor) -> Tensor:
    """Return sqrt(|wide| / |narrow|) of each row, [rows, 1]; 1 where both are 0."""
    norms = [
        torch.linalg.vector_norm(vector, dim=-1, keepdim=True) + _GUARD for vector in (wide, narrow)
    ]
    ratio: Tensor = norms[0] / norms[1]
    return ratio.sqrt()
