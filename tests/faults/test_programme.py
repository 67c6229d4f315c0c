"""The table of the programme is written where it belongs."""

import pytest
from programme import BEGIN, END, Programme, conditions


@pytest.mark.parametrize(("full", "tries"), [(False, 3), (True, 500)])
def test_the_full_programme_tries_more_often(full, tries):
    assert Programme(full=full).count(quick=3, full=500) == tries


def test_the_table_is_put_between_its_marks(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    programme = Programme(full=True)
    programme.record(18, "one bit flipped", tries=1200, worst_seconds=0.25)
    programme.record(13, "killed while saving", tries=500, bytes_lost=0, worst_seconds=1.5)
    programme.record(18, "one bit flipped", tries=34, worst_seconds=0.5)
    programme.record(18, "a file too short", tries=1)

    programme.write(path)

    assert path.read_text() == (
        f"before\n{BEGIN}\n"
        "| row | fault | tries | passed | bytes lost | worst time |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| 13 | killed while saving | 500 | 500 | 0 | 1.50 s |\n"
        "| 18 | a file too short | 1 | 1 |  |  |\n"
        "| 18 | one bit flipped | 1,234 | 1,234 |  | 0.50 s |\n"
        f"\n{programme.circumstances()}"
        f"{END}\nafter\n"
    )


def test_the_table_says_where_it_was_made_and_what_was_skipped():
    programme = Programme(full=True)
    assert programme.circumstances().startswith(conditions())
    assert programme.circumstances().endswith(" 0 minutes.\n\nNothing was skipped.\n")
    programme.skip("faults/test_disk.py::test_a", "Skipped: only root can mount")
    assert programme.circumstances().endswith(
        "Not tried there:\n\n- faults/test_disk.py::test_a: only root can mount\n"
    )
