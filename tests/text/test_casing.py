"""Ways of writing are recognised, and words spelled as usual."""

import pytest

from nmt.text.casing import (
    has_inner_capital,
    has_no_capitals,
    has_title_case,
    is_in_capitals,
    names_in,
    respell,
    upper,
    with_names,
)


@pytest.mark.parametrize(
    "text", ["A CAT ATE A MOUSE.", "STOP NOW!", "ÜBER 30 MÄNNER", "КОШКА СПИТ", "DON'T GO"]
)
def test_several_words_in_capitals_are_recognised(text):
    assert is_in_capitals(text)


@pytest.mark.parametrize(
    "text", ["NASA", "USA, UK", "The NASA", "42", "", "我有三个苹果", "القط أكل", "A b"]
)
def test_acronyms_and_scripts_without_capitals_are_not(text):
    assert not is_in_capitals(text)


def test_title_case_needs_a_capital_in_each_of_several_words():
    assert has_title_case('The "Old" Man Ate Twenty-one Mice.')
    assert not has_title_case("Tom Jones")
    assert not has_title_case("The Old man")
    assert not has_title_case("THE OLD MAN")


def test_small_letters_need_several_words():
    assert has_no_capitals("a cat ate.")
    assert not has_no_capitals("yes, please")
    assert not has_no_capitals("我有三个 苹果 啊")


def test_words_are_spelled_as_chosen_and_the_first_with_a_capital():
    def choose(spellings):
        return "Rome" if "Rome" in spellings else spellings[0]

    assert respell("IN ROME I SLEPT.", choose, language="en", capitalized=True) == (
        "In Rome I slept."
    )
    assert respell("SONO IO, I RE", choose, language="it", capitalized=False) == "sono io, i re"
    assert respell("IŞIK İZMİR", choose, language="tr", capitalized=False) == "ışık izmir"


def test_capitals_follow_the_language():
    assert upper("izmir ılık", "tr") == "İZMİR ILIK"
    assert upper("straße is", "de") == "STRASSE IS"
    assert upper("აბგ a", "ka") == "აბგ A"


def test_a_capital_within_a_sentence_is_told_from_one_at_its_beginning():
    for line in ("We saw Anna.", "Yes, Anna.", "it has COVID-19", "Я видел Анну", 'the "Old" cat'):
        assert has_inner_capital(line)
    for line in (
        "We slept. Anna too.",
        "Note: Stop!",
        "“Stop! Why?”",
        "and I saw it",
        "猫 が いる",
        "Anna",
        "",
    ):
        assert not has_inner_capital(line)


def test_names_are_words_with_a_capital_within_a_sentence_that_have_it_everywhere():
    text = "AIDS? In rome is COVID-19, and Rome and Italy, I know Anna's cat"
    assert names_in(text) == {
        "aids": "AIDS",
        "covid": "COVID",
        "italy": "Italy",
        "anna's": "Anna's",
    }


def test_names_get_their_capitals_back_where_they_are_whole_words():
    names = {"covid": "COVID", "rome": "Rome"}
    assert with_names("covid-19 a rome, Rome e romeo", names) == "COVID-19 a Rome, Rome e romeo"
