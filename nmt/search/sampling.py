"""Translations drawn from the model's distribution."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nmt.search.hypothesis import Hypothesis, IntArray
from nmt.search.options import SearchOptions
from nmt.search.scorer import Scorer
from nmt.search.single import SingleWriter


@torch.inference_mode()
def sample(
    scorer: Scorer,
    source: Tensor,
    source_mask: Tensor,
    options: SearchOptions,
    *,
    numbers: Sequence[int],
) -> list[list[Hypothesis]]:
    """Draw `options.n_best` translations per sentence, in the order in which they were drawn.

    Each translation has a random stream of its own, so that what is drawn for a sentence depends
    neither on its batch, nor on how many are asked for, nor on the length limit. `log_prob` is the
    model's own, whatever the temperature.

    Args:
        scorer: gives the probabilities.
        source: ids ending in EOS, [batch, src_len].
        source_mask: [batch, src_len].
        options: temperature, top_k, top_p, seed, limits and what to keep.
        numbers: which random streams each sentence draws from, by habit its line number, [batch].
    """
    copies = options.n_best
    streams = [
        np.random.default_rng((options.seed, number, copy))
        for number in numbers
        for copy in range(copies)
    ]

    def pick(scores: Tensor, rows: IntArray, step: int) -> Tensor:
        points = [streams[row].random() for row in rows.tolist()]
        where = torch.tensor(points, dtype=torch.float64, device=scores.device)
        return draw_pieces(restrict(scores, options), where)

    return SingleWriter(scorer, source, source_mask, options, copies=copies).write(pick)


def restrict(scores: Tensor, options: SearchOptions) -> Tensor:
    """Apply temperature, top-k and top-p; pieces as likely as the last one kept are kept too.

    Args:
        scores: log-probabilities, -inf where forbidden, [rows, vocab].
        options: top-k is applied first, top-p to what it leaves.

    Returns:
        Probabilities in double precision, [rows, vocab].
    """
    scores = scores.double() / options.temperature
    if 0 < options.top_k < scores.shape[1]:
        least = scores.topk(options.top_k, dim=1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    probabilities = scores.softmax(dim=1)
    if options.top_p < 1.0:
        ordered = probabilities.sort(dim=1, descending=True).values
        before = ordered.cumsum(dim=1) - ordered  # mass of what is more likely
        needed = (before < options.top_p).sum(dim=1, keepdim=True)
        least = ordered.gather(1, needed - 1)
        probabilities = probabilities.masked_fill(probabilities < least, 0.0)
    return probabilities


def draw_pieces(probabilities: Tensor, points: Tensor) -> Tensor:
    """Invert the cumulative distribution of each row.

    Args:
        probabilities: need not sum to 1, [rows, vocab].
        points: uniform in [0, 1), [rows].

    Returns:
        Piece ids of non-zero probability, [rows].
    """
    cumulative = probabilities.cumsum(dim=1)
    total = cumulative[:, -1]
    below = torch.minimum(points * total, torch.nextafter(total, torch.zeros_like(total)))
    drawn = torch.searchsorted(cumulative, below.unsqueeze(1), right=True).squeeze(1)
    return drawn.clamp(max=probabilities.shape[1] - 1)
