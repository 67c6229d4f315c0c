"""Training from Python; `nmt` itself exports these functions."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from nmt.config.experiment import Experiment
from nmt.config.load import load, resolve_paths
from nmt.run_folder.layout import MODEL
from nmt.training.run import RunOptions, run_training


def load_config(path: Path | str, changes: Sequence[str] = ()) -> Experiment:
    """Return the configuration in a TOML file, with absolute paths of data.

    Args:
        path: the file; relative paths in it start at its folder.
        changes: such as "training.seed=2", as by `nmt train --set`.

    Raises:
        ConfigError: the file cannot be read, or has wrong keys or values (one line for each).
    """
    return resolve_paths(load(Path(path), changes), Path(path).parent)


def train(
    config: Experiment | Path | str,
    run: Path | str,
    *,
    resume: Literal["auto", "never", "must"] = "auto",
    max_time: str | None = None,
    start_from: Path | str | None = None,
) -> Path:
    """Train a model, or resume its run, and return its model folder.

    In the main thread, SIGTERM and Ctrl-C first save a checkpoint, and are then raised again for
    the program around this call. The number of threads is set only while training.

    Args:
        config: from `load_config`, or its file.
        run: the run folder; created if it is missing.
        resume: "auto" resumes if there is a checkpoint, "never" and "must" insist.
        max_time: validate, save and return within a time such as "55m".
        start_from: run or model folder whose weights a new run begins with.

    Raises:
        UsageError: the configuration or the run folder does not allow it.
        DataError: a text file cannot be used.
        DivergenceError: training diverged.
        ResourceError: the disk is full, or memory is too small.
    """
    experiment = config if isinstance(config, Experiment) else load_config(config)
    origin = None if start_from is None else Path(start_from)
    code = run_training(
        experiment, Path(run), RunOptions(resume=resume, max_time=max_time, start_from=origin)
    )
    if code:
        signal.raise_signal(code - 128)
    return Path(run) / MODEL
