"""How a model comes to the translation of a sentence, as numbers.

The translation may be the one the search finds, or a given one, which is then followed piece by
piece. The search is recorded in either case.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.diagnostics.beam_tree import Node, record_search
from nmt.diagnostics.gates import CellTrace, traces_of, watch_cells
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.search.hypothesis import Hypothesis
from nmt.search.scorers import ModelScorer, Scorer
from nmt.text.subword import Subword
from nmt.text.vocabulary import BOS, EOS, PAD


@dataclass(frozen=True)
class Alternative:
    """A piece that might have come."""

    piece: str
    probability: float


@dataclass(frozen=True)
class Choice:
    """A piece of the translation, and what else could have stood there."""

    piece: str
    """The piece, "</s>" at the end."""
    log_prob: float
    """Its natural log-probability after the pieces before it; -inf if it cannot be written."""
    rank: int
    """1 if it was the most likely one."""
    alternatives: tuple[Alternative, ...]
    """The most likely pieces, best first."""
    attention: tuple[float, ...] | None
    """Weight of each source piece; None without attention."""


@dataclass(frozen=True)
class Candidate:
    """A translation that a search found."""

    text: str
    pieces: tuple[str, ...]
    log_prob: float
    score: float
    """Score that ranks it: after length penalty and rules."""
    finished: bool
    """False if it was cut at the length limit."""


@dataclass(frozen=True)
class Explanation:
    """How a model comes to a translation."""

    source: str
    """The sentence."""
    source_pieces: tuple[str, ...]
    """Its pieces, the end symbol last."""
    text: str
    """The translation that is explained."""
    is_given: bool
    """Whether it was given, instead of found."""
    log_prob: float
    """Sum over `choices`."""
    choices: tuple[Choice, ...]
    """Its pieces, the end symbol last."""
    found: tuple[Candidate, ...]
    """What the beam search found, best first."""
    greedy: Candidate
    """What greedy search finds."""
    beam: int
    """Width of the beam."""
    tree: tuple[Node, ...]
    """The hypotheses of the beam search."""
    cells: tuple[CellTrace, ...]
    """Gates and norms of the cells while they read the source and this translation."""


@dataclass(frozen=True)
class Sentence:
    """A sentence as a model reads it."""

    text: str
    """The sentence."""
    pieces: tuple[str, ...]
    """Its pieces, the end symbol last."""
    ids: Sequence[int]
    """Their ids; see `nmt.text.copied` for models that copy."""
    beyond: tuple[str, ...] = ()
    """Texts that only copying can write, in the order of their target ids."""


def explain(
    model: EncoderDecoder,
    source: Sentence,
    subword: Subword,
    config: SearchConfig,
    *,
    target: tuple[str, Sequence[int]] | None = None,
    top: int = 8,
) -> Explanation:
    """Explain the translation of a sentence.

    Args:
        model: in evaluation mode, with plain modules if gates and norms are to be seen.
        source: the sentence.
        subword: subword model of the target side.
        config: search options; sampling, shortlist and `n_best` are left out of account.
        target: a given translation and its ids, ending in EOS; None = the best found.
        top: number of alternatives at each step.

    Raises:
        ModelError: the model yields NaN.
    """
    pieces = tuple(subword.pieces(range(subword.vocab_size)))
    ids = torch.tensor([list(source.ids)], device=next(model.parameters()).device)
    scorer, beyond = ModelScorer(model), source.beyond
    searched = record_search(scorer, ids, config, pieces=pieces, beyond=beyond)
    found = tuple(_candidate(each, subword, beyond) for each in searched.hypotheses)
    best = searched.hypotheses[0]
    given = target[1] if target else [*best.tokens, *[EOS] * best.finished]
    with watch_cells(model) as seen:
        choices = follow(scorer, ids, given, [*pieces, *beyond], top=top)
    return Explanation(
        source=source.text,
        source_pieces=source.pieces,
        text=target[0] if target else found[0].text,
        is_given=target is not None,
        log_prob=sum(choice.log_prob for choice in choices),
        choices=tuple(choices),
        found=found,
        greedy=_candidate(searched.greedy, subword, beyond),
        beam=config.beam,
        tree=searched.nodes,
        cells=traces_of(seen, source=len(source.pieces), target=len(given)),
    )


@torch.inference_mode()
def follow(
    scorer: Scorer, source: Tensor, target: Sequence[int], names: Sequence[str], *, top: int
) -> list[Choice]:
    """Return each piece of a given translation with its alternatives.

    Args:
        scorer: scores the next pieces.
        source: ids of a sentence, ending in EOS, [1, src_len].
        target: ids of the translation.
        names: target pieces by id, and what only copying can write.
        top: number of alternatives.
    """
    state = scorer.start(source, torch.ones_like(source, dtype=torch.bool), copies=1)
    previous, choices = BOS, []
    for piece in target:
        scored = scorer.step(torch.tensor([previous], device=source.device), state)
        log_probs = scored.log_probs[0].double()  # [vocab]
        log_probs[[PAD, BOS]] = -torch.inf  # never written
        best = log_probs.topk(min(top, len(log_probs)))
        attention = None if scored.attention is None else scored.attention[0].tolist()
        choices.append(
            Choice(
                names[piece],
                log_probs[piece].item(),
                int((log_probs > log_probs[piece]).sum()) + 1,
                tuple(
                    Alternative(names[index], probability)
                    for index, probability in zip(
                        best.indices.tolist(), best.values.exp().tolist(), strict=True
                    )
                    if probability > 0.0
                ),
                None if attention is None else tuple(attention),
            )
        )
        state, previous = scored.state, piece
    return choices


def _candidate(hypothesis: Hypothesis, target: Subword, beyond: Sequence[str]) -> Candidate:
    return Candidate(
        target.decode(hypothesis.tokens, beyond),
        tuple(target.pieces(hypothesis.tokens, beyond)),
        hypothesis.log_prob,
        hypothesis.score,
        hypothesis.finished,
    )
