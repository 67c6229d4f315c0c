"""Translations drawn from the model's distribution.

Each translation has its own random stream, so the samples of a sentence do not depend on its batch,
on the number of samples or on the length limit. `log_prob` is the
model's own, whatever the temperature.
"""

import numpy as np
import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.search.decoding import Continuations, Decoding, Sentence
from nmt.search.hypothesis import BoolArray, Ending, FloatArray, Hypothesis
from nmt.search.ranking import require_numbers
from nmt.text.vocabulary import EOS


def sample_step(
    decoding: Decoding, *, fixed_shape: bool = False
) -> tuple[Decoding, dict[int, list[Hypothesis]]]:
    """Draw the next piece of every translation.

    Args:
        decoding: of one or more sentences.
        fixed_shape: keep finished sentences as empty rows.

    Returns:
        The decoding after the step, and the `n_best` translations, in the order of their streams,
        of each sentence that this step finished.
    """
    copies, rows = decoding.copies, np.arange(decoding.log_prob.size)
    step = decoding.step()
    is_stuck = _open_unknown_where_stuck(step)
    columns = _draw(step.scored.log_probs, decoding)  # [rows]
    gain = step.scored.log_probs.gather(1, columns.unsqueeze(1)).squeeze(1).double().cpu().numpy()
    pieces = step.scored.pieces_at(columns.cpu().numpy())
    log_prob = np.where(is_stuck, 0.0, gain) + decoding.log_prob.reshape(-1)

    longest = np.array([sentence.longest for sentence in decoding.sentences])
    is_last = (decoding.length + 1 >= longest).repeat(copies)
    has_ended = np.isfinite(log_prob) & (is_stuck | (pieces == EOS) | is_last)
    endings: dict[int, list[Ending]] = {}
    for row in np.flatnonzero(has_ended).tolist():
        ending = step.end(row, None if is_stuck[row] else int(pieces[row]), float(log_prob[row]))
        endings.setdefault(row // copies, []).append(ending)
    sentences = [
        sentence.with_endings(endings[place]) if place in endings else sentence
        for place, sentence in enumerate(decoding.sentences)
    ]
    log_prob = np.where(has_ended, -np.inf, log_prob).reshape(-1, copies)

    stays = np.isfinite(log_prob).any(axis=1)
    done = np.flatnonzero(decoding.is_alive & ~stays).tolist()
    found = {sentences[place].key: _translations(sentences[place], copies) for place in done}
    kept = np.arange(len(sentences))
    if found and not fixed_shape:
        kept = np.flatnonzero(stays)
        rows = rows.reshape(-1, copies)[kept].reshape(-1)
        sentences = [sentences[place] for place in kept.tolist()]
    return decoding.advance(step.scored, sentences, rows, pieces[rows], log_prob[kept]), found


def _open_unknown_where_stuck(step: Continuations) -> BoolArray:
    """Allow UNK in rows with no other piece left; return the rows that cannot even have UNK."""
    scores = step.scored.scores
    best: FloatArray = scores.amax(dim=1).double().cpu().numpy()
    is_stuck: BoolArray = best == -np.inf
    if is_stuck.any():
        step.open_unknown(is_stuck)
        best = scores.amax(dim=1).double().cpu().numpy()
        is_stuck = best == -np.inf
    decoding = step.decoding
    is_alive = np.isfinite(decoding.log_prob).reshape(-1)
    require_numbers(best, decoding.history.length, is_alive)
    return is_stuck


def _draw(log_probs: Tensor, decoding: Decoding) -> Tensor:
    """Return a column per row, each from its own stream, [rows]; `log_probs` [rows, vocab]."""
    points = [stream.random() for each in decoding.sentences for stream in each.streams]
    where = torch.tensor(points, dtype=torch.float64, device=log_probs.device)
    return draw_pieces(restrict(log_probs, decoding.config), where)


def _translations(sentence: Sentence, copies: int) -> list[Hypothesis]:
    """Return the samples of a sentence in the order of their streams."""
    endings = sorted(sentence.endings, key=lambda ending: ending.row % copies)
    return [ending.read() for ending in endings]


def restrict(scores: Tensor, config: SearchConfig) -> Tensor:
    """Apply temperature, top-k and top-p; pieces tied with the last one kept are kept too.

    Args:
        scores: log-probabilities, -inf where forbidden, [rows, vocab].
        config: top-k is applied first, then top-p.

    Returns:
        Probabilities in double precision, [rows, vocab].
    """
    scores = scores.double() / config.temperature
    if 0 < config.top_k < scores.shape[1]:
        least = scores.topk(config.top_k, dim=1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    probabilities = scores.softmax(dim=1)
    if config.top_p < 1.0:
        ordered = probabilities.sort(dim=1, descending=True).values
        before = ordered.cumsum(dim=1) - ordered  # probability mass of more likely pieces
        needed = (before < config.top_p).sum(dim=1, keepdim=True)
        least = ordered.gather(1, needed - 1)
        probabilities = probabilities.masked_fill(probabilities < least, 0.0)
    return probabilities


def draw_pieces(probabilities: Tensor, points: Tensor) -> Tensor:
    """Invert the cumulative distribution of each row.

    Args:
        probabilities: need not sum to 1, [rows, vocab].
        points: uniform in [0, 1), [rows].

    Returns:
        Columns of non-zero probability, [rows].
    """
    cumulative = probabilities.cumsum(dim=1)
    total = cumulative[:, -1]
    below = torch.minimum(points * total, torch.nextafter(total, torch.zeros_like(total)))
    drawn = torch.searchsorted(cumulative, below.unsqueeze(1), right=True).squeeze(1)
    return drawn.clamp(max=probabilities.shape[1] - 1)
