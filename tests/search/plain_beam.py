"""Beam search over one sentence in lists and loops, from the rules in `nmt/search/beam.py`.

It leaves out the rule that ends a search early, which must not change what is returned.
"""

import math
from collections import Counter
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
    width = options.beam // options.groups
    groups = [[Live((), 0.0, scorer.start(source, mask, copies=1))] for _ in range(options.groups)]
    finished: list[list[Hypothesis]] = [[] for _ in groups]
    in_time: list[Hypothesis] = []  # the finished ones of all groups
    for length in range(1, longest + 1):
        previous = [each for live in groups for each in live]
        taken: Counter[int] = Counter()
        for group, live in enumerate(groups):
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
            found.sort(key=lambda e: (options.diversity * taken[e[2]] - e[0], *e[1:]))
            found = found[: 2 * width]
            for log_prob, parent, piece in found[:width]:
                if piece == EOS:
                    score = divide(log_prob, length, options)
                    in_time.append(Hypothesis(live[parent].tokens, log_prob, score, finished=True))
                    finished[group].append(in_time[-1])
                    taken[EOS] += 1
            groups[group] = [
                Live((*live[parent].tokens, piece), log_prob, steps[parent].state)
                for log_prob, parent, piece in found
                if piece != EOS
            ][:width]
            if options.stop == "full" and len(finished[group]) >= width:
                groups[group] = []
            taken.update(each.tokens[-1] for each in groups[group])
        if not any(groups):
            if not in_time:
                best, length = max(previous, key=lambda each: each.log_prob), max(length - 1, 1)
                score = divide(best.log_prob, length, options)
                return [Hypothesis(best.tokens, best.log_prob, score, finished=False)]
            break
    in_time = in_time or [
        Hypothesis(each.tokens, each.log_prob, divide(each.log_prob, longest, options), False)
        for live in groups
        for each in live
    ]
    return sorted(in_time, key=lambda hypothesis: -hypothesis.score)[: options.n_best]
