"""Word forms of the toy grammar: inflection, articles, contractions and numbers.

Everything here is a pure function of strings, so each rule can be tested alone. Only regular
patterns are rules; exceptions are listed in `lexicon.py`.
"""

import re
from dataclasses import dataclass
from typing import Literal

Gender = Literal["m", "f"]
Number = Literal["singular", "plural"]
Tense = Literal["present", "past"]


@dataclass(frozen=True)
class Agreement:
    """The features in which a verb or adjective agrees with its noun."""

    gender: Gender = "m"
    number: Number = "singular"
    person: Literal[1, 3] = 3

    @property
    def slot(self) -> int:
        """Index into a row of verb forms: I, he or she, we, they."""
        return (2 if self.number == "plural" else 0) + (1 if self.person == 3 else 0)


# English


def indefinite_english(following: str) -> str:
    """Return `following` with "a" or "an" before it."""
    return f"{'an' if following[0] in 'aeiou' else 'a'} {following}"


def plural_english(noun: str) -> str:
    """Return the regular plural: cats, boxes, cities."""
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(s|x|z|ch|sh)$", noun) else "s")


def third_person_english(verb: str) -> str:
    """Return the form after "she"; if a verb has a particle, only the first word changes."""
    head, *particle = verb.split()
    if re.search(r"[^aeiou]y$", head):
        head = head[:-1] + "ies"
    else:
        head += "es" if re.search(r"(s|x|z|o|ch|sh)$", head) else "s"
    return " ".join([head, *particle])


# Italian: articles and contractions


def _is_vowel(following: str) -> bool:
    return following[0] in "aeiouàèéìòù"


def _takes_lo(following: str) -> bool:
    """Whether a masculine word takes lo, gli, uno: s + consonant, z, ps, gn."""
    return re.match(r"s[^aeiou]|z|ps|gn", following) is not None


def definite(agreement: Agreement, following: str) -> str:
    """Return `following` with il, lo, l', la, i, gli or le before it."""
    if agreement.number == "singular":
        if _is_vowel(following):
            return f"l'{following}"
        if agreement.gender == "f":
            return f"la {following}"
        return f"{'lo' if _takes_lo(following) else 'il'} {following}"
    if agreement.gender == "f":
        return f"le {following}"
    return f"{'gli' if _is_vowel(following) or _takes_lo(following) else 'i'} {following}"


def indefinite(gender: Gender, following: str) -> str:
    """Return `following` with un, uno, una or un' before it."""
    if gender == "f":
        return f"un'{following}" if _is_vowel(following) else f"una {following}"
    return f"{'uno' if _takes_lo(following) else 'un'} {following}"


def this(agreement: Agreement, following: str) -> str:
    """Return `following` with questo, questa, quest', questi or queste before it."""
    if agreement.number == "singular" and _is_vowel(following):
        return f"quest'{following}"
    return f"{inflect('questo', agreement)} {following}"


def that(agreement: Agreement, following: str) -> str:
    """Return `following` with quel, quello, quell', quella, quei, quegli or quelle before it."""
    return contract("que", definite(agreement, following))


_CONTRACTED = {"di": "de", "a": "a", "da": "da", "in": "ne", "su": "su", "que": "que"}
_ENDINGS = {"il": "l", "lo": "llo", "la": "lla", "i": "i", "gli": "gli", "le": "lle"}


def contract(preposition: str, phrase: str) -> str:
    """Return `phrase` after `preposition`, contracted with a definite article: in + il -> nel.

    Only the last word of a longer preposition is contracted: vicino a + lo -> vicino allo.
    """
    *before, last = preposition.split()
    stem = _CONTRACTED.get(last)
    article, _, rest = phrase.partition(" ")
    if stem and phrase.startswith("l'"):
        joined = f"{stem}ll'{phrase[2:]}"
    elif stem and article in _ENDINGS:
        joined = f"{stem}{_ENDINGS[article]} {rest}"
    elif last == "a" and phrase[0] in "Aa":
        joined = f"ad {phrase}"
    else:
        joined = f"{last} {phrase}"
    return " ".join([*before, joined])


def and_italian(left: str, right: str) -> str:
    """Join two phrases with "e", or "ed" before another e."""
    return f"{left} {'ed' if right[0] in 'eè' else 'e'} {right}"


# Italian: nouns, adjectives, verbs


def plural_italian(noun: str) -> str:
    """Return the regular plural: gatti, mele, cani, specchi, mucche; città is invariant."""
    if noun.endswith("io"):
        return noun[:-1]
    if re.search(r"[cg][oa]$", noun):
        return noun[:-1] + ("hi" if noun.endswith("o") else "he")
    endings = {"o": "i", "a": "e", "e": "i"}
    return noun[:-1] + endings[noun[-1]] if noun[-1] in endings else noun


def inflect(adjective: str, agreement: Agreement) -> str:
    """Inflect an adjective or participle, given in the masculine singular, for agreement."""
    if adjective.endswith("o") and agreement.gender == "f":
        adjective = adjective[:-1] + "a"
    return plural_italian(adjective) if agreement.number == "plural" else adjective


def present_italian(infinitive: str) -> tuple[str, str, str, str]:
    """Return the regular present: io, lui or lei, noi, loro."""
    stem, ending = infinitive[:-3], infinitive[-3:]
    if ending == "are":
        soft = stem + "h" if stem[-1] in "cg" else stem.removesuffix("i")
        return stem + "o", stem + "a", soft + "iamo", stem + "ano"
    return stem + "o", stem + "e", stem + "iamo", stem + "ono"


def participle_italian(infinitive: str) -> str:
    """Return the regular past participle: mangiato, venduto, dormito."""
    return infinitive[:-3] + {"are": "ato", "ere": "uto", "ire": "ito"}[infinitive[-3:]]


# Numbers

_SMALL = {
    2: ("two", "due"),
    3: ("three", "tre"),
    4: ("four", "quattro"),
    5: ("five", "cinque"),
    6: ("six", "sei"),
    7: ("seven", "sette"),
    8: ("eight", "otto"),
    9: ("nine", "nove"),
    10: ("ten", "dieci"),
    11: ("eleven", "undici"),
    12: ("twelve", "dodici"),
    13: ("thirteen", "tredici"),
    14: ("fourteen", "quattordici"),
    15: ("fifteen", "quindici"),
    16: ("sixteen", "sedici"),
    17: ("seventeen", "diciassette"),
    18: ("eighteen", "diciotto"),
    19: ("nineteen", "diciannove"),
}
_UNITS = {**_SMALL, 1: ("one", "uno")}
_TENS = {
    2: ("twenty", "venti"),
    3: ("thirty", "trenta"),
    4: ("forty", "quaranta"),
    5: ("fifty", "cinquanta"),
    6: ("sixty", "sessanta"),
    7: ("seventy", "settanta"),
    8: ("eighty", "ottanta"),
    9: ("ninety", "novanta"),
}


def number_english(value: int) -> str:
    """Return a number from 2 to 99 in words: twenty-three."""
    if value < 20:
        return _SMALL[value][0]
    tens, unit = divmod(value, 10)
    return _TENS[tens][0] + (f"-{_UNITS[unit][0]}" if unit else "")


def number_italian(value: int) -> str:
    """Return a number from 2 to 99 in words: ventitré; before uno and otto, a vowel is dropped."""
    if value < 20:
        return _SMALL[value][1]
    tens, unit = divmod(value, 10)
    word = _TENS[tens][1]
    if unit in (1, 8):
        word = word[:-1]
    return word + ("" if unit == 0 else "tré" if unit == 3 else _UNITS[unit][1])
