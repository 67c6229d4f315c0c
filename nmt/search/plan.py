"""Which sentences are searched together.

Two plans. `plan_batches` puts sentences of similar length together: fastest, but a matrix product
of another shape may round differently, so a near-tie may be decided differently in another batch.
`plan_blocks` rules that out by construction:

1. Every block has BLOCK rows, filled up with repeated sentences, and no sentence leaves it before
   its end; its width follows from the length of each of its sentences. So the shape of every tensor
   a sentence takes part in follows from the sentence alone, and with it the kernel, its blocking
   and how threads share it.
2. A kernel may still treat the rows of one shape differently: the last few are computed by other
   code, or by another thread. So the row a sentence stands in follows from its pieces alone.
3. The contents of the other rows do not matter: no operation mixes rows.
4. Every block has padding, so no shortcut for batches without padding is ever taken.

Thus each number of a sentence results from the same operations in the same order on the same
operands, whatever the batch size and the order of the lines: on one machine with one number of
threads, results are bit-identical.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Source: TypeAlias = Sequence[int] | npt.NDArray[np.float32]
"""Source ids of a sentence, or its numbers [positions, features]."""

BLOCK = 8
"""Rows of a block, before they are multiplied by the beam."""


@dataclass(frozen=True)
class SentenceBatch:
    """Sentences that are searched together."""

    members: tuple[int | None, ...]
    """Number of the sentence in each row; None = filler row."""
    width: int
    """Source positions, padding included."""

    @property
    def rows(self) -> list[int]:
        """Number of the sentence in each row; filler rows repeat another sentence."""
        some = next(member for member in self.members if member is not None)
        return [some if member is None else member for member in self.members]


def plan_batches(
    lengths: Mapping[int, int], *, batch_size: int, batch_tokens: int
) -> list[SentenceBatch]:
    """Return batches of similar lengths, longest first, so that a lack of memory shows at once.

    Args:
        lengths: source pieces of each sentence, by its number.
        batch_size: most sentences in a batch.
        batch_tokens: most source positions in a batch, padding included; a longer sentence gets a
            batch of its own.
    """
    order = sorted(lengths, key=lambda sentence: -lengths[sentence])
    batches = []
    begin = 0
    while begin < len(order):
        width = lengths[order[begin]]
        count = max(1, min(batch_size, batch_tokens // max(width, 1)))
        batches.append(SentenceBatch(tuple(order[begin : begin + count]), width))
        begin += count
    return batches


def plan_blocks(sentences: Mapping[int, Source], *, batch_size: int) -> list[SentenceBatch]:
    """Return blocks in which a sentence's numbers do not depend on its neighbours.

    Args:
        sentences: source of each sentence, by its number.
        batch_size: most sentences in a block; above BLOCK it changes nothing.
    """
    queues: dict[int, list[list[int]]] = {}
    # Sentences of similar length share a block, so that they end at about the same time.
    for sentence in sorted(sentences, key=lambda number: -len(sentences[number])):
        ids = sentences[sentence]
        rows = queues.setdefault(block_width(len(ids)), [[] for _ in range(BLOCK)])
        rows[row_of(ids)].append(sentence)
    blocks = []
    for width, rows in sorted(queues.items(), reverse=True):
        for depth in range(max(map(len, rows))):
            taken = [row for row in range(BLOCK) if depth < len(rows[row])]
            for begin in range(0, len(taken), batch_size):
                members: list[int | None] = [None] * BLOCK
                for row in taken[begin : begin + batch_size]:
                    members[row] = rows[row][depth]
                blocks.append(SentenceBatch(tuple(members), width))
    return blocks


def block_width(length: int) -> int:
    """Return the padded width of a sentence of `length` pieces; always more than `length`.

    Multiples of 8 up to 64, of 32 above.
    """
    step = 8 if length < 64 else 32
    return (length // step + 1) * step


def row_of(source: Source) -> int:
    """Return the row of a block for a sentence, a hash of its pieces or numbers."""
    values = source if isinstance(source, np.ndarray) else np.asarray(source, dtype="<i4")
    return zlib.crc32(values.tobytes()) % BLOCK
