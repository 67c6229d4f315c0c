import errno
import json
import logging
import math
import os
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from nmt.config.training import AdamConfig
from nmt.data.sampler import Position
from nmt.errors import ModelError, ResourceError, UsageError
from nmt.models.checkpoints import find_checkpoint, list_checkpoints, pointed_to
from nmt.models.weights import set_weights, weights_of
from nmt.storage.checksums import verify_checksums, write_checksums
from nmt.storage.files import temporary_beside, write_json
from nmt.storage.tensors import save_tensors
from nmt.training import checkpoint as module
from nmt.training.checkpoint import (
    Trainee,
    best_checkpoints,
    data_key_of,
    find_resumable,
    load_checkpoint,
    point_to,
    prune_checkpoints,
    save_checkpoint,
)
from nmt.training.distributed import World
from nmt.training.optimizer import MovingAverage, build_optimizer
from nmt.training.schedule import Plateau
from nmt.training.state import (
    Best,
    Stopping,
    TrainingState,
    gather_random_states,
    restore_random_states,
)


def new_trainee(hidden=4, *, ema=True):
    torch.manual_seed(3)
    layers = [nn.Embedding(6, hidden), nn.Dropout(0.3), nn.Linear(hidden, 6, bias=False)]
    model = nn.Sequential(*layers)
    model[2].weight = model[0].weight
    optimizer = build_optimizer(AdamConfig(), model.parameters(), 0.05)
    return Trainee(model, optimizer, MovingAverage(model, 0.9) if ema else None)


def train(trainee, state, updates):
    for _ in range(updates):
        state.update += 1
        trainee.optimizer.zero_grad()
        tokens = torch.randint(0, 6, (8,))  # from the generator that is saved and restored
        nn.functional.cross_entropy(trainee.model(tokens), tokens.roll(1)).backward()
        trainee.optimizer.step()
        if trainee.average is not None:
            trainee.average.update(trainee.model, state.update)


def save(run, trainee, state):
    return save_checkpoint(run, trainee, state, gather_random_states(World()))


def saved_run(run, *updates):
    trainee = new_trainee()
    for update in updates:
        save(run, trainee, TrainingState(update=update))
    return trainee


def damage(file):
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def test_a_run_resumed_twice_equals_an_uninterrupted_run_by_checksum(tmp_path):
    straight, state = new_trainee(), TrainingState()
    train(straight, state, 15)
    expected = save(tmp_path / "straight", straight, state)

    run = tmp_path / "pieces"
    for piece in range(3):
        trainee, state = new_trainee(), TrainingState()
        if piece:
            torch.manual_seed(999)  # whatever the new process did before
            restored = load_checkpoint(find_resumable(run), trainee)
            restore_random_states(restored.random_states, World())
            state = restored.state
        train(trainee, state, 5)
        found = save(run, trainee, state)

    assert found.name == expected.name == "update-000015"
    assert verify_checksums(found) == verify_checksums(expected)


def test_the_whole_state_round_trips(tmp_path):
    state = TrainingState(
        update=7,
        position=Position(epoch=2, update_in_epoch=3),
        tokens=12345,
        skipped=2,
        skipped_in_a_row=1,
        seconds=1.25,
        plateau=Plateau(scale=0.5, waited=1),
        stopping=Stopping((Best(5, 20.5), Best(7, 19.0)), waited=1),
    )
    trainee = new_trainee()
    folder = save(tmp_path, trainee, state)
    assert load_checkpoint(folder, trainee).state == state
    assert sorted(path.name for path in folder.iterdir()) == [
        "SHA256SUMS",
        "ema.safetensors",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]


def test_last_points_to_the_newest_and_best_to_where_it_is_set(tmp_path):
    assert pointed_to(tmp_path, "last") is None
    saved_run(tmp_path, 10, 20)
    point_to(tmp_path, "best", tmp_path / "checkpoints" / "update-000010")
    assert (tmp_path / "last").read_text() == "checkpoints/update-000020\n"
    assert pointed_to(tmp_path, "last") == tmp_path / "checkpoints" / "update-000020"
    assert pointed_to(tmp_path, "best") == tmp_path / "checkpoints" / "update-000010"


@pytest.mark.parametrize(
    "text", ["/etc", "../elsewhere/update-000001", "checkpoints/x", "", "\udcff"]
)
def test_a_pointer_out_of_the_run_is_refused(tmp_path, text):
    (tmp_path / "best").write_bytes(os.fsencode(text))
    with pytest.raises(
        ModelError, match=r"best: names no checkpoint of this run; write its path into the file\."
    ):
        pointed_to(tmp_path, "best")


def test_pruning_keeps_the_newest_the_best_and_what_is_pointed_to(tmp_path):
    saved_run(tmp_path, *range(10, 80, 10))
    point_to(tmp_path, "best", tmp_path / "checkpoints" / "update-000010")
    point_to(tmp_path, "last", tmp_path / "checkpoints" / "update-000050")
    prune_checkpoints(tmp_path, keep_last=1, keep={30})
    kept = [module.update_of(path) for path in list_checkpoints(tmp_path)]
    assert kept == [10, 30, 50, 70]
    assert sorted(os.listdir(tmp_path / "checkpoints")) == [f"update-0000{n}" for n in kept]


def test_a_checkpoint_that_cannot_be_deleted_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EACCES, "Permission denied")

    saved_run(tmp_path, 10, 20)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ResourceError, match=r"cannot write .*update-000010, .*; permission denied"):
        prune_checkpoints(tmp_path, keep_last=1)
    assert len(list_checkpoints(tmp_path)) == 2


def test_checkpoints_are_listed_by_number_not_by_name(tmp_path):
    names = ["update-000020", "update-999999", "update-1000000"]
    for name in (*names, "update-1", "update-000030.tmp"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert [path.name for path in list_checkpoints(tmp_path)] == names


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "optimizer.safetensors", "ema.safetensors", "state.json"],
)
def test_a_truncated_manifest_counts_as_damage(tmp_path, name):
    saved_run(tmp_path, 10, 20)
    newest = tmp_path / "checkpoints" / "update-000020"
    lines = (newest / "SHA256SUMS").read_text().splitlines(keepends=True)
    (newest / "SHA256SUMS").write_text("".join(line for line in lines if name not in line))
    assert find_resumable(tmp_path).name == "update-000010"
    refusal = rf"{name}: is missing from SHA256SUMS; restore that list from a copy\.$"
    with pytest.raises(ModelError, match=refusal):
        load_checkpoint(newest, new_trainee())


def test_a_new_run_has_nothing_to_resume(tmp_path):
    assert find_resumable(tmp_path) is None
    (tmp_path / "checkpoints").mkdir()  # left by an interrupted first save
    assert find_resumable(tmp_path) is None


@pytest.mark.parametrize("sign", ["last", "checkpoints"])
def test_a_run_that_has_trained_does_not_restart_without_checkpoints(tmp_path, sign):
    """Its checkpoints are gone, or on a disk that is not mounted."""
    if sign == "last":
        (tmp_path / "last").write_text("checkpoints/update-000010\n")
    else:
        (tmp_path / "checkpoints").symlink_to(tmp_path / "unmounted")
    with pytest.raises(ModelError) as caught:
        find_resumable(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/checkpoints: is empty or missing, although this run has trained; restore it "
        "(is its disk mounted?), or choose another --run."
    )


@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.safetensors", "ema.safetensors", "state.json"]
)
def test_a_damaged_newest_checkpoint_is_skipped_with_a_warning(tmp_path, caplog, file):
    saved_run(tmp_path, 10, 20)
    damage(tmp_path / "checkpoints" / "update-000020" / file)
    with caplog.at_level(logging.WARNING):
        assert find_resumable(tmp_path).name == "update-000010"
    assert f"update-000020/{file}: is damaged or was changed" in caplog.text
    assert "Going back to update-000010." in caplog.text


def test_each_damaged_checkpoint_names_the_one_before_it(tmp_path, caplog):
    saved_run(tmp_path, 10, 20, 30, 40)
    for number in (20, 30, 40):
        damage(tmp_path / "checkpoints" / f"update-0000{number}" / "state.json")
    assert find_resumable(tmp_path).name == "update-000010"
    said = [
        re.search(r"update-(\d+)/state.*Going back to update-(\d+)\.$", message).groups()
        for message in caplog.messages
    ]
    assert said == [("000040", "000030"), ("000030", "000020"), ("000020", "000010")]


def test_a_run_whose_checkpoints_are_all_damaged_does_not_restart(tmp_path, caplog):
    saved_run(tmp_path, 10, 20)
    for folder in list_checkpoints(tmp_path):
        (folder / "state.json").unlink()
    with pytest.raises(ModelError) as caught:
        find_resumable(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/checkpoints: none of its 2 checkpoints is intact; restore one from a copy, or "
        "start again in another folder."
    )
    newest, oldest = caplog.messages
    with pytest.raises(ModelError) as missing:
        verify_checksums(tmp_path / "checkpoints" / "update-000010")
    assert oldest == str(missing.value)
    assert newest == oldest.replace("000010", "000020") + " Going back to update-000010."


def test_leftovers_of_a_killed_process_are_removed_before_resuming(tmp_path):
    saved_run(tmp_path, 10)
    stray = temporary_beside(tmp_path / "checkpoints" / "update-000020")
    stray.mkdir()
    assert find_resumable(tmp_path).name == "update-000010"
    assert os.listdir(tmp_path / "checkpoints") == ["update-000010"]


def test_loading_a_damaged_checkpoint_changes_nothing(tmp_path):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1))
    damage(folder / "optimizer.safetensors")
    other = new_trainee()
    train(other, TrainingState(), 1)
    before = {name: weight.clone() for name, weight in weights_of(other.model).items()}
    with pytest.raises(ModelError, match=r"optimizer\.safetensors: is damaged"):
        load_checkpoint(folder, other)
    assert all(torch.equal(weights_of(other.model)[name], before[name]) for name in before)


def rewrite_state(folder, **changes):
    table = json.loads((folder / "state.json").read_text())
    table = {key: value for key, value in {**table, **changes}.items() if value is not None}
    (folder / "state.json").write_text(json.dumps(table))
    write_checksums(folder)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"format": 1},
            ": has checkpoint format 1, this version of nmt reads 3 alone; resume with the version "
            "that wrote it, or start a new run in another folder.$",
        ),
        ({"tokens": None, "surprise": 1}, "is not what nmt writes"),
        ({"position": None}, "is not what nmt writes"),
        ({"seconds": math.nan}, r"\(seconds: must be a finite number"),
        ({"update": "many"}, r"is not what nmt writes \(update: must be a whole number"),
        ({"stopping": {"best": [{"update": 1, "value": "a"}]}}, r"\(stopping\.best\.0\.value: "),
        ({"plateau": {"surprise": 1}}, r"\(plateau\.surprise: is an unknown key"),
        ({"random_states": 3}, "random_states: needs a list with a table for each process"),
        ({"random_states": []}, "random_states: needs a list with a table for each process"),
        ({"random_states": [{}]}, "random_states: needs a table with the key cpu"),
        *(
            ({"random_states": [{"cpu": wrong}]}, "holds other values than bytes in hexadecimal")
            for wrong in (1, "", "a", "zz", "\ud800")
        ),
    ],
)
def test_another_format_is_refused(tmp_path, changes, text):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1))
    rewrite_state(folder, **changes)
    with pytest.raises(ModelError, match=rf"^{re.escape(str(folder))}.*{text}"):
        load_checkpoint(folder, new_trainee())


def test_a_state_that_is_not_a_table_is_refused(tmp_path):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1))
    write_json(folder / "state.json", ["format"])
    write_checksums(folder)
    with pytest.raises(ModelError, match="has checkpoint format None"):
        load_checkpoint(folder, new_trainee())


def test_an_invalid_state_is_refused_with_a_remedy(tmp_path):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1))
    rewrite_state(folder, random_states=None)
    with pytest.raises(ModelError) as caught:
        load_checkpoint(folder, new_trainee())
    assert str(caught.value) == (
        f"{folder}/state.json: is not what nmt writes ('random_states'); restore it, or delete "
        "this checkpoint and go on from an earlier one."
    )


def test_another_number_of_threads_is_reported(tmp_path, caplog):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1))
    rewrite_state(folder, made_with="torch 2.13.0 on cpu, 64 threads")
    with caplog.at_level(logging.WARNING):
        load_checkpoint(folder, new_trainee())
    here = f"torch {torch.__version__} on cpu, {torch.get_num_threads()} threads, plain equations"
    expected = (
        f"{folder} was made with torch 2.13.0 on cpu, 64 threads, resumed with {here}: "
        "expect equally good results, not bit-identical ones"
    )
    assert caplog.messages == [expected]


def test_a_checkpoint_that_does_not_say_what_it_was_made_with_is_reported(tmp_path, caplog):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1))
    rewrite_state(folder, made_with=None)
    load_checkpoint(folder, new_trainee())
    assert "was made with None, resumed with torch" in caplog.text


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    folder = save(tmp_path, new_trainee(ema=False), TrainingState(update=1))
    with pytest.raises(ModelError, match=r"update-000001.*`0\.weight` is \(6, 4\), should be \("):
        load_checkpoint(folder, new_trainee(hidden=8))


def test_a_moving_average_that_was_not_kept_begins_with_the_weights(tmp_path):
    saved = new_trainee(ema=False)
    folder = save(tmp_path, saved, TrainingState(update=1))
    restored = new_trainee()
    load_checkpoint(folder, restored)
    for name, weight in saved.model.named_parameters():
        assert torch.equal(restored.average.weights[name], weight)


def test_weights_with_missing_or_unexpected_names_are_refused():
    model = nn.Linear(2, 1)
    with pytest.raises(ModelError, match=r"`bias` is absent, should be \(1,\)"):
        set_weights(model, {"weight": torch.ones(1, 2)}, Path("x"))
    strange = {**weights_of(model), "zoo": torch.ones(3)}
    with pytest.raises(ModelError, match=r"`zoo` is \(3,\), should be absent"):
        set_weights(model, strange, Path("x"))


def test_a_checkpoint_is_found_by_number_name_and_path(tmp_path):
    saved_run(tmp_path, 10)
    expected = tmp_path / "checkpoints" / "update-000010"
    for name in ("10", "000010", "update-000010", str(expected)):
        assert find_checkpoint(tmp_path, name) == expected
    for name in ("11", "..", "", "update-000011", str(tmp_path)):
        with pytest.raises(UsageError, match=r": has no checkpoint `.*; it has: update-000010\.$"):
            find_checkpoint(tmp_path, name)
    with pytest.raises(UsageError, match=r"has no checkpoint `1`; it has: none\.$"):
        find_checkpoint(tmp_path / "empty", "1")
    saved_run(tmp_path, 20)
    with pytest.raises(UsageError, match=r"it has: update-000010, update-000020\.$"):
        find_checkpoint(tmp_path, "11")


def test_the_list_of_best_checkpoints_is_read_from_the_last_checkpoint(tmp_path):
    assert best_checkpoints(tmp_path) == []
    trainee = saved_run(tmp_path, 10, 20)
    stopping = Stopping((Best(20, 3.0), Best(15, 2.0), Best(10, 1.0)))
    last = save(tmp_path, trainee, TrainingState(update=30, stopping=stopping))
    assert [path.name for path in best_checkpoints(tmp_path)] == ["update-000020", "update-000010"]
    for wrong in (3, *({"best": [{"update": n, "value": 1}]} for n in ("x", -1, 10**300))):
        write_json(last / "state.json", {"format": module.FORMAT, "stopping": wrong})
        with pytest.raises(ModelError, match=r"update-000030/state\.json: is not what .*\([^N]"):
            best_checkpoints(tmp_path)


def test_a_checkpoint_names_the_data_it_was_trained_on(tmp_path):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1, data_key="0123abcd"))
    assert data_key_of(folder) == "0123abcd"


def test_a_checkpoint_that_does_not_name_its_data_is_refused(tmp_path):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1))
    write_json(folder / "state.json", {"format": module.FORMAT})
    with pytest.raises(ModelError, match=r"update-000001/state\.json: is not what .*\([^N]"):
        data_key_of(folder)


@pytest.mark.parametrize("table", [{}, {"format": 1}, [], 3])
def test_a_checkpoint_of_another_format_is_refused_before_anything_is_prepared(tmp_path, table):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1))
    write_json(folder / "state.json", table)
    with pytest.raises(ModelError, match=r"has checkpoint format (None|1), this version of nmt"):
        data_key_of(folder)


def test_a_run_without_moving_average_resumes_from_one_that_has_it(tmp_path):
    with_average = new_trainee()
    train(with_average, TrainingState(), 3)
    folder = save(tmp_path, with_average, TrainingState(update=3))
    without = new_trainee(ema=False)
    assert load_checkpoint(folder, without).state.update == 3
    for name, weight in weights_of(with_average.model).items():
        assert torch.equal(weights_of(without.model)[name], weight)


@pytest.mark.parametrize("file", ["model.safetensors", "SHA256SUMS"])
def test_a_newest_checkpoint_that_cannot_be_read_is_skipped(tmp_path, caplog, file):
    saved_run(tmp_path, 10, 20)
    path = tmp_path / "checkpoints" / "update-000020" / file
    path.unlink()
    path.symlink_to(path.name)
    assert find_resumable(tmp_path).name == "update-000010"
    assert f"update-000020/{file}: " in caplog.text
    assert "Going back to update-000010." in caplog.text


@pytest.mark.parametrize("name", ["optimizer.safetensors", "ema.safetensors"])
def test_a_file_that_does_not_fit_is_named(tmp_path, name):
    folder = save(tmp_path, new_trainee(), TrainingState(update=1))
    save_tensors(folder / name, {"exp_avg/strange": torch.ones(2)})
    write_checksums(folder)
    with pytest.raises(ModelError, match=rf"^{re.escape(str(folder / name))}: the saved "):
        load_checkpoint(folder, new_trainee())
