"""Check that a translation does not depend on the other sentences in its batch.

    .venv/bin/python recipes/invariance.py runs/multi30k-en-de recipes/multi30k-en-de/data/test.en
    .venv/bin/python recipes/invariance.py RUN FILE int8

Translates a file with batches of 1, 7 and 64 sentences and in shuffled order, greedily and with a
beam of 5, in default and exact mode, and counts the lines that are the same every time. A line that
differs must be a near-tie: translations whose scores differ by at most 1e-5.
"""

import argparse
import random
import sys
from pathlib import Path
from typing import get_args

from nmt.config.search import change_search
from nmt.text.lines import read_lines
from nmt.translator import Precision, Translation, Translator

NEAR_TIE = 1e-5


def variants(
    translator: Translator, lines: list[str], *, beam: int, exact: bool
) -> list[list[Translation]]:
    """Translate with each batch size, and once in shuffled order."""
    options = change_search(translator.options, {"beam": beam})
    found = [
        list(translator.translate(lines, options=options, batch_size=size, exact=exact))
        for size in (64, 7, 1)
    ]
    order = list(range(len(lines)))
    random.Random(1).shuffle(order)
    shuffled = translator.translate([lines[i] for i in order], options=options, exact=exact)
    back = dict(zip(order, shuffled, strict=True))
    return [*found, [back[i] for i in range(len(lines))]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="run or model folder")
    parser.add_argument("file", type=Path, help="text to translate")
    parser.add_argument("precision", nargs="?", choices=get_args(Precision), default="fp32")
    given = parser.parse_args()
    translator = Translator.load(given.run, precision=given.precision)
    lines = list(read_lines(given.file))
    failed = False
    for exact in (False, True):
        for beam in (1, 5):
            found = variants(translator, lines, beam=beam, exact=exact)
            rows = list(zip(*found, strict=True))
            differing = [row for row in rows if len({t.text for t in row}) > 1]
            same = [row for row in rows if len({t.text for t in row}) == 1]
            log_prob = max(max(t.log_prob for t in r) - min(t.log_prob for t in r) for r in same)
            print(
                f"{'exact' if exact else 'default'}  beam {beam}  identical {len(same)} of "
                f"{len(lines)}  largest difference in log-probability {log_prob:.2e}"
            )
            for row in differing:
                scores = [t.score for t in row]
                gap = max(scores) - min(scores)
                kind = "a near-tie" if gap <= NEAR_TIE else "NOT a near-tie"
                print(
                    f"  {kind}, scores {gap:.1e} apart: "
                    + " | ".join(sorted({t.text for t in row}))
                )
                failed |= gap > NEAR_TIE
            failed |= bool(differing) and (exact or len(differing) > len(lines) // 1000)
            failed |= exact and log_prob > 0.0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
