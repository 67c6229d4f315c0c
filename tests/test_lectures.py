"""Each lecture shows its claim on a small scale: a table, a picture, and no warning."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("matplotlib")

RECIPES = Path(__file__).parent.parent / "recipes"
sys.path.insert(0, str(RECIPES))

from lectures import clipping, long_range, online, truncation  # noqa: E402
from lectures.__main__ import main  # noqa: E402
from lectures.next_word import read_text  # noqa: E402
from lectures.shelf import NOT_LEARNED, NOT_SHOWN, Report, load, names  # noqa: E402

from nmt.errors import DataError  # noqa: E402
from nmt.laboratory.training import Measured  # noqa: E402


@pytest.mark.parametrize("name", names())
def test_a_lecture_shows_its_claim(name, tmp_path, capsys):
    lecture = load(name)
    assert lecture.CLAIM.endswith(".")
    lecture.show(Report(tmp_path, quick=True))
    assert list(tmp_path.glob("*.tsv"))
    assert list(tmp_path.glob("*.svg"))
    assert "How to read it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("quick", "shown", "said"),
    [
        (True, True, "rows are runs. It holds."),
        (False, True, "rows are runs. It holds."),
        (True, False, f"rows are runs. {NOT_LEARNED}"),
        (False, False, f"rows are runs. {NOT_SHOWN}"),
    ],
)
def test_a_lecture_concludes_only_what_its_figures_show(tmp_path, capsys, quick, shown, said):
    Report(tmp_path, quick=quick).explain("rows are runs.", "It holds.", shown=shown)
    assert capsys.readouterr().out == f"How to read it: {said}\n\n"


def ends(*errors: float) -> list[Measured]:
    """Return a run that ends with the last of some errors."""
    return [Measured(number, error, 1.0, error < 0.01) for number, error in enumerate(errors)]


def test_clipping_names_the_threshold_that_ended_lowest():
    runs = {0.0: ends(math.nan), 100.0: ends(0.12), 10.0: ends(0.08), 1.0: ends(0.1)}
    assert clipping.is_shown(runs)
    assert "of these thresholds, 10 ends with the lowest error" in clipping.conclusion(runs)
    assert not clipping.is_shown({**runs, 1.0: ends(34.0)})
    assert not clipping.is_shown({**runs, 0.0: ends(0.3)})


def test_truncation_is_shown_if_only_a_cut_beyond_the_lag_recalls():
    scale = replace(truncation.FULL, lag=10, cuts=(5, 11))
    assert truncation.sees_only_what_it_reaches(scale, (0.52, 1.0))
    assert not truncation.sees_only_what_it_reaches(scale, (1.0, 1.0))
    assert not truncation.sees_only_what_it_reaches(scale, (0.52, 0.6))


def test_learning_online_is_shown_if_rtrl_alone_recalls_and_all_follow_a_new_rule():
    recalled, streams = {"RTRL": 1.0, "truncated": 0.5}, {"RTRL": 1.0, "UORO": 0.9, "frozen": 0.0}
    assert online.is_shown(recalled, streams)
    assert not online.is_shown({**recalled, "truncated": 0.9}, streams)
    assert not online.is_shown(recalled, {**streams, "UORO": 0.7})


def test_long_lags_are_shown_if_omega_solves_most_and_only_tanh_cannot_add():
    runs = {"clipped": [ends(0.0), ends(0.5)], "with Omega": [ends(0.0), ends(0.0)]}
    added = {"tanh": [ends(0.17)], "GRU": [ends(0.002)]}
    recalled = {"GRU": [ends(0.0), ends(0.8)]}
    found = {"adding": added, "recall": recalled, "copy": {"tanh": [ends(0.001)]}}
    assert long_range.is_shown(runs, found)
    assert 'in each run by none, copying by "tanh".' in long_range.conclusion(found)
    assert not long_range.is_shown({"with Omega": [ends(0.5)]}, found)
    assert not long_range.is_shown(runs, {**found, "adding": {**added, "GRU": [ends(0.17)]}})


def test_any_text_becomes_lines_that_are_different_and_not_too_long(tmp_path):
    words = [f"word {number}" for number in range(500)]
    (tmp_path / "tale").write_text("\n\n".join([*words[:20], words[0], " ".join(words)]) + "\n")

    lines = read_text(tmp_path / "tale")

    assert lines[:20] == words[:20]
    assert max(map(len, lines)) <= 500
    assert " ".join(lines[20:]) == " ".join(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        (b"", "has 0 different lines with text, and at least 20 are needed to learn from"),
        (b"once\n" * 99, "has 1 different lines with text, and at least 20 are needed"),
        (b"caf\xe9\n" * 99, "byte 4 is 0xe9, not UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00" * 99, "is a program, not plain text"),
    ],
    ids=["missing", "empty", "short", "latin-1", "binary"],
)
def test_a_text_that_cannot_be_learned_from_is_refused(tmp_path, text, message):
    path = tmp_path / "tale"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(DataError) as error:
        read_text(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["next-word", "--text", "no-tale"], 3, "error: no-tale: "),
        (
            ["cliff", "--text", "tale"],
            2,
            "error: --text (TEXT): cliff learns from no text; leave it out",
        ),
        ([], 2, "error: no lecture is named; give NAME, one of: aligned, attention, "),
    ],
)
def test_a_lecture_ends_with_a_sentence_not_a_traceback(
    tmp_path, monkeypatch, capsys, arguments, code, message
):
    options = ["--out", str(tmp_path), "--threads", str(torch.get_num_threads())]
    monkeypatch.setattr(sys, "argv", ["lectures", *arguments, *options])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == code
    assert message in capsys.readouterr().err
