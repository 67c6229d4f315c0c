"""What a translation could not know, counted over all lines and said once at the end."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the translator imports torch
    from nmt.translation import Translation

_MOST_UNKNOWN = 3
"""Unknown and byte pieces of a line that are no reason to doubt its translation."""
_MOST_SHOWN = 60  # characters of an example
_REMARKS = {
    "unseen": "have characters that the model never saw",
    "unknown": "have words that the model hardly knows",
    "lost": "lost a number or an address",
}

_logger = logging.getLogger(__name__)


class Remarks:
    """Counts lines whose translations are to be doubted."""

    def __init__(self) -> None:
        self._lines = 0
        self._counts = dict.fromkeys(_REMARKS, 0)
        self._examples: dict[str, str] = {}

    def add(self, translation: "Translation") -> None:
        """Count a line; the next one has the next number."""
        self._lines += 1
        if translation.unseen:
            self._count("unseen", " ".join(translation.unseen))
        elif translation.unknown_pieces > _MOST_UNKNOWN:
            self._count("unknown", f"{translation.unknown_pieces} unknown pieces")
        if translation.lost:
            self._count("lost", " ".join(translation.lost))

    def report(self) -> None:
        """Log all that was found in one warning, with the first example of each kind."""
        found = [
            f"{self._counts[kind]:,} of {self._lines:,} lines {text}, e.g. {self._examples[kind]}"
            for kind, text in _REMARKS.items()
            if self._counts[kind]
        ]
        if found:
            _logger.warning("%s", "; ".join(found))

    def _count(self, kind: str, example: str) -> None:
        self._counts[kind] += 1
        if len(example) > _MOST_SHOWN:
            example = f"{example[:_MOST_SHOWN]}..."
        self._examples.setdefault(kind, f"line {self._lines:,}: {example}")
