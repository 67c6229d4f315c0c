"""What attention finds in tasks whose alignment is known, and what long lines lose without it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes"))

from lectures.attention import (
    Order,
    draw_letters,
    share_attended,
    share_exact,
    size_of,
    train,
    write,
)

from nmt.models.encoder_decoder import EncoderDecoder


@pytest.mark.parametrize("order", ["reversed", "verb last"])
def test_a_model_that_changes_the_order_attends_to_the_letter_it_writes(order: Order):
    """As small as in the quick form of the lecture, which shares the models."""
    model = train("general", order=order, **size_of(order, quick=True))
    sources = draw_letters(300, 3, 6, seed=10_001)
    found = write(model, sources)
    assert share_exact(sources, found, order) >= 0.95
    assert share_attended(sources, found, order) >= 0.95


def exact(model: EncoderDecoder, length: int) -> float:
    """Return the share of lines of this length that are reversed without a mistake."""
    sources = draw_letters(200, length, length, seed=10_003)
    return share_exact(sources, write(model, sources))


def right_letters(model: EncoderDecoder, length: int) -> float:
    """Return the share of letters that are written in their place."""
    sources = draw_letters(200, length, length, seed=10_003)
    pairs = zip(sources, write(model, sources), strict=True)
    right = sum(sum(map(int.__eq__, ids[::-1], best.tokens)) for ids, best in pairs)
    return right / (200 * length)


def test_what_is_lost_without_attention_grows_with_length():
    """Even if the model without it has twice as many updates."""
    attending = train("general", order="reversed", **size_of("reversed", quick=True))
    without = train("none", hidden=48, longest=6, updates=300)
    gaps = [exact(attending, length) - exact(without, length) for length in (3, 4, 6)]
    assert gaps[0] + 0.1 < gaps[1] < gaps[2] - 0.05
    assert right_letters(attending, 10) > right_letters(without, 10) + 0.2  # none so long was seen


@pytest.mark.slow
def test_without_attention_lines_of_ten_letters_are_lost_and_twenty_are_harder_still():
    """Trained on 3 to 10 letters, and tested on up to 20."""
    attending = train("general", hidden=64, longest=10, updates=600)
    without = train("none", hidden=64, longest=10, updates=600)
    assert exact(attending, 10) >= 0.99
    gaps = [exact(attending, length) - exact(without, length) for length in (4, 7, 10)]
    assert gaps[0] < gaps[1] < gaps[2]
    assert right_letters(attending, 20) > right_letters(without, 20) + 0.1
