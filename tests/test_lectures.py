"""Each lecture shows its claim on a small scale: a table, a picture, and no warning."""

import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("matplotlib")

RECIPES = Path(__file__).parent.parent / "recipes"
sys.path.insert(0, str(RECIPES))

from lectures.__main__ import main  # noqa: E402
from lectures.next_word import read_text  # noqa: E402
from lectures.shelf import Report, load, names  # noqa: E402

from nmt.errors import DataError  # noqa: E402


@pytest.mark.parametrize("name", names())
def test_a_lecture_shows_its_claim(name, tmp_path, capsys):
    lecture = load(name)
    assert lecture.CLAIM.endswith(".")
    lecture.show(Report(tmp_path, quick=True))
    assert list(tmp_path.glob("*.tsv"))
    assert list(tmp_path.glob("*.svg"))
    assert "How to read it" in capsys.readouterr().out


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
        (["cliff", "--text", "tale"], 2, "error: --text: cliff learns from no text; leave it out"),
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
