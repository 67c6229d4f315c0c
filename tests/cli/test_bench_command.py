"""`nmt bench` relays figures to stdout, and refuses what it cannot measure."""

import json
import logging

import pytest
import typer
from typer.testing import CliRunner

from nmt.benchmark import run
from nmt.benchmark.figure import Figure
from nmt.benchmark.run import BenchmarkOptions
from nmt.cli.bench import bench

app = typer.Typer()
app.command()(bench)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[BenchmarkOptions]:
    """Measure nothing; return what was asked for."""
    asked = []

    def measure(options: BenchmarkOptions):
        asked.append(options)
        for precision in options.precisions:
            yield Figure(
                figure="matrix_gflops", config="small", precision=precision, threads=1, values=[2.0]
            )

    monkeypatch.setattr(run, "run_benchmark", measure)
    return asked


def test_stdout_is_json_lines_and_the_log_is_for_people(asked, caplog):
    caplog.set_level(logging.INFO)
    result = CliRunner().invoke(app, ["--precision", "fp32"])
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["figure"] for line in result.stdout.splitlines()] == ["matrix_gflops"]
    assert "matrix gflops, fp32: 2.0" in caplog.messages


@pytest.mark.parametrize("is_fast", [True, False])
@pytest.mark.parametrize("can", [True, False])
def test_default_precisions_are_those_worthwhile_on_this_machine(asked, monkeypatch, is_fast, can):
    monkeypatch.setattr("nmt.machine.has_fast_bf16", lambda: is_fast)
    monkeypatch.setattr("nmt.machine.has_int8", lambda: can)
    CliRunner().invoke(app, [])
    CliRunner().invoke(app, ["--precision", "bf16"])
    expected = ["fp32", *["bf16"] * is_fast, *["int8"] * can]
    assert [options.precisions for options in asked] == [expected, ["bf16"]]


def test_options_reach_the_benchmark(asked):
    arguments = ["--config", "big", "--threads", "2", "--windows", "3", "--only", "translate"]
    CliRunner().invoke(app, [*arguments, "--precision", "fp32"])
    assert asked == [
        BenchmarkOptions(config="big", precisions=["fp32"], threads=2, windows=3, only="translate")
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--config", "huge"],
        ["--precision", "int4"],
        ["--threads", "-1"],
        ["--windows", "0"],
        ["--only", "tests"],
    ],
)
def test_impossible_options_are_refused_by_name(asked, wrong):
    result = CliRunner().invoke(app, wrong)
    assert result.exit_code == 2
    assert wrong[0] in result.stderr
    assert asked == []
