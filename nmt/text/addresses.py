"""Web addresses, e-mail addresses and numbers: text that is copied rather than translated."""

import re
import unicodedata

from nmt.text.numbers import replaced_numbers
from nmt.text.scripts import has_letters

_MAIL = r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"
_WEB = r"(?:[a-z][a-z0-9+.-]*://|www\.|mailto:)[^\s<>\"“”«»]+"
_PATH = r"(?:[\w-]{2,}\.)+[a-z]{2,}/[^\s<>\"“”«»]*"
_ADDRESS = re.compile(rf"{_WEB}|{_MAIL}|{_PATH}", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z0-9-]{2,}\.)+(?:com|org|net|edu|gov|info|io|[a-z]{2})")
_AROUND = "<>()[]{}\"'“”‘’«»,;:!?."
_GROUPS = re.compile(r"(?<=\d)[.,'’ \u00a0\u2009\u202f](?=\d{3}(?!\d))")
_LONG = 3
"""Digits of a number that is hardly ever written out."""
_NUMBER = re.compile(rf"\d{{{_LONG},}}")
_MARKS = ("@", "/", "www.", "mailto:")
"""Every address has one of them, in lower case."""
_LONGEST = 4096  # characters of a word that is searched, in time that grows with their square


def is_address(text: str) -> bool:
    """Whether `text` has only web and e-mail addresses, and what has no letters."""
    words = (word.strip(_AROUND) for word in text.split())
    return has_letters(text) and all(
        _ADDRESS.fullmatch(word) or _HOST.fullmatch(word) or not has_letters(word) for word in words
    )


def has_number(text: str) -> bool:
    """Whether `text` has a number of three digits or more."""
    return bool(_NUMBER.search(text))


def find_lost(source: str, target: str, *, numbers: bool = True) -> list[str]:
    """Return the addresses and, with `numbers`, the numbers that `target` lacks.

    "1,000" and "1.000" and "1 000" are the same number. Those of one or two digits are often
    written out, so they count only if `target` has another number in their place.
    """
    addresses, others = _divide(source)
    lost = [address for address in addresses if address.lower() not in target.lower()]
    if numbers:
        lost += lost_numbers(others, target)
        replaced = replaced_numbers(others, _divide(target)[1])
        lost += [each for each in replaced if len(each) < _LONG]
    return list(dict.fromkeys(lost))


def lost_numbers(source: str, target: str) -> list[str]:
    """Return the numbers of three digits or more that `target` lacks."""
    kept = set(_numbers(target))
    return [each for each in _numbers(source) if each not in kept]


def _divide(text: str) -> tuple[list[str], str]:
    """Return the addresses in `text`, and the rest of it."""
    addresses: list[str] = []
    if not _has_mark(text):
        return addresses, text

    def take(word: re.Match[str]) -> str:
        if len(word[0]) > _LONGEST or not _has_mark(word[0]):
            return word[0]
        addresses.extend(match[0].rstrip(_AROUND) for match in _ADDRESS.finditer(word[0]))
        return _ADDRESS.sub(" ", word[0])

    return addresses, re.sub(r"\S+", take, text)


def _has_mark(text: str) -> bool:
    lowered = text.lower()
    return any(mark in lowered for mark in _MARKS)


def _numbers(text: str) -> list[str]:
    """Return the numbers of three digits or more, in European digits and without separators."""
    return [
        _in_european_digits(number).lstrip("0") for number in _NUMBER.findall(_GROUPS.sub("", text))
    ]


def _in_european_digits(number: str) -> str:
    if number.isascii():
        return number
    return "".join(str(unicodedata.decimal(digit)) for digit in number)
