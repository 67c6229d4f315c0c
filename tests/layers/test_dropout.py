"""Dropout of values and of words."""

import pytest
import torch

from nmt.layers.dropout import drop, dropout_mask, keep_mask, word_mask
from nmt.layers.embedding import Embedding

ONES = torch.ones(40, 50, 20)


def test_dropout_keeps_the_mean_and_zeroes_the_given_fraction():
    dropped = drop(ONES, 0.3, training=True)

    assert abs(float((dropped == 0).float().mean()) - 0.3) < 0.02
    assert abs(float(dropped.mean()) - 1.0) < 0.02


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.1, 0.5, 0.9, 0.9999999])
def test_values_are_kept_at_the_rate_and_independently(rate):
    """Four values share a draw of the generator, yet are independent of each other."""
    torch.manual_seed(1)
    keep = keep_mask((250_000, 4), rate, torch.device("cpu")).double()
    spread = (rate * (1 - rate)) ** 0.5

    assert keep.mean(dim=0).tolist() == pytest.approx([1 - rate] * 4, abs=5 * spread / 500 + 1e-4)
    if 0.01 < rate < 0.99:
        assert (torch.corrcoef(keep.t()) - torch.eye(4)).abs().max() < 0.01
        assert abs(torch.corrcoef(torch.stack([keep[1:, 0], keep[:-1, 3]]))[0, 1]) < 0.01


def test_a_mask_can_have_any_shape_and_is_reproducible_by_seed():
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(
            [keep_mask(shape, 0.4, torch.device("cpu")) for shape in ((3, 5), (7,), (2, 0))]
        )
    assert [mask.shape for mask in masks[0]] == [(3, 5), (7,), (2, 0)]
    assert all(torch.equal(first, again) for first, again in zip(*masks, strict=True))


def test_dropout_does_nothing_outside_training():
    assert drop(ONES, 0.3, training=False) is ONES
    assert drop(ONES, 0.0, training=True) is ONES


def test_variational_dropout_drops_the_same_values_at_every_position():
    dropped = drop(ONES, 0.3, training=True, variational=True)

    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert 0 < int((dropped[0, 0] == 0).sum()) < 20


def test_word_dropout_zeroes_whole_words_and_does_not_scale_the_rest():
    mask = word_mask(ONES, (40, 50, 1), 0.25)

    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert abs(float(mask.mean()) - 0.75) < 0.05


def test_embedding_drops_whole_words_and_single_values():
    embedding = Embedding(10, 200, dropout=0.5, word_dropout=0.5)
    embedding.reset_parameters()
    ids = torch.randint(10, (8, 9))
    mask = embedding.draw_mask(ids)

    words = (mask == 0).all(dim=-1)
    assert 0.3 < float(words.float().mean()) < 0.7
    assert abs(float((mask[~words] == 0).float().mean()) - 0.5) < 0.05
    torch.testing.assert_close(embedding(ids, mask), embedding(ids) * mask)
    assert embedding.eval().draw_mask(ids) is None


def test_embedding_is_the_product_with_a_one_hot_vector_at_unit_variance():
    embedding = Embedding(10, 4)
    embedding.reset_parameters()
    ids = torch.tensor([[3, 7]])

    one_hot = torch.nn.functional.one_hot(ids, 10).float()
    torch.testing.assert_close(embedding(ids), 2.0 * one_hot @ embedding.weight)
    wide = Embedding(500, 64)
    wide.reset_parameters()
    assert wide(torch.arange(500)).var().item() == pytest.approx(1.0, abs=0.05)


def test_mask_has_the_dtype_of_its_input():
    assert dropout_mask(ONES.double(), (2, 3), 0.5).dtype == torch.float64
