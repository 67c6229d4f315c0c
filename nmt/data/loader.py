"""Batches of each update, prepared ahead by one background thread, in a reproducible order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nmt.config.data import Sides
from nmt.data.batch import Batch, Side, make_batch
from nmt.data.corpus import Corpus
from nmt.data.sampler import BatchSampler, Indices, Position, plan_once, split_update
from nmt.text.copied import CopyIds
from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS

_AHEAD = 4  # updates prepared in advance


@dataclass(frozen=True)
class Update:
    """The data of one optimizer step, as one rank sees it."""

    micro_batches: list[Batch]
    """This rank's share in up to `accumulate` micro-batches; none on a rank that gets no pair of a
    very small update."""
    tokens: int
    """Target tokens of the whole update, over all ranks."""
    progress: float
    """Passes over the corpus after this update, for example 2.2."""
    position_after: Position
    """Position of the next update, which a checkpoint after this one stores."""


class Loader:
    """An endless iterator over updates; close it at the end, or use it in a `with` block.

    It starts at the sampler's position when the first update is requested. From then on, the
    sampler runs ahead of training, whose position is `Update.position_after`.

    Args:
        corpus: the pairs, of ids or with numbers as their sources.
        sampler: selects the pairs of each update; must not be used elsewhere meanwhile.
        rank: number of this process among `world_size`, from 0.
        world_size: number of processes that share each update.
        accumulate: micro-batches per update and process.
        subwords: models of source and target, needed if `alpha` is above 0.
        alpha: above 0, texts are re-segmented for each update (see `Subword.encode_sampled`), the
            same on all ranks and after a restart; token counts are those of this segmentation.
        sampled: sides that are re-segmented.
        seed: seed of the segmentations.
        round_rows: see `make_batch`.
        copy_ids: for outputs that write pieces of the source; None = ids as they are.
        reverse: see `make_batch`.
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
        sampled: Sides = "both",
        seed: int = 0,
        round_rows: Callable[[int], int] | None = None,
        copy_ids: CopyIds | None = None,
        reverse: bool = False,
    ) -> None:
        if alpha > 0 and subwords is None:
            raise ValueError("alpha above 0 needs the subword models")
        parts = world_size * accumulate
        own = range(rank, parts, world_size)
        self._maker = _Maker(
            corpus,
            sampler,
            parts,
            own,
            subwords,
            alpha,
            sampled,
            seed,
            round_rows,
            copy_ids,
            reverse,
        )
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="nmt-loader")
        self._ahead: deque[Future[Update]] = deque()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Update]:
        return self

    def __next__(self) -> Update:
        """Return the next update; errors in the background thread are raised at every call."""
        while len(self._ahead) < _AHEAD:
            self._ahead.append(self._executor.submit(self._maker.make))
        update = self._ahead[0].result()
        self._ahead.popleft()
        return update

    def close(self) -> None:
        """Stop the background thread and wait until it has ended."""
        self._executor.shutdown(cancel_futures=True)


def batches_once(
    corpus: Corpus, *, batch_tokens: int, copy_ids: CopyIds | None = None, reverse: bool = False
) -> Iterator[Batch]:
    """Yield every pair of a corpus once, from short to long: for the loss on validation data.

    Args:
        corpus: the pairs.
        batch_tokens: approximate number of target tokens per batch.
        copy_ids: see `Loader`.
        reverse: see `make_batch`.
    """
    plan = plan_once(corpus.source_lengths, corpus.target_lengths, batch_tokens=batch_tokens)
    for indices in plan:
        pairs = [pair_of(corpus, int(i), copy_ids) for i in indices]
        yield make_batch(pairs, indices.tolist(), reverse=reverse)


def pair_of(corpus: Corpus, index: int, copy_ids: CopyIds | None) -> tuple[Side, Side]:
    """Return source and target of a pair as ids ending in EOS, or as numbers, for the configured
    model."""
    if copy_ids is None:
        return corpus.example(index)
    return copy_ids.pair(corpus.pair(index), corpus.texts(index))


@dataclass(frozen=True)
class _Maker:
    """Prepares one update after another.

    It holds no reference to the loader, so that the thread of an unclosed loader ends as well.
    """

    corpus: Corpus
    sampler: BatchSampler
    parts: int
    """Micro-batches per update, over all ranks."""
    own: range
    """Indices of this rank's micro-batches."""
    subwords: tuple[Subword, Subword] | None
    alpha: float
    sampled: Sides
    seed: int
    round_rows: Callable[[int], int] | None
    copy_ids: CopyIds | None
    reverse: bool

    def make(self) -> Update:
        """Return this rank's part of the update at the sampler's position."""
        position = self.sampler.position
        indices = next(self.sampler)
        if self.subwords is not None and self.alpha > 0:
            pairs = self._segment(self.subwords, indices, position)
        else:
            pairs = [pair_of(self.corpus, int(i), self.copy_ids) for i in indices]
        parts = split_update(np.arange(len(indices)), self.parts)
        return Update(
            micro_batches=[
                make_batch(
                    [pairs[place] for place in part],
                    indices[part].tolist(),
                    round_rows=self.round_rows,
                    reverse=self.reverse,
                )
                for part in (parts[number] for number in self.own)
                if len(part)
            ],
            tokens=sum(len(target) for _, target in pairs),
            progress=self.sampler.progress,
            position_after=self.sampler.position,
        )

    def _segment(
        self, subwords: tuple[Subword, Subword], indices: Indices, position: Position
    ) -> list[tuple[Side, Side]]:
        """Re-segment the texts of pairs for the update at `position`."""
        entropy = [self.seed, position.epoch, position.update_in_epoch]
        seeds = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
        texts = zip(*(self.corpus.texts(int(i)) for i in indices), strict=True)
        source, target = (
            [
                np.array([*ids, EOS], np.int64)
                for ids in subword.encode_sampled(side, alpha=self.alpha, seed=int(seed))
            ]
            for subword, side, seed in zip(subwords, texts, seeds, strict=True)
        )
        stored = [self.corpus.pair(int(i)) for i in indices]
        if self.sampled == "source":
            target = [ids for _, ids in stored]
        elif self.sampled == "target":
            source = [ids for ids, _ in stored]
        return list(zip(source, target, strict=True))
