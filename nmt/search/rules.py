"""Rules of a search: which pieces may follow, and what is added to the score of a hypothesis.

A new rule is a class with the methods it needs and a line in `rules_for`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.errors import UsageError
from nmt.models.state import concat_padded
from nmt.search.banned import BannedPieces, find_banned_pieces
from nmt.search.hypothesis import BoolArray, FloatArray, History, IntArray
from nmt.search.lengths import shortest
from nmt.search.prefix import Beginning, Spellings, spellings_of
from nmt.search.scorers import ScorerStep
from nmt.text.vocabulary import EOS, UNK

FLOOR = 1e-9
"""Attention assumed for a source position that received none: keeps its logarithm finite."""


class Rule:
    """One rule for the rows of a search. Immutable: methods return the updated rule.

    The base class forbids nothing, adds nothing and keeps no state per row. The state of a row
    depends on that row alone, so results do not depend on the batch.
    """

    def restrict(self, scored: ScorerStep, history: History) -> None:
        """Write -inf into `scored.scores` where a piece must not follow.

        Rules are applied in order, each to the scores that earlier rules have masked. A soft rule
        must leave at least one piece to every row that still has any.

        Args:
            scored: scores of each row's next piece; `scored.columns` maps pieces to columns.
            history: pieces written by the rows so far.
        """

    def adjustment(self, attention: Tensor | None) -> FloatArray | float:
        """Return what is added to the score of a hypothesis that ends at this step.

        At most 0, or search would stop too early; [rows], or one value for all rows.

        Args:
            attention: of this step, [rows, src_len].
        """
        return 0.0

    def advance(self, rows: IntArray, pieces: IntArray, attention: Tensor | None) -> Self:
        """Return the rule after a step in which row i continued `rows[i]` by `pieces[i]`.

        Args:
            rows: the row that each new row continues, [new rows].
            pieces: the piece that each new row appended, [new rows].
            attention: of this step, [rows, src_len].
        """
        return self.select(rows)

    def select(self, rows: IntArray) -> Self:
        """Return the rule in which row i is what was row `rows[i]`."""
        return self

    def concat(self, other: Self) -> Self:
        """Return the rule for these rows followed by those of `other`."""
        return self


def rules_for(
    config: SearchConfig,
    source_mask: Tensor,
    *,
    copies: int,
    pieces: Sequence[str],
    prefixes: Sequence[str] = (),
) -> tuple[Rule, ...]:
    """Return the rules that `config` enables, soft ones last.

    Args:
        config: search options.
        source_mask: [batch, src_len].
        copies: rows per sentence.
        pieces: target pieces by id, as spelled by sentencepiece.
        prefixes: what the translation of each sentence must begin with, [batch]; none = anything.
    """
    rules: list[Rule] = [NoSpecials()]
    if any(prefixes):
        if not pieces:
            raise ValueError("prefixes need the spelling of the pieces")
        rules.append(Prefix.of(prefixes, pieces, copies=copies))
    if config.ban:
        if not pieces:
            raise ValueError("banned words need the spelling of the pieces")
        rules.append(Banned(find_banned_pieces(config.ban, tuple(pieces))))
    if config.min_length_factor > 0.0 or config.min_length_offset > 0:
        lengths = source_mask.sum(dim=1).tolist()
        least = np.array([shortest(length, config) for length in lengths], dtype=np.int64)
        rules.append(ShortestLength(least.repeat(copies)))
    if config.no_repeat_ngram > 0:
        rules.append(NoRepeat(config.no_repeat_ngram))
    if config.coverage_penalty > 0.0:
        mask = source_mask.repeat_interleave(copies, dim=0)
        received = torch.zeros(mask.shape, device=mask.device)
        rules.append(Coverage(config.coverage_penalty, mask, received))
    return tuple(rules)


class NoSpecials(Rule):
    """Forbid PAD, UNK and BOS; the search allows UNK again where no other piece is left."""

    def restrict(self, scored: ScorerStep, history: History) -> None:
        """See `Rule`. The three come first in every vocabulary, right before EOS."""
        scored.scores[:, :EOS].fill_(-torch.inf)


@dataclass(frozen=True)
class ShortestLength(Rule):
    """Forbid the end symbol before the minimum length."""

    least: IntArray
    """Minimum number of pieces, end symbol included, [rows]."""

    def restrict(self, scored: ScorerStep, history: History) -> None:
        """See `Rule`."""
        is_early = history.length + 1 < self.least
        if is_early.any():
            mask = torch.from_numpy(is_early).to(scored.scores.device)
            scored.scores[:, EOS].masked_fill_(mask, -torch.inf)

    def select(self, rows: IntArray) -> "ShortestLength":
        """See `Rule`."""
        return ShortestLength(self.least[rows])

    def concat(self, other: "ShortestLength") -> "ShortestLength":
        """See `Rule`."""
        return ShortestLength(np.concatenate([self.least, other.least]))


@dataclass(frozen=True)
class Banned(Rule):
    """Forbid pieces that complete a banned word; one may remain at the end if truncated there.

    Whatever is beyond the vocabulary, and might be such a word, is forbidden as well.
    """

    banned: BannedPieces

    def restrict(self, scored: ScorerStep, history: History) -> None:
        """See `Rule`."""
        _close_beyond(scored, slice(None), len(self.banned.always))
        if self.banned.always.any():
            self._close(scored, slice(None), self.banned.always)
        for row, written in enumerate(history.pieces[:, -self.banned.most_pieces :].tolist()):
            if (closed := self.banned.closed(written)) is not None:
                self._close(scored, row, closed)

    @staticmethod
    def _close(scored: ScorerStep, rows: int | slice, pieces: BoolArray) -> None:
        mask = torch.from_numpy(pieces).to(scored.scores.device)
        if scored.pieces is not None:
            mask = mask[scored.pieces]
        scored.scores[rows, : len(mask)].masked_fill_(mask, -torch.inf)


@dataclass(frozen=True)
class Prefix(Rule):
    """Forbid every piece with which a translation would not begin with the given text."""

    spellings: Spellings
    beginnings: npt.NDArray[np.object_]
    """The `Beginning` of each row, [rows]."""
    total: IntArray
    """Position after the given text of each row, [rows]."""
    place: IntArray
    """Position that each row has reached, at most `total`, [rows]."""

    @classmethod
    def of(cls, prefixes: Sequence[str], pieces: Sequence[str], *, copies: int) -> "Prefix":
        """Return the rule for sentences, each of `copies` rows, before the first piece."""
        spellings = spellings_of(tuple(pieces))
        each = {text: Beginning(text, spellings) for text in prefixes}
        beginnings = np.array([each[text] for text in prefixes], dtype=np.object_).repeat(copies)
        total = np.array([each[text].length for text in prefixes], dtype=np.int64).repeat(copies)
        return cls(spellings, beginnings, total, np.zeros_like(total))

    def restrict(self, scored: ScorerStep, history: History) -> None:
        """See `Rule`."""
        for row in np.flatnonzero(self.place < self.total).tolist():
            beginning: Beginning = self.beginnings[row]
            allowed = torch.from_numpy(beginning.allowed(int(self.place[row])))
            allowed = allowed.to(scored.scores.device)
            if scored.pieces is not None:
                allowed = allowed[scored.pieces]
            scored.scores[row, : len(allowed)].masked_fill_(~allowed, -torch.inf)
            _close_beyond(scored, row, len(allowed))

    def advance(self, rows: IntArray, pieces: IntArray, attention: Tensor | None) -> Self:
        """See `Rule`."""
        moved = self.select(rows)
        pieces = np.where(pieces < len(self.spellings.lengths), pieces, UNK)  # after the prefix
        lacks_space = (moved.place == 0) & ~self.spellings.drops_space[pieces]
        place = moved.place + lacks_space + self.spellings.lengths[pieces]
        return replace(moved, place=np.minimum(place, moved.total))

    def select(self, rows: IntArray) -> Self:
        """See `Rule`."""
        return replace(
            self,
            beginnings=self.beginnings[rows],
            total=self.total[rows],
            place=self.place[rows],
        )

    def concat(self, other: Self) -> Self:
        """See `Rule`."""
        return replace(
            self,
            beginnings=np.concatenate([self.beginnings, other.beginnings]),
            total=np.concatenate([self.total, other.total]),
            place=np.concatenate([self.place, other.place]),
        )


def _close_beyond(scored: ScorerStep, rows: int | slice, vocab: int) -> None:
    """Forbid what can be copied from the source though it is no piece of the vocabulary."""
    if scored.pieces is None and scored.scores.shape[1] > vocab:
        scored.scores[rows, vocab:] = -torch.inf


@dataclass(frozen=True)
class NoRepeat(Rule):
    """Forbid repeated n-grams (Paulus et al., 2018), unless a row has no other continuation."""

    size: int
    """n, in pieces."""

    def restrict(self, scored: ScorerStep, history: History) -> None:
        """See `Rule`."""
        written = history.pieces
        start = written.shape[1] - self.size + 1  # of the n-gram that the next piece completes
        if start < 2:
            return
        grams = np.lib.stride_tricks.sliding_window_view(written, self.size, axis=1)
        row, place = np.nonzero((grams[:, :, :-1] == written[:, None, start:]).all(axis=2))
        if not len(row):
            return
        scores = scored.scores
        rows, of_each = np.unique(row, return_inverse=True)
        places = (
            torch.from_numpy(row).to(scores.device),
            scored.columns(grams[row, place, -1]),
        )
        previous = scores[places]
        scores[places] = -torch.inf
        is_empty = scores[torch.from_numpy(rows).to(scores.device)].amax(dim=1).isneginf()
        stays = is_empty[torch.from_numpy(of_each).to(scores.device)]
        scores[places] = previous.masked_fill(~stays, -torch.inf)


@dataclass(frozen=True)
class Coverage(Rule):
    """Penalty for source positions that received little attention (Wu et al., 2016, eq. 15)."""

    weight: float
    """Beta."""
    mask: Tensor
    """True at real source tokens, [rows, src_len]."""
    received: Tensor
    """Attention that each source position has received, [rows, src_len]."""

    def adjustment(self, attention: Tensor | None) -> FloatArray:
        """See `Rule`: weight x sum over source positions of log min(received, 1)."""
        read = self._add(attention).double().clamp(FLOOR, 1.0).log().masked_fill(~self.mask, 0.0)
        penalties: FloatArray = (self.weight * read.sum(dim=1)).cpu().numpy()
        return penalties

    def advance(self, rows: IntArray, pieces: IntArray, attention: Tensor | None) -> Self:
        """See `Rule`."""
        return replace(self, received=self._add(attention)).select(rows)

    def select(self, rows: IntArray) -> Self:
        """See `Rule`."""
        chosen = torch.from_numpy(rows).to(self.mask.device)
        return replace(self, mask=self.mask[chosen], received=self.received[chosen])

    def concat(self, other: Self) -> Self:
        """See `Rule`."""
        return replace(
            self,
            mask=concat_padded(self.mask, other.mask),
            received=concat_padded(self.received, other.received),
        )

    def _add(self, attention: Tensor | None) -> Tensor:
        if attention is None:
            raise UsageError(
                "coverage_penalty: the model has no attention, so coverage is unknown; set it to 0."
            )
        return self.received + attention
