"""Collapsed output is named by its kind; what references do as well is normal."""

import pytest

from nmt.evaluation.collapse import find_collapse, repeats_itself

REFERENCES = [f"The number {n} comes before the number {n + 1}." for n in range(40)]
SOURCES = [f"Die Zahl {n} kommt vor der Zahl {n + 1}." for n in range(40)]


def with_some(text: str, count: int) -> list[str]:
    return [text] * count + REFERENCES[count:]


def test_healthy_output_has_not_collapsed():
    assert find_collapse(REFERENCES, REFERENCES, SOURCES) == []
    assert find_collapse(REFERENCES[::-1], REFERENCES, SOURCES) == []
    assert find_collapse([], [], []) == []


def test_one_sentence_for_many_lines_is_named_with_its_share():
    [found] = find_collapse(with_some("It is a man.", 15), REFERENCES, SOURCES)
    assert str(found) == "38 % of the lines are the same sentence"
    assert found.quoted == ' ("It is a man.")'


def test_labels_that_recur_in_the_references_are_normal():
    labels = ["good", "bad"] * 20
    assert find_collapse(["good"] * 24 + ["bad"] * 16, labels) == []
    assert find_collapse(["good"] * 40, labels)[0].kind == "same"


def test_empty_output_is_named():
    [found] = find_collapse(with_some(" ", 10), REFERENCES, SOURCES)
    assert str(found) == "25 % of the lines are empty"
    assert find_collapse(with_some("", 10), with_some("", 10)) == []


def test_copies_of_the_source_are_named():
    [found] = find_collapse([*SOURCES[:20], *REFERENCES[20:]], REFERENCES, SOURCES)
    assert str(found) == "50 % of the lines are copies of the source"
    assert find_collapse(SOURCES, SOURCES, SOURCES) == []


def test_loops_are_named_and_come_first_where_they_are_more():
    loops = [f"il {'il ' * (n % 5 + 4)}il" for n in range(40)]
    found = find_collapse(loops, REFERENCES, SOURCES)
    assert [(each.kind, each.share) for each in found] == [("repeats", 1.0)]
    assert str(found[0]) == "100 % of the lines repeat themselves"


@pytest.mark.parametrize(
    "line",
    [
        "il il il",
        "the man and the man and the man and the man",
        "we saw the old house and then we saw the old house again",
        "$755555555500",
        "我是我是我是我是我是我是我是",
        "ฉันชอบแมวฉันชอบแมวและฉันชอบแมว",
    ],
)
def test_repetition_is_found(line):
    assert repeats_itself(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "...",
        "It was very, very good.",
        "The man who saw the man saw the dog.",
        "100,000 people",
        "我有三个苹果，他有三个梨。",
        "哈哈哈",
    ],
)
def test_ordinary_text_does_not_repeat_itself(line):
    assert not repeats_itself(line)
