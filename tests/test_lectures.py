"""Each lecture shows its claim on a small scale: a table, a picture, and no warning."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

RECIPES = Path(__file__).parent.parent / "recipes"
sys.path.insert(0, str(RECIPES))

from lectures.shelf import Report, load, names  # noqa: E402


@pytest.mark.parametrize("name", names())
def test_a_lecture_shows_its_claim(name, tmp_path, capsys):
    lecture = load(name)
    assert lecture.CLAIM.endswith(".")
    lecture.show(Report(tmp_path, quick=True))
    assert list(tmp_path.glob("*.tsv"))
    assert list(tmp_path.glob("*.svg"))
    assert "How to read it" in capsys.readouterr().out
