"""`nmt check`: the report on stdout, its severity in the exit code."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nmt.cli.check import check

app = typer.Typer()
app.command()(check)


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.en").write_text("one\ntwo\n")
    Path("a.it").write_text("uno\ndue\n")


def test_a_clean_corpus_exits_with_0():
    result = CliRunner().invoke(app, ["a.en", "a.it"])
    assert result.exit_code == 0
    assert "no problems found" in result.stdout


def test_a_serious_fault_exits_with_3():
    Path("a.en").write_bytes(b"one\n\xff\n")
    result = CliRunner().invoke(app, ["a.en", "a.it"])
    assert result.exit_code == 3
    assert "first a.en:2: byte 1 is 0xff" in result.stdout


def test_a_leaked_test_set_exits_with_3_also_in_json():
    result = CliRunner().invoke(app, ["a.en", "a.it", "--against", "a.en", "a.it", "--json"])
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert [finding["name"] for finding in told["findings"]] == ["test-in-train"]
