"""The most likely piece, again and again."""

import torch
from torch import Tensor

from nmt.search.hypothesis import Hypothesis, IntArray
from nmt.search.options import SearchOptions
from nmt.search.scorer import Scorer
from nmt.search.single import SingleWriter


def pick_best(scores: Tensor, rows: IntArray, step: int) -> Tensor:
    """Return the highest of `scores` [rows, vocab], ties by lower id, [rows]."""
    return scores.argmax(dim=1)


@torch.inference_mode()
def greedy_search(
    scorer: Scorer, source: Tensor, source_mask: Tensor, options: SearchOptions
) -> list[list[Hypothesis]]:
    """Return one hypothesis per sentence: what a beam of 1 finds.

    Args:
        scorer: gives the probabilities.
        source: ids ending in EOS, [batch, src_len].
        source_mask: [batch, src_len].
        options: limits, penalties and what to keep.
    """
    writer = SingleWriter(scorer, source, source_mask, options, copies=1)
    return writer.write(pick_best)
