"""Several runs beside each other: where their configurations differ, and how they learned."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nmt.config.changes import Change, changes
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.errors import UsageError
from nmt.reporting.curves import Curves, Entry, thinned
from nmt.run_folder.journal import format_duration, format_perplexity
from nmt.run_folder.layout import CONFIG
from nmt.text.columns import align_columns

_SCORES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("BLEU", "bleu", lambda value: f"{value:.1f}"),
    ("chrF", "chrf", lambda value: f"{value:.1f}"),
    ("valid ppl", "loss", format_perplexity),
)


def names_of(runs: Sequence[Path]) -> list[str]:
    """Return a short name for each run: its folder's, or its whole path if two are called alike."""
    short = [run.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else list(map(str, runs))


def differences(runs: Mapping[str, Path]) -> str:
    """Return a table of the keys whose values differ between runs; text files count by name.

    Raises:
        UsageError: a folder is not a run.
        ConfigError: a configuration cannot be read.
    """
    experiments = {name: _configuration(run) for name, run in runs.items()}
    first, *others = experiments.values()
    found = [{change.key: change for change in changes(first, other)} for other in others]
    rows = [["", *experiments]]
    for key in dict.fromkeys(key for each in found for key in each):
        rows.append([key, *_values(key, found)])
    return "\n".join(align_columns(rows)) if len(rows) > 1 else "the configurations are the same"


def _values(key: str, found: Sequence[Mapping[str, Change]]) -> list[str]:
    """Return the value of a key in each run, of which some have that of the first."""
    same = next(each[key].old_text for each in found if key in each)
    return [same, *(each[key].new_text if key in each else same for each in found)]


def _configuration(run: Path) -> Experiment:
    if not (run / CONFIG).is_file():
        raise UsageError(
            f"{run}: is not a run folder, it has no config.toml; name one written by `nmt train`."
        )
    return load(run / CONFIG)


def best_of_each(curves: Mapping[str, Curves]) -> str:
    """Return a table of each run's best validation, the time until then, and where it diverged."""
    scores = [
        score
        for score in _SCORES
        if any(each.best and each.best[score[1]] is not None for each in curves.values())
    ]
    rows = [["", "best at", "after", *(title for title, _, _ in scores), ""]]
    for name, each in curves.items():
        best = each.best or {}
        rows.append(
            [
                name,
                f"{best['update']:,}" if best else "-",
                _time_until(each, best["update"]) if best else "-",
                *(_shown(best.get(key), show) for _, key, show in scores),
                "" if each.diverged is None else f"diverged at {each.diverged:,}",
            ]
        )
    return "\n".join(line.rstrip() for line in align_columns(rows))


def _time_until(curves: Curves, update: int) -> str:
    """Return the training time until an update, as far as it was logged."""
    seconds = [each["seconds"] for each in curves.updates if each["update"] <= update]
    return format_duration(seconds[-1]) if seconds and seconds[-1] is not None else "-"


def side_by_side(curves: Mapping[str, Curves], *, rows: int = 0) -> str:
    """Return a table of all validations, with a column for each run.

    It has the score that all of them measured: BLEU, else chrF, else the perplexity.

    Args:
        curves: of each run, by name.
        rows: maximum number of rows, see `thinned`.
    """
    validations = [each.validations for each in curves.values()]
    title, key, show = next(
        (score for score in _SCORES if all(_measures(score[1], each) for each in validations)),
        _SCORES[-1],
    )
    columns = [{entry["update"]: entry.get(key) for entry in each} for each in validations]
    updates: list[Entry] = [{"update": number} for number in sorted(set().union(*columns))]
    cells = [[f"{title} at update", *curves]]
    for update in (entry["update"] for entry in thinned(updates, rows, None)):
        values = [_shown(column.get(update), show) for column in columns]
        cells.append([f"{update:,}", *values])
    return "\n".join(align_columns(cells))


def _measures(key: str, validations: Sequence[Entry]) -> bool:
    return any(entry.get(key) is not None for entry in validations)


def _shown(value: float | None, show: Callable[[Any], str]) -> str:
    return "-" if value is None else show(value)
