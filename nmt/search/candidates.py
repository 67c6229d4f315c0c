"""What may follow, and which candidates are best: the rules that all searches share."""

import numpy as np
import torch
from torch import Tensor

from nmt.errors import ModelError
from nmt.native.kernels import kernels, knows
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
    """Return what `scores.topk(count, dim=1)` does, several times as fast on a long row.

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


def best_continuations(
    step: ScorerStep, sums: FloatArray, may_end: BoolArray, count: int
) -> tuple[FloatArray, IntArray]:
    """Return the best continuations of each sentence's hypotheses, best first, ties by lower index.

    UNK is generated where nothing else is open.

    Args:
        step: what the scorer says; a sentence's rows are next to each other.
        sums: log-probability of each hypothesis so far, [batch, copies].
        may_end: whether the sentence is long enough for EOS, [batch].
        count: how many; at most `copies` x vocab.

    Returns:
        Log-probabilities, and indices copy x vocab + piece, [batch, count]. NaN comes first; -inf
        where there are no more.
    """
    relative = torch.from_numpy(sums).to(step.log_mass)  # [batch, copies]
    native = kernels() if knows(step.scores) and count <= _MOST_INSERTED else None
    if native is not None:
        is_open = np.zeros((len(may_end), len(SPECIAL_PIECES)), dtype=np.bool_)
        is_open[:, EOS] = may_end
        found = native.best_continuations(
            step.scores.contiguous(), step.log_mass, relative, torch.from_numpy(is_open), count
        )
        values, indices = found[0].numpy().astype(np.float64), found[1].numpy()
    else:
        scores = step.log_probs.view(*relative.shape, -1) + relative.unsqueeze(2)
        forbid(scores, may_end)
        values, indices = top_candidates(scores.flatten(1), count)
    stuck = (values[:, 0] == -np.inf) & np.isfinite(sums[:, 0])
    if stuck.any():
        rows = torch.from_numpy(stuck).to(step.scores.device)
        own = step.log_probs.view(*relative.shape, -1)[rows]  # [stuck, copies, vocab]
        scores = torch.full_like(own, -torch.inf)
        scores[..., UNK] = own[..., UNK] + relative[rows]
        values[stuck], indices[stuck] = top_candidates(scores.flatten(1), count)
    return values, indices
