import numpy as np
import torch

from nmt.data.batch import make_batch
from nmt.text.vocabulary import BOS, EOS, PAD


def test_a_batch_holds_pairs_side_by_side():
    pairs = [([5, 6, EOS], [7, EOS]), ([8, EOS], [9, 10, 11, EOS])]
    batch = make_batch([(np.array(s), np.array(t)) for s, t in pairs], [40, 2])

    assert batch.source.tolist() == [[5, 6, EOS], [8, EOS, PAD]]
    assert batch.source_mask.tolist() == [[True, True, True], [True, True, False]]
    assert batch.target_in.tolist() == [[BOS, 7, PAD, PAD], [BOS, 9, 10, 11]]
    assert batch.target_out.tolist() == [[7, EOS, PAD, PAD], [9, 10, 11, EOS]]
    assert batch.target_mask.tolist() == [[True, True, False, False], [True] * 4]
    assert batch.indices == (40, 2)
    assert batch.tokens == 6
    assert len(batch) == 2
    assert batch.source.dtype == torch.int64
    assert batch.source_mask.dtype == torch.bool


def test_lists_are_accepted_and_an_empty_sentence_is_its_end_symbol():
    batch = make_batch([([EOS], [EOS])], [0])
    assert batch.target_in.tolist() == [[BOS]]
    assert batch.target_out.tolist() == batch.source.tolist() == [[EOS]]


def test_a_batch_moves_to_a_device_as_a_whole():
    batch = make_batch([([5, EOS], [7, EOS])], [3])
    moved = batch.to("meta")
    for name in ("source", "source_mask", "target_in", "target_out", "target_mask"):
        assert getattr(moved, name).device.type == "meta"
    assert (moved.tokens, moved.indices) == (2, (3,))
