"""Resuming a run with another configuration: what may change, what is refused, what is said."""

import json
from pathlib import Path

import pytest
import torch
from tiny import entries, tiny, train_tiny, weights_after

from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.config.schema import kinds, paths, table
from nmt.config.section import Resuming, key_of
from nmt.data.prepare import prepare
from nmt.errors import DataError, UsageError
from nmt.storage.checksums import write_checksums
from nmt.storage.tensors import load_tensors
from nmt.training import validator
from nmt.training.checkpoint import data_key_of
from nmt.translator import Translator


def fixed_keys(section=Experiment, prefix="", above=""):
    """Yield every key that cannot change when a run resumes, those of all kinds included."""
    for name, field in section.model_fields.items():
        marks = [mark.fixed_by for mark in field.metadata if isinstance(mark, Resuming)]
        fixed_by = marks[0] if marks else above
        children = [table(field)] if table(field) else list(kinds(field).values())
        if fixed_by and not children:
            yield prefix + key_of(name, field)
        for child in dict.fromkeys(children):
            yield from fixed_keys(child, f"{prefix}{key_of(name, field)}.", fixed_by)


def test_only_what_shapes_model_pieces_and_order_of_the_data_is_fixed():
    fixed = set(fixed_keys())
    may_change = {
        key
        for key in paths()
        if key.startswith(("model.", "data.", "tokenizer.", "normalization.", "training.seed"))
    } - fixed
    assert {key.split(".")[0] for key in fixed} == {
        *("data", "normalization", "tokenizer", "model", "training")
    }
    assert [key for key in fixed if key.startswith("training")] == ["training.seed"]
    leaves = {key for key in may_change if not any(k.startswith(f"{key}.") for k in paths())}
    assert {key for key in leaves if not key.startswith("model.dropout.")} == {
        *("data.source", "data.target", "data.train", "data.valid", "data.test"),
        *("tokenizer.from", "tokenizer.sampling", "tokenizer.sampled"),
    }


EVERYTHING = (
    "model.dropout=0.5",
    'tokenizer={kind = "word", vocab_size = 30, byte_fallback = false}',
    "training.batch_tokens=40",
    "training.accumulate=2",
    "training.max_epochs=50",
    "training.optimizer={kind = 'sgd', momentum = 0.5, weight_decay = 0.01}",
    "training.learning_rate=0.5",
    "training.schedule={kind = 'exponential', start = 4, every = 1, factor = 0.25}",
    "training.clip_norm=0.25",
    "training.label_smoothing=0.1",
    "training.l1=1e-6",
    "training.l2=1e-6",
    'training.scheduled_sampling={kind = "linear", k = 0.5, c = 0.2}',
    "training.ema=0.5",
    "training.precision=bf16",
    "training.fast=false",
    "training.log_every=2",
    "training.save_every=2",
    "training.keep_last=3",
    "training.keep_best=2",
    "training.max_skipped=3",
    "validation.every=3",
    "validation.metric=chrf",
    "validation.patience=9",
    "validation.beam=2",
    "validation.max_lines=5",
    "validation.average=2",
    "search.no_repeat_ngram=3",
)


def test_a_run_resumes_with_everything_changed_that_can_be(tmp_path, caplog):
    """And uses the new values, records them, and says each in one line."""
    train_tiny(tmp_path, "training.max_updates=2")
    run = train_tiny(tmp_path, *EVERYTHING, "training.max_updates=6")
    for line in (
        "changed  training.learning_rate: 0.01 -> 0.5",
        "changed  training.batch_tokens: 60 -> 40",
        'changed  validation.metric: "bleu" -> "chrf"',
        'changed  training.schedule: "constant" -> { kind = "exponential", start = 4, every = 1, '
        "factor = 0.25 }",
        "learning rate of update 3: 0.01 -> 0.5",
        "SGD starts afresh: the checkpoint is of another one",
        "the rest of this epoch is divided again; it still uses every pair once",
        "validation measures something else now: scoring the best checkpoints again",
    ):
        assert line in caplog.messages
    starts = json.loads((run / "manifest.json").read_text())["starts"]
    said = [line.removeprefix("changed  ") for line in caplog.messages if line[:8] == "changed "]
    assert starts[0]["changes"] == []
    assert starts[1]["changes"] == said
    assert load(run / "config.toml") == tiny(tmp_path, *EVERYTHING, "training.max_updates=6")
    rates = [entry["learning_rate"] for entry in entries(run, "update")][2:]
    assert rates == pytest.approx([0.5, 0.125, 0.125 / 4**2])  # of updates 3, 4 and 6
    checkpoint = run / "checkpoints/update-000006"
    assert (checkpoint / "ema.safetensors").exists()
    moments = load_tensors(checkpoint / "optimizer.safetensors")
    assert {name.split("/")[0] for name in moments} == {"momentum_buffer"}
    assert [entry["update"] for entry in entries(run, "valid")] == [2, 3, 6]

    before = len(caplog.messages)
    train_tiny(tmp_path, *EVERYTHING, "training.max_updates=6")
    assert not any(line.startswith("changed") for line in caplog.messages[before:])


def test_a_run_resumes_with_other_validation_files(tmp_path, caplog):
    """And scores its best checkpoints again; it trains on as if nothing had changed."""
    whole = train_tiny(tmp_path, "training.max_updates=6", run="whole")
    train_tiny(tmp_path, "training.max_updates=3")
    files = [tmp_path / "more.xx", tmp_path / "more.yy"]
    for file in files:
        text = (tmp_path / file.name.replace("more", "valid")).read_text()
        file.write_text("".join(text.splitlines(keepends=True)[:4]))
    setting = f'data.valid=["{files[0]}", "{files[1]}"]'

    run = train_tiny(tmp_path, setting, "training.max_updates=6")
    again = "validation measures something else now: scoring the best checkpoints again"
    assert again in caplog.messages
    assert "valid  4 pairs" in caplog.messages
    last = "checkpoints/update-000006/model.safetensors"
    assert (run / last).read_bytes() == (whole / last).read_bytes()

    before = len(caplog.messages)
    train_tiny(tmp_path, setting, "training.max_updates=7")
    assert again not in caplog.messages[before:]


def test_validation_files_whose_text_changes_count_as_others(tmp_path, caplog):
    """Also if the run ends before its next checkpoint, which names the former data."""
    train_tiny(tmp_path, "training.max_updates=3")
    for name in ("valid.xx", "valid.yy"):
        path = tmp_path / name
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    prepare(tiny(tmp_path), tmp_path, tmp_path / "run/data", expected_key=key_of_data(tmp_path))

    run = train_tiny(tmp_path, "training.max_updates=6")
    assert "valid  4 pairs" in caplog.messages
    assert Translator.load(run, checkpoint="3").translate(["a"])


def test_other_validation_files_are_other_data_if_their_pairs_are_dropped(tmp_path):
    train_tiny(tmp_path, "training.max_updates=3", "data.drop_held_out=true")
    (tmp_path / "valid.xx").write_text("a b c\n")
    (tmp_path / "valid.yy").write_text("a b c\n")
    with pytest.raises(DataError, match=r"valid\.xx.* changed since the run was started"):
        train_tiny(tmp_path, "training.max_updates=6", "data.drop_held_out=true")


def key_of_data(folder: Path) -> str:
    return data_key_of(folder / "run/checkpoints/update-000003")


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("model.encoder.hidden_size=12", r"model\.encoder\.hidden_size: 8 -> 12 \(the weights"),
        ("model.embedding.tied=target", r'model\.embedding\.tied: "none" -> "target" \(the weig'),
        ("model.decoder.attention=none", r'model\.decoder\.attention: "general" -> "none" \(the'),
        ("tokenizer.kind=char", r'tokenizer\.kind: "word" -> "char" \(the training data were'),
        ("normalization.unicode=off", r'normalization\.unicode: "nfc" -> "off" \(the training'),
        ("training.seed=2", r"training\.seed: 1 -> 2 \(it decides the order of the data\)"),
    ],
)
def test_what_cannot_change_is_refused_with_both_values_and_the_way_out(tmp_path, setting, line):
    """And only that: what may change is not listed."""
    run = train_tiny(tmp_path, "training.max_updates=1")
    before = (run / "config.toml").read_bytes()
    size = ["model.decoder.readout_size=12"] if "tied" in setting else []
    with pytest.raises(UsageError) as caught:
        train_tiny(tmp_path, "training.max_updates=3", "training.learning_rate=0.5", setting, *size)
    assert caught.match(rf"run: cannot resume with other values of\n(.*\n)*  {line}")
    assert caught.match(rf"Resume it as it was: nmt train {run}/config\.toml --run {run}\n")
    assert caught.match(r"Or start a new run with them: choose another --run\.$")
    assert "learning_rate" not in str(caught.value)
    assert (run / "config.toml").read_bytes() == before


def test_other_filters_are_refused_and_starting_from_the_weights_is_offered(tmp_path):
    run = train_tiny(tmp_path, "training.max_updates=1")
    with pytest.raises(
        UsageError, match=rf"choose another --run, with --from {run} to begin with the weights"
    ):
        train_tiny(tmp_path, "training.max_updates=3", "data.max_length=5")


def test_test_files_may_be_added_and_changed(tmp_path):
    train_tiny(tmp_path, "training.max_updates=1")
    (tmp_path / "test.xx").write_text("a\n" * 10)
    test = 'data.test=["test.xx", "test.yy"]'
    for updates, text in enumerate(("a\n" * 10, "b\n" * 10), start=2):
        (tmp_path / "test.yy").write_text(text)
        run = train_tiny(tmp_path, f"training.max_updates={updates}", test)
    assert load(run / "config.toml").data.test == (
        str(tmp_path / "test.xx"),
        str(tmp_path / "test.yy"),
    )
    for updates, settings in enumerate(([test], [], [test]), start=1):
        train_tiny(tmp_path, f"training.max_updates={updates}", *settings, run="tested")


def test_a_run_whose_test_files_are_its_validation_files_resumes(tmp_path):
    test = 'data.test=["valid.xx", "valid.yy"]'
    for updates in (1, 2):
        train_tiny(tmp_path, f"training.max_updates={updates}", test)


def test_more_micro_batches_change_no_result(tmp_path):
    plain = ("model.dropout=0.0", "training.optimizer=sgd", "training.learning_rate=0.1")
    whole = train_tiny(tmp_path, *plain, "training.max_updates=8", run="whole")
    train_tiny(tmp_path, *plain, "training.max_updates=3", run="pieces")
    pieces = train_tiny(
        tmp_path, *plain, "training.max_updates=8", "training.accumulate=4", run="pieces"
    )
    expected = weights_after(whole, 8)
    for name, weight in weights_after(pieces, 8).items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6)


def test_a_run_with_other_batches_goes_through_the_rest_of_its_epoch(tmp_path):
    """Half of batch_tokens: as many pairs are seen after one epoch as without the change."""
    train_tiny(tmp_path, "training.max_updates=2")
    run = train_tiny(tmp_path, "training.batch_tokens=30", "training.max_epochs=1")
    state = json.loads((sorted((run / "checkpoints").iterdir())[-1] / "state.json").read_text())
    lines = (tmp_path / "train.yy").read_text().splitlines()
    assert state["tokens"] == sum(len(line.split()) + 1 for line in lines)
    assert state["position"] == {
        "epoch": 1,
        "update_in_epoch": 0,
        "batch_tokens": 30,
        "earlier": [],
    }


def test_a_checkpoint_of_an_earlier_version_resumes_with_other_batches(tmp_path):
    """The run's configuration says for which batch_tokens the position in its state is."""
    run = train_tiny(tmp_path, "training.max_updates=2")
    checkpoint = run / "checkpoints/update-000002"
    state = json.loads((checkpoint / "state.json").read_text())
    state["position"] = {"epoch": 0, "update_in_epoch": 2}
    del state["measured_by"], state["validation_seconds"]
    (checkpoint / "state.json").write_text(json.dumps(state))
    (checkpoint / "SHA256SUMS").unlink()
    write_checksums(checkpoint)
    run = train_tiny(
        tmp_path, "training.batch_tokens=30", "training.max_updates=3", "validation.beam=2"
    )
    state = json.loads((run / "checkpoints/update-000003/state.json").read_text())
    assert state["position"]["earlier"] == [{"batch_tokens": 60, "updates": 2}]
    assert "beam" in state["measured_by"]


def test_a_moving_average_that_is_turned_on_begins_with_the_weights(tmp_path):
    train_tiny(tmp_path, "training.max_updates=3")
    decay = 0.25  # less than the cap of the fourth update
    run = train_tiny(tmp_path, "training.max_updates=4", f"training.ema={decay}")
    average = load_tensors(run / "checkpoints/update-000004/ema.safetensors")
    before, after = weights_after(run, 3), weights_after(run, 4)
    for name, weight in average.items():
        torch.testing.assert_close(weight, decay * before[name] + (1 - decay) * after[name])


def test_another_metric_ranks_the_best_checkpoints_anew_and_ships_the_better(tmp_path, monkeypatch):
    """By loss, update 2 is best; by chrF, update 4."""
    losses = {2: 1.0, 4: 2.0, 6: 3.0}
    chrf = {2: 10.0, 4: 40.0, 6: 20.0}

    def score(self, model, update):
        return validator.Scores(
            loss=losses[update],
            bleu=0.0,
            chrf=chrf[update],
            loss_per_word=1.0,
            tokenizer="13a",
            collapse=(),
            seconds=0.5,
        )

    monkeypatch.setattr(validator.Validator, "score", score)
    both = ("validation.every=2", "training.keep_best=2")
    run = train_tiny(tmp_path, *both, "validation.metric=loss", "training.max_updates=4")
    assert (run / "best").read_text() == "checkpoints/update-000002\n"
    run = train_tiny(tmp_path, *both, "validation.metric=chrf", "training.max_updates=6")
    assert (run / "best").read_text() == "checkpoints/update-000004\n"
    state = json.loads((run / "checkpoints/update-000006/state.json").read_text())
    assert [(best["update"], best["value"]) for best in state["stopping"]["best"]] == [
        (4, 40.0),
        (6, 20.0),
    ]
    shipped = load_tensors(run / "model/model.safetensors")
    for name, weight in weights_after(run, 4).items():
        assert torch.equal(weight, shipped[name])
    assert "| Updates | 4 |" in (run / "model/README.md").read_text()


def test_a_schedule_that_has_ended_goes_on_when_its_end_is_moved(tmp_path, caplog):
    ended = "training.schedule={kind = 'cosine', updates = 4}"
    train_tiny(tmp_path, ended, "training.max_updates=4")
    assert not any("training.schedule" in line for line in caplog.messages)
    train_tiny(tmp_path, ended, "training.max_updates=6")
    assert (
        "training.schedule ends at update 4, but training at 6: updates 5 to 6 have the learning "
        "rate 0 and change nothing; to move its end: --set training.schedule.updates=6"
    ) in caplog.messages
    run = train_tiny(tmp_path, ended, "training.schedule.updates=10", "training.max_updates=9")
    rates = [entry["learning_rate"] for entry in entries(run, "update")]
    assert rates[4:6] == [0.0, 0.0]
    assert all(rate > 0.0 for rate in rates[6:])
    assert "training.schedule ends" in (run / "train.log").read_text()


def test_the_end_of_a_cosine_moves_with_the_end_of_training(tmp_path, caplog):
    train_tiny(tmp_path, "training.schedule=cosine", "training.max_updates=3")
    run = train_tiny(tmp_path, "training.schedule=cosine", "training.max_updates=6")
    rates = [entry["learning_rate"] for entry in entries(run, "update")]
    assert rates[2] == rates[5] == 0.0
    assert rates[3] > rates[4] > 0.0
    assert not any("training.schedule ends" in line for line in caplog.messages)


def test_a_limit_below_what_is_done_is_named(tmp_path, caplog):
    train_tiny(tmp_path, "training.max_updates=4")
    assert "lies below" not in caplog.text
    train_tiny(tmp_path, "training.max_updates=2")
    assert (
        "training.max_updates = 2: lies below the 4 that are done already, so nothing was trained; "
        "raise it to train further"
    ) in caplog.messages


def test_the_files_that_are_validated_on_are_named(tmp_path, caplog):
    experiment = tiny(tmp_path, "training.max_updates=1")
    train_tiny(tmp_path, "training.max_updates=1")
    (line,) = (line for line in caplog.messages if line.startswith("validating on "))
    assert line.endswith(" of {} and {}".format(*experiment.data.valid))
