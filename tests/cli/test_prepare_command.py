from pathlib import Path

import pytest

from nmt.cli.main import run

CONFIG = """
[data]
source = "de"
target = "en"
train = ["train.de", "train.en"]
valid = ["valid.de", "valid.en"]

[tokenizer]
vocab_size = 300
"""


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    for name, count in (("train", 40), ("valid", 5)):
        for side, word in (("de", "Hund"), ("en", "dog")):
            lines = [f"{number} {word} {name}\n" for number in range(count)]
            (tmp_path / "texts" / f"{name}.{side}").write_text("".join(lines))
    path = tmp_path / "texts" / "de-en.toml"
    path.write_text(CONFIG)
    return path


def test_prepare_says_what_it_made_and_where(config, capsys):
    assert run(["prepare", str(config)]) == 0
    shown = capsys.readouterr()
    train, valid, vocab = shown.out.splitlines()
    assert train == "train  40 pairs   40 kept"
    assert valid == "valid  5 pairs"
    assert "written to runs/de-en/data in" in vocab
    assert "training one model of 300 pieces (unigram)" in shown.err
    assert Path("runs/de-en/data/target.model").is_file()


def test_prepare_takes_a_run_folder_and_settings(config, capsys):
    arguments = ["prepare", str(config), "--run", "here/it", "--set", "tokenizer.joint=false"]
    assert run(arguments) == 0
    assert "vocab  source 2" in capsys.readouterr().out
    assert Path("here/it/data/target.model").is_file()


def test_preparing_again_is_up_to_date_and_removes_what_a_crash_left(config, capsys):
    run(["prepare", str(config)])
    stray = Path("runs/de-en/.data.0123456789ab.partial")
    stray.mkdir()
    capsys.readouterr()
    assert run(["prepare", str(config)]) == 0
    shown = capsys.readouterr()
    assert "up to date in runs/de-en/data" in shown.out
    assert shown.err == ""
    assert not stray.exists()


def test_bad_text_exits_with_3_unless_it_may_be_skipped(config, capsys):
    (config.parent / "train.en").write_bytes(b"\xff\n" + b"one dog\n" * 39)
    assert run(["prepare", str(config)]) == 3
    assert "train.en:1: byte 1 is 0xff, not UTF-8" in capsys.readouterr().err
    assert run(["prepare", str(config), "--bad-lines", "skip"]) == 0
    assert "train  39 pairs" in capsys.readouterr().out


def test_a_wrong_key_exits_with_2(config, capsys):
    assert run(["prepare", str(config), "--set", "tokenizer.vocab=9"]) == 2
    assert "vocab_size" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_data_that_a_model_was_trained_on_are_not_replaced(config, capsys):
    settings = ["--set", "model.encoder.hidden_size=4", "--set", "model.decoder.hidden_size=4"]
    settings += ["--set", "training.max_updates=1", "--set", "training.threads=1"]
    assert run(["train", str(config), *settings]) == 0
    data = Path("runs/de-en/data")
    before = {file: file.read_bytes() for file in data.rglob("*") if file.is_file()}
    Path("texts/train.en").write_text("another dog\n" * 40)
    capsys.readouterr()

    assert run(["prepare", str(config)]) == 3
    error = capsys.readouterr().err
    assert "train.en changed since the run was started" in error
    assert "or choose another --run" in error
    assert {file: file.read_bytes() for file in data.rglob("*") if file.is_file()} == before
