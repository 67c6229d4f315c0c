from pathlib import Path

import pytest
from test_curves import write_run

from nmt.reporting.curves import Curves
from nmt.reporting.samples import samples_over_time
from nmt.run_folder.samples import keep_text, keep_translations

TEXT = [("a cat", "un gatto"), ("a big dog", "un cane\x1b[31m grande"), ("I see him", "lo vedo")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three validations, of which the second is best; the first translated only one line."""
    run = write_run(tmp_path / "run")
    keep_text(run, TEXT)
    keep_translations(run, 100, ["il"])
    keep_translations(run, 200, ["un gatto", "un cane", ""])
    keep_translations(run, 300, ["il gatto", "un cane grande", "la vedo"])
    return run


def test_sentences_are_shown_over_the_validations(run):
    assert samples_over_time(run, Curves.of(run), count=2) == "\n".join(
        [
            "line 1",
            "source      a cat",
            "reference   un gatto",
            "      100   il",
            "      200*  un gatto",
            "      300   il gatto",
            "",
            "line 3",
            "source      I see him",
            "reference   lo vedo",
            "      100   -",
            "      200*",
            "      300   la vedo",
        ]
    )


def test_nothing_in_a_text_steers_the_terminal(run):
    text = samples_over_time(run, Curves.of(run), count=3)
    assert "\x1b" not in text
    assert "un cane [31m grande" in text


def test_as_many_validations_are_shown_as_asked_for(run):
    lines = samples_over_time(run, Curves.of(run), count=1, rows=2).splitlines()
    assert [line.split()[0] for line in lines[3:]] == ["100", "200*", "300"]  # the best is kept
    lines = samples_over_time(run, Curves.of(run), count=1, rows=1).splitlines()
    assert len(lines) <= 3 + 3


def test_translations_of_updates_that_a_run_went_back_behind_are_left_out(run):
    keep_translations(run, 400, ["x", "y", "z"])
    assert "400" not in samples_over_time(run, Curves.of(run), count=1)


def test_a_run_without_translations_says_so(tmp_path):
    run = write_run(tmp_path / "run")
    assert samples_over_time(run, Curves.of(run), count=3) == "no sample translations yet"
    keep_text(run, TEXT)
    assert samples_over_time(run, Curves.of(run), count=3) == "no sample translations yet"
