"""The state of a search over a batch.

All searches share one loop: `step` scores the next piece of every row and applies the rules, the
search chooses, and `advance` continues with the chosen pieces. Between two steps, `select` removes
sentences and `concat` adds others; neither changes the results of the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.search.hypothesis import BoolArray, Ending, FloatArray, History, IntArray
from nmt.search.lengths import divisor, longest
from nmt.search.rules import Rule, rules_for
from nmt.search.scorers import Scorer, ScorerState, ScorerStep
from nmt.text.vocabulary import UNK


@dataclass(frozen=True)
class Sentence:
    """Per-sentence state of a search, apart from its rows."""

    key: int
    """Key chosen by the caller; results are returned under it."""
    longest: int
    """Maximum length of a translation in pieces, end symbol included."""
    streams: tuple[np.random.Generator, ...] = ()
    """Random generator of each row; empty unless sampling."""
    endings: tuple[Ending, ...] = ()
    """Finished hypotheses."""

    def with_endings(self, endings: Sequence[Ending]) -> "Sentence":
        """Return the sentence with more endings, best score first, ties by time."""
        every = sorted((*self.endings, *endings), key=lambda ending: -ending.score)
        return replace(self, endings=tuple(every))


@dataclass(frozen=True)
class Decoding:
    """Hypotheses of a batch in progress; row b x copies + k is hypothesis k of sentence b."""

    scorer: Scorer
    """Scores the next pieces."""
    config: SearchConfig
    """Search options."""
    state: ScorerState
    """State of the scorer."""
    sentences: tuple[Sentence, ...]
    """[batch]."""
    history: History
    """Pieces written by each row so far."""
    log_prob: FloatArray
    """Sum of log-probabilities of each hypothesis, -inf for an unused row, [batch, copies]."""
    rules: tuple[Rule, ...]
    """Rules, applied in order."""
    device: torch.device
    """Device of the scorer."""

    @property
    def copies(self) -> int:
        """Rows per sentence."""
        return int(self.log_prob.shape[1])

    @property
    def length(self) -> IntArray:
        """Number of pieces of each sentence's hypotheses, [batch]."""
        return self.history.length[:: self.copies]

    @property
    def is_alive(self) -> BoolArray:
        """Whether each sentence has a live hypothesis, [batch]."""
        alive: BoolArray = self.log_prob.max(axis=1) > -np.inf
        return alive

    def step(self) -> "Continuations":
        """Score the next piece of every row and apply the rules."""
        scored = self.score()
        for rule in self.rules:
            rule.restrict(scored, self.history)
        return Continuations(self, scored)

    def score(self) -> ScorerStep:
        """Score the next piece of every row, without rules."""
        last = np.ascontiguousarray(self.history.pieces[:, -1])
        return self.scorer.step(torch.from_numpy(last).to(self.device), self.state)

    def advance(
        self,
        scored: ScorerStep,
        sentences: Sequence[Sentence],
        rows: IntArray,
        pieces: IntArray,
        log_prob: FloatArray,
    ) -> "Decoding":
        """Return the decoding after the chosen continuations.

        Args:
            scored: `scored` of the value that `step` returned.
            sentences: those that stay, in order, with their finished hypotheses, [kept].
            rows: the row of the same sentence that each new row continues, [kept x copies].
            pieces: the piece appended to each new row, [kept x copies].
            log_prob: sums, [kept, copies].
        """
        history = self.history.append(rows, pieces, log_prob.reshape(-1), scored.attention)
        return Decoding(
            scorer=self.scorer,
            config=self.config,
            state=self._select(scored.state, rows),
            sentences=tuple(sentences),
            history=history if len(sentences) == len(self.sentences) else history.trim(),
            log_prob=log_prob,
            rules=tuple(rule.advance(rows, pieces, scored.attention) for rule in self.rules),
            device=self.device,
        )

    def select(self, kept: IntArray) -> "Decoding":
        """Return the decoding of some sentences, given by ascending positions, [kept]."""
        rows = (kept[:, None] * self.copies + np.arange(self.copies)).reshape(-1)
        return replace(
            self,
            state=self._select(self.state, rows),
            sentences=tuple(self.sentences[place] for place in kept.tolist()),
            history=self.history.select(rows).trim(),
            log_prob=self.log_prob[kept],
            rules=tuple(rule.select(rows) for rule in self.rules),
        )

    def concat(self, other: "Decoding") -> "Decoding":
        """Append the sentences of `other`; scorer and options must be the same, and either both
        have prefixes or neither."""
        if self.scorer is not other.scorer or self.config != other.config:
            raise ValueError("only decodings of one scorer with the same options can be joined")
        if not self.sentences:
            return other
        if len(self.rules) != len(other.rules):
            raise ValueError(
                "decodings with and without prefixes cannot be joined; start both with prefixes"
            )
        pairs = zip(self.rules, other.rules, strict=True)
        return replace(
            self,
            state=self.state.concat(other.state),
            sentences=self.sentences + other.sentences,
            history=self.history.concat(other.history),
            log_prob=np.concatenate([self.log_prob, other.log_prob]),
            rules=tuple(one.concat(two) for one, two in pairs),
        )

    def _select(self, state: ScorerState, rows: IntArray) -> ScorerState:
        """Return the state in which row i is what was row `rows[i]`; sentences may be missing."""
        all_stay = len(rows) == self.log_prob.size
        if not len(rows) or (all_stay and (self.copies == 1 or self.config.sample)):
            return state  # greedy hypotheses and samples never change places
        chosen = torch.from_numpy(rows).to(self.device)
        if all_stay:
            return state.select(chosen)
        kept = torch.from_numpy(rows[:: self.copies] // self.copies).to(self.device)
        return state.select_sentences(kept, chosen)


@dataclass(frozen=True)
class Continuations:
    """Scores of the next piece of each row of a decoding."""

    decoding: Decoding
    """The decoding before the step."""
    scored: ScorerStep
    """Output of the scorer, with -inf where a rule forbids a piece."""

    def open_unknown(self, rows: BoolArray) -> None:
        """Allow UNK again in `rows` [rows], which have no other continuation."""
        scores = self.scored.scores
        chosen = torch.from_numpy(rows).to(scores.device)
        # Computed again, since this is rare and the rules have overwritten it.
        scores[chosen, UNK] = self.decoding.score().scores[chosen, UNK]

    @cached_property
    def adjustment(self) -> FloatArray:
        """Sum that the rules add to the score of a row that ends now, [rows]."""
        attention = self.scored.attention
        total = np.zeros(len(self.decoding.history.length))
        for rule in self.decoding.rules:
            total = total + rule.adjustment(attention)
        return total

    def end(self, row: int, piece: int | None, log_prob: float) -> Ending:
        """Return the hypothesis of a row that ends now.

        Args:
            row: row of the decoding.
            piece: its last piece, EOS if finished; None if no piece could follow.
            log_prob: sum of all its pieces.
        """
        history, config = self.decoding.history, self.decoding.config
        length = int(history.length[row]) + (piece is not None)
        score = log_prob / divisor(length, config) + float(self.adjustment[row])
        return Ending(history, row, piece, self.scored.attention, log_prob, score)


def start(
    scorer: Scorer,
    source: Tensor,
    source_mask: Tensor,
    config: SearchConfig,
    *,
    keys: Sequence[int] | None = None,
    streams: Sequence[int] | None = None,
    keep_attention: bool = False,
    pieces: Sequence[str] = (),
    prefixes: Sequence[str] = (),
) -> Decoding:
    """Return a decoding of sentences before the first piece.

    Args:
        scorer: scores the next pieces.
        source: ids ending in EOS, [batch, src_len].
        source_mask: [batch, src_len].
        config: search options.
        keys: key of each sentence, [batch]; None = its position in the batch.
        streams: number that seeds each sentence's random streams, [batch]; None = `keys`.
        keep_attention: return attention with the hypotheses.
        pieces: target pieces by id, for rules about text.
        prefixes: what the translation of each sentence must begin with, normalised, [batch];
            none = anything.
    """
    prefixes = prefixes or [""] * len(source)
    keys = range(len(source)) if keys is None else keys
    streams = keys if streams is None else streams
    copies = config.n_best if config.sample else config.beam
    lengths = source_mask.sum(dim=1).tolist()
    sentences = [
        Sentence(key, _limit(length, prefix, config), _streams(config, stream))
        for key, length, stream, prefix in zip(keys, lengths, streams, prefixes, strict=True)
    ]
    log_prob = np.zeros((len(sentences), copies))
    if not config.sample:
        # Each group of a beam starts from one empty hypothesis.
        log_prob[:, np.arange(copies) % (copies // config.groups) > 0] = -np.inf
    return Decoding(
        scorer=scorer,
        config=config,
        state=scorer.start(source, source_mask, copies=copies),
        sentences=tuple(sentences),
        history=History.start(len(sentences) * copies, keep_attention=keep_attention),
        log_prob=log_prob,
        rules=rules_for(config, source_mask, copies=copies, pieces=pieces, prefixes=prefixes),
        device=source.device,
    )


def _limit(source_length: int, prefix: str, config: SearchConfig) -> int:
    """Return the most pieces of a translation; a prefix may be spelled by one for each byte."""
    usual = longest(source_length, config)
    return max(usual, len(prefix.encode()) + config.max_length_offset) if prefix else usual


def _streams(config: SearchConfig, stream: int) -> tuple[np.random.Generator, ...]:
    """Return a random generator for each sample of a sentence."""
    if not config.sample:
        return ()
    return tuple(
        np.random.default_rng((config.seed, stream, copy)) for copy in range(config.n_best)
    )
