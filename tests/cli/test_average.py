import shutil

import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

from nmt.cli.average import average
from nmt.config.training import SgdConfig
from nmt.errors import ModelError, UsageError
from nmt.storage.checksums import verify_checksums
from nmt.storage.files import write_text
from nmt.storage.folders import new_folder
from nmt.storage.tensors import load_tensors, save_tensors
from nmt.training.checkpoint import Trainee, prune_checkpoints, save_checkpoint
from nmt.training.optimizer import MovingAverage, build_optimizer
from nmt.training.state import Best, Stopping, TrainingState


def make_run(run, *, ema=False):
    """Checkpoints 1, 2, 3 with weights 1, 2, 6; their moving averages are ten times that."""
    model = nn.Linear(2, 2)
    trainee = Trainee(
        model,
        build_optimizer(SgdConfig(), model.parameters(), 0.1),
        MovingAverage(model, 0.9) if ema else None,
    )
    stopping = Stopping((Best(2, 30.0), Best(3, 20.0)))
    for update, value in ((1, 1.0), (2, 2.0), (3, 6.0)):
        for parameter in model.parameters():
            nn.init.constant_(parameter, value)
        if trainee.average is not None:
            trainee.average.restore({n: 10 * w for n, w in model.state_dict().items()})
        save_checkpoint(run, trainee, TrainingState(update=update, stopping=stopping), [])
    with new_folder(run / "model") as folder:
        save_tensors(folder / "model.safetensors", model.state_dict())
        write_text(folder / "config.json", "{}\n")
        write_text(folder / "README.md", "# A model\n")
    return run


@pytest.fixture
def invoke(tmp_path):
    app = typer.Typer()
    app.command()(average)

    def run(*arguments):
        result = CliRunner().invoke(app, [*map(str, arguments), "-o", str(tmp_path / "out")])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        verify_checksums(tmp_path / "out")
        weights = load_tensors(tmp_path / "out" / "model.safetensors")
        assert weights["bias"].tolist() == weights["weight"][0].tolist()
        return weights["bias"][0].item()

    return run


@pytest.mark.parametrize(
    ("choice", "mean"),
    [
        ([], 4.0),
        (["--best", "1"], 2.0),
        (["--last", "2"], 4.0),
        (["--last", "3"], 3.0),
        (["1", "update-000003"], 3.5),
        (["1", "{run}/checkpoints/update-000003"], 3.5),
    ],
)
def test_the_chosen_checkpoints_are_averaged(tmp_path, invoke, choice, mean):
    run = make_run(tmp_path / "run")
    assert invoke(run, *(name.format(run=run) for name in choice)) == mean


def test_what_was_written_is_named(tmp_path, invoke, caplog):
    caplog.set_level("INFO")
    invoke(make_run(tmp_path / "run"))
    assert caplog.messages == [
        f"wrote {tmp_path}/out, the mean of update-000002, update-000003; other commands take it "
        "instead of the run"
    ]


def test_checkpoints_may_be_named_by_their_paths_alone(tmp_path, invoke):
    folder = make_run(tmp_path / "run") / "checkpoints"
    assert invoke(folder / "update-000001", f"{folder}/update-000003/", "2") == 3.0


def test_the_rest_of_the_model_folder_is_copied_and_the_card_gets_a_note(tmp_path, invoke):
    invoke(make_run(tmp_path / "run"), "--last", "2")
    output = tmp_path / "out"
    assert (output / "config.json").read_text() == "{}\n"
    card = (output / "README.md").read_text()
    assert card.startswith("# A model\n")
    assert "the mean of 2 checkpoints: update-000003, update-000002." in card


def test_moving_averages_are_averaged_where_the_run_ships_them(tmp_path, invoke):
    assert invoke(make_run(tmp_path / "run", ema=True), "--last", "3") == 30.0


def test_impossible_choices_are_usage_errors(tmp_path, invoke):
    run = make_run(tmp_path / "run")
    with pytest.raises(
        UsageError, match="give checkpoints, or --best, or --last, but only one of the three"
    ):
        invoke(run, "--best", "1", "--last", "1")
    with pytest.raises(
        UsageError,
        match=r"kept only 2; ask for fewer, or train with a larger training\.keep_best\.$",
    ):
        invoke(run, "--best", "5")
    with pytest.raises(UsageError, match="no checkpoint `7`; it has: update-000001, update-000002"):
        invoke(run, "7")
    with pytest.raises(UsageError, match=r"has no checkpoints to average; train it first\."):
        invoke(tmp_path / "absent")
    (tmp_path / "out").symlink_to("nowhere")
    with pytest.raises(
        UsageError, match="out: already exists; choose another name, or remove it first"
    ):
        invoke(run)


def test_a_best_checkpoint_that_was_pruned_is_not_counted(tmp_path, invoke):
    run = make_run(tmp_path / "run")
    prune_checkpoints(run, keep_last=1)
    assert invoke(run) == 6.0


def test_the_mean_of_a_single_checkpoint_is_remarked(tmp_path, invoke, caplog):
    run = make_run(tmp_path / "run")
    assert invoke(run, "--last", "2") == 4.0
    assert not caplog.text
    shutil.rmtree(tmp_path / "out")
    assert invoke(run, "last") == 6.0
    assert (
        "update-000003 is the only checkpoint to average, and the mean of one is the same weights; "
        "name more, or train with a larger training.keep_best" in caplog.text
    )


def test_a_damaged_checkpoint_is_refused_and_nothing_written(tmp_path, invoke):
    run = make_run(tmp_path / "run")
    file = run / "checkpoints" / "update-000002" / "model.safetensors"
    save_tensors(file, {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)})
    with pytest.raises(ModelError, match=r"update-000002/model\.safetensors: is damaged"):
        invoke(run)
    assert not (tmp_path / "out").exists()


def test_files_missing_from_the_manifest_are_not_shipped(tmp_path, invoke):
    run, secret = make_run(tmp_path / "run"), tmp_path / "secret"
    secret.write_text("mine")
    (run / "model" / "extra.txt").symlink_to(secret)
    (run / "model" / "notes.txt").write_text("mine, too")
    invoke(run, "--last", "2")
    names = ["README.md", "SHA256SUMS", "config.json", "model.safetensors"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
