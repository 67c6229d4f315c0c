"""What may follow, and which candidates are best: the rules that all searches share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.errors import ModelError
from nmt.fast.kernels import kernels, supports
from nmt.search.hypothesis import BoolArray, FloatArray, IntArray
from nmt.search.scorer import ScorerStep
from nmt.text.vocabulary import BOS, EOS, PAD, SPECIAL_PIECES, UNK

_CHUNK = 64
_MOST_INSERTED = 64  # with more, sorting is faster than inserting one by one


def forbid(scores: Tensor, may_end: BoolArray) -> None:
    """Rule out, in place, what is never generated: PAD, BOS and UNK, and an end that is too early.

    Args:
        scores: belongs to the caller, [batch, copies, vocab].
        may_end: whether the sentence is long enough for EOS, [batch].
    """
    for piece in (PAD, BOS, UNK):
        scores[..., piece] = -torch.inf
    if not may_end.all():
        scores[torch.from_numpy(~may_end).to(scores.device), :, EOS] = -torch.inf


def require_numbers(best: FloatArray, step: int) -> None:
    """Refuse a model whose highest log-probability is not a number.

    Args:
        best: highest candidate of each row; NaN counts as higher than anything.
        step: for the message, from 0.

    Raises:
        ModelError: some value is NaN.
    """
    if np.isnan(best).any():
        raise ModelError(
            f"the model gives NaN log-probabilities at target position {step + 1}: its weights "
            "are damaged or overflow; use an earlier checkpoint, or try --precision fp32."
        )


def top_of_chunks(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return what `scores.topk(count, dim=1)` does, and sort less of a long row.

    Only the chunks with the highest maxima can hold one of the best: those alone are sorted.

    Args:
        scores: [batch, candidates].
        count: at most `candidates`.

    Returns:
        Values, highest first, and indices, [batch, count].
    """
    batch, length = scores.shape
    whole = length // _CHUNK * _CHUNK
    if whole // _CHUNK <= count:
        return scores.topk(count, dim=1)
    best = scores[:, :whole].view(batch, -1, _CHUNK).amax(dim=2)  # [batch, chunks]
    chunks = best.topk(count, dim=1, sorted=False).indices
    inside = torch.arange(_CHUNK, device=scores.device)
    within = (chunks.unsqueeze(2) * _CHUNK + inside).flatten(1)  # [batch, count * _CHUNK]
    rest = torch.arange(whole, length, device=scores.device).expand(batch, -1)
    places = torch.cat([within, rest], dim=1)
    values, order = scores.gather(1, places).topk(count, dim=1)
    return values, places.gather(1, order)


def top_candidates(scores: Tensor, count: int) -> tuple[FloatArray, IntArray]:
    """Return the `count` best of each sentence, best first, ties by lower index.

    A top-k is free to choose among equals. Where two of the returned values are equal, or
    the last one equals the first that is left out, the sentence is looked at again.

    Args:
        scores: [batch, candidates].
        count: at most `candidates`.

    Returns:
        Values and indices, [batch, count].
    """
    top, where = top_of_chunks(scores, min(count + 1, scores.shape[1]))
    values = top.double().cpu().numpy()
    indices = where.cpu().numpy()
    ties = (values[:, 1:] == values[:, :-1]) & np.isfinite(values[:, 1:])
    for sentence in np.flatnonzero(ties.any(axis=1)).tolist():
        row = scores[sentence]
        reached = (row >= values[sentence, count - 1].item()).nonzero().squeeze(1)  # ascending
        ranked, order = row[reached].sort(descending=True, stable=True)
        values[sentence, :count] = ranked[:count].double().cpu().numpy()
        indices[sentence, :count] = reached[order[:count]].cpu().numpy()
    return values[:, :count], indices[:, :count]


@dataclass(frozen=True)
class Candidates:
    """Continuations of each sentence, best first; each array [batch, count]."""

    log_prob: FloatArray
    """Sum with the new piece; -inf where there is no candidate left."""
    parent: IntArray
    """The hypothesis that is continued, 0 to beam - 1."""
    piece: IntArray
    """What it is continued by."""

    def first_alive(self, beam: int) -> "Candidates":
        """Return the best `beam` that do not end."""
        is_end = self.piece == EOS
        if not is_end[:, :beam].any():
            return self.at(np.s_[:, :beam])
        order = np.argsort(is_end, axis=1, kind="stable")[:, :beam]
        return self.at((np.arange(len(order))[:, None], order))

    def at(self, places: Any) -> "Candidates":
        """Return those at the `places` that an index of numpy names."""
        return Candidates(self.log_prob[places], self.parent[places], self.piece[places])


def best_continuations(
    step: ScorerStep, sums: FloatArray, may_end: BoolArray, count: int
) -> Candidates:
    """Return the best continuations of each sentence's hypotheses.

    Ties go to the better ranked parent, then to the lower piece. Sums are compared relative to the
    sentence's first, where single precision is finest. UNK is generated where nothing else is open.

    Args:
        step: what the scorer says; a sentence's rows are next to each other.
        sums: log-probability of each hypothesis so far, [batch, copies].
        may_end: whether the sentence is long enough for EOS, [batch].
        count: how many; at most `copies` x vocab.

    Returns:
        [batch, count]; NaN comes first.
    """
    native = kernels() if supports(step.scores) and count <= _MOST_INSERTED else None
    if native is not None:
        is_open = np.zeros((len(may_end), len(SPECIAL_PIECES)), dtype=np.bool_)
        is_open[:, EOS] = may_end
        so_far = torch.from_numpy(np.ascontiguousarray(sums))
        found = native.best_continuations(
            step.scores.contiguous(), step.log_mass, so_far, torch.from_numpy(is_open), count
        )
        best = Candidates(*(part.numpy() for part in found))
    else:
        best = _rank_plainly(step, sums, lambda scores: forbid(scores, may_end), count)
    stuck = (best.log_prob[:, 0] == -np.inf) & np.isfinite(sums[:, 0])
    if stuck.any():
        unknown = _rank_plainly(step, sums, _forbid_all_but_unknown, count)
        best.log_prob[stuck] = unknown.log_prob[stuck]
        best.parent[stuck], best.piece[stuck] = unknown.parent[stuck], unknown.piece[stuck]
    return best


def _rank_plainly(
    step: ScorerStep, sums: FloatArray, close: Callable[[Tensor], None], count: int
) -> Candidates:
    """Do the same without a kernel; `close` rules out pieces of scores [batch, copies, vocab]."""
    base = np.where(np.isfinite(sums[:, :1]), sums[:, :1], 0.0)
    relative = torch.from_numpy(sums - base).to(step.log_mass)  # [batch, copies]
    scores = step.log_probs.view(*relative.shape, -1) + relative.unsqueeze(2)
    close(scores)
    values, indices = top_candidates(scores.flatten(1), count)
    return Candidates(values + base, *np.divmod(indices, scores.shape[2]))


def _forbid_all_but_unknown(scores: Tensor) -> None:
    unknown = scores[..., UNK].clone()
    scores.fill_(-torch.inf)[..., UNK] = unknown
