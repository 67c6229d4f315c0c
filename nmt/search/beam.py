"""Beam search over a batch of sentences.

At each step every live hypothesis of a sentence is continued by every piece, and the 2 x beam
continuations with the highest sums of log-probabilities are considered:

- those among the first `beam` that end are finished and compared by their score, which includes
  the length penalty and what rules add;
- the best `beam` that do not end live on.

A sentence is done when `beam` hypotheses are finished, when none is alive, when the length limit
is reached, or when no continuation of a live one can score more than the worst of the `n_best`
finished ones that will be returned. The last rule never changes what is returned, so the best
hypothesis does not depend on `n_best`. The first rule may, since a live hypothesis might still have
become the best one; with `stop = "best"` it does not apply. If the limit is reached and nothing is
finished, the best live hypotheses are returned, marked as unfinished.

With several groups (Vijayakumar et al., 2018), each is a beam of its own of `beam / groups`
hypotheses, which begins with the empty one. At each step the groups choose one after the other, and
a piece loses `diversity` for each hypothesis of an earlier group that takes it. Only the choice
depends on that: sums and scores are those of the model. The first rule applies to each
group, and the finished hypotheses of all groups are compared with each other.

Ties go to the hypothesis that was finished earlier, then to the better ranked parent, then to the
lower piece id. All decisions about a sentence use that sentence's numbers alone.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.search.decoding import Continuations, Decoding, Sentence
from nmt.search.hypothesis import Ending, Hypothesis, IntArray
from nmt.search.lengths import divisor
from nmt.search.ranking import Candidates, Rank, Ranked, log_probs_of, rank_plainly, require_numbers
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
    sentences, alive = _extend(step, rank)
    log_prob, found = alive.log_prob, {}
    best = log_prob.max(axis=1)
    lengths, bests = (decoding.length + 1).tolist(), best.tolist()
    was_alive = decoding.is_alive.tolist() if fixed_shape else [True] * len(sentences)
    for place, sentence in enumerate(sentences):
        if was_alive[place] and _is_done(sentence, lengths[place], bests[place], config):
            endings = sentence.endings or _unfinished(step, alive, place)
            found[sentence.key] = [ending.read() for ending in endings[: config.n_best]]
            log_prob[place] = best[place] = -np.inf
    kept = np.arange(len(sentences))
    if found and not fixed_shape:
        kept = np.flatnonzero(np.isfinite(best))
        sentences, alive = [sentences[place] for place in kept.tolist()], alive.at(kept)
    rows = (kept[:, None] * config.beam + alive.parent).reshape(-1)
    pieces = alive.piece.reshape(-1)
    return decoding.advance(step.scored, sentences, rows, pieces, alive.log_prob), found


def _extend(step: Continuations, rank: Rank) -> tuple[list[Sentence], Candidates]:
    """Return the sentences with the hypotheses that end at this step, and what lives on, group
    after group, [batch, beam]."""
    config, sentences = step.decoding.config, list(step.decoding.sentences)
    width = config.beam // config.groups
    parts: list[Candidates] = []
    ended = np.zeros(len(sentences), dtype=np.int64)
    for group in range(config.groups):
        penalty = _penalty(step, parts, ended) if parts else None
        candidates = _best_candidates(step, group, penalty, rank)
        if (candidates.piece[:, :width] == EOS).any():
            parts.append(candidates.first_alive(width))
            ended += _collect_finished(step, group, candidates, parts[-1], sentences)
        else:
            parts.append(candidates.at(np.s_[:, :width]))
    return sentences, parts[0] if len(parts) == 1 else Candidates.beside(parts)


def _penalty(step: Continuations, earlier: list[Candidates], ended: IntArray) -> Tensor:
    """Return what each column loses for the hypotheses of earlier groups, [batch, vocab].

    Args:
        step: this step.
        earlier: those that live on, of each earlier group.
        ended: number of those that ended, [batch].
    """
    scored, taken = step.scored, Candidates.beside(earlier)
    lives = torch.from_numpy(np.isfinite(taken.log_prob)).to(scored.scores)
    count = scored.scores.new_zeros(len(lives), scored.scores.shape[1])
    count.scatter_add_(1, scored.columns(taken.piece), lives)
    count[:, EOS] += torch.from_numpy(ended).to(count)
    return step.decoding.config.diversity * count


def _best_candidates(
    step: Continuations, group: int, penalty: Tensor | None, rank: Rank
) -> Candidates:
    """Return the best continuations of a group of each sentence, twice as many as its hypotheses.

    UNK is allowed again where a group has no other continuation.
    """
    decoding, config = step.decoding, step.decoding.config
    width = config.beam // config.groups
    log_prob, parent, column = _rank(step, group, penalty, rank)
    if not np.isfinite(log_prob[:, 0]).all():
        own = np.s_[:, group * width : (group + 1) * width]
        is_alive = np.isfinite(decoding.log_prob[own][:, 0])
        is_stuck = is_alive & (log_prob[:, 0] == -np.inf)
        if is_stuck.any():
            rows = np.zeros(decoding.log_prob.shape, dtype=np.bool_)
            rows[own] = is_stuck[:, None]
            step.open_unknown(rows.reshape(-1))
            log_prob, parent, column = _rank(step, group, penalty, rank)
        require_numbers(log_prob[:, 0], decoding.length, is_alive)
    return Candidates(log_prob, parent + group * width, step.scored.pieces_at(column))


def _rank(step: Continuations, group: int, penalty: Tensor | None, rank: Rank) -> Ranked:
    """Return the best continuations of a group of each sentence, [batch, count] each.

    Parents are counted from the first hypothesis of the group; `count` is twice as many as its
    hypotheses, or all continuations if there are fewer.
    """
    config, sums = step.decoding.config, step.decoding.log_prob
    scores, log_mass = step.scored.scores, step.scored.log_mass
    width = config.beam // config.groups
    count = min(2 * width, width * scores.shape[1])
    if config.groups == 1:
        return rank(scores, log_mass, sums, count)
    sums = sums[:, group * width : (group + 1) * width]
    shape = len(sums), config.groups, width
    scores = scores.view(*shape, -1)[:, group]
    log_mass = log_mass.view(shape)[:, group].flatten()
    if penalty is None:
        return rank(scores.flatten(0, 1), log_mass, sums, count)
    lowered = (scores - penalty.unsqueeze(1)).flatten(0, 1)
    values, parent, column = rank(lowered, log_mass, sums, count)
    log_prob = log_probs_of(scores.flatten(0, 1), log_mass, sums, parent, column)
    return np.where(np.isnan(values), values, log_prob), parent, column


def _collect_finished(
    step: Continuations,
    group: int,
    candidates: Candidates,
    alive: Candidates,
    sentences: list[Sentence],
) -> IntArray:
    """Add to the sentences the hypotheses of a group that end among its best candidates, and return
    their number, [batch].

    Nothing lives on in a group with as many finished hypotheses as it has room for.

    Args:
        step: this step.
        group: number of the group.
        candidates: of the group.
        alive: those that live on, [batch, width]; -inf is written where the group has ended.
        sentences: [batch]; those with a new hypothesis are replaced.
    """
    config, width = step.decoding.config, alive.log_prob.shape[1]
    is_end = candidates.piece[:, :width] == EOS
    is_end &= np.isfinite(candidates.log_prob[:, :width])
    for place in np.flatnonzero(is_end.any(axis=1)).tolist():
        ranks = np.flatnonzero(is_end[place]).tolist()
        endings = [_end(step, candidates, place, rank) for rank in ranks]
        sentence = sentences[place].with_endings(endings)
        if config.stop == "best":  # the others would only take memory
            sentence = replace(sentence, endings=sentence.endings[: config.beam])
        elif sum(each.row % config.beam // width == group for each in sentence.endings) >= width:
            alive.log_prob[place] = -np.inf
        sentences[place] = sentence
    ended: IntArray = is_end.sum(axis=1)
    return ended


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
    if best == -np.inf or length >= sentence.longest:
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
    best = int(decoding.log_prob[place].argmax())
    return (step.end(place * decoding.copies + best, None, float(decoding.log_prob[place, best])),)
