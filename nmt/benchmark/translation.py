"""Translation speed, from text to text."""

from collections.abc import Sequence
from itertools import cycle, islice

from nmt.benchmark.windows import measure
from nmt.config.search import change_search
from nmt.translator import Translator

BEAMS, BATCHES = (1, 5), (1, 64)
_BATCHES_AT_ONCE = 2  # lines are sorted by length across these batches, as in a long file
_LEAST_LINES = 8


def measure_translation(
    translator: Translator,
    lines: Sequence[str],
    *,
    beam: int,
    batch: int,
    windows: int,
    seconds: float,
) -> list[float]:
    """Return target tokens per second in each window, with end symbols.

    Args:
        translator: uses word pieces, so a translation has as many pieces as words.
        lines: text to translate, repeated when it is exhausted.
        beam: beam size; 1 = greedy.
        batch: sentences translated together.
        windows: number of windows.
        seconds: minimum length of a window, which consists of whole batches.
    """
    options = change_search(translator.options, {"beam": beam})
    rest = cycle(lines)

    def work() -> int:
        some = list(islice(rest, max(_LEAST_LINES, _BATCHES_AT_ONCE * batch)))
        return sum(
            len(translation.text.split()) + translation.finished
            for translation in translator.translate(some, options=options, batch_size=batch)
        )

    work()  # warm-up: kernels are compiled
    return measure(work, windows=windows, seconds=seconds)
