"""Exposure to its own output: what a model loses by reading what it wrote instead of a reference.

Each target is predicted twice by the same steps: with the reference's prefix, as in training
(teacher forcing), and with the prefix that the model itself wrote, always its most likely piece
(free running). Both are measured position by position against the reference:

- *accuracy* at position t: whether the most likely piece is the reference's piece y_t;
- *loss* at position t: -log p(y_t | source, prefix), in nats.

The loss of free running is defined for any prefix, right or wrong: it says what the model, after
its own beginning, thinks of the reference's next piece. After a deviation it is a severe judge,
since a good translation in other words, or shifted by one, disagrees at every later position; so it
measures drift from the reference, not quality. Where the model's own output has ended, there is no
next piece: such positions count as wrong, and are left out of both losses, so that these compare
the same positions. The gap is that of free running to teacher forcing (exposure bias; Ranzato et
al., 2016; Bengio et al., 2015).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nmt.data.batch import Batch
from nmt.search.scorers import Scorer
from nmt.text.columns import align_columns
from nmt.text.vocabulary import BOS, EOS

_LONGEST_REPEAT = 4
"""Pieces of the longest repeated part of a loop."""
_REPEATS = 4
"""How often a part must follow itself to be a loop."""


def most_steps(length: int) -> int:
    """Return after how many pieces an output that has not ended is a runaway.

    Args:
        length: pieces of the reference.
    """
    return 2 * length + 10


@dataclass(frozen=True)
class Position:
    """Both ways at one target position, or a range of them."""

    first: int
    last: int
    """Counted from 1."""
    pieces: int
    """Pieces of references there."""
    compared: int
    """Those before which the model's own output had not ended."""
    forced_right: int
    """With the reference's prefix, the most likely piece is the reference's."""
    free_right: int
    """Likewise with the model's own prefix."""
    forced_loss: float
    """Sum over the compared pieces, in nats."""
    free_loss: float
    """Likewise."""

    @property
    def accuracy(self) -> tuple[float, float]:
        """Share of right pieces: teacher forcing, free running."""
        return self.forced_right / self.pieces, self.free_right / self.pieces

    @property
    def loss(self) -> tuple[float, float]:
        """Mean loss in nats: teacher forcing, free running; NaN if nothing can be compared."""
        if not self.compared:
            return math.nan, math.nan
        return self.forced_loss / self.compared, self.free_loss / self.compared


@dataclass(frozen=True)
class Exposure:
    """What a model loses by reading its own output."""

    positions: tuple[Position, ...]
    """One for each target position."""
    after_deviation: Position | None
    """All positions after the first deviation of an output from its reference; None if no output
    deviates."""
    sentences: int
    exact: int
    """Outputs that are their references."""
    empty: int
    """Outputs without any piece."""
    runaway: int
    """Outputs that do not end within twice the length of their reference and ten pieces."""
    looping: int
    """Outputs in which up to four pieces follow themselves at least four times in a row."""
    stuck: int
    """Outputs that are runaway, looping, or both, each counted once."""

    @property
    def total(self) -> Position:
        """All positions together."""
        return _sum(self.positions)

    @property
    def accuracy_gap(self) -> float:
        """Share of pieces that are right with the reference's prefix alone, net."""
        return (self.total.forced_right - self.total.free_right) / self.total.pieces

    @property
    def loss_gap(self) -> float:
        """Nats per piece that the model's own prefix costs; NaN if nothing can be compared."""
        total = self.total
        return (
            (total.free_loss - total.forced_loss) / total.compared if total.compared else math.nan
        )


@dataclass(frozen=True)
class _Pass:
    """One way through a batch."""

    own: Tensor
    """The most likely piece at each position, [batch, steps]."""
    losses: Tensor
    """-log p of the reference, in nats, [batch, tgt_len]."""


@torch.inference_mode()
def measure_exposure(scorer: Scorer, batches: Iterable[Batch]) -> Exposure:
    """Return what reading its own output costs a model.

    Args:
        scorer: gives the probabilities.
        batches: on the model's device.
    """
    sums: list[Position] = []
    after: list[Position] = []
    counts = {"sentences": 0, "exact": 0, "empty": 0, "runaway": 0, "looping": 0, "stuck": 0}
    for batch in batches:
        length = batch.target_out.shape[1]
        forced = _predict(scorer, batch, length, free=False)
        free = _predict(scorer, batch, most_steps(length), free=True)
        compared = _Compared.of(batch, forced, free)
        sums += [compared.at(t, compared.real[:, t]) for t in range(length)]
        after += [compared.at(t, compared.deviated[:, t]) for t in range(length)]
        for name, number in _count(batch, free.own).items():
            counts[name] += number
    by_position: dict[int, list[Position]] = {}
    for position in sums:
        by_position.setdefault(position.first, []).append(position)
    later = _sum(after)
    return Exposure(
        positions=tuple(_sum(same) for _, same in sorted(by_position.items())),
        after_deviation=later if later.pieces else None,
        **counts,
    )


def _predict(scorer: Scorer, batch: Batch, steps: int, *, free: bool) -> _Pass:
    """Predict `steps` pieces, with the model's own prefix or the reference's."""
    target, length = batch.target_out, batch.target_out.shape[1]
    state = scorer.start(batch.source, batch.source_mask, copies=1)
    previous = torch.full_like(target[:, 0], BOS)
    own, losses = [], []
    ended = torch.zeros_like(batch.target_mask[:, 0])
    for step in range(steps):
        scored = scorer.step(previous, state)
        state, best = scored.state, scored.log_probs.argmax(dim=-1)
        own.append(best)
        if step < length:
            wanted = target[:, step : step + 1]
            losses.append(-scored.log_probs.gather(1, wanted).squeeze(1))
        previous = best if free else target[:, min(step, length - 1)]
        ended = ended | (best == EOS)
        if free and step + 1 >= length and ended.all():
            break
    return _Pass(torch.stack(own, dim=1), torch.stack(losses, dim=1))


@dataclass(frozen=True)
class _Compared:
    """Both ways through a batch, piece by piece, [batch, tgt_len] each."""

    real: Tensor
    """Whether there is a piece."""
    alive: Tensor
    """Whether the model's own output had not ended before."""
    deviated: Tensor
    """Whether there is a piece, and the output deviated from the reference before."""
    forced_right: Tensor
    free_right: Tensor
    forced_loss: Tensor
    free_loss: Tensor

    @classmethod
    def of(cls, batch: Batch, forced: _Pass, free: _Pass) -> "_Compared":
        target, real = batch.target_out, batch.target_mask
        own = free.own[:, : target.shape[1]]
        alive = ~_before(own == EOS)
        return cls(
            real=real,
            alive=alive & real,
            deviated=real & _before(own != target),
            forced_right=(forced.own == target) & real,
            free_right=(own == target) & alive & real,
            forced_loss=forced.losses,
            free_loss=free.losses,
        )

    def at(self, position: int, chosen: Tensor) -> Position:
        """Return the sums of one position, from 0, over the `chosen` sentences [batch]."""
        both = chosen & self.alive[:, position]
        return Position(
            first=position + 1,
            last=position + 1,
            pieces=int(chosen.sum()),
            compared=int(both.sum()),
            forced_right=int(self.forced_right[chosen, position].sum()),
            free_right=int(self.free_right[chosen, position].sum()),
            forced_loss=float(self.forced_loss[both, position].double().sum()),
            free_loss=float(self.free_loss[both, position].double().sum()),
        )


def _before(events: Tensor) -> Tensor:
    """Return whether there is an event at an earlier position, [batch, steps]."""
    return (events.long().cumsum(dim=1) - events.long()) > 0


def _count(batch: Batch, own: Tensor) -> dict[str, int]:
    """Return how many outputs of a batch are exact, empty, endless, or run in circles."""
    found = {"sentences": len(own), "exact": 0, "empty": 0, "runaway": 0, "looping": 0, "stuck": 0}
    for row, mask, target in zip(own, batch.target_mask, batch.target_out, strict=True):
        reference = target[mask].tolist()
        pieces = row[: most_steps(len(reference))].tolist()
        has_ended = EOS in pieces
        written = pieces[: pieces.index(EOS)] if has_ended else pieces
        found["exact"] += [*written, EOS] == reference
        found["empty"] += not written
        circles = is_looping(written)
        found["runaway"] += not has_ended
        found["looping"] += circles
        found["stuck"] += circles or not has_ended
    return found


def is_looping(pieces: Sequence[int]) -> bool:
    """Whether up to four pieces follow themselves at least four times in a row."""
    for size in range(1, _LONGEST_REPEAT + 1):
        run = 0  # pieces that equal the one `size` before
        for now, before in zip(pieces[size:], pieces, strict=False):
            run = run + 1 if now == before else 0
            if run >= size * (_REPEATS - 1):
                return True
    return False


def _sum(positions: Sequence[Position]) -> Position:
    return Position(
        first=min(each.first for each in positions),
        last=max(each.last for each in positions),
        pieces=sum(each.pieces for each in positions),
        compared=sum(each.compared for each in positions),
        forced_right=sum(each.forced_right for each in positions),
        free_right=sum(each.free_right for each in positions),
        forced_loss=math.fsum(each.forced_loss for each in positions),
        free_loss=math.fsum(each.free_loss for each in positions),
    )


# --- in rows and words ---------------------------------------------------------------------

_RANGES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)
"""First positions of the ranges in a table for people."""


def in_ranges(found: Exposure) -> list[Position]:
    """Return the positions in ranges that grow with the distance from the beginning."""
    length = len(found.positions)
    edges = [*(first for first in _RANGES if first <= length), length + 1]
    return [
        _sum(found.positions[first - 1 : following - 1]) for first, following in pairwise(edges)
    ]


def as_table(found: Exposure) -> str:
    """Return a row for each range of positions, and one for all."""
    rows = [["position", "pieces", "accuracy", "own prefix", "gap", "loss", "own prefix", "gap"]]
    for part in in_ranges(found):
        place = f"{part.first}-{part.last}" if part.last > part.first else str(part.first)
        rows.append([place, *_cells(part)])
    rows.append(["all", *_cells(found.total)])
    if found.after_deviation is not None:
        rows.append(["after a deviation", *_cells(found.after_deviation)])
    return "\n".join(align_columns(rows))


def _cells(part: Position) -> list[str]:
    (forced, free), (forced_loss, free_loss) = part.accuracy, part.loss
    shares = [f"{100.0 * share:.1f} %" for share in (forced, free, forced - free)]
    losses = [
        "-" if math.isnan(loss) else f"{loss:.3f}"
        for loss in (forced_loss, free_loss, free_loss - forced_loss)
    ]
    return [f"{part.pieces:,}", *shares, *losses]


def as_record(found: Exposure) -> dict[str, object]:
    """Return all figures for JSON; what is not a number is None."""
    gap = found.loss_gap
    return asdict(found) | {
        "total": asdict(found.total),
        "accuracy_gap": found.accuracy_gap,
        "loss_gap": gap if math.isfinite(gap) else None,
    }


def explain(found: Exposure) -> str:
    """Return what the figures say, as a paragraph."""
    forced, free = found.total.accuracy
    said = [
        f"How to read it: with the reference's prefix, {forced:.1%} of the next pieces are right; "
        f"with the model's own, {free:.1%}."
    ]
    if found.accuracy_gap == 0.0 and found.loss_gap == 0.0:
        said.append("There is no gap: reading its own output costs this model nothing.")
    elif math.isfinite(found.loss_gap):
        said.append(
            f"Its own prefix costs {100.0 * found.accuracy_gap:.1f} points of accuracy and "
            f"{found.loss_gap:.3f} nats per piece."
        )
    if (after := found.after_deviation) is not None:
        deviated = found.sentences - found.exact
        forced, free = after.accuracy
        said.append(
            f"{deviated:,} of {found.sentences:,} outputs deviate from their reference; after the "
            f"first deviation, {free:.1%} of the pieces still agree with it, where the reference's "
            f"prefix would give {forced:.1%}. Another wording counts as a deviation, too, so this "
            "is an upper bound of what errors cost."
        )
    said.append(
        f"Of {found.sentences:,} outputs, {found.empty:,} are empty, {found.runaway:,} do not end "
        f"and {found.looping:,} run in circles."
    )
    return " ".join(said)
