"""White space around and between sentences, and lines that were broken at a width."""

import re
from collections.abc import Iterable, Iterator

from nmt.text.scripts import SPACELESS, script_of

_CLOSE_UP = SPACELESS - {"THAI", "LAO", "KHMER", "MYANMAR"}
"""Scripts without a space even between sentences."""
_ITEM = re.compile(r"\s*(?:[-*+•–—]|\d{1,3}[.)]|[a-zA-Z]\))\s")
_WIDE_MARKS = frozenset("、。，．！？：；「」『』（）《》【】〈〉")
_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010]$")


def margins(line: str) -> tuple[str, str]:
    """Return the white space before and after the text of a line."""
    text = line.strip()
    before = line[: len(line) - len(line.lstrip())] if text else line
    return before, line[len(before) + len(text) :]


def space_between(left: str, right: str, original: str) -> str:
    """Return what stands between two translated sentences.

    Args:
        left: the first.
        right: the second.
        original: white space between the sentences that they translate. More than a space is kept.
    """
    if len(original) > 1 or original == "\t" or not (left and right):
        return original
    return "" if _close_up(left) and _close_up(right[::-1]) else " "


def _close_up(text: str) -> bool:
    """Whether the last letter of `text` is of a script without spaces between sentences."""
    scripts = (script_of(character) for character in reversed(text))
    return next(filter(None, scripts), None) in _CLOSE_UP


def unwrap(lines: Iterable[str]) -> Iterator[str]:
    """Yield paragraphs, each on one line, of text whose lines were broken at a width.

    A paragraph ends at a blank line, which stays; before an item of a list, such as "- " or "2. ";
    and before a line that is indented deeper than the one before, unless that continues an item. A
    word divided by a hyphen at the end of a line is joined.
    """
    paragraph, indent = "", 0
    for line in lines:
        before, _ = margins(line)
        is_deeper = len(before) > indent and not _ITEM.match(paragraph)
        if paragraph and (is_deeper or not line.strip() or _ITEM.match(line)):
            yield paragraph
            paragraph = ""
        if not line.strip():
            yield line
        elif paragraph:
            paragraph = _continue(paragraph, line.strip())
        else:
            paragraph = line.rstrip()
        indent = len(before)
    if paragraph:
        yield paragraph


def _continue(paragraph: str, line: str) -> str:
    """Return a paragraph with its next line."""
    if line[0].islower() and _HYPHENATED.search(paragraph):
        return f"{paragraph[:-1]}{line}"
    left, right = paragraph[-1], line[0]
    is_tight = _is_spaceless(left) and _is_spaceless(right)
    return f"{paragraph}{'' if is_tight else ' '}{line}"


def _is_spaceless(character: str) -> bool:
    return script_of(character) in SPACELESS or character in _WIDE_MARKS
