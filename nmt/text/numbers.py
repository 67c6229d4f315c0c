"""Numbers in the two sides of a pair, as far as they can be compared without knowing a language."""

import re
import unicodedata
from collections import Counter
from itertools import product

_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d+")
_GROUPED = re.compile(r"(?<!\d)\d{1,3}(?:[.,'’٬\u00a0\u202f\u2009 ]\d{3})+(?!\d)")
_CJK_NUMERAL = re.compile("[〇零一二三四五六七八九十百千万萬亿億]")
_CJK_MULTIPLIED = re.compile(r"\d ?[十百千万萬亿億]")
_CHARACTER = re.compile(r"&#(?:\d+|[xX][0-9a-fA-F]+) ?;")
"""A character of HTML, by its number."""
_HALF_DAY = 12  # hours
_NO_DIGIT = re.compile(r"\D")
_WRITTEN_IN_DIGITS = 3
"""Smaller numbers, and round ones, may be words on the other side."""


def have_numbers(source: str, target: str) -> bool:
    """Whether a side has a digit, of any script."""
    return bool(_DIGIT.search(source) or _DIGIT.search(target))


def differing_numbers(source: str, target: str) -> str | None:
    """Return how the numbers of two sides contradict each other, "35 and 53"; None if they agree.

    Grouping (1,000 or 1 000), the digits' script, leading zeros, order and a missing century are
    no differences, nor are the hours of half a day and of a whole one. Nor are numbers on one side
    only that may be written out on the other. Texts such as 2万 (20,000) are not compared.
    """
    left, right = _compare(source, target)
    is_written_out = _CJK_NUMERAL.search(target if left else source)
    if (left and right) or (not is_written_out and any(map(_is_in_digits, left or right))):
        return f"{_shown(left)} and {_shown(right)}"
    return None


def replaced_numbers(source: str, target: str) -> list[str]:
    """Return the numbers of `source` that `target` lacks, if it has others that `source` lacks.

    The rest may be written out, small ones first: "2" is "two". Compared as by `differing_numbers`.
    """
    if not _DIGIT.search(source):
        return []
    left, right = _compare(source, target)
    return sorted(left, key=lambda number: (len(number), number))[-len(right) :] if right else []


def _compare(source: str, target: str) -> tuple[Counter[str], Counter[str]]:
    """Return the numbers that only one of two sides has."""
    if _CJK_MULTIPLIED.search(source) or _CJK_MULTIPLIED.search(target):
        return Counter(), Counter()
    left, right = _numbers(source), _numbers(target)
    left, right = left - right, right - left
    for number, other in product([*left], [*right]) if len(left) * len(right) <= 100 else ():
        if number in left and other in right and _are_alike(number, other):
            del left[number], right[other]
    return left, right


def _is_in_digits(number: str) -> bool:
    """Whether a number is hardly ever written out."""
    return len(number) >= _WRITTEN_IN_DIGITS and not number.endswith("00")


def _shown(numbers: Counter[str]) -> str:
    return " ".join(number[:12] for number in [*numbers][:4]) or "nothing"


def _numbers(text: str) -> Counter[str]:
    """Count the numbers of a text in ASCII digits, without grouping and leading zeros."""
    if "&#" in text:
        text = _CHARACTER.sub(" ", text)
    if not text.isascii():
        text = _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
    text = _GROUPED.sub(lambda number: _NO_DIGIT.sub("", number[0]), text)
    numbers = _NUMBER.findall(text)
    return Counter(number.lstrip("0") or "0" for number in numbers)


def _are_alike(left: str, right: str) -> bool:
    """Whether one number is a year and the other its last two digits, or both are one hour."""
    shorter, longer = sorted((left, right), key=len)
    is_year = len(longer) == 4 and len(shorter) <= 2 and int(longer[2:]) == int(shorter)
    return is_year or (len(longer) <= 2 and abs(int(left) - int(right)) == _HALF_DAY)
