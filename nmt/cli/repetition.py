"""One warning after a translation whose lines repeat themselves."""

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the translator imports torch
    from nmt.config.search import SearchConfig
    from nmt.translator import Translation

log = logging.getLogger(__name__)

_FEWEST_LINES = 3
_SHARE = 0.1


def watch_repetition(
    translations: Iterable["Translation"], options: "SearchConfig"
) -> Iterator["Translation"]:
    """Yield `translations`; at the end, name the option against repetition if many need it.

    What the source repeats as well does not count.
    """
    from nmt.evaluation.collapse import repeats_itself

    lines = repeating = 0
    for translation in translations:
        yield translation
        lines += 1
        if not options.no_repeat_ngram and repeats_itself(translation.text):
            repeating += not repeats_itself(translation.source)
    if repeating >= max(_FEWEST_LINES, _SHARE * lines):
        log.warning(
            "%s of %s translations repeat themselves; try --no-repeat-ngram 3, or train longer",
            f"{repeating:,}",
            f"{lines:,}",
        )
