"""Each part of the benchmark measures the real code, in a process of its own."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nmt.benchmark import run, windows
from nmt.benchmark.figure import Figure
from nmt.benchmark.part import Task, run_part
from nmt.benchmark.run import BenchmarkOptions, plan, relate, run_benchmark, run_tasks
from nmt.benchmark.startup import measure_startup
from nmt.config.search import change_search
from nmt.errors import ResourceError, UsageError
from nmt.text.lines import read_lines
from nmt.translator import Translator


def task(folder: Path, part: str, **changes: object) -> Task:
    made = Task(
        part=part, folder=str(folder), config="tiny", precision="fp32", windows=2, seconds=0.01
    )
    return replace(made, **changes)


def test_a_window_lasts_its_time_and_ends_with_a_complete_call(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(windows.time, "perf_counter", lambda: clock[0])

    def work() -> int:
        clock[0] += 2.0
        return 10

    assert windows.measure(work, windows=3, seconds=3.0) == [5.0] * 3
    assert clock[0] == 3 * 4.0


def test_a_slow_machine_gets_fewer_windows(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(windows.time, "perf_counter", lambda: clock[0])

    def work() -> int:
        clock[0] += 20.0
        return 10

    assert windows.measure(work, windows=5, seconds=2.0) == [0.5] * 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_floor_that_includes_the_optimizer_is_lower(tiny_folder, precision):
    rate, floor, with_optimizer = run_part(task(tiny_folder, "matrix", precision=precision))
    assert rate.figure == "matrix_gflops"
    assert floor.figure == "train_floor_tokens_per_second"
    assert with_optimizer.figure == "train_floor_with_optimizer_tokens_per_second"
    assert 0 < with_optimizer.value < floor.value


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_is_measured_by_real_updates(tiny_folder, precision):
    speed, memory, small = run_part(task(tiny_folder, "train", precision=precision))
    assert (speed.update_tokens, small.update_tokens) == (None, 512)
    for figure in (speed, small):
        assert figure.figure == "train_tokens_per_second"
        assert figure.precision == precision
        assert figure.value > 0
    assert memory.task == "train"
    assert 50 < memory.value < 100_000


def test_translation_is_measured_for_each_beam_and_batch(tiny_folder):
    *speeds, memory = run_part(task(tiny_folder, "translate", windows=1))
    assert [(speed.batch, speed.beam) for speed in speeds] == [(1, 1), (1, 5), (64, 1), (64, 5)]
    assert all(speed.value > 0 for speed in speeds)
    assert memory.task == "translate"


@pytest.mark.parametrize("beam", [1, 5])
def test_translations_are_one_piece_longer_than_their_sources(tiny_folder, beam):
    translator = Translator.load(tiny_folder, device="cpu")
    options = change_search(translator.options, {"beam": beam})
    for found in translator.translate(read_lines(tiny_folder / "valid.source"), options=options):
        source = len(found.source.split()) + 1  # and its end symbol
        assert len(found.text.split()) + found.finished == source + 1


def test_the_fraction_of_the_floor_compares_equal_precisions():
    def figure(name: str, precision: str, value: float) -> Figure:
        return Figure(figure=name, config="small", precision=precision, threads=1, values=[value])

    measured = [
        figure("train_floor_tokens_per_second", "fp32", 1000.0),
        figure("train_floor_with_optimizer_tokens_per_second", "fp32", 800.0),
        figure("train_tokens_per_second", "fp32", 500.0),
        figure("train_tokens_per_second", "bf16", 900.0),
        figure("train_floor_tokens_per_second", "bf16", 4000.0),
        figure("train_tokens_per_second", "bf16", 1000.0),
        replace(figure("train_tokens_per_second", "bf16", 100.0), update_tokens=512),
    ]
    shares = [f for f in relate(measured) if "fraction" in f.figure]
    assert [(share.figure, share.precision, share.value) for share in shares] == [
        ("train_fraction_of_floor", "fp32", 0.5),
        ("train_fraction_of_floor_with_optimizer", "fp32", 0.625),
        ("train_fraction_of_floor", "bf16", 0.25),
    ]


def test_each_precision_has_its_own_floor_and_startup_is_measured_once(tmp_path):
    options = BenchmarkOptions(precisions=("fp32", "bf16", "int8"))
    assert [(t.part, t.precision) for t in plan(options, tmp_path)] == [
        ("matrix", "fp32"),
        ("train", "fp32"),
        ("translate", "fp32"),
        ("startup", "fp32"),
        ("matrix", "bf16"),
        ("train", "bf16"),
        ("translate", "bf16"),
        ("translate", "int8"),
    ]
    only = [t.part for t in plan(BenchmarkOptions(only="train"), tmp_path)]
    assert only == ["matrix", "train"]
    with pytest.raises(
        UsageError, match=r"int8 is a precision of translation, not of train; choose bf16 or fp32\."
    ):
        plan(BenchmarkOptions(only="train", precisions=("int8",)), tmp_path)


def test_nothing_is_set_up_if_there_is_nothing_to_measure(monkeypatch):
    monkeypatch.setattr(run, "set_up", lambda *_: pytest.fail("set up"))
    with pytest.raises(UsageError, match="int8 is a precision of translation, not of train"):
        next(run_benchmark(BenchmarkOptions(precisions=("int8",), only="train")))


def test_parts_run_in_processes_of_their_own_and_leave_nothing_behind(
    monkeypatch, tiny_folder, tmp_path
):
    monkeypatch.setattr(run, "set_up", lambda folder, _: (folder / "some file").touch())
    monkeypatch.setattr(run, "plan", lambda *_: [task(tiny_folder, "train")])
    monkeypatch.setattr(run.tempfile, "tempdir", str(tmp_path))
    figures = list(run_benchmark(BenchmarkOptions()))
    names = ["train_tokens_per_second", "peak_rss_mb", "train_tokens_per_second"]
    assert [f.figure for f in figures] == names
    assert [f.config for f in figures] == ["tiny"] * 3
    assert list(tmp_path.iterdir()) == []


def test_startup_is_the_time_to_the_first_line_of_the_real_command(tiny_folder):
    (start,) = run_part(task(tiny_folder, "startup", windows=1, threads=1))
    assert start.figure == "startup_seconds"
    assert 0.1 < start.value < 60


def test_startup_without_a_translation_is_an_error(tmp_path):
    with pytest.raises(
        ResourceError,
        match=r"^`nmt translate` ended with code 4 instead of a translation; see its "
        r"output above\.$",
    ):
        measure_startup(tmp_path / "none", "a", precision="fp32", threads=1, times=1)


def test_a_process_that_ends_too_early_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(run.sys, "executable", shutil.which("false"))
    with pytest.raises(
        ResourceError,
        match="matrix in fp32: the process ended with code 1; see the lines above, or "
        "try --config small",
    ):
        list(run_tasks([task(tmp_path, "matrix")]))
