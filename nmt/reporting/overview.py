"""The contents of a run folder in a few lines."""

import math
from pathlib import Path
from typing import Any

from nmt.data.corpus import INDEX
from nmt.data.folder import HELD_OUT
from nmt.errors import ModelError, UsageError
from nmt.models.checkpoints import STATE, WEIGHTS
from nmt.reporting.curves import Curves
from nmt.run_folder.journal import format_duration
from nmt.run_folder.layout import CONFIG, DATA, MODEL
from nmt.storage.files import read_json
from nmt.storage.os_errors import format_size
from nmt.storage.tensors import load_metadata, tensor_shapes


def overview(run: Path, curves: Curves) -> str:
    """Return configuration, sizes, data and checkpoints of a run, one line each.

    Raises:
        UsageError: `run` is not a run folder.
        ModelError: its model is damaged.
    """
    config = run / CONFIG
    if not config.is_file():
        raise UsageError(
            f"{run}: is not a run folder, it has no config.toml; name one written by `nmt train`."
        )
    lines = [f"run     {run}", f"config  {config}"]
    lines += [f"data    {text}" for text in _data(run)]
    lines += [f"model   {text}" for text in _model(run)]
    lines += [f"train   {text}" for text in _training(run, curves)]
    if curves.diverged is not None:
        lines.append(f"train   diverged at update {curves.diverged:,}")
    for pointer in ("last", "best"):
        if (run / pointer).is_file():
            lines.append(f"{pointer}    {_pointed_to(run, pointer)}")
    return "\n".join(lines)


def _training(run: Path, curves: Curves) -> list[str]:
    """Return the counters of the last checkpoint, or of the last report before there is one."""
    report = curves.updates[-1] if curves.updates else None
    made = _last_state(run) or report
    if made is None:
        return []
    # A checkpoint counts updates, not passes: these are estimated from the last report.
    epochs = ""
    if report and report["epoch"] is not None and report["update"]:
        epochs = f"{report['epoch'] * made['update'] / report['update']:.1f} epochs, "
    updates = "1 update" if made["update"] == 1 else f"{made['update']:,} updates"
    return [
        f"{updates}, {epochs}{format_duration(made['seconds'] or 0)}, "
        f"{made['skipped'] or 0} skipped"
    ]


def _pointed_to(run: Path, pointer: str) -> Path:
    """Return the checkpoint that a file of the run names, which may not exist."""
    return run / (run / pointer).read_text("utf-8", errors="replace").strip()


def _last_state(run: Path) -> dict[str, Any] | None:
    """Return the counters of the checkpoint that `last` points to."""
    if not (run / "last").is_file():
        return None
    try:
        state = read_json(_pointed_to(run, "last") / STATE)
        made = {key: state[key] for key in ("update", "seconds", "skipped")}
        return made if all(map(math.isfinite, made.values())) else None
    except (ModelError, KeyError, TypeError, OverflowError):
        return None  # missing or damaged; `nmt train` explains


def _data(run: Path) -> list[str]:
    """Return a line for each prepared corpus of the run."""
    lines = []
    for name in ("train", "valid"):
        try:
            counts = load_metadata(run / DATA / name / INDEX)
            pairs, source, target = (
                counts[key] for key in ("pairs", "source_tokens", "target_tokens")
            )
            if source == pairs:  # only end symbols: a language model
                lines.append(f"{name} {pairs:,} lines, {target:,} pieces")
            else:
                lines.append(
                    f"{name} {pairs:,} pairs, {source:,} source and {target:,} target pieces"
                )
        except (ModelError, ValueError, KeyError, TypeError):
            continue  # missing or damaged; `nmt train` explains
        if name == "valid" and (run / DATA / HELD_OUT[1]).exists():
            lines[-1] += f", held out from the training files in {run / DATA / HELD_OUT[1]}"
    return lines


def _model(run: Path) -> list[str]:
    """Return the size of the shipped model, or of the last checkpoint before there is one."""
    files = [run / MODEL / WEIGHTS]
    if (run / "last").is_file():
        files.append(_pointed_to(run, "last") / WEIGHTS)
    for file in files:
        if file.is_file():
            weights = sum(map(math.prod, tensor_shapes(file).values()))
            return [f"{weights:,} weights, {format_size(file.stat().st_size)} in {file}"]
    return []
