"""What is doubtful about translations, counted over all lines and said once at the end."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the translator imports torch
    from nmt.config.search import SearchConfig
    from nmt.translation import Translation

_MOST_UNKNOWN = 3
"""Unknown and byte pieces of a line that are no reason to doubt its translation."""
_SHARE_REPEATING = 0.1
"""Share of lines that repeat themselves from which on a remedy is worth naming."""
_MOST_SHOWN = 60  # characters of an example
_REMARKS = {
    "unseen": "characters that the model never saw",
    "unknown": "words that the model hardly knows",
    "too_long": "more than all that the model was trained on, perhaps cut short",
    "too_short": "a translation that is too short to say everything",
    "lost": "a number or an address lost",
    "repeats": "repetitions (try --no-repeat-ngram 3, or train longer)",
}

_logger = logging.getLogger(__name__)


class Remarks:
    """Counts lines whose translations are to be doubted.

    Args:
        options: of the search; where it forbids repetitions, none are counted.
        is_translation: whether repetitions are faults; tags may well repeat themselves.
    """

    def __init__(self, options: "SearchConfig", *, is_translation: bool = True) -> None:
        self._options = options
        self._counts_loops = is_translation and not options.no_repeat_ngram
        self._lines = self._short_lists = 0
        self._counts = dict.fromkeys(_REMARKS, 0)
        self._examples: dict[str, str] = {}

    def add(self, translation: "Translation") -> None:
        """Count a line; the next one has the next number."""
        from nmt.evaluation.collapse import repeats_itself

        self._lines += 1
        if translation.unseen:
            self._count("unseen", " ".join(f'"{character}"' for character in translation.unseen))
        elif translation.unknown_pieces > _MOST_UNKNOWN:
            self._count("unknown", f"{translation.unknown_pieces} unknown pieces")
        if len(translation.hypotheses) < self._options.n_best and translation.log_prob < 0:
            self._short_lists += 1
        if translation.too_long:
            self._count("too_long", translation.source)
        if translation.too_short:
            self._count("too_short", translation.source)
        if translation.lost:
            self._count("lost", " ".join(translation.lost))
        if (
            self._counts_loops
            and repeats_itself(translation.text)
            and not repeats_itself(translation.source)
        ):
            self._count("repeats", translation.text)

    def report(self) -> None:
        """Log all that was found in one warning, with the first example of each kind."""
        if self._counts["repeats"] < _SHARE_REPEATING * self._lines:
            self._counts["repeats"] = 0
        found = [
            f"{self._share(self._counts[kind])}: {text}, e.g. {self._examples[kind]}"
            for kind, text in _REMARKS.items()
            if self._counts[kind]
        ]
        if found:
            _logger.warning("%s", "; ".join(found))
        if self._short_lists:
            _logger.warning(
                "%s: fewer than %s different translations; a larger --beam may find more",
                self._share(self._short_lists),
                f"{self._options.n_best:,}",
            )

    def _share(self, count: int) -> str:
        """Return how many of the lines: `2 of 7 lines`, `1 of 1 line`."""
        return f"{count:,} of {self._lines:,} line{'s' * (self._lines != 1)}"

    def _count(self, kind: str, example: str) -> None:
        self._counts[kind] += 1
        if len(example) > _MOST_SHOWN:
            example = f"{example[:_MOST_SHOWN]}..."
        self._examples.setdefault(kind, f"line {self._lines:,}: {example}")
