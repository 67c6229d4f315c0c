"""Sentences are found in every script, and never where a full stop is part of a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.text.sentences import Span, cut_at_clauses, find_sentences


def sentences(text: str, language: str = "") -> list[str]:
    return [text[span.start : span.end] for span in find_sentences(text, language)]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["A cat ate a mouse.", "We slept!", "Did you?", "Yes."]),
        ("en", ["I left at 5 p.m.", "He stayed."]),
        ("en", ['"Go!" he said.', '"Stop."', "Then she left... alone."]),
        ("en", ["What?!", "Really!!!", "Well...", "Yes."]),
        ("en", ["1. Open the door.", "2. Close it."]),
        ("en", ["a) Open the door.", "b) Close it.", "(c) Sit down."]),
        ("en", ["You are taller than I.", "He knows."]),
        ("en", ["He came in 1984.", "She left."]),
        ("en", ["a cat ate a mouse.", "we were not very intelligent."]),
        ("en", ["hello Anna!", "how are you?", "i am in Rome. and you?"]),
        ("en", ["I SAW DR. SMITH.", "HE SLEPT."]),
        ("en", ["Hello world .", "We are here ."]),
        ("en", ["A cat ate.\u200b", "We slept.\u2060", "Yes."]),
        ("fr", ["M. Dupont est là.", "« Vraiment ? »", "Oui !", "Il part."]),
        ("de", ["„Ja.“", "Er ging.", "»Komm!« sagte er.", "»Nein.«"]),
        ("es", ["¿Qué?", "¡No!", "Quiero ir.", "Él se queda."]),
        ("el", ["Τι κάνεις;", "Είμαι καλά."]),
        ("ru", ["Он пришёл.", "А. С. Пушкин писал.", "Да?"]),
        ("ar", ["ذهب د. أحمد.", "هل أنت بخير؟", "نعم."]),
        ("ur", ["وہ آیا۔", "میں گیا۔"]),
        ("hi", ["मैं जाता हूँ।", "वह आता है।"]),
        ("hy", ["Նա եկավ։", "Ես գնացի։"]),
        ("am", ["እሱ መጣ።", "እኔ ሄድኩ።"]),
        ("ko", ["저는 갔어요.", "그는 왔어요!"]),
        ("th", ["ดร. สมชาย ไปแล้ว!", "ฉันอยู่บ้าน."]),
    ],
)
def test_sentences_with_spaces_between_them_are_found(language, expected):
    assert sentences(" ".join(expected), language) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["我来了。", "他走了！", "你好吗？", "“好。”", "她说。"],
        ["你好.", "我是汤姆."],
        ["A cat ate.\u200b", "We slept."],
        ["「今日は。明日は。」と言った。", "「行こう。」", "彼は言った。"],
        ["「我来了。」", "「他走了。」", "『好！』"],
    ],
)
def test_sentences_of_scripts_without_spaces_are_found(expected):
    assert sentences("".join(expected)) == expected


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["The king slept.", "A cat ran?", "Anna left!", "Bob came in 1984.", "So"]),
        ("en", ["The king slept.[1]", "Anna left.[2][13]", "Bob came."]),
        ("de", ["Der König schlief.", "Anna ging.", "„Gut.“", "Bob kam."]),
        ("ru", ["Он пришёл.", "Анна ушла!", "Да."]),
        ("ar", ["ذهب أحمد.", "جلست فاطمة."]),
    ],
)
def test_a_forgotten_space_between_sentences_hides_none(language, expected):
    assert sentences("".join(expected), language) == expected


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Write it in Node.js, ASP.NET or www.Example.com/A.Html, Ph.D. Smith said."),
        ("en", "Ask Mr.Smith at file.Name.txt or Anna.Smith@example.org, i.e.Anna, in v2.Beta."),
        ("de", "Das sagte Dr.Müller, z.B.Anna, am 3.Oktober ca.Zehn Uhr."),
        ("en", "Dr. Smith and Mr. J. R. R. Tolkien live in St. Louis in the U.S. Capital."),
        ("en", "See No. 5, fig. 3 and vol. 2 at example.org/a?b=1 for 3.5 dollars."),
        ("en", "It was approx. three o'clock, i.e. late, e.g. Monday."),
        ("en", '"Stop!" he said, and left...'),
        ("en", "Stop! he said to Anna."),
        ("en", "no one is called “Oh!” here, Anna."),
        ("en", "he asked: is Yahoo Inc. old?"),
        ("fr", "Ah ! quel homme."),
        ("de", "Am 3. Oktober kam Ludwig XIV. Er hieß z. B. Prof. Dr. Müller."),
        ("ja", "「行こう。」と彼は言った"),
        ("zh", "我不知道……真的"),
        ("", "---"),
        ("", "A cat ate a mouse. ..."),
    ],
)
def test_what_may_be_one_sentence_stays_one(language, text):
    assert sentences(text, language) == [text]


def test_no_sentences_are_found_in_white_space():
    assert find_sentences("") == find_sentences(" \t\u3000") == []


@given(st.text("aB1.!?。「」\"'’ …;\t-"))
def test_sentences_are_in_order_and_leave_out_only_white_space(text):
    left, place = [], 0
    for span in find_sentences(text):
        assert place <= span.start < span.end
        assert text[span.start : span.end].strip() == text[span.start : span.end]
        left.append(text[place : span.start])
        place = span.end
    assert "".join([*left, text[place:]]).strip() == ""


def test_a_long_sentence_is_cut_at_clauses_then_at_spaces():
    text = "I went home, because it was late; he stayed (for a while) and then left"
    whole = Span(0, len(text))

    def cut(most: int) -> list[str]:
        spans = cut_at_clauses(text, whole, size=len, most=most)
        return [text[span.start : span.end] for span in spans]

    assert cut(100) == [text]
    assert cut(34) == [
        "I went home, because it was late;",
        "he stayed (for a while)",
        "and then left",
    ]
    assert cut(9)[:3] == ["I went", "home,", "because"]
    for most in range(1, 80):
        assert "".join(cut(most)).replace(" ", "") == text.replace(" ", "")


def test_cutting_a_long_sentence_measures_each_part_only_a_few_times():
    text, measured = "word and, " * 500, []

    def size(part):
        measured.append(len(part))
        return len(part)

    assert len(cut_at_clauses(text, Span(0, len(text)), size=size, most=100)) > 40
    assert sum(measured) < 6 * len(text)
