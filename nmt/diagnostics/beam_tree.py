"""A beam search step by step: the tree of its hypotheses, also of those that were dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.search.beam import beam_step
from nmt.search.decoding import Decoding, start
from nmt.search.hypothesis import Hypothesis
from nmt.search.ranking import Rank, rank_plainly
from nmt.search.scorers import Scorer
from nmt.text.vocabulary import EOS

Fate = Literal["best", "finished", "open", "dropped"]
"""What became of a hypothesis: it is, or leads to, the best one; to another finished one; to one
that was still in the beam at the end; or everything that followed left the beam."""

_ORDER: dict[Fate, int] = {"dropped": 0, "open": 1, "finished": 2, "best": 3}
_Path = tuple[int, ...]  # pieces from the beginning; a hypothesis has no twin


@dataclass(frozen=True)
class Node:
    """A hypothesis that was in the beam after some step, or ended there."""

    parent: int
    """Index of the node that it continues; -1 for the empty hypothesis, which comes first."""
    piece: str
    """Its last piece; "" for the empty hypothesis."""
    step: int
    """Number of its pieces, end symbol included."""
    log_prob: float
    """Sum of their natural log-probabilities."""
    score: float | None
    """Score that ranks finished hypotheses; None if it goes on."""
    fate: Fate
    """What became of it."""
    is_greedy: bool
    """Whether greedy search, which always takes the most likely piece, passes here."""


@dataclass(frozen=True)
class RecordedSearch:
    """A beam search for one sentence."""

    nodes: tuple[Node, ...]
    """Step by step, the most likely first; parents come before their children."""
    hypotheses: tuple[Hypothesis, ...]
    """All that finished, best first; if none did within the length limit, the unfinished best."""
    greedy: Hypothesis
    """What a beam of one finds."""


@torch.inference_mode()
def record_search(
    scorer: Scorer,
    source: Tensor,
    config: SearchConfig,
    *,
    pieces: Sequence[str],
    beyond: Sequence[str] = (),
    rank: Rank = rank_plainly,
) -> RecordedSearch:
    """Search as `nmt.search.search` does, and record the beam after each step.

    Args:
        scorer: scores the next pieces.
        source: ids of a sentence, ending in EOS, [1, src_len].
        config: search options; sampling, `n_best` and groups are left out of account.
        pieces: target pieces by id.
        beyond: texts of the source that only copying can write, whose ids follow.
        rank: finds the best continuations.
    """
    config = config.model_copy(update={"sample": False, "n_best": 1, "groups": 1})
    steps, hypotheses = _search(scorer, source, config, pieces, rank)
    narrow = config.model_copy(update={"beam": 1})
    _, (greedy, *_) = _search(scorer, source, narrow, pieces, rank)
    nodes = _grow(steps, hypotheses, greedy, [*pieces, *beyond])
    return RecordedSearch(nodes, tuple(hypotheses), greedy)


def _search(
    scorer: Scorer, source: Tensor, config: SearchConfig, pieces: Sequence[str], rank: Rank
) -> tuple[list[dict[_Path, float]], list[Hypothesis]]:
    """Return the beam after each step, with log-probabilities, and the hypotheses, best first."""
    mask = torch.ones_like(source, dtype=torch.bool)
    decoding = start(scorer, source, mask, config, pieces=pieces)
    steps: list[dict[_Path, float]] = []
    found: dict[int, list[Hypothesis]] = {}
    while (
        not found
    ):  # with a fixed shape, the sentence stays after its end, and with it its endings
        decoding, found = beam_step(decoding, rank=rank, fixed_shape=True)
        steps.append(_living(decoding))
    endings = [ending.read() for ending in decoding.sentences[0].endings]
    return steps, endings or found[0]


def _living(decoding: Decoding) -> dict[_Path, float]:
    """Return the hypotheses of the only sentence of a decoding; none after its end."""
    sums = decoding.log_prob[0]
    written = decoding.history.pieces[:, 1:]  # without the begin symbol
    rows = np.flatnonzero(np.isfinite(sums)).tolist()
    return {tuple(written[row].tolist()): float(sums[row]) for row in rows}


def _path(hypothesis: Hypothesis) -> _Path:
    return (*hypothesis.tokens, EOS) if hypothesis.finished else hypothesis.tokens


def _grow(
    steps: Sequence[dict[_Path, float]],
    hypotheses: Sequence[Hypothesis],
    greedy: Hypothesis,
    names: Sequence[str],
) -> tuple[Node, ...]:
    """Return the tree of all hypotheses that were in the beam, or ended."""
    sums: dict[_Path, float] = {(): 0.0}
    for step in steps:
        sums |= step
    ended = {_path(hypothesis): hypothesis for hypothesis in hypotheses}
    sums |= {path: hypothesis.log_prob for path, hypothesis in ended.items()}
    fates: dict[_Path, Fate] = dict.fromkeys(sums, "dropped")
    ends: list[tuple[_Path, Fate]] = [(path, "finished") for path in ended]
    ends += [(path, "open") for path in sums if len(path) == len(steps) - 1 and path not in ended]
    ends.append((_path(hypotheses[0]), "best"))
    for path, fate in ends:
        for length in range(len(path) + 1):
            previous = fates[path[:length]]
            fates[path[:length]] = max(previous, fate, key=_ORDER.__getitem__)
    order = sorted(sums, key=lambda path: (len(path), -sums[path], path))
    place = {path: number for number, path in enumerate(order)}
    way = _path(greedy)
    return tuple(
        Node(
            parent=place[path[:-1]] if path else -1,
            piece=names[path[-1]] if path else "",
            step=len(path),
            log_prob=sums[path],
            score=ended[path].score if path in ended else None,
            fate=fates[path],
            is_greedy=path == way[: len(path)],
        )
        for path in order
    )
