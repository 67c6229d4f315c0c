from nmt.text.scripts import (
    SPACELESS,
    count_scripts,
    has_letters,
    has_visible,
    main_script,
    script_of,
)


def test_letters_have_the_script_of_their_unicode_name():
    letters = {"é": "LATIN", "ª": "LATIN", "Ａ": "LATIN", "Ж": "CYRILLIC", "अ": "DEVANAGARI"}
    spaceless = {"中": "CJK", "々": "CJK", "あ": "HIRAGANA", "ア": "KATAKANA", "ー": "KATAKANA"}
    spaceless |= {"ไ": "THAI", "ກ": "LAO", "ក": "KHMER", "မ": "MYANMAR", "བ": "TIBETAN"}
    assert {letter: script_of(letter) for letter in letters} == letters
    assert {letter: script_of(letter) for letter in spaceless} == spaceless
    assert set(spaceless.values()) <= SPACELESS
    assert not SPACELESS & {*letters.values(), "HANGUL", "ETHIOPIC"}


def test_digits_punctuation_and_marks_have_no_script():
    assert not [character for character in "5๙.,!？。 \u0301\u200bʰ" if script_of(character)]


def test_the_main_script_is_that_of_most_letters():
    assert main_script(["我有三个 iPhone 苹果苹果。"]) == "CJK"
    assert main_script(["42", ""]) is None
    assert count_scripts(["abc жз", "d"]) == {"LATIN": 4, "CYRILLIC": 2}


def test_text_that_shows_nothing_is_not_visible():
    unseen = ["", " \t\u3000", "\u200b", "\u00ad", "\u200e\u2060", "\ufe0f", "\u3164", "\u2800"]
    assert not [text for text in unseen if has_visible(text)]
    assert all(map(has_visible, [".", "\u200b.", "é", "👍\ufe0f", "ㄱ"]))


def test_letters_of_any_script_count_and_nothing_else():
    assert all(map(has_letters, ["a", "4 я", "中", "ª"]))
    assert not any(map(has_letters, ["42", "1,5 %", "👍", "", "---"]))
