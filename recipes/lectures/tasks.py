"""Small tasks for lectures: written to text files, trained on as a user would, and scored."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

import nmt

Pair = tuple[str, str]
"""A source line and its target line."""

CONFIG = """\
[data]
source = "source"
target = "target"
train = ["train.source", "train.target"]
valid = ["valid.source", "valid.target"]
drop_held_out = true

[tokenizer]
kind = "word"
vocab_size = 400

[model]
initialization = "xavier"
embedding.size = 16

[training]
batch_tokens = 400
learning_rate = 0.02
log_every = 100
save_every = 10000
threads = {threads}
device = "cpu"
precision = "fp32"

[validation]
every = 10000
metric = "loss"
samples = 0
"""


def train(
    folder: Path, pairs: Sequence[Pair], changes: Sequence[str], *, updates: int
) -> nmt.Translator:
    """Train a model in `folder` on pairs of lines, and return it.

    Args:
        folder: for the texts, the configuration `config.toml` and the run.
        pairs: the last tenth is held out to validate on.
        changes: of the configuration, as by `nmt train --set`.
        updates: number of updates.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held_out = len(pairs) // 10
    for name, lines in (("train", pairs[:-held_out]), ("valid", pairs[-held_out:])):
        for side, texts in zip(("source", "target"), zip(*lines, strict=True), strict=True):
            (folder / f"{name}.{side}").write_text("\n".join([*texts, ""]), encoding="utf-8")
    path = folder / "config.toml"
    path.write_text(CONFIG.format(threads=torch.get_num_threads()), encoding="utf-8")
    config = nmt.load_config(path, [*changes, f"training.max_updates={updates}"])
    shutil.rmtree(folder / "run", ignore_errors=True)  # of another scale, or of other texts
    return nmt.Translator.load(nmt.train(config, folder / "run"))


def exact(model: nmt.Translator, pairs: Sequence[Pair]) -> float:
    """Return the share of lines that a model gets right, in per cent."""
    sources, references = zip(*pairs, strict=True)
    found = [each.text for each in model.translate(sources)]
    return 100 * sum(map(str.__eq__, found, references)) / len(pairs)
