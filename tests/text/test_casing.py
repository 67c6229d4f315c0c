"""Ways of writing are recognised, and words spelled as usual."""

import pytest

from nmt.text.casing import (
    first_name,
    has_inner_capital,
    has_no_capitals,
    has_title_case,
    is_in_capitals,
    names_in,
    respell,
    upper,
    with_linked_names,
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
    assert names_in("As usual I'm happy and I’ve seen Rome") == {"rome": "Rome"}
    assert names_in(text) == {
        "aids": "AIDS",
        "covid": "COVID",
        "italy": "Italy",
        "anna's": "Anna's",
    }


def test_names_get_their_capitals_back_where_they_are_whole_words():
    names = {"covid": "COVID", "rome": "Rome"}
    assert with_names("covid-19 a rome, Rome e romeo", names) == "COVID-19 a Rome, Rome e romeo"


def linked(text: str, *links: tuple[str, str], language: str = "") -> str:
    """Give the words of `text` that are named after a name its capitals."""
    spans = [
        (name, [(text.index(word), text.index(word) + len(word)) for word in words.split()])
        for name, words in links
    ]
    return with_linked_names(text, spans, language=language)


def test_translations_of_names_get_capitals():
    text = "the agency (of health) in köln."
    assert linked(text, ("Salute", "health)"), ("Colonia", "köln.")) == (
        "the agency (of Health) in Köln."
    )
    assert linked(text, ("", "agency")) == text
    assert linked(text) == text


def test_of_several_words_for_a_name_the_longest_has_capitals():
    assert linked("nell’ irlanda del nord", ("Ireland", "nell’ irlanda")) == (
        "nell’ Irlanda del nord"
    )
    assert linked("an Éire mhór", ("Ireland", "an Éire mhór")) == "an Éire mhór"  # one has it


@pytest.mark.parametrize(
    ("name", "word", "expected"),
    [
        ("HSE", "fss", "FSS"),
        ("HSE", "feidhmeannacht", "Feidhmeannacht"),
        ("HSE", "an", "an"),  # an article that attends to it
        ("EU", "der", "der"),
        ("EU", "le", "le"),
        ("Ireland", "d’irlande", "d’Irlande"),
        ("Ireland", "dell'irlanda,", "dell'Irlanda,"),
        ("Neill", "o’neills", "O’neills"),
        ("North-Korea", "nord-korea", "Nord-korea"),
        ("Father", "ọ̀gbẹ́ni", "Ọ̀gbẹ́ni"),  # with marks that are characters of their own
        ("Anna", "42", "42"),
    ],
)
def test_what_translates_a_name_has_its_capitals(name: str, word: str, expected: str):
    assert linked(f"( {word}", (name, word)) == f"( {expected}"


def test_copies_are_left_to_what_knows_their_capitals():
    assert linked("le mcdonald", ("McDonald", "mcdonald")) == "le mcdonald"
    assert linked("an covid-19", ("COVID", "an covid-19")) == "an covid-19"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("gcoimisiún", "gCoimisiún"),
        ("“mballstát”", "“mBallstát”"),
        ("bhfrainc", "bhFrainc"),
        ("héireann", "hÉireann"),
        ("tsaoráid", "tSaoráid"),
        ("t-aontas", "tAontas"),
        ("n-albain", "nAlbain"),
        ("d’éirinn", "d’Éirinn"),
        ("eoraip", "Eoraip"),
        ("dhomhanda", "Dhomhanda"),
        ("bhallstát", "Bhallstát"),
        ("tacaíocht", "Tacaíocht"),
    ],
)
def test_irish_names_have_their_capital_behind_what_precedes_them(word: str, expected: str):
    assert linked(f"an {word} nua", ("Name", word), language="ga-IE") == f"an {expected} nua"


def test_a_name_may_begin_with_h_in_irish():
    assert linked("i háítí", ("Haiti", "háítí"), language="ga") == "i Háítí"


def test_other_languages_have_it_on_the_first_letter():
    assert linked("an gcoimisiún", ("Name", "gcoimisiún"), language="de") == "an Gcoimisiún"
    assert linked("bu izmir", ("Smyrna", "izmir"), language="tr") == "bu İzmir"


def test_capitals_of_another_length_do_not_move_the_others():
    text = linked("ŉkat an t-aontas köln", ("A", "ŉkat"), ("B", "t-aontas"), ("C", "köln"))
    assert text == "ʼNkat an T-aontas Köln"
    text = linked("an t-aontas i gcorcaigh", ("A", "t-aontas"), ("B", "gcorcaigh"), language="ga")
    assert text == "an tAontas i gCorcaigh"


def test_the_first_name_of_a_word_is_found_in_any_case():
    names = {"covid": "COVID", "anna's": "Anna's"}
    assert first_name("“COVID-19,", names) == "COVID"
    assert first_name("Anna's", names) == "Anna's"
    assert first_name("19", names) == ""
