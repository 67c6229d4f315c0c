"""Which continuations of a sentence's hypotheses are best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.errors import ModelError
from nmt.search.hypothesis import BoolArray, FloatArray, IntArray
from nmt.text.vocabulary import EOS

Ranked = tuple[FloatArray, IntArray, IntArray]
"""Log-probabilities, parents (0 to copies - 1) and columns (0 to vocab - 1), each
[batch, count]."""

Rank = Callable[[Tensor, Tensor, FloatArray, int], Ranked]
"""Signature of `rank_plainly`, whose result every other implementation must equal."""


def rank_plainly(scores: Tensor, log_mass: Tensor, sums: FloatArray, count: int) -> Ranked:
    """Return the best continuations of each sentence's hypotheses, best first.

    Hypothesis k continued by column j has the log-probability scores_kj - log_mass_k + sums_k. It
    is compared relative to the sentence's first sum, where single precision is finest. Ties go to
    the lower k, then to the lower j. NaN comes first.

    Args:
        scores: the rows of a sentence next to each other, [rows, vocab].
        log_mass: log-probability = scores - log_mass, [rows].
        sums: log-probability of each hypothesis so far, [batch, copies].
        count: number to return; at most copies x vocab.

    Returns:
        Log-probabilities, -inf where no continuation is left, parents k and columns j.
    """
    base = np.where(np.isfinite(sums[:, :1]), sums[:, :1], 0.0)
    relative = torch.from_numpy(sums - base).to(log_mass)  # [batch, copies]
    log_probs = scores.to(log_mass.dtype) - log_mass.unsqueeze(1)
    totals = log_probs.view(*relative.shape, -1) + relative.unsqueeze(2)
    values, indices = top_candidates(totals.flatten(1), count)
    parents, columns = np.divmod(indices, scores.shape[1])
    return values + base, parents, columns


def log_probs_of(
    scores: Tensor, log_mass: Tensor, sums: FloatArray, parents: IntArray, columns: IntArray
) -> FloatArray:
    """Return the log-probabilities of some continuations, as `rank_plainly` does.

    Args:
        scores: see `rank_plainly`.
        log_mass: see `rank_plainly`.
        sums: see `rank_plainly`.
        parents: hypothesis that each continues, [batch, count].
        columns: column by which it continues it, [batch, count].
    """
    base = np.where(np.isfinite(sums[:, :1]), sums[:, :1], 0.0)
    relative = torch.from_numpy(np.take_along_axis(sums - base, parents, axis=1)).to(log_mass)
    above = np.arange(len(sums))[:, None] * sums.shape[1]
    rows = torch.from_numpy(above + parents).to(scores.device)
    places = rows, torch.from_numpy(columns).to(scores.device)
    gained = scores[places].to(log_mass.dtype) - log_mass[rows]
    log_probs: FloatArray = (gained + relative).double().cpu().numpy() + base
    return log_probs


def top_candidates(scores: Tensor, count: int) -> tuple[FloatArray, IntArray]:
    """Return the `count` best of each row, best first, ties by lower index.

    `topk` breaks ties arbitrarily. So a row is sorted if two of its returned values are equal, or
    if the last one equals the first that is left out.

    Args:
        scores: [batch, candidates].
        count: at most `candidates`.

    Returns:
        Values and indices, [batch, count].
    """
    top, where = scores.topk(min(count + 1, scores.shape[1]), dim=1)
    values = top.double().cpu().numpy()
    indices = where.cpu().numpy()
    ties = (values[:, 1:] == values[:, :-1]) & np.isfinite(values[:, 1:])
    for tied in np.flatnonzero(ties.any(axis=1)).tolist():
        row = scores[tied]
        below = row < values[tied, count - 1].item()
        reached = (~below).nonzero().squeeze(1)  # NaN among them, ascending
        ranked, order = row[reached].sort(descending=True, stable=True)
        values[tied, :count] = ranked[:count].double().cpu().numpy()
        indices[tied, :count] = reached[order[:count]].cpu().numpy()
    return values[:, :count], indices[:, :count]


@dataclass(frozen=True)
class Candidates:
    """Continuations of each sentence, best first; each array [batch, count]."""

    log_prob: FloatArray
    """Sum of log-probabilities with the new piece; -inf where no candidate is left."""
    parent: IntArray
    """The hypothesis that is continued, 0 to beam - 1."""
    piece: IntArray
    """Id of the piece that continues it."""

    @classmethod
    def beside(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Return the candidates of each sentence in several parts, one after the other."""
        return cls(
            np.concatenate([part.log_prob for part in parts], axis=1),
            np.concatenate([part.parent for part in parts], axis=1),
            np.concatenate([part.piece for part in parts], axis=1),
        )

    def first_alive(self, beam: int) -> "Candidates":
        """Return the best `beam` that do not end."""
        order = np.argsort(self.piece == EOS, axis=1, kind="stable")[:, :beam]
        return self.at((np.arange(len(order))[:, None], order))

    def at(self, places: Any) -> "Candidates":
        """Return the candidates at `places`, a numpy index."""
        return Candidates(self.log_prob[places], self.parent[places], self.piece[places])


def require_numbers(best: FloatArray, length: IntArray, is_alive: BoolArray) -> None:
    """Refuse a model whose highest log-probability is NaN.

    Args:
        best: highest candidate of each row; NaN counts as higher than anything.
        length: number of pieces of each row, for the message.
        is_alive: rows to check.

    Raises:
        ModelError: some value is NaN.
    """
    broken = np.isnan(best) & is_alive
    if broken.any():
        raise ModelError(
            f"the model gives NaN log-probabilities at target position {length[broken][0] + 1}: "
            "its weights are damaged or overflow; use an earlier checkpoint, or try "
            "--precision fp32."
        )
