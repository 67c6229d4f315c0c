"""Addresses and numbers are recognised, and missed where a translation lacks them."""

import pytest

from nmt.text.addresses import find_lost, is_address, lost_numbers


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a?b=1",
        "<anna@example.org>, bob.b@mail.example.co.uk",
        "www.example.com",
        "mailto:anna@example.org",
        "example.org/path/to",
        "example.org",
        "ftp://example.org/file.txt (3)",
    ],
)
def test_a_line_of_addresses_is_recognised(text):
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["", "42", "See example.org", "e.g. this", "and/or", "A cat.", "a.m."]
)
def test_other_text_is_no_address(text):
    assert not is_address(text)


def test_addresses_and_long_numbers_that_a_translation_lacks_are_named():
    source = "See https://example.org/a?b=1000, write to anna@example.org, pay 3,500.75 or 12."
    assert find_lost(source, "") == [*["https://example.org/a?b=1000", "anna@example.org", "3500"]]
    assert find_lost(source, "", numbers=False) == find_lost(source, "")[:2]
    kept = "Paga 3.500,75 a Anna@example.org, vedi https://example.org/a?b=1000."
    assert find_lost(source, kept) == []


def test_a_short_number_is_lost_where_the_translation_has_another():
    assert find_lost("2 of 35 dogs", "Due di 53 cani") == ["35"]
    assert find_lost("2 of 35 dogs", "Due di trentacinque cani") == []
    assert find_lost("35 dogs, 1995 cats", "35 cani, 1995 gatti, 2000 1") == []
    assert find_lost("7 dogs", "Sette cani, vedi https://example.org/8") == []
    assert find_lost("7 dogs", "8 cani", numbers=False) == []
    assert lost_numbers("7 dogs, 700 cats", "8 cani") == ["700"]


@pytest.mark.parametrize("target", ["1000 m", "1.000 m", "1 000 m", "1’000 m", "١٠٠٠ م"])
def test_a_number_may_be_written_in_other_ways(target):
    assert find_lost("1,000 m", target) == []


@pytest.mark.parametrize("word", ["x", "x.", "x@", "a1@", "www.", "x/"])
def test_a_word_of_a_megabyte_is_no_address(word):
    """Searched like others, it would take hours."""
    assert find_lost(word * 1_000_000, "") == []
