"""Several runs side by side: what differs, the best of each, and their validations."""

from pathlib import Path

import pytest
from test_curves import write_run
from typer.testing import CliRunner

from nmt.cli.main import app
from nmt.config.dump import dump
from nmt.config.load import load
from nmt.errors import UsageError
from nmt.reporting.comparison import best_of_each, differences, names_of, side_by_side
from nmt.reporting.curves import Curves

CONFIG = '[data]\nsource = "en"\ntarget = "it"\ntrain = ["a", "b"]\nvalid = ["c", "d"]\n'


def configured(folder: Path, *changes: str, **options: int) -> Path:
    run = write_run(folder, **options)
    template = folder.parent / "template.toml"
    template.write_text(CONFIG)
    (run / "config.toml").write_text(dump(load(template, list(changes))))
    return run


@pytest.fixture
def runs(tmp_path):
    return {
        "lstm": configured(tmp_path / "lstm"),
        "gru": configured(
            tmp_path / "gru", "model.encoder.cell=gru", "training.seed=2", every=200, best=400
        ),
    }


def test_only_what_differs_is_listed(runs, tmp_path):
    lines = [line.split() for line in differences(runs).splitlines()]
    assert lines == [
        ["lstm", "gru"],
        ["model.encoder.cell", '"lstm"', '"gru"'],
        ["training.seed", "1", "2"],
    ]
    third = configured(tmp_path / "third", "training.seed=3")
    rows = differences(runs | {"third": third}).splitlines()
    assert rows[-1].split() == ["training.seed", "1", "2", "3"]
    assert rows[1].split() == ["model.encoder.cell", '"lstm"', '"gru"', '"lstm"']


def test_equal_configurations_are_said_to_be_the_same(runs):
    assert differences({"a": runs["gru"], "b": runs["gru"]}) == "the configurations are the same"


def test_the_best_of_each_run_comes_with_its_time(runs):
    curves = {name: Curves.of(run) for name, run in runs.items()}
    assert [line.split() for line in best_of_each(curves).splitlines()] == [
        ["best", "at", "after", "BLEU", "valid", "ppl"],
        ["lstm", "200", "03:20", "20.0", "7.4"],
        ["gru", "400", "06:40", "40.0", "7.4"],
    ]
    broken = {"a": Curves([], [], diverged=7)}
    assert best_of_each(broken).splitlines()[1].split() == ["a", "-", "-", "diverged", "at", "7"]


def test_validations_stand_side_by_side_where_both_runs_had_one(runs):
    curves = {name: Curves.of(run) for name, run in runs.items()}
    assert [line.split() for line in side_by_side(curves).splitlines()] == [
        ["BLEU", "at", "update", "lstm", "gru"],
        ["100", "10.0", "-"],
        ["200", "20.0", "20.0"],
        ["300", "30.0", "-"],
        ["400", "-", "40.0"],
        ["600", "-", "60.0"],
    ]


def test_a_score_that_one_run_lacks_is_replaced_by_the_perplexity(runs):
    curves = {name: Curves.of(run) for name, run in runs.items()}
    for entry in curves["gru"].validations:
        entry["bleu"] = None
    assert side_by_side(curves).splitlines()[0].startswith("valid ppl at update")


def test_runs_with_the_same_name_are_told_apart_by_their_paths():
    assert names_of([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert names_of([Path("/x/a"), Path("/y/a")]) == ["/x/a", "/y/a"]


def test_the_command_compares_and_draws(runs, tmp_path):
    pytest.importorskip("matplotlib")
    command = ["show", *map(str, runs.values()), "--plot", str(tmp_path / "a.svg")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    for part in ("model.encoder.cell", "best at", "BLEU at update"):
        assert part in result.stdout
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_a_folder_without_a_run_and_samples_of_several_runs_are_refused(runs, tmp_path):
    with pytest.raises(UsageError, match="none: is not a run folder"):
        differences({"a": runs["gru"], "none": tmp_path / "none"})
    result = CliRunner().invoke(app, ["show", *map(str, runs.values()), "--samples", "2"])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == (
        "--samples: is for a single run; name one, or leave --samples out."
    )
