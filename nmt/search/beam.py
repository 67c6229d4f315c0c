"""Beam search over a batch of sentences.

At each step every live hypothesis of a sentence is continued by every piece, and the 2 x beam
continuations with the highest sums of log-probabilities are considered:

- those among the first `beam` that end are finished and compared by their score, which includes
  the length penalty and what rules add;
- the best `beam` that do not end live on.

A sentence is done when `beam` hypotheses are finished, when none is alive, when the length limit
is reached, or when no continuation of a live one can score more than the worst of the `n_best`
finished ones that will be returned. The last rule never changes what is returned, so the best
hypothesis does not depend on `n_best`. If the limit is reached and nothing is finished, the best
live hypotheses are returned, marked as unfinished.

Ties go to the hypothesis that was finished earlier, then to the better ranked parent, then to the
lower piece id. All decisions about a sentence use that sentence's numbers alone.
"""

import numpy as np

from nmt.config.search import SearchConfig
from nmt.search.decoding import Continuations, Decoding, Sentence
from nmt.search.hypothesis import Ending, FloatArray, Hypothesis
from nmt.search.lengths import divisor
from nmt.search.ranking import Candidates, Rank, rank_plainly, require_numbers
from nmt.text.vocabulary import EOS


def beam_step(
    decoding: Decoding, *, rank: Rank = rank_plainly, fixed_shape: bool = False
) -> tuple[Decoding, dict[int, list[Hypothesis]]]:
    """Extend every hypothesis by one piece.

    Args:
        decoding: of one or more sentences.
        rank: finds the best continuations.
        fixed_shape: keep finished sentences as empty rows.

    Returns:
        The decoding after the step, and up to `n_best` hypotheses, best first, of each sentence
        that this step finished.
    """
    config = decoding.config
    step = decoding.step()
    candidates = _best_candidates(step, decoding.log_prob, rank)
    sentences = _collect_finished(step, candidates)
    alive = candidates.first_alive(config.beam)
    log_prob, found = alive.log_prob, {}
    lengths, bests = (decoding.length + 1).tolist(), log_prob[:, 0].tolist()
    was_alive = np.isfinite(decoding.log_prob[:, 0]).tolist()
    for place, sentence in enumerate(sentences):
        if was_alive[place] and _is_done(sentence, lengths[place], bests[place], config):
            endings = sentence.endings or _unfinished(step, alive, place)
            found[sentence.key] = [ending.read() for ending in endings[: config.n_best]]
            log_prob[place] = -np.inf
    kept = np.arange(len(sentences))
    if found and not fixed_shape:
        kept = np.flatnonzero(np.isfinite(log_prob[:, 0]))
        sentences, alive = [sentences[place] for place in kept.tolist()], alive.at(kept)
    rows = (kept[:, None] * config.beam + alive.parent).reshape(-1)
    pieces = alive.piece.reshape(-1)
    return decoding.advance(step.scored, sentences, rows, pieces, alive.log_prob), found


def _best_candidates(step: Continuations, sums: FloatArray, rank: Rank) -> Candidates:
    """Return the best 2 x beam continuations of each sentence; `sums` [batch, beam].

    UNK is allowed again where a sentence has no other continuation.
    """
    scored, beam = step.scored, sums.shape[1]
    count = min(2 * beam, beam * scored.scores.shape[1])
    log_prob, parent, column = rank(scored.scores, scored.log_mass, sums, count)
    if not np.isfinite(log_prob[:, 0]).all():
        is_alive = np.isfinite(sums[:, 0])
        is_stuck = is_alive & (log_prob[:, 0] == -np.inf)
        if is_stuck.any():
            step.open_unknown(is_stuck.repeat(beam))
            log_prob, parent, column = rank(scored.scores, scored.log_mass, sums, count)
        require_numbers(log_prob[:, 0], step.decoding.length, is_alive)
    return Candidates(log_prob, parent, scored.pieces_at(column))


def _collect_finished(step: Continuations, candidates: Candidates) -> list[Sentence]:
    """Return the sentences, extended by those of the first `beam` candidates that end."""
    sentences, beam = list(step.decoding.sentences), step.decoding.config.beam
    is_end = candidates.piece[:, :beam] == EOS
    if not is_end.any():
        return sentences
    is_end &= np.isfinite(candidates.log_prob[:, :beam])
    for place in np.flatnonzero(is_end.any(axis=1)).tolist():
        ranks = np.flatnonzero(is_end[place]).tolist()
        endings = [_end(step, candidates, place, rank) for rank in ranks]
        sentences[place] = sentences[place].with_endings(endings)
    return sentences


def _end(step: Continuations, candidates: Candidates, place: int, rank: int) -> Ending:
    """Return the finished hypothesis of a candidate of a sentence."""
    row = place * step.decoding.copies + int(candidates.parent[place, rank])
    log_prob = float(candidates.log_prob[place, rank])
    return step.end(row, int(candidates.piece[place, rank]), log_prob)


def _is_done(sentence: Sentence, length: int, best: float, config: SearchConfig) -> bool:
    """Whether a sentence needs no further step.

    More pieces can only lower a sum, divisors never decrease with length, and rules add at most 0.
    So no continuation scores more than the best sum divided by the divisor of the longest length.

    Args:
        sentence: with its finished hypotheses.
        length: number of pieces of its live hypotheses.
        best: highest sum among them, -inf if there are none.
        config: search options.
    """
    endings = sentence.endings
    if best == -np.inf or length >= sentence.longest or len(endings) >= config.beam:
        return True
    if len(endings) < config.n_best:
        return False
    return endings[config.n_best - 1].score >= best / divisor(sentence.longest, config)


def _unfinished(step: Continuations, alive: Candidates, place: int) -> tuple[Ending, ...]:
    """Return the live hypotheses of a sentence as unfinished ones, best first."""
    ranks = np.flatnonzero(np.isfinite(alive.log_prob[place])).tolist()
    if ranks:
        endings = [_end(step, alive, place, rank) for rank in ranks]
        return tuple(sorted(endings, key=lambda ending: -ending.score))
    # No piece may follow at all: the best hypothesis ends as it was before this step.
    decoding = step.decoding
    return (step.end(place * decoding.copies, None, float(decoding.log_prob[place, 0])),)
