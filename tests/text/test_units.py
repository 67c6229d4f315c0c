"""Losses are per word, or per character where a script has no spaces."""

import pytest

from nmt.text.units import Units


@pytest.mark.parametrize(
    ("lines", "name", "count"),
    [
        (["a cat sleeps", ""], "word", 3 + 2),
        (["我 有三个苹果。", "他是 Tom"], "character", 7 + 5 + 2),
        (["나는 고양이가 좋아요"], "word", 3 + 1),
        (["1 2 3"], "word", 3 + 1),
        ([], "word", 0),
    ],
)
def test_words_are_counted_or_characters_that_are_no_spaces(lines, name, count):
    units = Units(lines)
    assert (units.name, units.count) == (name, count)
