"""Translate a file with nmt and print the time, without loading."""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from nmt.machine import keep_memory

keep_memory()  # before torch is imported, like the nmt command

from nmt.config.search import change_search  # noqa: E402
from nmt.text.lines import read_lines  # noqa: E402
from nmt.text.subword import Subword  # noqa: E402
from nmt.translator import Translator  # noqa: E402


def note_pieces(subword: Subword) -> list[list[str]]:
    """Return a list that receives the pieces of each translation when they are joined.

    Segmenting the text again would count other pieces: a model with little training does not always
    output the segmentation of its own text.
    """
    found: list[list[str]] = []
    decode = subword.decode

    def noting(ids: Iterable[int]) -> str:
        listed = list(ids)
        found.append(subword.pieces(listed))
        return decode(listed)

    subword.decode = noting  # type: ignore[method-assign]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--beam", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--shortlist", type=int, required=True)
    given = parser.parse_args()
    translator = Translator.load(
        given.run, device="cpu", precision=given.precision, threads=given.threads
    )
    changes = {
        "beam": given.beam,
        "max_length_factor": 0.0,
        "max_length_offset": given.max_length,
        "shortlist": given.shortlist,
    }
    options = change_search(translator.options, changes)
    lines = list(read_lines(given.source))
    found = note_pieces(translator.target)
    began = time.monotonic()
    translations = list(translator.translate(lines, options=options, batch_size=given.batch))
    seconds = time.monotonic() - began
    if not len(found) == len(translations) == len(lines):
        sys.exit(f"error: {len(lines)} lines, but {len(found)} were joined from pieces")
    given.output.write_text("".join(" ".join(line) + "\n" for line in found), encoding="utf-8")
    print(f"translated in {seconds:.4f} s")


if __name__ == "__main__":
    main()
