import io
import json
import sys
from pathlib import Path

import pytest

from nmt.cli.main import run
from nmt.text.subword import Subword

LINES = ["der große Hund", "die Katze  läuft", "", "ein Hund 😀"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "subword.model"
    Subword.train(LINES * 9, path, kind="unigram", vocab_size=320)
    return path


@pytest.fixture
def tokenize(monkeypatch, capsysbinary):
    def call(model: Path, *options: str, lines: list[str]) -> list[str]:
        data = "".join(f"{line}\n" for line in lines).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert run(["tokenize", str(model), *options]) == 0
        return capsysbinary.readouterr().out.decode().split("\n")[:-1]

    return call


def test_text_becomes_pieces(model, tokenize):
    subword = Subword.load(model)
    pieces = tokenize(model, lines=LINES)
    assert pieces == [" ".join(subword.pieces(subword.encode(line))) for line in LINES]


@pytest.mark.parametrize("options", [[], ["--ids"], ["--sample", "0.2"]])
def test_pieces_become_the_same_text(options, model, tokenize):
    pieces = tokenize(model, *options, lines=LINES)
    back = [option for option in options if option == "--ids"]
    assert tokenize(model, "--decode", *back, lines=pieces) == LINES


def test_ids_are_numbers(model, tokenize):
    ids = tokenize(model, "--ids", lines=LINES)
    assert [list(map(int, line.split())) for line in ids] == [
        Subword.load(model).encode(line) for line in LINES
    ]


def test_a_seed_fixes_random_segmentations(model, tokenize):
    sample = ["--sample", "0.2", "--ids"]
    first = tokenize(model, *sample, "--seed", "1", lines=LINES)
    assert tokenize(model, *sample, "--seed", "1", lines=LINES) == first
    assert tokenize(model, *sample, "--seed", "2", lines=LINES) != first


@pytest.mark.parametrize("place", ["model", "data", "."])
def test_a_folder_knows_how_text_is_normalised(place, model, tmp_path, tokenize):
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    (folder / "subword.model").write_bytes(model.read_bytes())
    name = "manifest.json" if place == "data" else "config.json"
    normalization = {"unicode": "nfc", "whitespace": True}
    (folder / name).write_text(json.dumps({"normalization": normalization}))
    messy, clean = [" der   große\tHund "], ["der große Hund"]
    assert tokenize(tmp_path, lines=messy) == tokenize(model, lines=clean)


def test_a_side_chooses_between_two_models(tmp_path, tokenize):
    for side, line in (("source", "Hund"), ("target", "dog")):
        path = tmp_path / f"{side}.model"
        Subword.train([line] * 5, path, kind="word", vocab_size=20)
    (tmp_path / "config.json").write_text('{"normalization": {}}')
    assert tokenize(tmp_path, lines=["Hund dog"]) == ["▁Hund <unk>"]
    assert tokenize(tmp_path, "--side", "target", lines=["Hund dog"]) == ["<unk> ▁dog"]


@pytest.mark.parametrize(
    ("options", "line", "message"),
    [
        ([], "▁ nonsense", "stdin:1: `nonsense` is not a piece of this model"),
        (["--ids"], "5 x", "stdin:1: `x` is not an id from 0 to "),
        (["--ids"], "99999", "stdin:1: `99999` is not an id from 0 to "),
    ],
)
def test_what_cannot_be_decoded_is_named(options, line, message, model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    assert run(["tokenize", str(model), "--decode", *options]) == 3
    assert message in capsys.readouterr().err


def test_sampling_while_decoding_is_refused(model, capsys):
    assert run(["tokenize", str(model), "--decode", "--sample", "0.1"]) == 2
    assert "leave one out" in capsys.readouterr().err


def test_a_folder_without_a_model_ends_with_4(tmp_path, capsys):
    assert run(["tokenize", str(tmp_path)]) == 4
    assert "holds no subword.model or source.model" in capsys.readouterr().err
