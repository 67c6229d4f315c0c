import random
import struct
import zlib

import pytest

from nmt.search.plan import BLOCK, SentenceBatch, block_width, plan_batches, plan_blocks, row_of


def by_number(values: list) -> dict:
    """The values numbered from 0."""
    return dict(enumerate(values))


def test_batches_hold_every_sentence_once_within_the_limits():
    generator = random.Random(1)
    lengths = [generator.randrange(1, 60) for _ in range(200)] + [500]
    batches = plan_batches(by_number(lengths), batch_size=16, batch_tokens=400)
    members = [member for batch in batches for member in batch.members]
    assert sorted(members) == list(range(201))
    for batch in batches:
        assert batch.width == max(lengths[member] for member in batch.members)
        assert len(batch.members) <= 16
        assert len(batch.members) == 1 or batch.width * len(batch.members) <= 400
    assert batches[0].members == (200,)
    assert any(1 < len(batch.members) < 16 for batch in batches)


def test_a_batch_is_as_large_as_the_limits_allow():
    batches = plan_batches(by_number([3, 1, 1, 1, 1, 1]), batch_size=9, batch_tokens=4)
    assert [batch.members for batch in batches] == [(0,), (1, 2, 3, 4), (5,)]
    assert [batch.width for batch in batches] == [3, 1, 1]


def sentences(count: int) -> list[list[int]]:
    generator = random.Random(2)
    return [
        [generator.randrange(4, 9000) for _ in range(generator.randrange(1, 90))]
        for _ in range(count)
    ]


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_blocks_hold_every_sentence_once_in_its_own_row(batch_size):
    lines = sentences(300) + [[7, 8, 9]] * 5
    blocks = plan_blocks(by_number(lines), batch_size=batch_size)
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
    blocks = plan_blocks(by_number(sentences(4096)), batch_size=64)
    assert 4096 / (BLOCK * len(blocks)) > 0.6


def test_no_sentences_need_no_batch():
    assert plan_batches({}, batch_size=4, batch_tokens=10) == []
    assert plan_blocks({}, batch_size=4) == []


def test_long_sentences_come_first_and_similar_lengths_together():
    lines = [[piece] * length for length in (3, 40, 5, 70, 41, 4) for piece in range(4, 90)]
    blocks = plan_blocks(by_number(lines), batch_size=BLOCK)
    widths = [block.width for block in blocks]
    assert widths == sorted(widths, reverse=True)
    for width in set(widths):
        of_width = [block for block in blocks if block.width == width]
        for row in range(BLOCK):
            members = [block.members[row] for block in of_width]
            lengths = [len(lines[member]) for member in members if member is not None]
            assert lengths == sorted(lengths, reverse=True)


def test_a_block_is_only_slightly_wider_than_its_sentences():
    widths = [block_width(length) for length in range(161)]
    assert widths[:64] == [length // 8 * 8 + 8 for length in range(64)]
    assert widths[64:] == [96] * 32 + [128] * 32 + [160] * 32 + [192]


def test_the_row_of_a_sentence_is_the_same_on_every_machine():
    lines = [], [4], [5, 6, 7], [300, 70000]
    little_endian = [struct.pack(f"<{len(ids)}i", *ids) for ids in lines]
    assert [row_of(ids) for ids in lines] == [zlib.crc32(data) % 8 for data in little_endian]


def test_an_unused_row_repeats_a_sentence():
    assert SentenceBatch((None, 7, None, 9), 8).rows == [7, 7, 7, 9]
