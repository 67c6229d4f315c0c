"""Updates as batches, made ahead of time by one background thread, always in the same order."""

import queue
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nmt.data.batch import Batch, make_batch
from nmt.data.corpus import Corpus, Ids
from nmt.data.sampler import BatchSampler, Indices, Position, plan_once, split_update
from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS

_AHEAD = 4  # updates made before they are asked for
_GLANCE = 0.1  # seconds after which a waiting thread looks whether it is still wanted


@dataclass(frozen=True)
class Update:
    """What one optimizer step learns from, as one rank sees it.

    Attributes:
        micro_batches: this rank's share in up to `accumulate` parts; none at all on a rank that
            got no pair of a very small update.
        tokens: target tokens of the whole update, over all ranks.
        pairs: pairs of the whole update, over all ranks.
        epoch: the pass over the corpus, from 0.
        progress: passes made over the corpus after this update, such as 2.2.
        position_after: what a checkpoint taken after this update stores.
    """

    micro_batches: list[Batch]
    tokens: int
    pairs: int
    epoch: int
    progress: float
    position_after: Position


class Loader:
    """Iterate over updates for ever; close it at the end, or use it in a `with` block.

    It starts at the sampler's position when the first update is asked for. From then on the
    sampler runs ahead: `Update.position_after` tells where training is.

    Args:
        corpus: where the pairs lie.
        sampler: which pairs come next; not to be used elsewhere meanwhile.
        rank: number of this process among `world_size`, from 0.
        world_size: number of processes that share each update.
        accumulate: parts in which a process computes its share.
        subwords: models of source and target, needed if `alpha` is above 0.
        alpha: above 0, texts are cut anew for each update (see `Subword.encode_sampled`), the
            same on all ranks and after a restart; lengths and tokens are then of that cut.
        seed: of the segmentations.
    """

    def __init__(
        self,
        corpus: Corpus,
        sampler: BatchSampler,
        *,
        rank: int = 0,
        world_size: int = 1,
        accumulate: int = 1,
        subwords: tuple[Subword, Subword] | None = None,
        alpha: float = 0.0,
        seed: int = 0,
    ) -> None:
        if alpha > 0 and subwords is None:
            raise ValueError("alpha above 0 needs the subword models")
        pairs = _Pairs(corpus, subwords if alpha > 0 else None, alpha, seed)
        self._maker = _Maker(pairs, sampler, rank, world_size, accumulate)
        self._made: queue.Queue[Update | BaseException] = queue.Queue(maxsize=_AHEAD)
        self._unwanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        # The thread holds no reference to the loader, so that a forgotten one stops as well.
        weakref.finalize(self, self._unwanted.set)

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Update]:
        return self

    def __next__(self) -> Update:
        """Return the next update; what went wrong in the background is raised here."""
        if self._unwanted.is_set():
            raise RuntimeError("the loader is closed")
        if self._failure is not None:
            raise self._failure
        if self._thread is None:
            arguments = (self._maker, self._made, self._unwanted)
            self._thread = threading.Thread(
                target=_work, args=arguments, name="nmt-loader", daemon=True
            )
            self._thread.start()
        made = self._made.get()
        if isinstance(made, BaseException):
            self._failure = made
            raise made
        return made

    def close(self) -> None:
        """Stop the background thread and wait until it has ended."""
        self._unwanted.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def batches_once(
    corpus: Corpus, *, batch_tokens: int, rank: int = 0, world_size: int = 1
) -> Iterator[Batch]:
    """Yield every pair of a corpus once, from short to long: for the loss on validation data.

    Args:
        corpus: where the pairs lie.
        batch_tokens: about so many target tokens in a batch.
        rank: number of this process, from 0; it gets every `world_size`-th batch.
        world_size: number of processes that share the corpus.
    """
    plan = plan_once(corpus.source_lengths, corpus.target_lengths, batch_tokens=batch_tokens)
    for indices in plan[rank::world_size]:
        yield make_batch([corpus.pair(int(i)) for i in indices], indices.tolist())


class _Pairs:
    """Looks up the ids of pairs, or cuts their texts anew."""

    def __init__(
        self, corpus: Corpus, subwords: tuple[Subword, Subword] | None, alpha: float, seed: int
    ) -> None:
        self._corpus = corpus
        self._subwords = subwords
        self._alpha = alpha
        self._seed = seed

    def look_up(self, indices: Indices, position: Position) -> list[tuple[Ids, Ids]]:
        """Return ids of source and target of each pair of the update at `position`."""
        if self._subwords is None:
            return [self._corpus.pair(int(i)) for i in indices]
        entropy = [self._seed, position.epoch, position.update_in_epoch]
        seeds = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
        sides = zip(*(self._corpus.texts(int(i)) for i in indices), strict=True)
        source, target = (
            [np.array([*ids, EOS], np.int64) for ids in cut]
            for cut in (
                subword.encode_sampled(texts, alpha=self._alpha, seed=int(seed))
                for subword, texts, seed in zip(self._subwords, sides, seeds, strict=True)
            )
        )
        return list(zip(source, target, strict=True))


class _Maker:
    """Makes one update after another."""

    def __init__(
        self, pairs: _Pairs, sampler: BatchSampler, rank: int, world_size: int, accumulate: int
    ) -> None:
        self._pairs = pairs
        self._sampler = sampler
        self._parts = world_size * accumulate
        self._mine = range(rank, self._parts, world_size)

    def make(self) -> Update:
        """Return the update at the sampler's position, as this rank sees it."""
        position, updates_in_epoch = self._sampler.position, self._sampler.updates_in_epoch
        indices = next(self._sampler)
        pairs = self._pairs.look_up(indices, position)
        parts = split_update(np.arange(len(indices)), self._parts)
        return Update(
            micro_batches=[
                make_batch([pairs[place] for place in part], indices[part].tolist())
                for part in (parts[number] for number in self._mine)
                if len(part)
            ],
            tokens=sum(len(target) for _, target in pairs),
            pairs=len(pairs),
            epoch=position.epoch,
            progress=position.epoch + (position.update_in_epoch + 1) / updates_in_epoch,
            position_after=self._sampler.position,
        )


def _work(
    maker: _Maker, made: "queue.Queue[Update | BaseException]", unwanted: threading.Event
) -> None:
    """Fill the queue until nobody wants more, or something fails."""
    while not unwanted.is_set():
        item: Update | BaseException
        try:
            item = maker.make()
        except BaseException as error:
            item = error
        while not unwanted.is_set():
            try:
                made.put(item, timeout=_GLANCE)
                break
            except queue.Full:
                continue
        if isinstance(item, BaseException):
            return
