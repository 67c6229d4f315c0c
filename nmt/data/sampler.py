"""Assign pairs to updates; the plan of an epoch is a function of lengths, seed and epoch.

The plan does not depend on the number of ranks or micro-batches, so training uses the same updates
with any number of them: `split_update` divides the pairs of an update afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.errors import ModelError

Indices = npt.NDArray[np.int64]

_BUCKET_GROWTH = 1.1  # ratio of the longest to the shortest target in a bucket
_SOURCE_JITTER = 0.1  # largest relative noise on source lengths


@dataclass(frozen=True)
class Position:
    """The next update: number `update_in_epoch` of pass number `epoch`, both from 0."""

    epoch: int = 0
    update_in_epoch: int = 0


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
        self._position = Position()
        self._planned: tuple[int, list[Indices]] | None = None

    @property
    def position(self) -> Position:
        """The next update."""
        return self._position

    @property
    def updates_in_epoch(self) -> int:
        """Number of updates of the current epoch."""
        return len(self._plan(self._position.epoch))

    def restore(self, position: Position) -> None:
        """Continue from `position`.

        Raises:
            ModelError: the epoch has no such update, so the position belongs to other data.
        """
        updates = len(self._plan(position.epoch))
        if not 0 <= position.update_in_epoch < updates:
            raise ModelError(
                f"the checkpoint is at update {position.update_in_epoch} of epoch "
                f"{position.epoch}, but an epoch has {updates} updates: it was made with other "
                "data or another training.batch_tokens; restore those, or start a new run."
            )
        self._position = position

    def __iter__(self) -> Iterator[Indices]:
        return self

    def __next__(self) -> Indices:
        """Return the pairs of the next update and advance `position`."""
        epoch, update = self._position.epoch, self._position.update_in_epoch
        plan = self._plan(epoch)
        is_last = update + 1 == len(plan)
        self._position = Position(epoch + 1, 0) if is_last else Position(epoch, update + 1)
        return plan[update]

    def _plan(self, epoch: int) -> list[Indices]:
        if self._planned is None or self._planned[0] != epoch:
            plan = plan_epoch(
                self._source_lengths,
                self._target_lengths,
                batch_tokens=self._batch_tokens,
                seed=self._seed,
                epoch=epoch,
            )
            self._planned = epoch, plan
        return self._planned[1]
