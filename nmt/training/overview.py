"""What is in a run folder, in a few lines."""

import json
import math
from pathlib import Path

import safetensors

from nmt.errors import UsageError
from nmt.storage import format_size
from nmt.training.curves import Curves
from nmt.training.journal import format_duration


def overview(run: Path, curves: Curves) -> str:
    """Return configuration, sizes, data and checkpoints of a run, one line each.

    Raises:
        UsageError: `run` is no run folder.
    """
    config = run / "config.toml"
    if not config.is_file():
        raise UsageError(
            f"{run}: is no run folder, it has no config.toml; name one of `nmt train`."
        )
    lines = [f"run     {run}", f"config  {config}"]
    lines += [f"data    {text}" for text in _data(run)]
    lines += [f"model   {text}" for text in _model(run)]
    if curves.updates:
        newest = curves.updates[-1]
        lines.append(
            f"train   {newest['update']:,} updates, {newest['epoch']:.1f} epochs, "
            f"{format_duration(newest['seconds'])}, {newest['skipped']} skipped"
        )
    for pointer in ("last", "best"):
        if (run / pointer).is_file():
            lines.append(f"{pointer}    {run / (run / pointer).read_text('utf-8').strip()}")
    return "\n".join(lines)


def _data(run: Path) -> list[str]:
    """Return a line for each prepared corpus of the run."""
    lines = []
    for name in ("train", "valid"):
        try:
            counts = json.loads((run / "data" / name / "manifest.json").read_bytes())
            lines.append(
                f"{name} {counts['pairs']:,} pairs, {counts['source_tokens']:,} source and "
                f"{counts['target_tokens']:,} target pieces"
            )
        except (OSError, ValueError, KeyError):
            continue  # not prepared yet, or elsewhere: `nmt train` says what is wrong with it
    return lines


def _model(run: Path) -> list[str]:
    """Return how many weights the shipped model has, or the last checkpoint before there is one."""
    files = [run / "model" / "model.safetensors"]
    if (run / "last").is_file():
        checkpoint = run / (run / "last").read_text("utf-8").strip()
        files.append(checkpoint / "model.safetensors")
    for file in files:
        if file.is_file():
            with safetensors.safe_open(str(file), framework="numpy") as tensors:
                names = tensors.keys()
                weights = sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
            return [f"{weights:,} weights, {format_size(file.stat().st_size)} in {file}"]
    return []
