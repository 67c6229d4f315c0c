"""What `nmt check` looks for in each pair of lines: one entry per kind, as in `line_checks`."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from nmt.data.report import Check
from nmt.text.numbers import differing_numbers, have_numbers
from nmt.text.scripts import has_letters

RATIO = 9.0
"""Of the characters of the longer side to those of the shorter."""

_NO_WORD = re.compile(r"[\W_]+")
_PLACEHOLDER = re.compile(
    r"\{[A-Za-z_]?\w*\}|%(?:\d+\$|\(\w+\))?[sdif@](?![A-Za-z])|\$\{\w+\}|\{\{ ?\w+ ?\}\}"
)


def _any_pair(source: str, target: str) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class PairCheck(Check):
    """A kind of finding about pairs of lines."""

    find: Callable[[str, str], str | None]
    """Returns what is odd about a pair, "" if that is clear, or None; the lines have no white space
    at their ends."""
    among: Callable[[str, str], bool] = _any_pair
    """Which pairs its share refers to, and which are looked at."""


def _half_empty(source: str, target: str) -> str | None:
    return "" if bool(source) != bool(target) else None


def _copy(source: str, target: str) -> str | None:
    return "" if source == target and source else None


def _near_copy(source: str, target: str) -> str | None:
    """Find sides of the same letters and digits, at least one a letter."""
    if source == target or not has_letters(source):
        return None
    left, right = (_NO_WORD.sub("", side.casefold()) for side in (source, target))
    return "" if left == right else None


def _differing_placeholders(source: str, target: str) -> str | None:
    left, right = (Counter(_PLACEHOLDER.findall(side)) for side in (source, target))
    if left == right:
        return None
    return " and ".join(" ".join(each) or "nothing" for each in (left - right, right - left))


def _have_placeholders(source: str, target: str) -> bool:
    return bool(_PLACEHOLDER.search(source) or _PLACEHOLDER.search(target))


def _odd_ratio(source: str, target: str) -> str | None:
    shorter, longer = sorted((len(source), len(target)))
    if 0 < RATIO * shorter < longer:
        return f"{len(source):,} and {len(target):,} characters"
    return None


PAIR_CHECKS = (
    PairCheck(
        name="half-empty",
        level="warning",
        message="empty on one side only; perhaps the files are shifted",
        remedy="compare the lines around them",
        find=_half_empty,
    ),
    PairCheck(
        name="ratio",
        level="warning",
        message=f"over {RATIO:g} times as long on one side; perhaps not translations",
        remedy="delete those that are not translations; data.max_ratio leaves out the worst",
        find=_odd_ratio,
    ),
    PairCheck(
        name="copy",
        level="warning",
        message="the same on both sides",
        remedy="data.drop_copies = true leaves them out of training; from many, a model learns to "
        "copy, which is right if the languages are close",
        often=0.01,
        find=_copy,
    ),
    PairCheck(
        name="near-copy",
        level="warning",
        message="the same on both sides but for capitals, punctuation or spaces, so that "
        "data.drop_copies keeps them",
        remedy="delete those that are not translated; names and loan words may be right",
        often=0.01,
        find=_near_copy,
    ),
    PairCheck(
        name="numbers",
        level="warning",
        message="with numbers have other ones on the other side",
        remedy="look whether these are translations; dates, times and units may rightly differ",
        often=0.1,
        find=differing_numbers,
        among=have_numbers,
    ),
    PairCheck(
        name="placeholders",
        level="warning",
        message="with placeholders such as {0} or %s have other ones on the other side",
        remedy="translate them with all their placeholders, or delete these pairs; models learn to "
        "lose them",
        often=0.01,
        find=_differing_placeholders,
        among=_have_placeholders,
    ),
)
