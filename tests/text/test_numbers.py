"""Numbers of two sides are compared as numbers, not as spellings."""

import pytest

from nmt.text.numbers import differing_numbers, have_numbers, replaced_numbers


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("1,000 dogs", "1.000 cani"),
        ("1 000 000", "1,000,000"),
        ("in 2020 100 dogs", "100 cani nel 2020"),
        ("12/3/2020", "3.12.2020"),
        ("2020-03-07", "7/3/2020"),
        ("2/10/93", "1993-02-10"),
        ("٤٢ كتاب", "42 books"),
        ("४२", "42"),
        ("3 dogs", "tre cani"),
        ("mille", "1,000"),
        ("the 20th century", "il XX secolo"),
        ("no numbers", "nessuno"),
        ("in 2009", "二〇〇九年"),
        ("22,000 schools", "2万2000校"),
        ("2 and 5", "5 e 2"),
        ("it&#39;s, &#x27; 3", "è, 3"),
        ("at 5 p.m.", "alle 17"),
    ],
)
def test_other_spellings_are_no_difference(source, target):
    assert differing_numbers(source, target) is None


@pytest.mark.parametrize(
    ("source", "target", "what"),
    [
        ("I paid 35 euros", "Ho pagato 53 euro", "35 and 53"),
        ("in 1995", "nel 1994", "1995 and 1994"),
        ("born in 1995", "nato", "1995 and nothing"),
        ("room 12, floor 3", "stanza 13, piano 3", "12 and 13"),
        ("٤٢", "43", "42 and 43"),
        ("in 2009", "2008年", "2009 and 2008"),
    ],
)
def test_a_difference_is_shown(source, target, what):
    assert differing_numbers(source, target) == what


def test_numbers_are_replaced_where_the_other_side_has_another():
    assert replaced_numbers("2 of 35 men", "2 di 53 uomini") == ["35"]
    assert replaced_numbers("2 of 35 men", "due di molti uomini") == []
    assert replaced_numbers("at 5:30 p.m.", "alle 17:30") == []
    assert replaced_numbers("two men", "2 uomini") == []


def test_a_line_of_many_numbers_is_compared_quickly():
    numbers = " ".join(map(str, range(20_000)))
    assert differing_numbers(numbers, numbers) is None
    assert differing_numbers(numbers, "9" * 10_000)


def test_digits_of_any_script_are_numbers():
    assert have_numbers("a", "٤")
    assert not have_numbers("a", "²")
