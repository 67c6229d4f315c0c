"""Best continuations in a search, by a compiled kernel."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.fast.kernels import kernels, supports

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Rank = Callable[[Tensor, Tensor, Floats, int], tuple[Floats, Integers, Integers]]

_MOST_INSERTED = 64  # the kernel inserts candidates one by one; with more, sorting is faster


def ranking(plain: Rank) -> Rank:
    """Return a faster function with the results of `plain` (`nmt.search.ranking.rank_plainly`).

    It falls back to `plain` where the kernel is unavailable: without a compiler, on other devices,
    in other precisions and for very wide beams.
    """

    def rank(
        scores: Tensor, log_mass: Tensor, sums: Floats, count: int
    ) -> tuple[Floats, Integers, Integers]:
        native = kernels() if supports(scores) and count <= _MOST_INSERTED else None
        if native is None:
            return plain(scores, log_mass, sums, count)
        so_far = torch.from_numpy(np.ascontiguousarray(sums))
        log_prob, parent, column = native.best_continuations(
            scores.contiguous(), log_mass, so_far, count
        )
        return log_prob.numpy(), parent.numpy(), column.numpy()

    return rank
