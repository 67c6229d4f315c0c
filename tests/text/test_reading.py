"""What a model reads of a line: sentences it can translate, in characters that it has seen."""

import logging

import pytest

from nmt.text.normalize import Normalizer
from nmt.text.reading import FirstWarnings, LineReader, unseen_of
from nmt.text.subword import Subword
from nmt.text.training_text import TrainingTextSurvey

LINES = [
    "A cat ate a mouse.",
    "We were not very intelligent.",
    "Anna's dog saw the small cat, and it slept.",
    "Why did you sleep in Rome?",
] * 10


@pytest.fixture(scope="module")
def subword(tmp_path_factory) -> Subword:
    path = tmp_path_factory.mktemp("pieces") / "subword.model"
    return Subword.train(LINES, path, kind="bpe", vocab_size=400)


@pytest.fixture
def make_reader(subword):
    """Return a function that makes a reader for a model trained on given pairs, or on any."""

    def make(lines=LINES, targets=None, *, known: bool = True, **options) -> LineReader:
        survey = TrainingTextSurvey("en")
        for source, target in zip(lines, targets or ["Un gatto."] * len(lines), strict=True):
            survey.add(source, target, pieces=(len(subword.encode(source)), 1))
        facts = survey.result() if known else None
        return LineReader(
            subword, Normalizer(), facts, **{"most": 1000, "language": "en"} | options
        )

    return make


def read(reader: LineReader, line: str, subword: Subword) -> list[str | None]:
    """Return the text of each segment that the model reads, None if it is copied."""
    return [
        None if segment.is_copied else subword.decode(segment.ids)
        for segment in reader.read(line, 1)
    ]


SIX = "A cat ate. We slept. Why did you sleep? Anna saw it. Rome slept. We were intelligent."


def test_a_line_of_more_sentences_than_training_lines_is_split(make_reader, subword):
    assert len(read(make_reader(), SIX, subword)) == 6
    assert len(read(make_reader(), "A cat ate. We slept.", subword)) == 2
    assert len(read(make_reader(known=False), SIX, subword)) == 6


def test_a_line_as_in_training_is_not_split(make_reader, subword):
    two = "A cat ate a mouse. We were not very intelligent."
    reader = make_reader([*LINES, two])
    assert read(reader, two, subword) == [two]
    assert len(read(reader, SIX, subword)) == 6
    assert len(read(reader, f"Anna's dog saw the small cat, and it slept. {two}", subword)) == 3
    assert len(read(make_reader([SIX] * 3), SIX, subword)) == 1


def test_split_always_and_never_are_obeyed(make_reader, subword):
    two = "A cat ate a mouse. We were not very intelligent."
    assert len(read(make_reader([*LINES, two], split="always"), two, subword)) == 2
    assert read(make_reader(split="never"), SIX, subword) == [SIX]


def test_cells_between_tabs_are_read_apart(make_reader, subword):
    line = " A cat ate a mouse.\t\t42\tWe were not very intelligent. "
    assert read(make_reader(), line, subword) == [
        *["A cat ate a mouse.", None, "We were not very intelligent."]
    ]


def test_a_line_end_inside_a_string_ends_a_sentence(make_reader, subword):
    line = "A cat\nWe were not\n"
    assert read(make_reader(), line, subword) == ["A cat", "We were not"]


@pytest.mark.parametrize("end", ["\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\t"])
def test_whatever_ends_a_line_ends_a_sentence(end, make_reader, subword):
    read_apart = read(make_reader(), f"A cat ate a mouse{end}We slept", subword)
    assert read_apart == ["A cat ate a mouse", "We slept"]


def test_items_between_bullets_are_read_apart_unless_the_model_has_seen_bullets(
    make_reader, subword
):
    line = "• A cat ate a mouse • We slept | Anna saw it"
    assert read(make_reader(), line, subword) == ["A cat ate a mouse", "We slept", "Anna saw it"]
    seen = make_reader([*LINES, line])
    assert read(seen, line, subword) == [line]
    assert len(read(make_reader(), "a|b or || is no list", subword)) == 1
    assert read(make_reader(), "•", subword) == [None]


def test_a_model_that_does_not_say_what_it_has_seen_gets_one_sentence_at_a_time(
    make_reader, subword
):
    assert len(read(make_reader(known=False), "A cat ate. We slept.", subword)) == 2


def test_a_model_that_reads_white_space_gets_the_whole_line(subword):
    reader = LineReader(subword, Normalizer(whitespace=False), None, most=1000)
    for line in ("  A cat\tate. ", "\tA cat"):
        (segment,) = reader.read(line, 1)
        assert (segment.span.start, segment.span.end) == (0, len(line))


def test_a_sentence_far_longer_than_any_in_training_is_cut_and_said(make_reader, subword, caplog):
    long = " and ".join(["the small cat saw the dog"] * 20)
    with caplog.at_level(logging.WARNING):
        reader = make_reader()
        parts = read(reader, long, subword)
        assert len(parts) > 3
        assert " ".join(parts).lower() == long
        for _ in range(9):
            reader.read(long, 7)
        reader.report()
    assert "line 1: has a sentence of more than" in caplog.text
    assert "7 more lines have such a sentence" in caplog.text
    assert len(caplog.records) == 4


@pytest.mark.parametrize(
    "line", ["", " \t", "\u200b", "\u00ad", "\u200e \u2060", "\ufe0f", "\u3164"]
)
def test_nothing_is_read_of_a_line_without_anything_visible(make_reader, subword, line):
    assert read(make_reader(), line, subword) == read(make_reader(known=False), line, subword) == []


@pytest.mark.parametrize(
    "line",
    [
        *["A ca\u00adt ate a mou\u200bse.", "\u200eA cat ate a mouse.", "A cat\ufeff ate a mouse."],
        *["A\u00a0cat\u3000ate a mouse.", "A cat ate a\u2060 mouse.\ufe0f", "Ａ cat ate a mouse."],
    ],
)
def test_invisible_characters_and_other_widths_do_no_harm(make_reader, subword, line):
    reader = make_reader()
    assert read(reader, line, subword) == ["A cat ate a mouse."]
    assert unseen_of(reader.read(line, 1)) == ()


def test_an_invisible_character_that_training_text_has_is_kept(make_reader, subword):
    line = "A cat\u200c ate a mouse."
    assert read(make_reader([*LINES, line]), line, subword) == [line]


def test_other_quotes_are_read_as_those_of_the_training_text(make_reader, subword):
    assert read(make_reader(), "Anna’s dog slept.", subword) == ["Anna's dog slept."]


@pytest.mark.parametrize(
    "line",
    [
        *["42", "1 2 3 4 5", "6171-1231-1311-1231", "---", "👍", "½ + ¼ = ¾", "$3.50", "٤٢", "!"],
        *["anna@example.org", "https://example.org/a?b=1"],
    ],
)
def test_lines_without_letters_and_addresses_are_copied(make_reader, subword, line):
    assert read(make_reader(), line, subword) == [None]
    copied = make_reader([*LINES, "42", "43"], [*["Un gatto."] * len(LINES), "42", "43"])
    assert read(copied, line, subword) == [None]
    assert read(make_reader(known=False), line, subword) == [None]


def test_numbers_that_training_translates_are_translated(make_reader, subword):
    reader = make_reader(["9/25/1984", "1/2/2003"] * 10, ["1984-09-25", "2003-01-02"] * 10)
    assert read(reader, "3/4/2005", subword) == ["3/4/2005"]


def test_a_line_in_capitals_is_read_in_small_letters_and_raised_again(make_reader, subword):
    reader = make_reader()
    assert read(reader, "A CAT ATE A MOUSE.", subword) == ["A cat ate a mouse."]
    assert read(reader, "ANNA'S DOG SLEPT. WHY?", subword) == ["Anna's dog slept.", "Why?"]
    assert [segment.in_capitals for segment in reader.read("WHY DID YOU SLEEP?", 1)] == [True]
    assert read(make_reader(known=False), "A CAT ATE A MOUSE.", subword) == ["A cat ate a mouse."]
    assert reader.read("A CAT ATE.", 1)[0].unseen == ()


def test_titles_and_small_letters_are_read_as_usual(make_reader, subword):
    for line in ("A Cat Ate A Mouse.", "a cat ate a mouse."):
        (segment,) = make_reader().read(line, 1)
        assert (subword.decode(segment.ids), segment.in_capitals) == ("A cat ate a mouse.", False)


def test_names_are_read_in_small_letters_if_training_text_has_them_so(make_reader, subword):
    lines = ["A cat ate anna's dog.", *(line.capitalize() for line in LINES)]
    (segment,) = make_reader(lines).read("A small Dog ate Anna's Mouse, mouse.", 1)
    assert subword.decode(segment.ids) == "A small dog ate Anna's mouse, mouse."
    assert segment.names == {"dog": "Dog", "anna's": "Anna's"}
    assert make_reader([*lines, "We saw Anna."] * 9).read("The Dog ate.", 1)[0].names == {}


def test_the_apostrophe_of_words_is_read_as_training_text_has_it(make_reader, subword):
    lines = [*LINES, "It’s ’so’ here."]  # both occur, "'" more often
    (segment,) = make_reader(lines).read("Anna’s dog saw ' it '.", 1)
    assert segment.text == "Anna's dog saw ' it '."
    assert make_reader(["Anna’s dog."] * 9).read("Anna's dog.", 1)[0].text == "Anna’s dog."


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title])
def test_case_that_training_text_has_is_kept(make_reader, subword, change):
    lines = [change(line) for line in LINES]
    line = change("A cat ate the small mouse.")
    assert make_reader(lines).read(line, 1)[0].in_capitals is False
    assert read(make_reader(lines), line, subword) == [line]


def test_letters_that_training_text_has_only_in_the_other_case_are_changed(make_reader, subword):
    lines = [line.lower() for line in LINES]
    assert read(make_reader(lines), "Why did Anna eat?", subword) == ["why did anna eat?"]


def test_an_acronym_keeps_its_capitals(make_reader, subword):
    (segment,) = make_reader().read("NASA", 1)
    assert not segment.in_capitals


def test_characters_that_were_never_seen_are_named_once(make_reader):
    line = "A жcatж 猫 ate."
    for reader in (make_reader(), make_reader(known=False)):
        segments = reader.read(line, 1)
        assert unseen_of(segments) == ("ж", "猫")
        assert sum(segment.unknown for segment in segments) == 2 + 2 + 3  # bytes


def test_only_the_first_warnings_are_logged_and_the_others_counted(caplog):
    warnings = FirstWarnings()
    with caplog.at_level(logging.WARNING):
        for number in range(500):
            warnings.warn(f"line {number} is long")
        warnings.report("lines are too long")
    assert [record.message for record in caplog.records] == [
        *["line 0 is long", "line 1 is long", "line 2 is long", "497 more lines are too long"]
    ]
