"""The figure of attention in a task whose alignment is known: argmax on the anti-diagonal."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes"))

from lectures.attention import draw_letters, share_exact, share_on_the_antidiagonal, train, write


def test_a_model_that_reverses_attends_to_the_antidiagonal():
    """As small as in the quick form of the lecture, which shares the model."""
    model = train("general", hidden=48, longest=6, updates=150)
    sources = draw_letters(300, 3, 6, seed=10_001)
    found = write(model, sources)
    assert share_exact(sources, found) >= 0.95
    assert share_on_the_antidiagonal(sources, found) >= 0.95
