"""A corpus and a model small enough to train within a test."""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.config.experiment import Experiment
from nmt.config.load import load, resolve_paths

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = """
[data]
source = "xx"
target = "yy"
train = ["train.xx", "train.yy"]
valid = ["valid.xx", "valid.yy"]

[tokenizer]
kind = "word"
vocab_size = 30
byte_fallback = false

[model]
dropout = 0.1
embedding.size = 12
encoder.hidden_size = 8
decoder.hidden_size = 16

[training]
batch_tokens = 60
max_updates = 20
learning_rate = 0.01
log_every = 1
save_every = 1000
threads = 1
device = "cpu"
precision = "fp32"

[validation]
every = 1000
"""


def write_corpus(
    folder: Path,
    *,
    pairs: int = 60,
    task: str = "copy",
    seed: int = 1,
    shortest: int = 2,
    longest: int = 6,
    letters: str = "abcdefghij",
) -> Path:
    """Write text files of a task over some letters, and a configuration; return its path."""
    chance = random.Random(seed)
    for part, size in (("train", pairs), ("valid", 10)):
        sources = [
            chance.choices(letters, k=chance.randint(shortest, longest)) for _ in range(size)
        ]
        targets = [line[::-1] if task == "reverse" else line for line in sources]
        for suffix, lines in (("xx", sources), ("yy", targets)):
            text = "".join(" ".join(line) + "\n" for line in lines)
            (folder / f"{part}.{suffix}").write_text(text)
    path = folder / "tiny.toml"
    path.write_text(CONFIG)
    return path


def tiny(folder: Path, *overrides: str) -> Experiment:
    """Return the tiny experiment; its corpus is written if it is not there."""
    path = folder / "tiny.toml"
    if not path.exists():
        write_corpus(folder)
    return resolve_paths(load(path, overrides), folder)


def train_tiny(folder: Path, *overrides: str, run: str = "run") -> Path:
    """Train the tiny experiment to its end; return the run folder."""
    from nmt.training.run import RunOptions, run_training  # imports torch

    assert run_training(tiny(folder, *overrides), folder / run, RunOptions()) == 0
    return folder / run


def entries(run: Path, kind: str = "update") -> list[dict[str, Any]]:
    """Return the entries of a run's metrics of one kind: "update", "valid" or "diverged"."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def weights_after(run: Path, update: int) -> "dict[str, Tensor]":
    """Return the weights of a checkpoint."""
    from nmt.storage.tensors import load_tensors  # imports torch

    return load_tensors(run / f"checkpoints/update-{update:06d}" / "model.safetensors")
