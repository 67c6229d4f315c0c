"""Pairs to exclude from training; each is dropped for the first reason that applies.

There are two filters, since texts are known before pieces: `TextFilter` checks the normalised
texts, `LengthFilter` the numbers of pieces.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

Reason = Literal["empty", "copy", "duplicate", "held out", "for validation", "too long", "ratio"]
"""Why a pair was dropped."""

REASONS: tuple[Reason, ...] = (
    "empty",
    "copy",
    "duplicate",
    "held out",
    "for validation",
    "too long",
    "ratio",
)
"""All reasons, in the order of the checks: "held out" = also in the validation or test files,
"for validation" = chosen to validate on, since no files are named."""


def digest(source: str, target: str) -> int:
    """Return 64 bits that identify a pair of lines, to find equal pairs without keeping them."""
    return digest_of(f"{source}\n{target}")


def digest_of(text: str) -> int:
    """Return 64 bits: two of 10 million different texts agree with a probability of 3e-6."""
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


class TextFilter:
    """Drops pairs because of their texts; remembers their digests to find duplicates.

    Args:
        drop_copies: drop pairs whose two sides are the same.
        drop_duplicates: keep only the first of identical pairs. Takes about 60 bytes of memory
            per pair.
    """

    def __init__(self, *, drop_copies: bool = False, drop_duplicates: bool = False) -> None:
        self._drop_copies = drop_copies
        self._drop_duplicates = drop_duplicates
        self._seen: set[int] = set()

    def reason(self, source: str, target: str) -> Reason | None:
        """Return why to drop a pair of normalised lines, or None to keep it."""
        if is_empty(source, target):
            return "empty"
        if self._drop_copies and source == target:
            return "copy"
        if self._drop_duplicates:
            key = digest(source, target)
            if key in self._seen:
                return "duplicate"
            self._seen.add(key)
        return None


@dataclass(frozen=True)
class LengthFilter:
    """Drops pairs because of their numbers of pieces, end symbols not counted.

    Args:
        max_length: largest number of pieces on either side.
        max_ratio: largest ratio of the longer to the shorter side; 0 = no limit.
    """

    max_length: int
    max_ratio: float = 0.0

    def reason(self, source_length: int, target_length: int) -> Reason | None:
        """Return why to drop a pair with these numbers of pieces, or None to keep it."""
        shorter, longer = sorted((source_length, target_length))
        if longer > self.max_length:
            return "too long"
        if self.max_ratio and longer > self.max_ratio * shorter:
            return "ratio"
        return None


def is_empty(source: str, target: str) -> bool:
    """True if a side has nothing but white space."""
    return not source.strip() or not target.strip()
