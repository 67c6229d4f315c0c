"""Artificial tasks ask what they say, as tensors and as lines."""

import sys

import pytest
import torch
from tiny import CONFIG, tiny

from nmt.laboratory.__main__ import main
from nmt.laboratory.tasks import Adding, Copy, Recall, Task, TemporalOrder, write_pairs
from nmt.training.run import RunOptions, run_training


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


TASKS = [
    TemporalOrder(30),
    Adding(20),
    Recall(5),
    Recall(0, 3),
    Recall(4, alike=True),
    Copy(6),
    Copy(4, is_reversed=True),
]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_examples_have_the_sizes_that_their_task_says(task: Task):
    examples = task.draw(40, generator())

    assert examples.inputs.shape[::2] == (40, task.features)
    assert len(examples.targets) == 40
    if task.outputs > 1:
        assert set(examples.targets.flatten().tolist()) <= set(range(task.outputs))


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_same_seed_draws_the_same_examples(task: Task):
    one, same, other = (task.draw(5, generator(seed)) for seed in (1, 1, 2))

    assert torch.equal(one.inputs, same.inputs)
    assert not torch.equal(one.inputs, other.inputs)


def test_temporal_order_has_one_relevant_symbol_in_the_second_and_one_in_the_sixth_tenth():
    symbols = TemporalOrder(30).draw(500, generator()).inputs.argmax(dim=-1)
    relevant = symbols < 2
    places = relevant.nonzero()[:, 1].reshape(500, 2)

    assert (relevant.sum(dim=1) == 2).all()
    assert set(places[:, 0].tolist()) == {3, 4, 5}
    assert set(places[:, 1].tolist()) == {15, 16, 17}


def test_the_class_of_temporal_order_is_which_symbols_come_in_which_order():
    task = TemporalOrder(20)
    for source, target in task.lines(task.draw(50, generator())):
        assert "".join(word for word in source.split() if word in "AB") == target


def test_temporal_order_needs_room_for_its_tenths():
    with pytest.raises(ValueError, match="length 9: temporal order needs at least 10 symbols"):
        TemporalOrder(9)


def test_the_sum_is_of_the_two_marked_numbers_one_in_each_half():
    examples = Adding(11).draw(200, generator())
    numbers, marks = examples.inputs.unbind(dim=-1)

    assert (marks[:, :5].sum(dim=1) == 1).all()
    assert (marks[:, 5:].sum(dim=1) == 1).all()
    torch.testing.assert_close((numbers * marks).sum(dim=1), examples.targets)


def test_the_mean_answer_to_adding_has_an_error_of_a_sixth():
    targets = Adding(10).draw(20_000, generator()).targets

    assert float((targets - 1).square().mean()) == pytest.approx(1 / 6, abs=0.005)


def test_lines_of_adding_add_up_as_they_are_written():
    task = Adding(6)
    for source, target in task.lines(task.draw(20, generator())):
        pairs = [word.split(",") for word in source.split()]
        assert len(pairs) == 6
        assert f"{sum(float(number) * int(mark) for number, mark in pairs):.2f}" == target


def test_recall_asks_for_the_first_symbol_after_its_lag():
    task = Recall(3, symbols=4)
    pairs = task.lines(task.draw(30, generator()))

    assert all(source.split()[0] == target for source, target in pairs)
    assert {len(source.split()) for source, _ in pairs} == {4}
    assert {word for source, _ in pairs for word in source.split()[1:]} <= set("efgh")


def test_distractors_of_recall_may_be_the_symbols_themselves():
    task = Recall(3, alike=True)
    pairs = task.lines(task.draw(30, generator()))

    assert {word for source, _ in pairs for word in source.split()} == {"A", "B"}
    assert all(source.split()[0] == target for source, target in pairs)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_copying_asks_for_all_symbols_once_they_are_read(is_reversed):
    task = Copy(5, is_reversed=is_reversed)
    examples = task.draw(10, generator())
    for source, target in task.lines(examples):
        assert source.split() == target.split()[:: -1 if is_reversed else 1]

    assert examples.inputs.shape[1] == 10
    assert (examples.inputs[:, 5:, -1] == 1).all()  # blanks


def test_pairs_are_written_as_files_of_as_many_lines(tmp_path):
    write_pairs(Recall(2), tmp_path, [("train", 20), ("valid", 5)])
    texts = {path.name: path.read_text().splitlines() for path in tmp_path.iterdir()}

    assert {name: len(lines) for name, lines in texts.items()} == {
        "train.source": 20,
        "train.target": 20,
        "valid.source": 5,
        "valid.target": 5,
    }
    assert all(s[0] == t for s, t in zip(texts["train.source"], texts["train.target"], strict=True))


def test_a_command_writes_a_task(tmp_path, monkeypatch):
    arguments = ["adding", "4", "--out", str(tmp_path), "--pairs", "10"]
    monkeypatch.setattr(sys, "argv", ["nmt.laboratory", *arguments])
    main()

    assert len((tmp_path / "train.source").read_text().splitlines()) == 10
    assert len((tmp_path / "test.target").read_text().splitlines()) == 1000


NUMBERS = 'model.encoder={kind="numbers", features=2, reader={kind="recurrent", hidden_size=8}}'
"""What reads the lines of adding."""


@pytest.mark.parametrize(
    ("task", "overrides"),
    [
        (TemporalOrder(12), ["model.decoder=label"]),
        (Recall(3), ["model.decoder=label"]),
        (Adding(6), ["model.decoder=label", "model.output=numbers", NUMBERS]),
        (Copy(4), []),
    ],
    ids=["temporal-order", "recall", "adding", "copy"],
)
def test_lines_of_a_task_can_be_trained_on(task, overrides, tmp_path):
    write_pairs(task, tmp_path, [("train", 40), ("valid", 5)])
    for part in ("train", "valid"):
        for ours, theirs in (("source", "xx"), ("target", "yy")):
            (tmp_path / f"{part}.{ours}").rename(tmp_path / f"{part}.{theirs}")
    (tmp_path / "tiny.toml").write_text(CONFIG)
    experiment = tiny(
        tmp_path, "training.max_updates=2", "validation.metric=loss", "model.dropout=0", *overrides
    )

    assert run_training(experiment, tmp_path / "run", RunOptions()) == 0
