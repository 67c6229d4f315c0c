"""The translations of a few sentences over the validations of a run."""

from pathlib import Path

from nmt.reporting.curves import Curves, thinned
from nmt.run_folder.samples import choose_samples, kept_text, kept_translations
from nmt.text.columns import printable


def samples_over_time(run: Path, curves: Curves, *, count: int, rows: int = 0) -> str:
    """Return `count` sentences of the validation text with their translations, update by update.

    They are those that the log shows if it shows as many; `*` marks the best validation.

    Args:
        run: the run folder.
        curves: its validations.
        count: number of sentences.
        rows: maximum number of validations, as in the table; 0 = all.
    """
    samples = choose_samples(kept_text(run), count)
    best = curves.best["update"] if curves.best else None
    translated = [
        (entry["update"], lines)
        for entry in thinned(curves.validations, rows, best)
        if (lines := kept_translations(run, entry["update"]))
    ]
    if not samples or not translated:
        return "no sample translations yet"
    blocks = []
    for sample in samples:
        named = [("source", sample.source), ("reference", sample.reference)]
        for update, lines in translated:
            mark = "*" if update == best else " "
            text = lines[sample.line - 1] if sample.line <= len(lines) else "-"
            named.append((f"{update:>9,}{mark}", text))
        width = max(len(name) for name, _ in named)
        rows_of_text = [f"{name:<{width}}  {printable(text)}".rstrip() for name, text in named]
        blocks.append("\n".join([f"line {sample.line:,}", *rows_of_text]))
    return "\n\n".join(blocks)
