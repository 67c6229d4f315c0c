"""What a tune found: a table, how it compares with chance, and the best configuration."""

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from nmt.config.changes import changes
from nmt.config.dump import dump
from nmt.config.experiment import Experiment
from nmt.run_folder.journal import format_duration, read_metrics
from nmt.run_folder.layout import METRICS
from nmt.text.columns import align_columns
from nmt.training.state import BLEU_NOISE
from nmt.tuning.record import BASELINE, Record, folder_of
from nmt.tuning.space import Load, label

_SCORES = (("loss_per_word", 3), ("bleu", 1), ("chrf", 1))


def figures(record: Record, folder: Path) -> list[dict[str, Any]]:
    """Return the figures of each run, best first; only runs of the last rung were translated."""
    finalists = {each.run: each for each in record.finalists}
    rows: list[dict[str, Any]] = []
    for run, combination in enumerate(record.runs):
        entries = read_metrics(folder_of(folder, run) / METRICS)
        rungs = [rung for rung in record.rungs if run in rung.losses]
        final = finalists.get(run)
        rows.append(
            {
                "run": folder_of(folder, run).name,
                "settings": {name: label(choice) for name, choice in combination.items()},
                "rungs": len(rungs),
                "updates": entries[-1]["update"] if entries else 0,
                "seconds": record.seconds(run),
                "loss_per_word": rungs[-1].losses[run] if rungs else None,
                "bleu": final.bleu if final else None,
                "chrf": final.chrf if final else None,
                "p_value": final.p_value if final else None,
                "failure": record.failures.get(run),
            }
        )
    return sorted(
        rows,
        key=lambda row: (-row["rungs"], -(row["chrf"] or 0), row["loss_per_word"] or math.inf),
    )


def table(record: Record, folder: Path) -> str:
    """Return a line for each run, best first."""
    cells = [["run", "rungs", "updates", "time", f"loss/{record.unit}", "BLEU", "chrF"]]
    settings = ["settings"]
    for row in figures(record, folder):
        time, updates = format_duration(row["seconds"]), f"{row['updates']:,}"
        shown = (_shown(row[key], digits) for key, digits in _SCORES)
        cells.append([row["run"], str(row["rungs"]), updates, time, *shown])
        name = ", ".join(f"{key} {value}" for key, value in row["settings"].items())
        settings.append(row["failure"] or name or "as configured")
    lines = zip(align_columns(cells), settings, strict=True)
    return "\n".join(f"{line}  {text}" for line, text in lines)


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def remarks(record: Record) -> Iterator[str]:
    """Yield how the best run compares with the configuration itself, and both with chance."""
    found = {each.run: each for each in record.finalists}
    if found and all(each.bleu < BLEU_NOISE for each in found.values()):
        yield (
            f"BLEU is below {BLEU_NOISE:g}, so the loss decided: these models are too young to "
            "translate; give a larger --budget"
        )
    elif record.best == BASELINE:
        yield "no run was better than the configuration itself"
    elif record.best in found and BASELINE in found:
        new, old = found[record.best], found[BASELINE]
        yield (
            f"chrF {new.chrf:.1f}, BLEU {new.bleu:.1f}; as configured, after the same time: "
            f"chrF {old.chrf:.1f}, BLEU {old.bleu:.1f} (paired bootstrap: p = {new.p_value:.3f})"
        )
        if new.p_value is not None and new.p_value >= 0.05:
            yield "this difference may be chance; a larger --budget would tell"
    losses = record.rungs[0].losses
    if record.repeat is not None and losses[record.repeat] is not None:
        yield (
            f"with another seed alone, the loss per {record.unit} of the first rung was "
            f"{losses[record.repeat]:.3f} instead of {losses[BASELINE]:.3f}: differences of this "
            "size may be chance"
        )


def gain(record: Record, name: str) -> str:
    """Return the mean loss of the first rung with the best run's choice of a setting, and without
    any."""
    best = record.runs[record.best or BASELINE]
    losses = [
        (record.runs[run].get(name), loss)
        for run, loss in record.rungs[0].losses.items()
        if loss is not None and run != record.repeat
    ]
    with_it = [loss for choice, loss in losses if choice == best[name]]
    without = [loss for choice, loss in losses if choice is None]
    return (
        f"loss per {record.unit} {fmean(with_it):.3f} in {len(with_it)} with it, "
        f"{fmean(without):.3f} in {len(without)} without"
    )


def tuned(record: Record, load: Load, experiment: Experiment) -> str:
    """Return the best configuration as TOML, with what changed and what it gained at its head.

    Args:
        record: of a tune that is done.
        load: loads the configuration that was tuned.
        experiment: the best one, with paths of data as they are to be written.
    """
    best = record.best or BASELINE
    lines = [
        f"By `nmt tune` in {format_duration(record.seconds())}: the best of {len(record.runs)} "
        f"configurations, run-{best:02d}, {record.name(best)}",
        *(f"- {remark}" for remark in remarks(record)),
    ]
    for name, choice in record.runs[best].items():
        lines.append(f"{name}: in the runs of the first rung, {gain(record, name)}")
        lines += [f"- {change}" for change in changes(load(()), load(choice))]
    return "".join(f"# {line}\n" for line in lines) + f"\n{dump(experiment)}"
