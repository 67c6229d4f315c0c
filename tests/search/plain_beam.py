"""Beam search over one sentence in lists and loops, from the rules in `nmt/search/beam.py`.

It leaves out the rule that ends a search early, which must not change what is returned.
"""

import math
from dataclasses import dataclass

import torch
from stub_scorers import TableScorer, TableState

from nmt.config.search import SearchConfig
from nmt.search.hypothesis import Hypothesis
from nmt.text.vocabulary import BOS, EOS, PAD, UNK


@dataclass(frozen=True)
class Live:
    tokens: tuple[int, ...]
    log_prob: float
    state: TableState


def divide(log_prob: float, length: int, options: SearchConfig) -> float:
    if options.length_penalty == "average":
        return log_prob / length
    if options.length_penalty == "gnmt":
        return log_prob / ((5 + length) / 6) ** options.alpha
    return log_prob


def plain_beam(
    scorer: TableScorer,
    source: torch.Tensor,
    mask: torch.Tensor,
    options: SearchConfig,
    *,
    shortest: int,
    longest: int,
) -> list[Hypothesis]:
    """Hypotheses of one sentence, best first; limits in pieces, end symbol included."""
    live = [Live((), 0.0, scorer.start(source, mask, copies=1))]
    finished: list[Hypothesis] = []
    for length in range(1, longest + 1):
        steps = [
            scorer.step(torch.tensor([each.tokens[-1] if each.tokens else BOS]), each.state)
            for each in live
        ]
        continued = [
            (each.log_prob + gain, parent, piece)
            for parent, (each, step) in enumerate(zip(live, steps, strict=True))
            for piece, gain in enumerate(step.log_probs[0].tolist())
            if gain > -math.inf
        ]
        closed = {PAD, BOS, UNK} if length >= shortest else {PAD, BOS, UNK, EOS}
        found = [entry for entry in continued if entry[2] not in closed]
        found = found or [entry for entry in continued if entry[2] == UNK]
        if not found:
            if not finished:
                best, length = live[0], max(length - 1, 1)
                score = divide(best.log_prob, length, options)
                return [Hypothesis(best.tokens, best.log_prob, score, finished=False)]
            break
        found = sorted(found, key=lambda entry: (-entry[0], *entry[1:]))[: 2 * options.beam]
        for log_prob, parent, piece in found[: options.beam]:
            if piece == EOS:
                score = divide(log_prob, length, options)
                finished.append(Hypothesis(live[parent].tokens, log_prob, score, finished=True))
        live = [
            Live((*live[parent].tokens, piece), log_prob, steps[parent].state)
            for log_prob, parent, piece in found
            if piece != EOS
        ][: options.beam]
        if len(finished) >= options.beam or not live:
            break
    else:
        if not finished:
            finished = [
                Hypothesis(
                    each.tokens,
                    each.log_prob,
                    divide(each.log_prob, longest, options),
                    finished=False,
                )
                for each in live
            ]
    return sorted(finished, key=lambda hypothesis: -hypothesis.score)[: options.n_best]
