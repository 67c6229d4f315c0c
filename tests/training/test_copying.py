"""Copying and pointing from files to text, with words that training never saw."""

import random
from pathlib import Path

import pytest
from tiny import CONFIG, tiny

from nmt.errors import DataError, UsageError
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

FRAMES = ("call {} now", "{} and {} wait", "now {} wait", "call {}", "wait and call {}")


def name(chance: random.Random) -> str:
    return "".join(chance.choices("bcdfglmnprst", k=5))


def sentences(count: int, seed: int) -> list[str]:
    """Return sentences with names, nearly all of which occur once."""
    chance = random.Random(seed)
    return [chance.choice(FRAMES).format(name(chance), name(chance)) for _ in range(count)]


def write(folder: Path, train: list[tuple[str, str]], valid: list[tuple[str, str]]) -> None:
    for part, pairs in (("train", train), ("valid", valid)):
        for suffix, side in zip(("xx", "yy"), zip(*pairs, strict=True), strict=True):
            (folder / f"{part}.{suffix}").write_text("".join(f"{line}\n" for line in side))
    (folder / "tiny.toml").write_text(CONFIG)


@pytest.fixture(scope="module")
def copying(tmp_path_factory) -> Path:
    """Return a run that learned to copy sentences, names included."""
    folder = tmp_path_factory.mktemp("copying")
    write(
        folder,
        [(line, line) for line in sentences(600, seed=1)],
        [(line, line) for line in sentences(20, seed=2)],
    )
    experiment = tiny(
        folder,
        "data.drop_copies=false",
        "tokenizer.vocab_size=8",
        "model.output=copy",
        "model.dropout=0.0",
        "model.encoder.hidden_size=16",
        "model.decoder.hidden_size=32",
        "training.batch_tokens=150",
        "training.max_updates=250",
        "training.log_every=100",
        "validation.every=250",
        "validation.metric=loss",
    )
    assert run_training(experiment, folder / "run", RunOptions()) == 0
    return folder / "run"


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
def test_words_never_seen_in_training_are_copied(copying, fast):
    held_out = sentences(300, seed=3)

    translations = Translator.load(copying, fast=fast).translate(held_out)

    exact = sum(translation.text == translation.source for translation in translations)
    assert exact >= 297
