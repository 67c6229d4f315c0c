"""Sample translations: some validation sentences, the same at every validation of a run.

The folder `valid/` of a run keeps the text that is translated, source.txt and reference.txt, and
its translations, one file per validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.run_folder.layout import VALIDATIONS
from nmt.storage.files import write_text
from nmt.storage.folders import make_folder
from nmt.text.columns import shorten
from nmt.text.lines import read_lines
from nmt.text.scripts import has_visible

_WIDTH = 100  # columns of a line in the log
_SOURCE, _REFERENCE = "source.txt", "reference.txt"


@dataclass(frozen=True)
class Sample:
    """One sentence whose translations are shown."""

    line: int
    """Its line number in the text that is translated, from 1."""
    source: str
    reference: str

    def lines(self, translation: str) -> list[str]:
        """Return source, reference and translation for the log, cut to its width."""
        named = {"source": self.source, "reference": self.reference, "translation": translation}
        return [shorten(f"  {name:<11}  {text}", _WIDTH) for name, text in named.items()]


def choose_samples(pairs: Sequence[tuple[str, str]], count: int) -> list[Sample]:
    """Return `count` different sentences of a text, spread evenly over its lengths, short to long.

    Pairs with an empty side are left out. Fewer are returned if there are no more.
    """
    first: dict[str, Sample] = {}
    for line, (source, reference) in enumerate(pairs, start=1):
        if has_visible(source) and has_visible(reference):
            first.setdefault(source, Sample(line, source, reference))
    by_length = sorted(first.values(), key=lambda sample: (len(sample.source), sample.line))
    if len(by_length) <= count:
        return by_length
    return [by_length[(2 * n + 1) * len(by_length) // (2 * count)] for n in range(count)]


def keep_text(run: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """Write the sources and references that are translated, unless they are there already."""
    if kept_text(run) == list(pairs):
        return
    folder = make_folder(run / VALIDATIONS)
    for name, lines in zip((_SOURCE, _REFERENCE), zip(*pairs, strict=True), strict=True):
        write_text(folder / name, "\n".join([*lines, ""]))


def kept_text(run: Path) -> list[tuple[str, str]]:
    """Return the sources and references that a run kept; none if there are none."""
    source, reference = (run / VALIDATIONS / name for name in (_SOURCE, _REFERENCE))
    if not (source.is_file() and reference.is_file()):
        return []
    return list(zip(read_lines(source), read_lines(reference), strict=False))


def keep_translations(run: Path, update: int, hypotheses: Sequence[str]) -> None:
    """Write the translations of a validation."""
    make_folder(run / VALIDATIONS)
    write_text(_translations(run, update), "\n".join([*hypotheses, ""]))


def kept_translations(run: Path, update: int) -> list[str]:
    """Return the translations after an update; none if there are none."""
    file = _translations(run, update)
    return list(read_lines(file, bad_lines="replace")) if file.is_file() else []


def _translations(run: Path, update: int) -> Path:
    return run / VALIDATIONS / f"update-{update:06d}.hyp"
