import pytest

from nmt.text.filters import REASONS, LengthFilter, TextFilter, digest, is_empty


@pytest.mark.parametrize(("source", "target"), [("", "a"), ("a", ""), ("", ""), (" \t", "a")])
def test_a_pair_with_an_empty_side_is_dropped(source, target):
    assert TextFilter().reason(source, target) == "empty"
    assert is_empty(source, target)


def test_copies_and_duplicates_are_kept_by_default():
    keep_all = TextFilter()
    assert [keep_all.reason("a", "a") for _ in range(2)] == [None, None]


def test_the_first_of_identical_pairs_is_kept():
    fit = TextFilter(drop_duplicates=True)
    pairs = [("a", "b"), ("a", "c"), ("a", "b"), ("b", "a")]
    assert [fit.reason(*pair) for pair in pairs] == [None, None, "duplicate", None]


def test_a_pair_is_dropped_for_the_first_reason_only():
    fit = TextFilter(drop_copies=True, drop_duplicates=True)
    assert [fit.reason("a", "a") for _ in range(2)] == ["copy", "copy"]
    assert [fit.reason("", "") for _ in range(2)] == ["empty", "empty"]


def test_the_longer_side_decides_the_length():
    fit = LengthFilter(max_length=5)
    assert fit.reason(5, 5) is None
    assert fit.reason(6, 5) == fit.reason(5, 6) == "too long"


def test_the_ratio_applies_in_both_directions():
    fit = LengthFilter(max_length=100, max_ratio=3.0)
    assert fit.reason(3, 9) is fit.reason(9, 3) is None
    assert fit.reason(3, 10) == fit.reason(10, 3) == "ratio"
    assert fit.reason(0, 1) == "ratio"


def test_ratio_zero_is_no_limit():
    assert LengthFilter(max_length=100, max_ratio=0.0).reason(1, 100) is None


def test_a_digest_depends_on_where_the_sides_are_split():
    assert digest("a", "b c") != digest("a b", "c")
    assert digest("a", "b") != digest("b", "a")
    assert 0 <= digest("a", "b") < 2**64


def test_reasons_are_listed_once_each():
    assert len(set(REASONS)) == len(REASONS)
