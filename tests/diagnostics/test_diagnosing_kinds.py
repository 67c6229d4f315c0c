"""Models that label, tag or predict numbers are diagnosed as translation models are."""

from pathlib import Path

import pytest

from nmt.cli.main import run as nmt
from nmt.config.experiment import Experiment
from nmt.config.load import load, resolve_paths
from nmt.errors import DataError
from nmt.training.run import RunOptions, run_training

KINDS = {
    "label": ('model.decoder={kind="label"}', "a b c", "x"),
    "aligned": ('model.decoder={kind="aligned"}', "a b c", "x y z"),
    "numbers": (
        'model={decoder={kind="label"}, output={kind="numbers"}, encoder={kind="numbers", '
        'features=2, reader={kind="recurrent", hidden_size=4}}}',
        "1,2 3,4 5,6",
        "0.5",
    ),
}
CONFIG = """
[data]
source = "xx"
target = "yy"
train = ["text.xx", "text.yy"]
valid = ["text.xx", "text.yy"]

[tokenizer]
kind = "word"
vocab_size = 12

[training]
max_updates = 1
threads = 1
device = "cpu"

[validation]
metric = "loss"
"""


def experiment_of(folder: Path, kind: str) -> Experiment:
    setting, source, target = KINDS[kind]
    (folder / "text.xx").write_text(f"{source}\n" * 4)
    (folder / "text.yy").write_text(f"{target}\n" * 4)
    (folder / "config.toml").write_text(CONFIG)
    size = [] if kind == "numbers" else ["model.encoder.hidden_size=4"]
    return resolve_paths(load(folder / "config.toml", [setting, *size]), folder)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_encoder_from_validation_lines_and_from_others(tmp_path, kind, capsys):
    run = str(tmp_path / "run")
    run_training(experiment_of(tmp_path, kind), tmp_path / "run", RunOptions())
    files = ["--source", str(tmp_path / "text.xx"), "--target", str(tmp_path / "text.yy")]
    printed = []
    for options in ([], files):
        assert nmt(["diagnose", "gradients", run, *options]) == 0
        printed.append(capsys.readouterr().out)
    assert "encoder 1 forward" in printed[0]
    assert "nan" not in printed[0]
    assert printed[0] == printed[1]


@pytest.mark.parametrize("kind", KINDS)
def test_lines_that_do_not_fit_are_refused(tmp_path, kind, capsys):
    run_training(experiment_of(tmp_path, kind), tmp_path / "run", RunOptions())
    (tmp_path / "text.yy").write_text("one two three four\n" * 4)
    files = ["--source", str(tmp_path / "text.xx"), "--target", str(tmp_path / "text.yy")]
    code = nmt(["diagnose", "gradients", str(tmp_path / "run"), *files])
    assert code == DataError.exit_code
    assert "error: the target `one two three four`: has 4 words" in capsys.readouterr().err


def test_there_is_no_exposure_where_nothing_is_read_back(tmp_path, capsys):
    run_training(experiment_of(tmp_path, "label"), tmp_path / "run", RunOptions())
    assert nmt(["explain", str(tmp_path / "run"), "a b"]) == 2
    text = "so there is no search to explain; its probabilities are printed by `nmt score`."
    assert text in capsys.readouterr().err
    assert nmt(["diagnose", "exposure", str(tmp_path / "run")]) == 2
    text = (
        "does not read what it writes, so there is nothing to compare; measure it by `nmt "
        "evaluate`, or name a translation model."
    )
    assert text in capsys.readouterr().err
