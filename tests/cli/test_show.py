import pytest
import typer
from typer.testing import CliRunner

from nmt.cli.show import show
from nmt.errors import UsageError
from nmt.run_folder.samples import keep_text, keep_translations

METRICS = (
    '{"kind": "update", "update": 50, "epoch": 0.5, "loss": 2.0, "seconds": 9, "skipped": 1}\n'
    '{"kind": "valid", "update": 50, "loss": 1.0, "bleu": 12.3, "chrf": null, "is_best": true}\n'
)


@pytest.fixture
def invoke():
    app = typer.Typer()
    app.command()(show)
    return lambda *arguments: CliRunner().invoke(
        app, [str(argument) for argument in arguments], catch_exceptions=True
    )


def test_a_run_is_shown_on_stdout(tmp_path, invoke):
    (tmp_path / "config.toml").touch()
    (tmp_path / "metrics.jsonl").write_text(METRICS)
    result = invoke(tmp_path)
    assert result.exit_code == 0
    assert f"config  {tmp_path}/config.toml" in result.stdout
    assert "train   50 updates, 0.5 epochs, 00:09, 1 skipped" in result.stdout
    assert result.stdout.splitlines()[-1].split() == [
        *["50", "0.5", "7.4", "-", "-", "-", "2.7", "12.3", "-", "*"]
    ]


def test_a_run_that_has_not_started_is_reported_as_such(tmp_path, invoke):
    (tmp_path / "config.toml").touch()
    assert "no metrics yet" in invoke(tmp_path).stdout


def test_the_curves_are_drawn_on_request(tmp_path, invoke, caplog):
    caplog.set_level("INFO")
    pytest.importorskip("matplotlib")
    (tmp_path / "config.toml").touch()
    (tmp_path / "metrics.jsonl").write_text(METRICS)
    assert invoke(tmp_path, "--plot", tmp_path / "out.svg").exit_code == 0
    assert f"wrote {tmp_path}/out.svg" in caplog.messages
    assert (tmp_path / "out.svg").stat().st_size > 1000


def test_the_name_of_a_picture_is_checked_before_anything_is_printed(tmp_path, invoke):
    (tmp_path / "config.toml").touch()
    (tmp_path / "metrics.jsonl").write_text(METRICS)
    result = invoke(tmp_path, "--plot", tmp_path / "a.jpg")
    assert isinstance(result.exception, UsageError)
    assert result.stdout == ""


def test_samples_are_shown_on_request(tmp_path, invoke):
    (tmp_path / "config.toml").touch()
    (tmp_path / "metrics.jsonl").write_text(METRICS)
    keep_text(tmp_path, [("a cat", "un gatto")])
    keep_translations(tmp_path, 50, ["il gatto"])
    assert "source" not in invoke(tmp_path).stdout
    lines = invoke(tmp_path, "--samples", 3).stdout.splitlines()
    assert lines[-2:] == ["reference   un gatto", "       50*  il gatto"]


def test_a_checkpoint_stands_for_its_run(tmp_path, invoke):
    (tmp_path / "config.toml").touch()
    checkpoint = tmp_path / "checkpoints" / "update-000050"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").touch()
    result = invoke(checkpoint, tmp_path)
    assert result.exit_code == 0
    assert f"config  {tmp_path}/config.toml" in result.stdout


def test_a_folder_without_a_run_is_a_usage_error(tmp_path, invoke):
    error = invoke(tmp_path / "absent").exception
    assert isinstance(error, UsageError)
    assert "is not a run folder" in str(error)
