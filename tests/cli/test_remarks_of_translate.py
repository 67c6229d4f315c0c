"""What is doubtful about translations is said in one warning at the end."""

import pytest

from nmt.cli.remarks import Remarks
from nmt.config.search import SearchConfig
from nmt.translation import TranslatedText, Translation

LOOP = "the man and the man and the man and the man"


def line(source, text, **facts):
    return Translation(source, (TranslatedText(text, 0.0, 0.0, True, None),), **facts)


def report(lines, **options):
    remarks = Remarks(SearchConfig(**options))
    for each in lines:
        remarks.add(each)
    remarks.report()


def test_repetition_is_counted_and_its_remedy_named_once(caplog):
    report([line("a", LOOP)] * 3 + [line("a", "b")] * 20)
    assert caplog.messages == [
        "3 of 23 lines: repetitions (try --no-repeat-ngram 3, or train longer), e.g. line 1: "
        f"{LOOP}"
    ]


def test_repetition_in_the_only_line_is_named(caplog):
    report([line("a", LOOP)])
    assert caplog.messages[0].startswith("1 of 1 line: repetitions (try")


def test_all_kinds_are_counted_with_the_first_example_of_each(caplog):
    lines = [
        line("a", "b"),
        line("ж", "b", unseen=("ж",)),
        line("я ж", "b", unseen=("я", "ж"), unknown_pieces=9),
        line("xyz", "b", unknown_pieces=4),
        line("see 1234", "b", lost=("1234",)),
        line("c d", "b", too_long=True),
        line("e f g", "b", too_short=True),
    ]
    report(lines)
    assert caplog.messages == [
        '2 of 7 lines: characters that the model never saw, e.g. line 2: "ж"; '
        "1 of 7 lines: words that the model hardly knows, e.g. line 4: 4 unknown pieces; "
        "1 of 7 lines: more than all that the model was trained on, perhaps cut short, "
        "e.g. line 6: c d; 1 of 7 lines: a translation that is too short to say everything, "
        "e.g. line 7: e f g; 1 of 7 lines: a number or an address lost, e.g. line 5: 1234"
    ]


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        ([line("a", LOOP)] * 3 + [line("a", "b")] * 40, {}),
        ([line(LOOP, LOOP)] * 9, {}),
        ([line("a", LOOP)] * 9, {"no_repeat_ngram": 4}),
        ([line("a", "b", unknown_pieces=3)], {}),
        ([], {}),
    ],
    ids=["few", "as in the source", "option in use", "few unknown pieces", "no lines"],
)
def test_nothing_is_said_otherwise(caplog, lines, options):
    report(lines, **options)
    assert caplog.messages == []
