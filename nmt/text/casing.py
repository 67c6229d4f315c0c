"""Text in capitals, in Title Case or without capitals: recognised, and spelled as it usually is."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from nmt.text.scripts import script_of
from nmt.text.spans import Span

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_INNER_WORD = re.compile(rf"(?:(?<=[^\W_])|(?<=[,;]))\s\W{{0,2}}({_WORD.pattern})")
_AROUND = "\"'“”„‘’«»()[]{}¿¡-–—"
_FEWEST_LETTERS = 6
"""Letters of a text in capitals; fewer may be names and acronyms."""
_SHORT = 3
"""Letters of the shortest acronym that is put in capitals, and of words that are rather articles
than translations of one."""
_ELIDED = re.compile(r"\W*(?!o['’])[^\W\d_]{1,5}['’](?=[^\W\d_]{3})")
"""An article or preposition that lost its vowel before a name: d’Irlande, dell’Irlanda."""
_MUTATED = re.compile(
    r"\W*(?:bh(?=f)|b(?=p)|d(?=t)|g(?=c)|m(?=b)|n(?=[dg])|t(?=s)|(?:h|[nt]-)(?=[aeiouáéíóú]))"
)
"""What Irish writes in small letters before the capital of a name: gCorcaigh, hÉireann, tAontas."""
_DOTTED_I = frozenset({"tr", "az", "crh", "tt"})
"""Languages in which the capital of i is İ, and that of ı is I."""


def is_in_capitals(text: str) -> bool:
    """Whether `text` is in capitals: at least two words, none of which has a small letter.

    A single word and short ones may be names, such as "NASA" and "USA, UK".
    """
    if not text.isupper():
        return False
    words = [word for word in _WORD.findall(text) if word.isupper()]
    return len(words) > 1 and sum(map(len, words)) >= _FEWEST_LETTERS


def has_title_case(text: str) -> bool:
    """Whether each of at least three words begins with a capital, and some have small letters."""
    words = [word.strip(_AROUND) for word in text.split()]
    words = [word for word in words if word[:1].isalpha()]
    return len(words) > 2 and all(word[0].isupper() for word in words) and not text.isupper()


def begins_with_capital(text: str) -> bool:
    """Whether the first letter of `text` is a capital."""
    first = _WORD.search(text)
    return first is not None and first[0][0].isupper()


def has_no_capitals(text: str) -> bool:
    """Whether a text of at least three words has only small letters."""
    return text.islower() and len(_WORD.findall(text)) > 2


def has_inner_capital(text: str) -> bool:
    """Whether a word that does not begin a sentence, such as a name, begins with a capital."""
    return any(map(_is_name, _INNER_WORD.findall(text)))


def names_in(text: str) -> dict[str, str]:
    """Return the words within sentences that begin with a capital, by their small letters.

    Those in capitals may also begin a sentence. Words that `text` has in small letters as well are
    left out.
    """
    words = _WORD.findall(text)
    names = [word for word in words if word.isupper()] + _INNER_WORD.findall(text)
    small = {word for word in words if word.islower()}
    return {name.lower(): name for name in names if _is_name(name) and name.lower() not in small}


def _is_name(word: str) -> bool:
    return len(word) > 1 and word[0].isupper() and not word.startswith(("I'", "I’"))


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Return `text` with the words of `names` in their capitals, if in small letters."""
    return _WORD.sub(lambda match: names.get(match[0], match[0]), text)


def first_name(text: str, names: Mapping[str, str]) -> str:
    """Return the first of `names` in a text, whatever its case; "" if there is none."""
    found = (names[word] for word in map(str.lower, _WORD.findall(text)) if word in names)
    return next(found, "")


def with_linked_names(
    text: str, linked: Iterable[tuple[str, Sequence[Span]]], *, language: str = ""
) -> str:
    """Return a translation in which the translations of names have capitals.

    Of several words for a name, the longest has them, since the others are articles and the like;
    none if one has a capital already, or is the name itself, which `with_names` is for.

    Args:
        text: the translation.
        linked: each name, "" for what is none, and the words that translate it, as spans of `text`.
        language: code of the language of `text`.
    """
    edits = []
    for name, spans in linked:
        words = [text[start:end] for start, end in spans]
        small = {name.lower(): name}
        if not name or not words or not all(map(str.islower, words)):
            continue
        if any(first_name(word, small) for word in words):
            continue
        (start, end), word = max(zip(spans, words, strict=True), key=lambda each: _size(each[1]))
        edits.append((start, end, _as_name(word, name, language)))
    for start, end, word in sorted(edits, reverse=True):
        text = text[:start] + word + text[end:]
    return text


def _as_name(word: str, name: str, language: str) -> str:
    """Return a word in small letters with the capitals of `name`, which it translates.

    An acronym is one in the translation, too, if it has as many letters, as "FSS" for "HSE". Very
    short words that are linked to one are something else.
    """
    is_acronym = name.isupper() and len(name) > 1
    if is_acronym and _size(word) == _size(name) >= _SHORT:
        return upper(word, language)
    if is_acronym and _size(word) <= _SHORT:
        return word
    elided = _ELIDED.match(word)
    before = elided[0] if elided else ""
    rest = word[len(before) :]
    if _code(language) == "ga" and not name.startswith("H"):
        mutated = _MUTATED.match(rest)
        if mutated:
            before += mutated[0].removesuffix("-")
            rest = rest[mutated.end() :]
    return before + capitalize(rest, language)


def _size(word: str) -> int:
    """Return the number of letters."""
    return sum(map(str.isalpha, word))


def respell(
    text: str,
    choose: Callable[[Sequence[str]], str],
    *,
    language: str = "",
    capitalized: bool,
) -> str:
    """Return a text with each word in its usual case.

    Args:
        text: the text.
        choose: returns which of several spellings of a word is the most usual: in small letters,
            with a capital, as it is in the text.
        language: code of the language.
        capitalized: whether the text begins with a capital.
    """
    is_english = _code(language) == "en"

    def spell(match: re.Match[str]) -> str:
        small = _lower(match[0], language)
        large = capitalize(small, language)
        if is_english and re.match("i(?!\\w)", small):
            return large
        return choose(list(dict.fromkeys((small, large, match[0]))))

    text = _WORD.sub(spell, text)
    return capitalize(text, language) if capitalized else text


def capitalize(text: str, language: str = "") -> str:
    """Return `text` with a capital as its first letter."""
    first = _WORD.search(text)
    if first is None:
        return text
    start = first.start()
    return f"{text[:start]}{upper(text[start], language)}{text[start + 1 :]}"


def upper(text: str, language: str = "") -> str:
    """Return `text` in capitals; Georgian, whose capitals are rarely used, stays as it is."""
    if _is_dotted(language):
        text = text.replace("i", "İ")
    return "".join(c if script_of(c) == "GEORGIAN" else c.upper() for c in text)


def _lower(text: str, language: str) -> str:
    if _is_dotted(language):
        text = text.replace("I", "ı")
    return text.replace("İ", "i").lower()


def _is_dotted(language: str) -> bool:
    return _code(language) in _DOTTED_I


def _code(language: str) -> str:
    """Return the code of a language without region and script."""
    return language.partition("-")[0].lower()
