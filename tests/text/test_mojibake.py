"""Wrongly decoded text is found; text of any language is not taken for it."""

import pytest

from nmt.text.mojibake import find_mojibake

TEXTS = [
    "I don’t know – “really”? … 5 €",
    "Ça va, été, naïve, œuvre, À bientôt",
    "Äpfel, Öl, Übung, Straße, weiß",
    "Olá, não, maçã, órgão",
    "Łódź, żółć, čeština, ő, ș",
    "Tiếng Việt: thế giới",
    "Привет, мир: ёлка",
    "Γειά σου Κόσμε",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "你好，世界。",
    "こんにちは世界",
    "안녕하세요",
]


@pytest.mark.parametrize("text", TEXTS)
def test_no_language_is_taken_for_mojibake(text):
    assert find_mojibake(text) is None


@pytest.mark.parametrize("text", TEXTS)
def test_utf8_read_as_latin_1_is_found(text):
    assert find_mojibake(text.encode().decode("latin-1"))


@pytest.mark.parametrize("encoding", ["cp1250", "cp1251", "cp1252", "cp437", "cp850", "mac_roman"])
def test_utf8_read_as_another_encoding_is_found(encoding):
    for text in ("été à la mer", "Łódź żółw", "привет", "你好世界"):
        try:
            wrong = text.encode().decode(encoding)
        except UnicodeDecodeError:  # a byte that this encoding lacks
            continue
        assert find_mojibake(wrong), wrong


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("I donâ€™t know", "â€™"),
        ("你好 donâ€™t", "â€™"),  # the rest of the line is right
        ("Der CafÃ© in der Straße", "Ã©"),
        ("costs Â£5, “really”", "Â£"),
        ("Ã¢â‚¬â„¢ twice", "Ã¢"),
        ("ï»¿start", "ï»¿"),
        ("锟斤拷", "锟斤拷"),
    ],
)
def test_the_place_is_returned(text, place):
    found = find_mojibake(text)
    assert found is not None
    assert found[0] == place


@pytest.mark.parametrize(
    "text", ["«CAFÉ»", "CAFÉ»", "„MENÜ“", "MENÜ“", "MAÇÃ»", "SÃO PAULO", "ÂNIMA", "É…", "R$ 5 – SÃ"]
)
def test_capitals_before_punctuation_are_right(text):
    assert find_mojibake(text) is None
