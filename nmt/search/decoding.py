"""Where the hypotheses of a batch stand.

All searches do the same with one value: `step` asks for the next piece of every row and applies
the rules, the search chooses, and `advance` goes on with what it chose. `select` lets sentences
leave between two steps, `concat` lets others join: neither changes what the rest will find.
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
    """What a search keeps of a sentence beside its rows."""

    key: int
    """What the caller calls it; results are returned under it."""
    longest: int
    """Most pieces of a translation, end symbol included."""
    streams: tuple[np.random.Generator, ...] = ()
    """Source of random numbers of each row; empty unless sampling."""
    endings: tuple[Ending, ...] = ()
    """Hypotheses that have ended."""

    def with_endings(self, endings: Sequence[Ending]) -> "Sentence":
        """Return the sentence with more endings, best score first, then the earlier."""
        every = sorted((*self.endings, *endings), key=lambda ending: -ending.score)
        return replace(self, endings=tuple(every))


@dataclass(frozen=True)
class Decoding:
    """Where the hypotheses of a batch stand; row b x copies + k is hypothesis k of sentence b."""

    scorer: Scorer
    """Gives the probabilities."""
    config: SearchConfig
    """How to search."""
    state: ScorerState
    """Of the scorer."""
    sentences: tuple[Sentence, ...]
    """[batch]."""
    history: History
    """What the rows have written."""
    log_prob: FloatArray
    """Sum of each hypothesis, -inf where a row has none, [batch, copies]."""
    rules: tuple[Rule, ...]
    """Applied in order."""
    device: torch.device
    """Where the scorer computes."""

    @property
    def copies(self) -> int:
        """Rows per sentence."""
        return int(self.log_prob.shape[1])

    @property
    def length(self) -> IntArray:
        """Pieces that the hypotheses of each sentence have, [batch]."""
        return self.history.length[:: self.copies]

    @property
    def is_alive(self) -> BoolArray:
        """Whether a sentence has a hypothesis that goes on, [batch]."""
        alive: BoolArray = np.any(np.isfinite(self.log_prob), axis=1)
        return alive

    def step(self) -> "Continuations":
        """Ask for the next piece of every row and apply the rules."""
        last = np.ascontiguousarray(self.history.pieces[:, -1])
        scored = self.scorer.step(torch.from_numpy(last).to(self.device), self.state)
        unknown = scored.scores[:, UNK].clone()
        for rule in self.rules:
            rule.restrict(scored, self.history)
        return Continuations(self, scored, unknown)

    def advance(
        self,
        scored: ScorerStep,
        sentences: Sequence[Sentence],
        rows: IntArray,
        pieces: IntArray,
        log_prob: FloatArray,
    ) -> "Decoding":
        """Return where the chosen continuations stand.

        Args:
            scored: what `step` returned.
            sentences: those that stay, with what has ended, in their order, [kept].
            rows: the row that each new row continues, one of the same sentence, [kept x copies].
            pieces: what it is continued by, [kept x copies].
            log_prob: sums, [kept, copies].
        """
        history = self.history.append(rows, pieces, scored.attention)
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
        """Return where some sentences stand, given by their places, ascending, [kept]."""
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
        """Put the sentences of `other` below these; scorer and options must be the same."""
        if self.scorer is not other.scorer or self.config != other.config:
            raise ValueError("only decodings of one scorer with the same options can be joined")
        if not self.sentences:
            return other
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
        """Return the state in which row i is what row `rows[i]` was, some sentences left out."""
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
    """What may follow each row of a decoding."""

    decoding: Decoding
    """Before the step."""
    scored: ScorerStep
    """What the scorer says, -inf where a rule closed a piece."""
    unknown: Tensor
    """Scores of UNK before the rules, [rows]."""

    def open_unknown(self, rows: BoolArray) -> None:
        """Open UNK again to `rows` [rows], to which nothing else is left."""
        chosen = torch.from_numpy(rows).to(self.unknown.device)
        self.scored.scores[chosen, UNK] = self.unknown[chosen]

    @cached_property
    def adjustment(self) -> FloatArray:
        """What the rules add to the score of a row that ends now, [rows]."""
        attention = self.scored.attention
        total = np.zeros(len(self.decoding.history.length))
        for rule in self.decoding.rules:
            total = total + rule.adjustment(attention)
        return total

    def end(self, row: int, piece: int | None, log_prob: float) -> Ending:
        """Return the hypothesis of a row that ends now.

        Args:
            row: of the decoding.
            piece: its last, EOS if it is finished; None if nothing could follow.
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
) -> Decoding:
    """Return a decoding of sentences of which nothing is written yet.

    Args:
        scorer: gives the probabilities.
        source: ids ending in EOS, [batch, src_len].
        source_mask: [batch, src_len].
        config: how to search.
        keys: what the sentences are called, [batch]; None = their places in the batch.
        streams: number of each sentence's random streams when sampling, [batch]; None = `keys`.
        keep_attention: let hypotheses come with their attention.
        pieces: target pieces by id, for rules about text.
    """
    keys = range(len(source)) if keys is None else keys
    streams = keys if streams is None else streams
    copies = config.n_best if config.sample else config.beam
    lengths = source_mask.sum(dim=1).tolist()
    sentences = [
        Sentence(key, longest(length, config), _streams(config, stream))
        for key, length, stream in zip(keys, lengths, streams, strict=True)
    ]
    log_prob = np.zeros((len(sentences), copies))
    if not config.sample:
        log_prob[:, 1:] = -np.inf  # a beam starts from one empty hypothesis
    return Decoding(
        scorer=scorer,
        config=config,
        state=scorer.start(source, source_mask, copies=copies),
        sentences=tuple(sentences),
        history=History.start(len(sentences) * copies, keep_attention=keep_attention),
        log_prob=log_prob,
        rules=rules_for(config, source_mask, copies=copies, pieces=pieces),
        device=source.device,
    )


def _streams(config: SearchConfig, stream: int) -> tuple[np.random.Generator, ...]:
    """Return a source of random numbers for each sample of a sentence."""
    if not config.sample:
        return ()
    return tuple(
        np.random.default_rng((config.seed, stream, copy)) for copy in range(config.n_best)
    )
