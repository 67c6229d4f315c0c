"""Assign pairs to updates; the plan of an epoch is a function of lengths, seed and epoch.

The plan does not depend on the number of ranks or micro-batches, so training uses the same updates
with any number of them: `split_update` divides the pairs of an update afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nmt.errors import ModelError

Indices = npt.NDArray[np.int64]

_BUCKET_GROWTH = 1.1  # ratio of the longest to the shortest target in a bucket
_SOURCE_JITTER = 0.1  # largest relative noise on source lengths


@dataclass(frozen=True)
class Part:
    """The beginning of an epoch, before the size of its updates changed."""

    batch_tokens: int
    updates: int
    """Updates made of this size."""


@dataclass(frozen=True)
class Position:
    """The next update: number `update_in_epoch` of pass number `epoch`, both from 0."""

    epoch: int = 0
    update_in_epoch: int = 0
    """Counted since the size of updates last changed in this epoch."""
    batch_tokens: int = 0
    """Target tokens of an update in the plan that it belongs to; 0 = those of the sampler."""
    earlier: tuple[Part, ...] = ()
    """Parts of this epoch with updates of other sizes; the rest of the pairs was planned again."""


def plan_epoch(
    source_lengths: npt.NDArray[np.integer],
    target_lengths: npt.NDArray[np.integer],
    *,
    batch_tokens: int,
    seed: int,
    epoch: int,
) -> list[Indices]:
    """Return the updates of one epoch, each as the numbers of its pairs; every pair occurs once.

    Pairs are put in buckets of similar target length and sorted by source length within each; this
    order is cut into equal shares of target tokens, and the resulting updates are shuffled.
    Noise on the bucket bounds and source lengths groups pairs differently in each epoch. All
    updates have about the same number of target tokens, the last one included.

    Args:
        source_lengths: pieces of each source, [pairs].
        target_lengths: pieces of each target with EOS, [pairs].
        batch_tokens: target tokens of an update; a longer pair is an update of its own.
        seed: seeds noise and order, together with the epoch.
        epoch: number of the pass, from 0.
    """
    generator = np.random.default_rng([seed, epoch])
    pairs = len(target_lengths)
    buckets = np.floor(np.log(target_lengths) / np.log(_BUCKET_GROWTH) + generator.random())
    blurred = source_lengths * generator.uniform(1 - _SOURCE_JITTER, 1 + _SOURCE_JITTER, pairs)
    # Every other bucket runs from long to short sources, so that an update that spans two buckets
    # has sources of similar length.
    order = np.lexsort((np.where(buckets % 2, -blurred, blurred), buckets))
    plan = _cut(order, target_lengths, batch_tokens)
    return [plan[i] for i in generator.permutation(len(plan))]


def plan_once(
    source_lengths: npt.NDArray[np.integer],
    target_lengths: npt.NDArray[np.integer],
    *,
    batch_tokens: int,
) -> list[Indices]:
    """Return every pair once, from short to long and without noise: for validation.

    The arguments are those of `plan_epoch`.
    """
    order = np.lexsort((source_lengths, target_lengths))
    return _cut(order, target_lengths, batch_tokens)


def _cut(
    order: Indices, target_lengths: npt.NDArray[np.integer], batch_tokens: int
) -> list[Indices]:
    """Cut `order` into runs of about `batch_tokens` target tokens, none of them empty."""
    if not len(order):
        return []
    lengths = target_lengths[order].astype(np.int64)
    ends = np.cumsum(lengths)
    updates = max(1, round(int(ends[-1]) / batch_tokens))
    # A pair belongs to the share that contains its middle token, of `updates` equal shares.
    share = (2 * ends - lengths) * updates // (2 * int(ends[-1]))
    return np.split(order, np.flatnonzero(np.diff(share)) + 1)


def split_update(indices: Indices, parts: int) -> list[Indices]:
    """Divide the pairs of an update among ranks x micro-batches, round robin.

    Pairs are roughly sorted by length, so all parts get similar lengths. With fewer pairs than
    parts, some parts are empty.
    """
    return [indices[part::parts] for part in range(parts)]


class BatchSampler:
    """An endless iterator over the updates of one epoch after another, from any position.

    Args:
        source_lengths: pieces of each source, [pairs].
        target_lengths: pieces of each target with EOS, [pairs].
        batch_tokens: target tokens of an update, see `plan_epoch`.
        seed: seed of noise and order.
    """

    def __init__(
        self,
        source_lengths: npt.NDArray[np.integer],
        target_lengths: npt.NDArray[np.integer],
        *,
        batch_tokens: int,
        seed: int,
    ) -> None:
        if not len(target_lengths):
            raise ValueError("there are no pairs to sample from")
        self._source_lengths = source_lengths
        self._target_lengths = target_lengths
        self._batch_tokens = batch_tokens
        self._seed = seed
        self._position = Position(batch_tokens=batch_tokens)
        self._planned: tuple[Position, list[Indices]] | None = None

    @property
    def position(self) -> Position:
        """The next update."""
        return self._position

    @property
    def updates_in_epoch(self) -> int:
        """Number of updates of the current epoch, or of the rest that was planned again."""
        return len(self._plan(self._position))

    @property
    def progress(self) -> float:
        """Passes over the corpus before the next update, for example 2.2."""
        plan = self._plan(self._position)
        rest = sum(map(len, plan)) / len(self._target_lengths) if self._position.earlier else 1.0
        return self._position.epoch + 1.0 - rest + rest * self._position.update_in_epoch / len(plan)

    def restore(self, position: Position) -> None:
        """Continue from `position`.

        If updates had another size until then, the pairs that this epoch has not used yet are
        divided into updates of the present size, so that it still uses every pair once.

        Raises:
            ModelError: the epoch has no such update, so the position belongs to other data.
        """
        position = replace(position, batch_tokens=position.batch_tokens or self._batch_tokens)
        if position.batch_tokens != self._batch_tokens:
            made = Part(position.batch_tokens, position.update_in_epoch)
            earlier = (*position.earlier, made) if made.updates else position.earlier
            position = Position(position.epoch, 0, self._batch_tokens, earlier)
        updates = len(self._plan(position))
        if not 0 <= position.update_in_epoch < updates:
            raise ModelError(
                f"the checkpoint is at update {position.update_in_epoch} of epoch "
                f"{position.epoch}, but that has {updates} updates: it was made with other data; "
                "restore those, or start a new run."
            )
        self._position = position

    def __iter__(self) -> Iterator[Indices]:
        return self

    def __next__(self) -> Indices:
        """Return the pairs of the next update and advance `position`."""
        position, plan = self._position, self._plan(self._position)
        update = position.update_in_epoch
        if update + 1 < len(plan):
            self._position = replace(position, update_in_epoch=update + 1)
        else:
            self._position = Position(position.epoch + 1, batch_tokens=self._batch_tokens)
        return plan[update]

    def _plan(self, position: Position) -> list[Indices]:
        """Return the updates of an epoch, or of the rest of it that was planned again."""
        start = replace(position, update_in_epoch=0)
        if self._planned is None or self._planned[0] != start:
            pairs = np.arange(len(self._target_lengths))
            for part in position.earlier:
                rest = self._divide(pairs, part.batch_tokens, position.epoch)[part.updates :]
                pairs = np.sort(np.concatenate(rest)) if rest else pairs[:0]
            self._planned = start, self._divide(pairs, self._batch_tokens, position.epoch)
        return self._planned[1]

    def _divide(self, pairs: Indices, batch_tokens: int, epoch: int) -> list[Indices]:
        """Divide some of the pairs into updates."""
        plan = plan_epoch(
            self._source_lengths[pairs],
            self._target_lengths[pairs],
            batch_tokens=batch_tokens,
            seed=self._seed,
            epoch=epoch,
        )
        return [pairs[update] for update in plan]
