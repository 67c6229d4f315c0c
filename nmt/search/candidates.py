"""What may follow, and which candidates are best: the rules that all searches share."""

import numpy as np
import torch
from torch import Tensor

from nmt.errors import ModelError
from nmt.search.hypothesis import BoolArray, FloatArray, IntArray
from nmt.text.vocabulary import BOS, EOS, PAD, UNK

_CHUNK = 64


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
