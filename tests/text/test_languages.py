"""`--languages` is read rightly, or refused with the way to say it."""

import pytest

from nmt.errors import UsageError
from nmt.text.languages import (
    explain_code,
    language_of,
    split_languages,
    usual_script,
    why_wrong_code,
)


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("de-en", "de", "en"),
        ("EN-IT", "EN", "IT"),
        ("graph-ipa", "graph", "ipa"),
        ("français-zh", "français", "zh"),
        ("en-en", "en", "en"),
        ("pt-BR-en", "pt-BR", "en"),
        ("en-pt-BR", "en", "pt-BR"),
        ("en-GB-en-US", "en-GB", "en-US"),
        ("zh-Hans-en", "zh-Hans", "en"),
        ("zh-hans-en", "zh-hans", "en"),
        ("en-zh-Hant-TW", "en", "zh-Hant-TW"),
        ("zh-Hans-CN-zh-Hant-TW", "zh-Hans-CN", "zh-Hant-TW"),
        ("sr-Latn-sr-Cyrl", "sr-Latn", "sr-Cyrl"),
        ("es-419-en", "es-419", "en"),
        ("zh-yue-en", "zh-yue", "en"),
        ("ca-valencia-es", "ca-valencia", "es"),
        ("de-1996-en", "de-1996", "en"),
        ("yue-eng", "yue", "eng"),
        ("pt_BR-en_US", "pt_BR", "en_US"),
        ("pt-BR:en", "pt-BR", "en"),
        ("pt-br:en", "pt-br", "en"),
        ("pt:BR", "pt", "BR"),
        ("en-x-pirate:français", "en-x-pirate", "français"),
    ],
)
def test_two_tags_are_separated(text, source, target):
    assert split_languages(text) == (source, target)


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("pt-br-en", "pt:br-en or pt-br:en"),
        ("en-pt-br", "en:pt-br or en-pt:br"),
    ],
)
def test_an_ambiguous_text_is_refused_with_its_readings(text, choices):
    with pytest.raises(UsageError) as error:
        split_languages(text)
    assert str(error.value) == (f"--languages {text}: can be read in several ways; write {choices}")


@pytest.mark.parametrize("text", ["pt-BR", "zh-Hans", "es-419"])
def test_a_single_language_with_a_region_or_script_is_refused(text):
    with pytest.raises(UsageError) as error:
        split_languages(text)
    assert str(error.value) == (
        f'--languages {text}: looks like one language, "{text}"; write {text.replace("-", ":")} '
        f"if these are two, or name both, such as {text}:en"
    )


@pytest.mark.parametrize(
    "text",
    ["deen", "en", "de-", "-en", ":en", "a:b:c", "de--en", "de-e\nn", 'd"e-en', "en-x-pirate-fr"],
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(UsageError) as error:
        split_languages(text)
    assert str(error.value) == (
        f"--languages {text!r}: must be two language codes, source first, such as de-en or, with "
        "regions or scripts, pt-BR:zh-Hans; letters, digits and _ . - only"
    )


def test_the_language_of_a_tag_has_no_region():
    assert [language_of(tag) for tag in ("en", "en-GB", "zh_Hant-TW")] == ["en", "en", "zh"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("German-English", "German is the name of a language, not its code"),
        ("de:english", "english is the name of a language, not its code"),
    ],
)
def test_names_of_languages_are_refused_with_their_codes(text, meant):
    with pytest.raises(UsageError) as error:
        split_languages(text)
    assert meant in str(error.value)
    assert str(error.value).endswith("; write de:en")


@pytest.mark.parametrize(
    ("text", "code", "right"),
    [
        ("en-jp", "jp", "en:ja"),
        ("cz-en", "cz", "cs:en"),
        ("gr:en", "gr", "el:en"),
        ("de:DK", "DK", "de:da"),
        ("en:cn-Hans", "cn-Hans", "en:zh-Hans"),
    ],
)
def test_usual_mistakes_for_codes_are_refused_with_the_right_code(text, code, right):
    with pytest.raises(UsageError) as error:
        split_languages(text)
    assert str(error.value) == (
        f"--languages {text}: {code} is not a language's code, which tells where its sentences "
        f"end; write {right}"
    )


def test_codes_that_only_look_mistaken_are_explained():
    assert split_languages("se-en") == ("se", "en")
    assert explain_code("se") == '"se" is Northern Sami; Swedish is "sv"'
    assert explain_code("sv") is None
    assert '"kr" is written in Latin letters' in str(why_wrong_code("kr", {"HANGUL": 1}))


@pytest.mark.parametrize(
    ("code", "script"),
    [
        *[("ru", "CYRILLIC"), ("pt-BR", "LATIN"), ("ja", "CJK"), ("sr", None)],
        *[("ru-Latn", "LATIN"), ("sr-Cyrl-RS", "CYRILLIC"), ("zh-hans", "CJK"), ("sr-Zyyy", None)],
    ],
)
def test_the_usual_script_of_a_language(code, script):
    assert usual_script(code) == script


def test_a_code_is_wrong_where_the_text_has_hardly_any_letters_of_its_script():
    assert why_wrong_code("ru", {"LATIN": 95, "CYRILLIC": 5}) == (
        '"ru" is written in Cyrillic letters, but this text has Latin ones; exchange the '
        'sides if they are swapped, write "ru-Latn" if it is transliterated, or give the code of '
        "its language"
    )
    assert why_wrong_code("en", {"CYRILLIC": 1}) == (
        '"en" is written in Latin letters, but this text has Cyrillic ones; exchange the '
        "sides if they are swapped, or give the code of its language"
    )
    assert why_wrong_code("German", {}) == (
        '"German" is the name of a language; give its code, "de"'
    )
    assert why_wrong_code("jp", {}) == '"jp" is not a language\'s code; give "ja"'
    for code, letters in (
        ("ru", {"LATIN": 80, "CYRILLIC": 20}),
        ("ja", {"HIRAGANA": 9, "KATAKANA": 3}),
        ("ru-Latn", {"LATIN": 9}),
        ("ipa", {"GREEK": 9}),
        ("ru", {}),
    ):
        assert why_wrong_code(code, letters) is None
