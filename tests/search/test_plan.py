import random

import pytest

from nmt.search.plan import BLOCK, block_width, plan_batches, plan_blocks, row_of


def test_batches_hold_every_sentence_once_within_the_limits():
    lengths = [random.Random(1).randrange(1, 60) for _ in range(200)] + [500]
    batches = plan_batches(lengths, batch_size=16, batch_tokens=400)
    members = [member for batch in batches for member in batch.members]
    assert sorted(members) == list(range(201))
    for batch in batches:
        assert batch.width == max(lengths[member] for member in batch.members)
        assert len(batch.members) <= 16
        assert len(batch.members) == 1 or batch.width * len(batch.members) <= 400
    assert batches[0].members == (200,)


def sentences(count: int) -> list[list[int]]:
    generator = random.Random(2)
    return [
        [generator.randrange(4, 9000) for _ in range(generator.randrange(1, 90))]
        for _ in range(count)
    ]


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_blocks_hold_every_sentence_once_in_its_own_row(batch_size):
    lines = sentences(300) + [[7, 8, 9]] * 5
    blocks = plan_blocks(lines, batch_size=batch_size)
    taken = [member for block in blocks for member in block.members if member is not None]
    assert sorted(taken) == list(range(305))
    for block in blocks:
        assert len(block.members) == BLOCK
        assert 1 <= sum(member is not None for member in block.members) <= batch_size
        for row, member in enumerate(block.members):
            if member is not None:
                assert row == row_of(lines[member])
                assert block.width == block_width(len(lines[member])) > len(lines[member])


def test_blocks_are_well_filled():
    blocks = plan_blocks(sentences(4096), batch_size=64)
    assert 4096 / (BLOCK * len(blocks)) > 0.6


def test_no_sentences_need_no_batch():
    assert plan_batches([], batch_size=4, batch_tokens=10) == []
    assert plan_blocks([], batch_size=4) == []
