"""Write every row on its own, piece by piece."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nmt.search.candidates import forbid, require_numbers
from nmt.search.coverage import Coverage
from nmt.search.hypothesis import BoolArray, Ending, FloatArray, Hypothesis, IntArray, Trace
from nmt.search.lengths import Lengths
from nmt.search.options import SearchOptions
from nmt.search.repetition import RepetitionBlock
from nmt.search.scorer import Scorer, ScorerStep
from nmt.text.vocabulary import BOS, EOS, UNK


class Pick(Protocol):
    """Chooses the next piece of each row."""

    def __call__(self, scores: Tensor, rows: IntArray, step: int) -> Tensor:
        """Return a piece per row, [rows].

        Args:
            scores: log-probabilities of what is allowed, -inf elsewhere, [rows, vocab].
            rows: number of each row among all rows of the search, [rows].
            step: from 0.
        """
        ...


class SingleWriter:
    """Writes `copies` translations per sentence, each row choosing on its own.

    Args:
        scorer: gives the probabilities.
        source: ids ending in EOS, [batch, src_len].
        source_mask: [batch, src_len].
        options: limits, penalties and what to keep.
        copies: rows per sentence.
    """

    def __init__(
        self,
        scorer: Scorer,
        source: Tensor,
        source_mask: Tensor,
        options: SearchOptions,
        *,
        copies: int,
    ) -> None:
        self.scorer, self.options, self.copies = scorer, options, copies
        self.device, self.rows = source.device, source.shape[0] * copies
        self.lengths = Lengths.of(source_mask, options)
        self.trace = Trace(keep_attention=options.keep_attention)
        self.coverage = Coverage(source_mask, copies=copies, weight=options.coverage_penalty)
        self.block = RepetitionBlock(options.no_repeat_ngram, self.rows)
        self.endings: dict[int, Ending] = {}
        # Of the rows still in the batch: their number among all, sum so far, and whether they go on
        self.number: IntArray = np.arange(self.rows)
        self.log_prob: FloatArray = np.zeros(self.rows)
        self.alive: BoolArray = np.ones(self.rows, dtype=np.bool_)
        self.state = scorer.start(source, source_mask, copies=copies)
        self.tokens = torch.full((self.rows,), BOS, device=self.device)

    def write(self, pick: Pick) -> list[list[Hypothesis]]:
        """Return the hypotheses of each sentence, in the order of its rows."""
        step = 0
        while True:
            scored = self.scorer.step(self.tokens, self.state)
            self.trace.add_attention(scored.attention)
            self.coverage.add(scored.attention)
            scores, stuck = self._open_choices(scored, step)
            self.tokens = pick(scores, self.number, step)
            self._record(scored.log_probs, stuck, step)
            if not self.alive.any():
                break
            self._advance(scored)
            step += 1
        rows = [self.trace.read(self.endings[number]) for number in range(self.rows)]
        return [rows[first : first + self.copies] for first in range(0, self.rows, self.copies)]

    def _open_choices(self, scored: ScorerStep, step: int) -> tuple[Tensor, BoolArray]:
        """Return scores [rows, vocab] without what is forbidden, and who has no choice left.

        UNK is opened to a row to which nothing else is; a row without even that is stuck.
        """
        may_end = self.lengths.shortest[self.number // self.copies] <= step + 1
        log_probs = self.block.apply(scored, may_end).log_probs
        scores = log_probs.clone()
        forbid(scores.unsqueeze(1), may_end)
        best: FloatArray = scores.amax(dim=1).double().cpu().numpy()
        require_numbers(best[self.alive], step)
        stuck: BoolArray = best == -np.inf
        if stuck.any():
            rows = torch.from_numpy(stuck).to(self.device)
            scores[rows, UNK] = log_probs[rows, UNK]
            stuck &= scores[:, UNK].cpu().numpy() == -np.inf
        return scores, stuck

    def _record(self, log_probs: Tensor, stuck: BoolArray, step: int) -> None:
        """Add the chosen pieces to the sums, and note which rows end here."""
        gain = log_probs.gather(1, self.tokens.unsqueeze(1)).squeeze(1).double().cpu().numpy()
        chosen: IntArray = self.tokens.cpu().numpy()
        self.log_prob = np.where(stuck, self.log_prob, self.log_prob + gain)
        length = np.where(stuck, max(step, 1), step + 1)
        at_limit = step + 1 >= self.lengths.longest[self.number // self.copies]
        ended = self.alive & (stuck | (chosen == EOS) | at_limit)
        if not ended.any():
            return
        score = self.lengths.normalise(self.log_prob, length) + self.coverage.penalties()
        for row in np.flatnonzero(ended).tolist():
            self.endings[int(self.number[row])] = Ending(
                step=step,
                row=row,
                last=None if stuck[row] else int(chosen[row]),
                log_prob=float(self.log_prob[row]),
                score=float(score[row]),
                finished=bool(chosen[row] == EOS and not stuck[row]),
            )
        self.alive = self.alive & ~ended

    def _advance(self, scored: ScorerStep) -> None:
        """Go on to the next step, without the sentences of which every row has ended."""
        kept: IntArray = np.arange(len(self.number))
        stays = self.alive.reshape(-1, self.copies).any(axis=1)
        self.state = scored.state
        if not self.options.fixed_shape and not stays.all():
            kept = kept.reshape(-1, self.copies)[stays].reshape(-1)
            rows = torch.from_numpy(kept).to(self.device)
            sentences = torch.from_numpy(np.flatnonzero(stays)).to(self.device)
            self.state = self.state.select_sentences(sentences, rows)
            self.coverage.select(rows)
            self.tokens = self.tokens[rows]
            self.number, self.alive = self.number[kept], self.alive[kept]
            self.log_prob = self.log_prob[kept]
        pieces: IntArray = self.tokens.cpu().numpy()
        self.trace.add_rows(pieces, kept)
        self.block.add(pieces, kept)
