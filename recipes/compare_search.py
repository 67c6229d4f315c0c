r"""Compare search options: scores and time of one model, or an ensemble, on the same text.

    .venv/bin/python recipes/compare_search.py runs/multi30k-en-de \
        recipes/multi30k-en-de/data/dev.en recipes/multi30k-en-de/data/dev.de \
        "" "stop=best" "beam=10 stop=best" "mbr=chrf" "sample=true candidates=30 mbr=chrf"

Each further argument is a variant: options of `[search]` that differ from those of the model
folder, with spaces between them, or none. Each is run once after a warm-up, in the order given. The
columns are BLEU, chrF, how many lines have a higher and a lower log-probability per piece than with
the first variant, and seconds. Options are chosen on development data.
"""

import argparse
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from nmt.config.search import SearchConfig, change_search
from nmt.errors import NmtError
from nmt.evaluation.metrics import score
from nmt.text.columns import align_columns
from nmt.text.lines import read_lines
from nmt.translator import Translator

WARM_UP = 64
"""Lines that are translated before the clock starts."""


def read_variant(text: str, options: SearchConfig) -> SearchConfig:
    """Return options with the changes that `text` names, such as "beam=10 stop=best"."""
    changes: dict[str, object] = {}
    for part in text.split():
        name, _, value = part.partition("=")
        try:
            changes[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[name] = value
    return change_search(options, changes)


def mean_log_probs(translator: Translator, lines: list[str], texts: list[str]) -> list[float]:
    """Return the log-probability per piece of each translation, whatever search found it."""
    return [pair.mean for pair in translator.score(zip(lines, texts, strict=True))]


def compare(
    translator: Translator, lines: list[str], references: list[str], variants: Sequence[str]
) -> list[str]:
    """Return the lines of the table."""
    rows = [["variant", "BLEU", "chrF", "higher", "lower", "seconds"]]
    first: list[float] = []
    for variant in variants:
        options = read_variant(variant, translator.options)
        list(translator.translate(lines[:WARM_UP], options=options))
        started = time.perf_counter()
        texts = [found.text for found in translator.translate(lines, options=options)]
        seconds = time.perf_counter() - started
        means = mean_log_probs(translator, lines, texts)
        first = first or means
        pairs = list(zip(means, first, strict=True))
        values = [each.value for each in score(texts, references, ("bleu", "chrf"))]
        rows.append(
            [
                variant or "(as in the model folder)",
                *(f"{value:.2f}" for value in values),
                str(sum(mean > before + 1e-4 for mean, before in pairs)),
                str(sum(mean < before - 1e-4 for mean, before in pairs)),
                f"{seconds:.1f}",
            ]
        )
    return align_columns(rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description="Compare search options.")
    parser.add_argument("run", help="run or model folder; several, with commas, are an ensemble")
    parser.add_argument("source", type=Path, help="text to translate")
    parser.add_argument("reference", type=Path, help="its reference")
    parser.add_argument("variants", nargs="+", help='such as "beam=10 stop=best"; "" = no change')
    parser.add_argument("--rescore", action="append", default=[], help="see nmt translate")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 = all cores")
    options = parser.parse_args(arguments)
    try:
        translator = Translator.load(
            options.run.split(","), threads=options.threads, rescorers=options.rescore
        )
        sides = [list(read_lines(path)) for path in (options.source, options.reference)]
        print("\n".join(compare(translator, *sides, options.variants)))
    except NmtError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
