import json
import math
import subprocess
import sys

import pytest
import torch

from nmt.errors import DivergenceError, ModelError, UsageError
from nmt.reporting.curves import Curves, table
from nmt.reporting.overview import overview
from nmt.run_folder.journal import Journal, UpdateReport, ValidationReport
from nmt.storage.files import write_json
from nmt.storage.tensors import save_arrays, save_tensors


def write_run(run, validations=3, *, every=100, best=200):
    run.mkdir()
    (run / "config.toml").touch()
    with Journal(run) as journal:
        for update in range(every // 2, every * validations + every, every // 2):
            journal.report(
                UpdateReport(
                    update,
                    epoch=update / 1000,
                    loss=3.0,
                    tokens_per_second=8140,
                    learning_rate=1e-3,
                    gradient_norm=0.5,
                    clip_norm=1.0,
                    clipped=0.25,
                    reference_probability=None,
                    skipped=0,
                    seconds=update,
                    eta=None,
                )
            )
            if update % every == 0 and update <= every * validations:
                is_best = update <= best
                journal.report(
                    ValidationReport(
                        update,
                        loss=2.0,
                        bleu=update / 10,
                        chrf=None,
                        loss_per_word=2.5,
                        is_best=is_best,
                        seconds=1.0,
                    )
                )
    return run


def test_the_table_has_a_line_per_validation_with_its_training_figures(tmp_path):
    run = write_run(tmp_path / "run")
    assert table(Curves.of(run)) == "\n".join(
        [
            "update  epoch  train ppl  norm  clipped     rate  tok/s  valid ppl  BLEU  chrF",
            "   100    0.1       20.1  0.50      25%  1.0e-03  8,140        7.4  10.0     -",
            "   200    0.2       20.1  0.50      25%  1.0e-03  8,140        7.4  20.0     -  *",
            "   300    0.3       20.1  0.50      25%  1.0e-03  8,140        7.4  30.0     -",
            "   350    0.3       20.1  0.50      25%  1.0e-03  8,140          -     -     -",
        ]
    )


def test_the_table_of_a_language_model_shows_perplexity_per_word_instead_of_scores():
    report = {"update": 5, "loss": 1.0, "is_best": True, "loss_per_word": math.log(7.0)}
    lines = table(Curves([], [report | {"bleu": None, "chrf": None}])).splitlines()
    assert lines[0].split()[-2:] == ["per", "word"]
    assert lines[1].split()[-2:] == ["7.0", "*"]
    in_characters = Curves([], [report | {"bleu": None, "chrf": None}], unit="character")
    assert table(in_characters).splitlines()[0].split()[-2:] == ["per", "character"]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_long_table_keeps_first_best_and_last(tmp_path, rows):
    lines = table(Curves.of(write_run(tmp_path / "run", 40, best=1700)), rows=rows).split("\n")
    updates = [line.split()[0] for line in lines[1:]]
    assert updates[0] == "100"
    assert updates[-1] == "4,050"
    assert any(line.endswith("*") for line in lines)
    assert len(updates) <= rows + 2


def test_a_run_without_metrics_has_no_curves(tmp_path):
    curves = Curves.of(tmp_path)
    assert curves == Curves([], [])
    assert curves.best is None


def test_curves_and_overview_do_not_import_torch():
    code = (
        "import sys, nmt.reporting.plot, nmt.reporting.samples, nmt.reporting.overview; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_overview_names_sizes_data_and_checkpoints(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "model").mkdir()
    save_tensors(run / "model" / "model.safetensors", {"w": torch.ones(20, 10), "b": torch.ones(7)})
    (run / "data" / "train").mkdir(parents=True)
    counts = {"pairs": 28987, "source_tokens": 400000, "target_tokens": 410000}
    save_arrays(run / "data" / "train" / "index.safetensors", {}, counts)
    (run / "last").write_text("checkpoints/update-000300\n")
    (run / "best").write_text("checkpoints/update-000200\n")
    assert overview(run, Curves.of(run)).splitlines() == [
        f"run     {run}",
        f"config  {run}/config.toml",
        "data    train 28,987 pairs, 400,000 source and 410,000 target pieces",
        f"model   207 weights, 956 B in {run}/model/model.safetensors",
        "train   350 updates, 0.3 epochs, 05:50, 0 skipped",
        f"last    {run}/checkpoints/update-000300",
        f"best    {run}/checkpoints/update-000200",
    ]


def test_updates_after_the_last_report_are_counted(tmp_path):
    run = write_run(tmp_path / "run")  # its last report is of update 350
    (run / "checkpoints" / "update-000400").mkdir(parents=True)
    state = {"update": 400, "seconds": 402.0, "skipped": 3, "tokens": 9}
    write_json(run / "checkpoints" / "update-000400" / "state.json", state)
    (run / "last").write_text("checkpoints/update-000400\n")
    expected = "train   400 updates, 0.4 epochs, 06:42, 3 skipped"
    assert expected in overview(run, Curves.of(run)).splitlines()

    (run / "metrics.jsonl").unlink()  # of a run too short for a report
    expected = "train   400 updates, 06:42, 3 skipped"
    assert expected in overview(run, Curves.of(run)).splitlines()

    write_json(run / "checkpoints" / "update-000400" / "state.json", state | {"update": 1})
    assert "train   1 update, 06:42, 3 skipped" in overview(run, Curves.of(run)).splitlines()


@pytest.mark.parametrize("state", [b"\xff", b"3", b'{"update": "x", "seconds": 1, "skipped": 0}'])
def test_the_overview_skips_a_damaged_checkpoint(tmp_path, state):
    run = write_run(tmp_path / "run")
    (run / "checkpoints" / "update-000400").mkdir(parents=True)
    (run / "checkpoints" / "update-000400" / "state.json").write_bytes(state)
    (run / "last").write_bytes(b"checkpoints/update-000400\n")
    (run / "best").write_bytes(b"\xff\0\n")
    lines = overview(run, Curves.of(run)).splitlines()
    assert "train   350 updates, 0.3 epochs, 05:50, 0 skipped" in lines
    assert f"best    {run}/\ufffd\0" in lines


def test_the_overview_names_a_damaged_model(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "model").mkdir(exist_ok=True)
    (run / "model" / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(ModelError, match=r"model\.safetensors: is not a readable safetensors file"):
        overview(run, Curves.of(run))


def test_a_folder_that_is_not_a_run_is_refused(tmp_path):
    text = r"is not a run folder, it has no config\.toml; name one written by `nmt train`\.$"
    with pytest.raises(UsageError, match=text):
        overview(tmp_path, Curves([], []))


DAMAGED = [
    b"[" * 50_000,
    b'{"kind": "valid", "update": "many"}',
    b'{"kind": "update", "update": 100, "loss": "low"}',
    b'{"kind": "valid", "update": 100, "bleu": [1]}',
    b"{}",
    b"3",
    b"null",
]


def test_damaged_entries_are_left_out(tmp_path):
    run = write_run(tmp_path / "run")
    expected = table(Curves.of(run))
    with (run / "metrics.jsonl").open("ab") as file:
        file.writelines(line + b"\n" for line in DAMAGED)
    assert table(Curves.of(run)) == expected


@pytest.mark.parametrize(("kind", "columns"), [("update", 5), ("valid", 8)])
def test_missing_values_of_an_entry_are_shown_as_dashes(tmp_path, kind, columns):
    run = tmp_path
    (run / "config.toml").touch()
    (run / "metrics.jsonl").write_text(f'{{"kind": "{kind}", "update": 100}}\n')
    curves = Curves.of(run)
    assert table(curves).splitlines()[1].split() == ["100"] + ["-"] * columns
    assert "config" in overview(run, curves)


def test_what_was_not_finite_is_shown_as_nan(tmp_path):
    entry = {"kind": "update", "update": 7, "loss": None, "gradient_norm": None, "clipped": None}
    scores = {"kind": "valid", "update": 7, "loss": 2.0, "bleu": 1.0, "chrf": None}
    lines = [json.dumps(each) for each in (entry, scores)]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, ""]))
    titles, row = table(Curves.of(tmp_path)).splitlines()
    assert titles.split()[1:5] == ["epoch", "train", "ppl", "norm"]
    assert row.split() == ["7", "-", "nan", "nan", "-", "-", "7.4", "1.0", "-"]


def test_a_validation_does_not_repeat_the_training_figures_of_an_earlier_one(tmp_path):
    report = {"kind": "update", "update": 400, "epoch": 1.0, "loss": 0.0}
    rows = [report, *({"kind": "valid", "update": update, "bleu": 1.0} for update in (420, 421))]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    _, first, second = table(Curves.of(tmp_path)).splitlines()
    assert first.split()[:3] == ["420", "1.0", "1.0"]
    assert second.split()[:3] == ["421", "-", "-"]


def test_before_the_first_validation_every_report_has_a_line_and_scores_no_columns(tmp_path):
    run = write_run(tmp_path / "run", validations=0, every=200)
    titles, *lines = table(Curves.of(run)).splitlines()
    assert titles.split() == ["update", "epoch", "train", "ppl", "norm", "clipped", "rate", "tok/s"]
    assert [line.split()[0] for line in lines] == ["100"]


def test_the_probability_of_scheduled_sampling_has_a_column_where_it_is_used(tmp_path):
    entry = {"kind": "update", "update": 7, "reference_probability": 0.953}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(entry) + "\n")
    titles, row = table(Curves.of(tmp_path)).splitlines()
    assert titles.split()[5] == "eps"
    assert "0.95" in row


def test_a_divergence_is_recorded_and_shown(tmp_path):
    error = DivergenceError("update 350: the loss is nan", "lower the rate", update=350)
    run = write_run(tmp_path / "run")
    with pytest.raises(DivergenceError), Journal(run, resumed_at=350):
        raise error
    curves = Curves.of(run)
    assert curves.diverged == 350
    assert "train   diverged at update 350" in overview(run, curves).splitlines()
