"""Language tags (BCP 47), and pairs of them: "de-en", "pt-BR-en", "zh-Hans:en"."""

import re
from collections.abc import Mapping

from nmt.errors import UsageError
from nmt.text.scripts import HAN, name_of_script

# language, extended language, script, region, variants: "zh-yue", "sr-Latn-RS", "ca-valencia"
_TAG = (
    "{language}(-{extended})?(-{script})?(-({region}|[0-9]{{3}}))?"
    "(-([A-Za-z0-9]{{5,8}}|[0-9][A-Za-z0-9]{{3}}))*"
)
_WELL_WRITTEN = re.compile(
    _TAG.format(
        language="[a-z]{2,3}", extended="[a-z]{3}", script="[A-Z][a-z]{3}", region="[A-Z]{2}"
    )
)
_ANY_CASE = re.compile(_WELL_WRITTEN.pattern, re.IGNORECASE)
_CODE = re.compile(r"\w([\w.-]*\w)?")

_LANGUAGES = {
    "ARABIC": "ar Arabic, fa Persian, ur Urdu, ps Pashto",
    "ARMENIAN": "hy Armenian",
    "BENGALI": "bn Bengali, as Assamese",
    "CYRILLIC": "ru Russian, uk Ukrainian, be Belarusian, bg Bulgarian, mk Macedonian",
    "DEVANAGARI": "hi Hindi, mr Marathi, ne Nepali",
    "ETHIOPIC": "am Amharic, ti Tigrinya",
    "GEORGIAN": "ka Georgian",
    "GREEK": "el Greek, grc Ancient Greek",
    "GUJARATI": "gu Gujarati",
    HAN: "zh Chinese, ja Japanese, yue Cantonese",
    "HANGUL": "ko Korean",
    "HEBREW": "he Hebrew, yi Yiddish",
    "KANNADA": "kn Kannada",
    "KHMER": "km Khmer",
    "LAO": "lo Lao",
    "LATIN": "af Afrikaans, ca Catalan, cs Czech, cy Welsh, da Danish, de German, ee Ewe, "
    "en English, eo Esperanto, es Spanish, et Estonian, eu Basque, fi Finnish, fr French, "
    "ga Irish, gl Galician, hr Croatian, hu Hungarian, id Indonesian, is Icelandic, it Italian, "
    "kr Kanuri, lt Lithuanian, lv Latvian, ms Malay, mt Maltese, nb Bokmål, nl Dutch, "
    "nn Nynorsk, no Norwegian, pl Polish, pt Portuguese, ro Romanian, se Northern Sami, "
    "sk Slovak, sl Slovenian, sq Albanian, sv Swedish, sw Swahili, tl Tagalog, tr Turkish, "
    "vi Vietnamese",
    "MALAYALAM": "ml Malayalam",
    "MYANMAR": "my Burmese",
    "SINHALA": "si Sinhala",
    "TAMIL": "ta Tamil",
    "TELUGU": "te Telugu",
    "THAI": "th Thai",
    "TIBETAN": "bo Tibetan",
}
"""Codes and English names of languages that have one usual script, as `script_of` names it."""
_WRITTEN = [
    (script, *language.split(" ", 1))
    for script, languages in _LANGUAGES.items()
    for language in languages.split(", ")
]
_SCRIPTS = {
    "Arab": "ARABIC",
    "Armn": "ARMENIAN",
    "Beng": "BENGALI",
    "Cyrl": "CYRILLIC",
    "Deva": "DEVANAGARI",
    "Ethi": "ETHIOPIC",
    "Geor": "GEORGIAN",
    "Grek": "GREEK",
    "Hang": "HANGUL",
    "Hans": HAN,
    "Hant": HAN,
    "Hebr": "HEBREW",
    "Jpan": HAN,
    "Kore": "HANGUL",
    "Latn": "LATIN",
    "Thai": "THAI",
}
"""Scripts by their subtag (ISO 15924)."""
_SCRIPT_OF_CODE = {code: script for script, code, _ in _WRITTEN}
_CODE_OF_NAME = {name.lower(): code for _, code, name in _WRITTEN}
_MISTAKEN = {
    "al": "sq",
    "by": "be",
    "cn": "zh",
    "cz": "cs",
    "dk": "da",
    "gb": "en",
    "ge": "ka",
    "gr": "el",
    "il": "he",
    "ir": "fa",
    "jp": "ja",
    "kz": "kk",
    "rs": "sr",
    "sp": "es",
    "ua": "uk",
    "us": "en",
    "vn": "vi",
}
"""Codes of no language, mostly of countries, and the code of the language that is meant."""
_MAYBE_MISTAKEN = {
    "ee": '"ee" is Ewe; Estonian is "et"',
    "kr": '"kr" is Kanuri; Korean is "ko"',
    "se": '"se" is Northern Sami; Swedish is "sv"',
}
"""What codes of languages mean that are also those of countries, but of others."""
_SAME_TEXT = {"HIRAGANA": HAN, "KATAKANA": HAN}
_LEAST_SHARE = 0.1
"""Share of the letters in the expected script below which a text is doubted."""


def split_languages(text: str) -> tuple[str, str]:
    """Return the source and target language of a text such as "de-en" or "pt-BR:en".

    A colon always separates the two. A hyphen does where no other hyphen can: if it is the only
    one, or if it leaves a tag on either side, written in the usual case ("pt-BR-en") or any other.

    Raises:
        UsageError: there are not two codes, there are several ways to read them, or one is the
            name of a language or a usual mistake for its code, such as "jp" for "ja".
    """
    pair = _read_pair(text)
    codes = [_code_meant(each) or each for each in pair]
    for name, code in zip(pair, codes, strict=True):
        if code != name:
            is_name = name.lower() in _CODE_OF_NAME
            what = "the name of a language, not its code" if is_name else "not a language's code"
            raise UsageError(
                f"--languages {text}: {name} is {what}, which tells where its sentences end; write "
                f"{':'.join(codes)}"
            )
    return pair


def _code_meant(code: str) -> str | None:
    """Return the right code for the name of a language or a usual mistake; None for others."""
    if meant := _CODE_OF_NAME.get(code.lower()):
        return meant
    language, rest = code[:2], code[2:]
    if rest[:1] in ("", "-", "_") and (meant := _MISTAKEN.get(language.lower())):
        return meant + rest
    return None


def _read_pair(text: str) -> tuple[str, str]:
    """Return the two codes in a text.

    Raises:
        UsageError: as `split_languages`.
    """
    if ":" in text:
        source, _, target = text.partition(":")
        readings = [(source, target)]
    else:
        parts = text.split("-")
        readings = [("-".join(parts[:at]), "-".join(parts[at:])) for at in range(1, len(parts))]
        if len(readings) > 1:
            readings = _pairs_of_tags(readings)
        elif len(parts) == 2 and _WELL_WRITTEN.fullmatch(text) and not parts[1].islower():
            raise UsageError(
                f'--languages {text}: looks like one language, "{text}"; write '
                f"{parts[0]}:{parts[1]} if these are two, or name both, such as {text}:en"
            )
    codes = [reading for reading in readings if all(map(_CODE.fullmatch, reading))]
    if len(codes) == 1:
        return codes[0]
    if codes:
        choices = " or ".join(f"{source}:{target}" for source, target in codes)
        raise UsageError(f"--languages {text}: can be read in several ways; write {choices}")
    raise UsageError(
        f"--languages {text!r}: must be two language codes, source first, such as de-en or, with "
        "regions or scripts, pt-BR:zh-Hans; letters, digits and _ . - only"
    )


def language_of(code: str) -> str:
    """Return the language of a tag without script, region and variants, in lower case."""
    return re.split("[-_]", code)[0].lower()


def usual_script(code: str) -> str | None:
    """Return the script that a language is written in, as `script_of` names it (kana: "CJK").

    That is the one that the code names, such as "sr-Latn", or the usual one of the language; None
    if it is not known or there are several.
    """
    language, *rest = code.replace("_", "-").split("-")
    named = [subtag for subtag in rest if len(subtag) == 4 and subtag.isalpha()]
    return _SCRIPTS.get(named[0].title()) if named else _SCRIPT_OF_CODE.get(language.lower())


def explain_code(code: str) -> str | None:
    """Return what a code means that is often taken for that of another language, or None."""
    return _MAYBE_MISTAKEN.get(language_of(code))


def why_wrong_code(code: str, scripts: Mapping[str, float]) -> str | None:
    """Return how a language code disagrees with the letters of its text; None if it does not.

    It may also be the name of a language.

    Args:
        code: of the language.
        scripts: how many letters each script has, as a number or share.
    """
    if meant := _CODE_OF_NAME.get(code.lower()):
        return f'"{code}" is the name of a language; give its code, "{meant}"'
    if meant := _code_meant(code):
        return f'"{code}" is not a language\'s code; give "{meant}"'
    expected, total = usual_script(code), sum(scripts.values())
    own = sum(n for script, n in scripts.items() if _SAME_TEXT.get(script, script) == expected)
    if expected is None or not total or own >= _LEAST_SHARE * total:
        return None
    seen = max(scripts, key=lambda script: scripts[script])
    transliterated = f', write "{language_of(code)}-Latn" if it is transliterated'
    return (
        f'"{code}" is written in {name_of_script(expected)} letters, but this text has '
        f"{name_of_script(seen)} ones; exchange the sides if they are swapped"
        f"{transliterated * (seen == 'LATIN')}, or give the code of its language"
    )


def _pairs_of_tags(readings: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the readings as two tags in the usual case; if there are none, in any case."""
    for form in (_WELL_WRITTEN, _ANY_CASE):
        if found := [reading for reading in readings if all(map(form.fullmatch, reading))]:
            return found
    return []
