"""Write the toy corpus: sentences drawn from the grammar with a fixed seed, byte for byte the same.

    python data/toy/generate.py              rewrite train, dev and test next to this file
    python data/toy/generate.py --check      only compare the files with what would be written

No English or Italian sentence occurs twice in the whole corpus, so no dev or test sentence is in
train. A second translation of the same English sentence would be a bug in the grammar, and stops
the program.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import grammar
import lexicon
from dice import Dice
from grammar import Action
from lexicon import Phrase
from speaker import Speaker

SEED = 1
SIZES = {"test": 500, "dev": 500, "train": 20_000}
"""Pairs per part, in the order they are drawn."""

EXAMPLE = grammar.statement(
    grammar.clause(
        grammar.noun_phrase(lexicon.noun("cat"), "a"),
        Action(lexicon.verb("eat"), grammar.noun_phrase(lexicon.noun("mouse"), "a"), tense="past"),
    )
)
"""A cat ate a mouse: the first test sentence."""


def sentences(seed: int) -> Iterator[Phrase]:
    """Yield an endless stream of sentence pairs; both sides differ from those of earlier pairs."""
    speaker = Speaker(Dice(seed))
    translations, italian = {EXAMPLE.english: EXAMPLE.italian}, {EXAMPLE.italian}
    yield EXAMPLE
    while True:
        said = speaker.sentence()
        known = translations.get(said.english)
        if known not in (None, said.italian):
            raise ValueError(f"{said.english!r} has two translations: {known!r}, {said.italian!r}")
        if known is None and said.italian not in italian:
            translations[said.english] = said.italian
            italian.add(said.italian)
            yield said


def corpus(seed: int = SEED) -> dict[str, bytes]:
    """Return the content of each corpus file by name."""
    stream = sentences(seed)
    files = {}
    for part, size in SIZES.items():
        pairs = list(islice(stream, size))
        files[f"{part}.en"] = "".join(f"{pair.english}\n" for pair in pairs).encode()
        files[f"{part}.it"] = "".join(f"{pair.italian}\n" for pair in pairs).encode()
    return files


def main() -> int:
    """Write or compare the files; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the toy corpus.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="default: folder of this program"
    )
    options = parser.parse_args()
    for name, content in corpus(options.seed).items():
        path = options.out / name
        if not options.check:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            print(f"{path}: differs from what generate.py writes; run it again", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
