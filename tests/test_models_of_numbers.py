"""Numbers as the source: vectors and real-valued sequences, read as they are."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import CONFIG, tiny

from nmt.cli.main import run as nmt
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.config.model import ModelConfig
from nmt.data.batch import make_batch
from nmt.errors import ConfigError, DataError, UsageError
from nmt.models.build import build_model
from nmt.models.folder import load_model, load_model_folder
from nmt.models.weights import weights_of
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

VECTOR = (
    'model.encoder={kind="numbers", features=4, reader={kind="bag"}}',
    "model.decoder.attention=none",
    "model.dropout=0",
    "training.max_updates=8",
)
COLOURS, COUNTS = ("red", "green", "blue"), ("one", "two", "three")


def pictures(count: int, *, seed: int = 1) -> list[tuple[str, str]]:
    """Return a vector of a colour and a number of balls, with noise, and its description."""
    chance, found = random.Random(seed), []
    for _ in range(count):
        colour, balls = chance.randrange(3), chance.randrange(3)
        vector = [float(colour == place) for place in range(3)] + [(balls - 1.0)]
        noisy = ",".join(f"{value + chance.uniform(-0.1, 0.1):.3f}" for value in vector)
        there = f"there {'is' if balls == 0 else 'are'} {COUNTS[balls]} {COLOURS[colour]}"
        found.append((noisy, f"{there} {'ball' if balls == 0 else 'balls'} ."))
    return found


def write(folder: Path, pairs: list[tuple[str, str]], valid: list[tuple[str, str]]) -> None:
    for part, lines in (("train", pairs), ("valid", valid)):
        for suffix, side in zip(("xx", "yy"), zip(*lines, strict=True), strict=True):
            (folder / f"{part}.{suffix}").write_text("".join(f"{line}\n" for line in side))
    text = CONFIG.replace("encoder.hidden_size = 8\n", "")
    (folder / "tiny.toml").write_text(text)


def described(folder: Path, *overrides: str) -> Experiment:
    write(folder, pictures(300), pictures(20, seed=2))
    return tiny(folder, *VECTOR, *overrides)


def test_a_vector_becomes_a_sentence_that_describes_it(tmp_path):
    experiment = described(
        tmp_path,
        "training.max_updates=80",
        "training.batch_tokens=600",
        "training.learning_rate=0.03",
        "model.initialization=xavier",
        "model.decoder.cell=gru",
        "model.decoder.hidden_size=32",
    )
    run_training(experiment, tmp_path / "run", RunOptions())
    sources, references = zip(*pictures(100, seed=3), strict=True)
    found = [each.text for each in Translator.load(tmp_path / "run").translate(sources)]
    assert found == list(references)


def test_a_batch_holds_numbers_padded_with_zeros():
    long, short = np.ones((3, 2), np.float32), np.full((1, 2), 0.5, np.float32)
    target = np.array([4, 3])
    batch = make_batch([(long, target), (short, target)], [0, 1], round_rows=lambda rows: rows + 1)
    assert batch.source.dtype == torch.float32
    assert batch.source.shape == (3, 3, 2)
    assert batch.source_mask.sum(dim=1).tolist() == [3, 1, 1]
    assert batch.source[1].tolist() == [[0.5, 0.5], [0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("reader", ["recurrent", "convolutional", "bag"])
def test_sentences_of_numbers_are_read_alone_as_in_a_batch(reader):
    config = {
        "encoder": {"kind": "numbers", "features": 3, "reader": {"kind": reader}},
        "decoder": {"kind": "label"},
    }
    model = build_model(ModelConfig.model_validate(config), source_vocab=8, target_vocab=8)
    model.double().eval()
    mask = torch.tensor([[True, True, True], [True, False, False]])
    numbers = torch.randn(2, 3, 3) * mask.unsqueeze(-1)
    together = model.encode(numbers, mask).summary
    alone = model.encode(numbers[1:, :1], mask[1:, :1]).summary
    torch.testing.assert_close(together[1:], alone)
    if reader == "bag":
        torch.testing.assert_close(alone[0].float(), numbers[1, 0])


def test_numbers_are_read_exactly_and_not_as_pieces(tmp_path):
    run_training(described(tmp_path), tmp_path / "run", RunOptions())
    loaded = load_model_folder(tmp_path / "run")
    assert loaded.source is loaded.target
    assert not any("embedding" in name for name in weights_of(loaded.model) if "encoder" in name)
    translator = Translator.load(tmp_path / "run", fast=False)
    first, second = translator.score([("0.10001,0,0,0", "there is"), ("0.10002,0,0,0", "there is")])
    assert first.log_prob != second.log_prob


def test_fast_and_exact_and_plain_translations_agree(tmp_path):
    reader = 'model.encoder.reader={kind="recurrent", hidden_size=16}'
    run_training(described(tmp_path, reader), tmp_path / "run", RunOptions())
    lines = [line + " 1,2,3,4" * (number % 3) for number, (line, _) in enumerate(pictures(9))]
    plain = Translator.load(tmp_path / "run", fast=False)
    fast = Translator.load(tmp_path / "run")
    expected = [each.text for each in plain.translate(lines)]
    assert [each.text for each in fast.translate(lines)] == expected
    assert [each.text for each in fast.translate(lines, exact=True)] == expected


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    run_training(described(tmp_path), tmp_path / "whole", RunOptions())
    run_training(described(tmp_path, "training.max_updates=4"), tmp_path / "parts", RunOptions())
    run_training(described(tmp_path), tmp_path / "parts", RunOptions())
    whole, parts = (
        weights_of(load_model(tmp_path / name, "last").model) for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1,2,x,4", '"x" is not a finite number; write numbers such as 0.5 or -1e-3'),
        ("1,2,3,4 5", r'position 2, "5", has 1 numbers, not 4'),
    ],
)
def test_bad_numbers_are_refused_with_their_line(tmp_path, line, fault, capsys):
    experiment = described(tmp_path)
    with (tmp_path / "train.xx").open("a") as source, (tmp_path / "train.yy").open("a") as target:
        source.write(f"{line}\n")
        target.write("a\n")
    text = rf"{tmp_path}/train.xx:301: {fault}; model.encoder.features is 4 \(1 of 301 lines"
    with pytest.raises(DataError, match=text):
        run_training(experiment, tmp_path / "run", RunOptions())
    run_training(described(tmp_path), tmp_path / "run", RunOptions())
    (tmp_path / "lines").write_text(f"1,2,3,4\n{line}\n")
    assert nmt(["translate", str(tmp_path / "run"), "-i", str(tmp_path / "lines")]) == 3
    assert f"error: line 2: {fault}; correct the line." in capsys.readouterr().err


def test_numbers_cannot_be_aligned_or_explained(tmp_path):
    run_training(
        described(tmp_path, "model.decoder.attention=general"), tmp_path / "run", RunOptions()
    )
    text = r"run: reads numbers, so there are no words to align; leave alignments out\.$"
    with pytest.raises(UsageError, match=text):
        Translator.load(tmp_path / "run").translate(["1,2,3,4"], align=True)
    text = r"the model reads numbers, which have no pieces to show; name a model of text\.$"
    with pytest.raises(UsageError, match=text):
        Translator.load(tmp_path / "run").explain("1,2,3,4")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.decoder=aligned",
            'model.decoder.kind: "aligned" needs source words, but model.enc',
        ),
        ("model.embedding.tied=all", 'model.embedding.tied: "all" needs source pieces, but model'),
        (
            "tokenizer.sampling=0.1",
            'tokenizer.sampling: must be 0 with model.encoder.kind "numbers',
        ),
        ("model.encoder.features=0", "model.encoder.features: must be at least 1, got 0"),
    ],
)
def test_options_that_contradict_numbers_are_named(tmp_path, override, message):
    write(tmp_path, pictures(3), pictures(3))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "tiny.toml", [VECTOR[0], override])
    assert message in str(caught.value)
