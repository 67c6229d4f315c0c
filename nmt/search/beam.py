"""Beam search over a batch of sentences.

At each step every live hypothesis of a sentence is continued by every piece, and the best
2 x beam of all continuations are looked at, by their sum of log-probabilities:

- those among the first `beam` that end are finished and compared by their score, which includes
  the length and coverage penalty;
- the best `beam` that do not end live on.

A sentence is done when `beam` hypotheses are finished, when none is alive, when the length limit
is reached, or when no continuation of a live one can score more than the worst of the `n_best`
finished ones that will be returned. The last rule never changes what is returned, so the best
hypothesis does not depend on `n_best`. If the limit is reached and nothing is finished, the best
live hypotheses are returned, marked as unfinished.

Ties go to the hypothesis that was finished earlier, then to the better ranked parent, then to the
lower piece id. All decisions about a sentence use that sentence's numbers alone.
"""

from bisect import insort

import numpy as np
import torch
from torch import Tensor

from nmt.search.candidates import Candidates, best_continuations, require_numbers
from nmt.search.coverage import Coverage
from nmt.search.hypothesis import BoolArray, Ending, FloatArray, Hypothesis, IntArray, Trace
from nmt.search.lengths import Lengths
from nmt.search.options import SearchOptions
from nmt.search.repetition import RepetitionBlock
from nmt.search.scorer import Scorer, ScorerStep
from nmt.text.vocabulary import BOS, EOS


@torch.inference_mode()
def beam_search(
    scorer: Scorer, source: Tensor, source_mask: Tensor, options: SearchOptions
) -> list[list[Hypothesis]]:
    """Return up to `options.n_best` hypotheses per sentence, best first.

    Args:
        scorer: gives the probabilities.
        source: ids ending in EOS, [batch, src_len].
        source_mask: [batch, src_len].
        options: beam, limits, penalties and what to keep.
    """
    return BeamSearch(scorer, source, source_mask, options).run()


class BeamSearch:
    """One run of beam search; see the module for the rules and `beam_search` for the arguments."""

    def __init__(
        self, scorer: Scorer, source: Tensor, source_mask: Tensor, options: SearchOptions
    ) -> None:
        self.scorer, self.options, self.beam = scorer, options, options.beam
        batch, self.device = source.shape[0], source.device
        self.lengths = Lengths.of(source_mask, options)
        self.trace = Trace(keep_attention=options.keep_attention)
        self.coverage = Coverage(source_mask, copies=self.beam, weight=options.coverage_penalty)
        self.block = RepetitionBlock(options.no_repeat_ngram, batch * self.beam)
        self.finished: list[list[Ending]] = [[] for _ in range(batch)]
        self.results: list[list[Hypothesis]] = [[] for _ in range(batch)]
        # Of the sentences still in the batch: their number among all, whether they go on, and the
        # sums of their live hypotheses, best first; at the start there is but one, the empty one.
        self.number: IntArray = np.arange(batch)
        self.active: BoolArray = np.ones(batch, dtype=np.bool_)
        self.log_prob: FloatArray = np.full((batch, self.beam), -np.inf)
        self.log_prob[:, 0] = 0.0
        self.state = scorer.start(source, source_mask, copies=self.beam)
        self.tokens = torch.full((batch * self.beam,), BOS, device=self.device)

    def run(self) -> list[list[Hypothesis]]:
        """Search, and return the hypotheses of each sentence."""
        step = 0
        while self.active.any():
            scored = self.scorer.step(self.tokens, self.state)
            self.trace.add_attention(scored.attention)
            self.coverage.add(scored.attention)
            candidates = self._best_candidates(scored, step)
            self._collect_finished(candidates, step)
            alive = candidates.first_alive(self.beam)
            self._close_sentences(alive, step)
            self._advance(scored, alive)
            step += 1
        return self.results

    def _best_candidates(self, scored: ScorerStep, step: int) -> Candidates:
        """Return the best 2 x beam continuations of each sentence."""
        may_end = self.lengths.shortest[self.number] <= step + 1
        count = min(2 * self.beam, self.beam * scored.scores.shape[1])
        scored = self.block.apply(scored, may_end)
        candidates = best_continuations(scored, self.log_prob, may_end, count)
        require_numbers(candidates.log_prob[self.active, 0], step)
        return candidates

    def _collect_finished(self, candidates: Candidates, step: int) -> None:
        """Keep the ends among the first `beam` candidates of each sentence, by score."""
        first = candidates.piece[:, : self.beam]
        ends = (first == EOS) & np.isfinite(candidates.log_prob[:, : self.beam])
        ends &= self.active[:, None]
        if not ends.any():
            return
        for sentence, ending in self._endings(candidates, ends, step):
            insort(self.finished[self.number[sentence]], ending, key=lambda kept: -kept.score)

    def _endings(
        self, candidates: Candidates, chosen: BoolArray, step: int
    ) -> list[tuple[int, Ending]]:
        """Return sentence and ending of each `chosen` candidate [batch, count], in order."""
        sentence, rank = np.nonzero(chosen)
        row = sentence * self.beam + candidates.parent[sentence, rank]
        log_prob = candidates.log_prob[sentence, rank]
        score = self.lengths.normalise(log_prob, np.array(step + 1))
        score = score + self.coverage.penalties()[row]
        piece = candidates.piece[sentence, rank]
        return [
            (
                int(sentence[i]),
                Ending(
                    step=step,
                    row=int(row[i]),
                    last=int(piece[i]),
                    log_prob=float(log_prob[i]),
                    score=float(score[i]),
                    finished=bool(piece[i] == EOS),
                ),
            )
            for i in range(len(sentence))
        ]

    def _close_sentences(self, alive: Candidates, step: int) -> None:
        """Settle the sentences that are done; `alive` is what would live on."""
        best = alive.log_prob[:, 0]
        done = (best == -np.inf) | (step + 1 >= self.lengths.longest[self.number])
        if any(self.finished):
            done |= self._are_settled(best)
        done &= self.active
        if not done.any():
            return
        for sentence in np.flatnonzero(done).tolist():
            number = int(self.number[sentence])
            endings = self.finished[number] or self._unfinished(sentence, alive, step)
            chosen = endings[: self.options.n_best]
            self.results[number] = [self.trace.read(ending) for ending in chosen]
        self.active = self.active & ~done

    def _are_settled(self, best: FloatArray) -> BoolArray:
        """Return which sentences need no more, where `best` [batch] is the sum of a live one."""
        count, wanted = self.options.n_best, np.full(len(self.number), -np.inf)
        full = np.zeros(len(self.number), dtype=np.bool_)
        for sentence, number in enumerate(self.number.tolist()):
            finished = self.finished[number]
            full[sentence] = len(finished) >= self.beam
            if len(finished) >= count:
                wanted[sentence] = finished[count - 1].score
        settled: BoolArray = full | (wanted >= self.lengths.best_possible(best, self.number))
        return settled

    def _unfinished(self, sentence: int, alive: Candidates, step: int) -> list[Ending]:
        """Return the live hypotheses of a sentence as they stand, best first."""
        chosen = np.zeros(alive.log_prob.shape, dtype=np.bool_)
        chosen[sentence] = np.isfinite(alive.log_prob[sentence])
        if chosen.any():
            endings = [ending for _, ending in self._endings(alive, chosen, step)]
            return sorted(endings, key=lambda ending: -ending.score)
        # Nothing may follow at all: the best hypothesis ends where it was before this step.
        row, log_prob = sentence * self.beam, self.log_prob[sentence, 0]
        score = self.lengths.normalise(log_prob, np.array(max(step, 1)))
        score = score + self.coverage.penalties()[row]
        return [Ending(step, row, None, float(log_prob), float(score), finished=False)]

    def _advance(self, scored: ScorerStep, alive: Candidates) -> None:
        """Go on with the `alive` candidates of the sentences that are not done."""
        first_rows = np.arange(len(self.number)) * self.beam
        kept: IntArray | None = None
        if not (self.options.fixed_shape or self.active.all()):
            kept = np.flatnonzero(self.active)
            first_rows, alive = first_rows[kept], alive.at(kept)
            self.number, self.active = self.number[kept], self.active[kept]
        rows = (first_rows[:, None] + alive.parent).reshape(-1)
        pieces = alive.piece.reshape(-1)
        self.log_prob = alive.log_prob
        self.trace.add_rows(pieces, rows)
        self.block.add(pieces, rows)
        if not len(rows):
            return
        self.tokens = torch.from_numpy(pieces).to(self.device)
        chosen = torch.from_numpy(rows).to(self.device)
        self.coverage.select(chosen)
        if kept is None:
            self.state = scored.state.select(chosen)
        else:
            sentences = torch.from_numpy(kept).to(self.device)
            self.state = scored.state.select_sentences(sentences, chosen)
