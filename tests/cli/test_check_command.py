"""`nmt check`: the report on stdout, its severity in the exit code."""

import json
import logging
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nmt.cli.check import check
from nmt.cli.pairs import PairCommand
from nmt.errors import UsageError
from nmt.evaluation.metrics import score

app = typer.Typer()
app.command(cls=PairCommand)(check)


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


def test_copying_is_scored_in_a_file_of_pairs():
    Path("c.tsv").write_text("Berlin is big today\tBerlin is big today\nnine\tuno\n")
    expected = score(
        ["Berlin is big today", "nine"], ["Berlin is big today", "uno"], ("bleu",), tokenize="13a"
    )
    told = json.loads(CliRunner().invoke(app, ["c.tsv", "--json"]).stdout)["copying"]
    assert (told["where"], told["lines"]) == ("c.tsv", 2)
    assert told["bleu"] == pytest.approx(expected[0].value)


def test_copying_into_another_script_is_not_scored():
    Path("a.it").write_text("один\nдва\n")
    assert "copying the source" not in CliRunner().invoke(app, ["a.en", "a.it"]).stdout


def test_a_second_test_set_is_refused():
    pair = ["--against", "a.en", "a.it"]
    with pytest.raises(
        UsageError, match="--against: give it once; run the command again for other"
    ):
        CliRunner().invoke(app, ["a.en", "a.it", *pair, *pair], catch_exceptions=False)


def test_a_file_of_pairs_is_a_corpus_and_a_test_set():
    Path("c.tsv").write_text("one\tuno\ntwo\tdue\n")
    assert CliRunner().invoke(app, ["c.tsv"]).exit_code == 0
    result = CliRunner().invoke(app, ["a.en", "a.it", "--against", "c.tsv", "--json"])
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert [(finding["name"], finding["where"]) for finding in told["findings"]] == [
        ("test-in-train", "c.tsv")
    ]


def test_a_file_of_pairs_that_is_named_twice_is_read_once_and_that_is_said(caplog):
    caplog.set_level(logging.INFO)
    Path("c.tsv").write_text("one\tuno\ntwo\tdue\n")
    once = CliRunner().invoke(app, ["c.tsv"]).stdout
    assert not caplog.messages
    assert CliRunner().invoke(app, ["c.tsv", "./c.tsv"]).stdout.count("\n") == once.count("\n")
    assert caplog.messages == ["c.tsv: holds both sides; named twice, it is read as if named once"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["a.en"],
            "a.en: is only one side; name two files that are translations of",
        ),
        (["a.en", "a.en"], "a.en: is named for both sides; name two files that are translations"),
        (["a.en", "a.it", "--against", "a.en"], "--against a.en: needs two files that are transl"),
    ],
)
def test_one_side_is_refused(arguments, message):
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(message)
