"""A translation whose lines repeat themselves ends with one warning."""

from dataclasses import dataclass

import pytest

from nmt.cli.repetition import watch_repetition
from nmt.config.search import SearchConfig

LOOP = "the man and the man and the man and the man"


@dataclass(frozen=True)
class Line:
    source: str
    text: str


def watch(lines, **options):
    assert list(watch_repetition(iter(lines), SearchConfig(**options))) == lines


def test_repetition_is_counted_and_its_remedy_named_once(caplog):
    watch([Line("a", LOOP)] * 3 + [Line("a", "b")] * 20)
    assert caplog.messages == [
        "3 of 23 translations repeat themselves; try --no-repeat-ngram 3, or train longer"
    ]


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        ([Line("a", LOOP)] * 2, {}),
        ([Line("a", LOOP)] * 3 + [Line("a", "b")] * 40, {}),
        ([Line(LOOP, LOOP)] * 9, {}),
        ([Line("a", LOOP)] * 9, {"no_repeat_ngram": 4}),
        ([], {}),
    ],
    ids=["two lines", "few lines", "as in the source", "option is in use", "no lines"],
)
def test_it_is_silent_otherwise(caplog, lines, options):
    watch(lines, **options)
    assert caplog.messages == []
