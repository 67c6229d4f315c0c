"""`nmt check`: the report on stdout, its severity in the exit code."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nmt.cli.check import CheckCommand, check
from nmt.errors import UsageError
from nmt.evaluation.metrics import score

app = typer.Typer()
app.command(cls=CheckCommand)(check)


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


def test_the_score_of_copying_the_source_is_reported():
    Path("a.en").write_text("Berlin is big today\nnine\n")
    Path("a.it").write_text("Berlin is big today\nuno\n")
    expected = score(
        ["Berlin is big today", "nine"], ["Berlin is big today", "uno"], ("bleu", "chrf")
    )
    result = CliRunner().invoke(app, ["a.en", "a.it"])
    assert (
        f"copying the source scores BLEU {expected[0].value:.1f}, chrF2 {expected[1].value:.1f} "
        "(2 lines of a.en + a.it); a model must beat that"
    ) in result.stdout
    told = json.loads(CliRunner().invoke(app, ["a.en", "a.it", "--json"]).stdout)["copying"]
    assert told["bleu"] == pytest.approx(expected[0].value)
    assert told["signature"] == expected[0].signature


def test_the_score_of_copying_is_that_of_the_test_set_if_there_is_one():
    Path("t.en").write_text("three\n")
    Path("t.it").write_text("tre\n")
    result = CliRunner().invoke(app, ["a.en", "a.it", "--against", "t.en", "t.it"])
    assert "(1 line of t.en + t.it)" in result.stdout


def test_copying_into_another_script_is_not_scored():
    Path("a.it").write_text("один\nдва\n")
    assert "copying the source" not in CliRunner().invoke(app, ["a.en", "a.it"]).stdout


def test_a_second_test_set_is_refused():
    pair = ["--against", "a.en", "a.it"]
    with pytest.raises(UsageError, match="one test set; run nmt check again for another"):
        CliRunner().invoke(app, ["a.en", "a.it", *pair, *pair], catch_exceptions=False)
