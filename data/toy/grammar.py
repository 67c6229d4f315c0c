"""The rules of the toy grammar: each builds its English and Italian side together.

This is a synchronous grammar: a rule takes phrase pairs or words from the lexicon and returns a
longer pair. Each difference between the languages in order, number of words or form is handled by
exactly one rule:

    noun_phrase   the big cats                 i gatti grandi              noun before adjective
                  my house, my mother          la mia casa, mia madre      article or none
                  the girl's hat               il cappello della ragazza   owner last
    Action        she sees him                 lei lo vede                 object before the verb
                  a cat ate a mouse            un gatto ha mangiato ...    one word, two words
                  the girls went               le ragazze sono andate      participle agrees
                  did not always sleep         non ha sempre dormito       no "do"; adverb between
    statement     he slept yesterday           ieri lui ha dormito         time comes first
    inverted      where does the king sleep?   dove dorme il re?           subject last

Rules make no choices: `speaker.py` does. Nothing here is random.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from lexicon import (
    NEVER,
    THEY,
    WANT,
    WITHOUT,
    Adjective,
    Modal,
    Name,
    Noun,
    Phrase,
    Pronoun,
    Verb,
)
from morphology import (
    Agreement,
    Number,
    Tense,
    and_italian,
    contract,
    definite,
    indefinite,
    indefinite_english,
    inflect,
    number_english,
    number_italian,
    that,
    third_person_english,
    this,
)

# Noun phrases


@dataclass(frozen=True)
class NounPhrase(Phrase):
    """A noun with its determiner and modifiers, and the features others agree with."""

    agreement: Agreement


Keyword = Literal["the", "a", "this", "that", "some", "many", "every", "none"]
Determiner = Keyword | Pronoun | NounPhrase
"""An article or similar word, "my" (a pronoun), or "the girl's" (a noun phrase)."""

_POSSESSIVE_PLURALS = {"mio": "miei", "suo": "suoi"}


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def pronoun(word: Pronoun) -> NounPhrase:
    """NP -> Pronoun, as a subject."""
    return NounPhrase(word.english, word.italian, word.agreement)


def name(word: Name) -> NounPhrase:
    """NP -> Name."""
    return NounPhrase(word.text, word.text, Agreement(word.gender))


def noun_phrase(
    noun: Noun,
    determiner: Determiner = "the",
    *,
    number: Number = "singular",
    count: int = 0,
    adjectives: tuple[Adjective, ...] = (),
    modifier: Phrase | None = None,
) -> NounPhrase:
    """NP -> Det Count Adj N Modifier | Det Count N Adj Modifier.

    Args:
        noun: the head.
        determiner: first word; "none" only with `count`.
        number: number of the head; always plural if there is a count.
        count: from 2 to 99, or 0 for none.
        adjectives: in English order; in Italian they follow the noun in reverse order.
        modifier: a relative clause or prepositional phrase.
    """
    number = "plural" if count else number
    agreement = noun.agreement(number)
    english = _words(
        number_english(count) if count else "",
        *(adjective.english for adjective in adjectives),
        noun.in_english(number),
    )
    italian = _words(
        number_italian(count) if count else "",
        noun.in_italian(number),
        *(inflect(adjective.italian, agreement) for adjective in reversed(adjectives)),
    )
    bare_kin = noun.kind == "kin" and number == "singular" and not adjectives
    determined = _determine(determiner, english, italian, agreement, bare_kin)
    if modifier is None:
        return determined
    return NounPhrase(
        f"{determined.english} {modifier.english}",
        f"{determined.italian} {modifier.italian}",
        agreement,
    )


def _determine(
    determiner: Determiner, english: str, italian: str, agreement: Agreement, bare_kin: bool
) -> NounPhrase:
    """Prepend the determiner to both sides."""
    plural = agreement.number == "plural"
    if isinstance(determiner, NounPhrase):
        english = f"{determiner.english}'s {english}"
        italian = f"{definite(agreement, italian)} {contract('di', determiner.italian)}"
    elif isinstance(determiner, Pronoun):
        english = f"{determiner.english_possessive} {english}"
        italian = f"{_possessive(determiner, agreement)} {italian}"
        if not bare_kin or determiner is THEY:
            italian = definite(agreement, italian)
    elif determiner == "the":
        english, italian = f"the {english}", definite(agreement, italian)
    elif determiner == "a":
        english, italian = indefinite_english(english), indefinite(agreement.gender, italian)
    elif determiner == "this":
        english, italian = f"{'these' if plural else 'this'} {english}", this(agreement, italian)
    elif determiner == "that":
        english, italian = f"{'those' if plural else 'that'} {english}", that(agreement, italian)
    elif determiner == "some":
        english, italian = f"some {english}", contract("di", definite(agreement, italian))
    elif determiner == "many":
        english, italian = f"many {english}", f"{inflect('molto', agreement)} {italian}"
    elif determiner == "every":
        english, italian = f"every {english}", f"ogni {italian}"
    return NounPhrase(english, italian, agreement)


def _possessive(owner: Pronoun, agreement: Agreement) -> str:
    if owner is THEY:
        return owner.possessive
    if agreement.number == "plural" and agreement.gender == "m":
        return _POSSESSIVE_PLURALS.get(owner.possessive) or inflect(owner.possessive, agreement)
    return inflect(owner.possessive, agreement)


def both(left: NounPhrase, right: NounPhrase) -> NounPhrase:
    """NP -> NP and NP; feminine only if both are."""
    feminine = left.agreement.gender == right.agreement.gender == "f"
    return NounPhrase(
        f"{left.english} and {right.english}",
        and_italian(left.italian, right.italian),
        Agreement("f" if feminine else "m", "plural"),
    )


def prepositional(preposition: Phrase | tuple[str, str], noun: NounPhrase) -> Phrase:
    """PP -> P NP, with the Italian preposition and article contracted."""
    english, italian = (
        (preposition.english, preposition.italian)
        if isinstance(preposition, Phrase)
        else preposition
    )
    return Phrase(_words(english, noun.english), contract(italian, noun.italian))


def with_pronoun(preposition: Phrase, word: Pronoun) -> Phrase:
    """PP -> P Pronoun: with him, con lui; without him, senza di lui."""
    italian = _words(preposition.italian, "di" if preposition is WITHOUT else "", word.stressed)
    return Phrase(f"{preposition.english} {word.english_object}", italian)


# Verb phrases

_HAVE = ("ho", "ha", "abbiamo", "hanno")
_BE = ("sono", "è", "siamo", "sono")
_WAS = ("ero", "era", "eravamo", "erano")
_REFLEXIVE = ("mi", "si", "ci", "si")


class VerbPhrase(Protocol):
    """A predicate."""

    def finite(self, agreement: Agreement) -> Phrase:
        """Return the text after the subject."""

    def asked(self, agreement: Agreement) -> tuple[str, str]:
        """Return the English verb that moves before the subject, and the rest."""


@dataclass(frozen=True)
class Action:
    """VP -> Aux Adverb V NP Manner PP | Clitic Aux Adverb V Manner NP PP."""

    verb: Verb
    direct: NounPhrase | Pronoun | None = None
    recipient: NounPhrase | Pronoun | None = None
    place: Phrase | None = None
    manner: Phrase | None = None
    frequency: Phrase | None = None
    modal: Modal | None = None
    tense: Tense = "present"
    negative: bool = False

    def finite(self, agreement: Agreement) -> Phrase:
        """Return the text after the subject."""
        return Phrase(
            _words(*self._english(agreement, is_question=False)), self._italian(agreement)
        )

    def asked(self, agreement: Agreement) -> tuple[str, str]:
        """Return the English auxiliary and the rest."""
        return self._english(agreement, is_question=True)

    def _english(self, agreement: Agreement, *, is_question: bool) -> tuple[str, str]:
        auxiliary, infinitive = "", self.verb.english
        if self.modal is WANT:
            infinitive = f"{WANT.english} {infinitive}"
        third = agreement.number == "singular" and agreement.person == 3
        if self.modal and self.modal is not WANT:
            auxiliary = self.modal.negative if self.negative else self.modal.english
            verb = infinitive
        elif is_question or self.negative:
            auxiliary = "did" if self.tense == "past" else "does" if third else "do"
            auxiliary += " not" if self.negative else ""
            verb = infinitive
        elif self.modal:
            verb = third_person_english(infinitive) if third else infinitive
        else:
            verb = self.verb.in_english(self.tense, agreement)
        rest = _words(
            self.frequency.english if self.frequency else "",
            verb,
            _object_english(self.direct),
            self.manner.english if self.manner else "",
            f"to {_object_english(self.recipient)}" if self.recipient else "",
            self.place.english if self.place else "",
        )
        return auxiliary, rest

    def _italian(self, agreement: Agreement) -> str:
        if self.modal:
            verb, after = self.modal.italian[agreement.slot], self.verb.italian
        elif self.tense == "past":
            auxiliaries = _HAVE if self.verb.auxiliary == "avere" else _BE
            verb = auxiliaries[agreement.slot]
            after = self.verb.italian_participle(self._participle_agreement(agreement))
        else:
            verb, after = self.verb.in_italian(agreement), ""
        clitic = self._clitic(agreement)
        if clitic in ("lo", "la") and verb in _HAVE:
            clitic, verb = "", f"l'{verb}"
        is_denied = self.negative or self.frequency is NEVER
        return _words(
            "non" if is_denied else "",
            clitic,
            verb,
            self.frequency.italian if self.frequency else "",
            after,
            self.manner.italian if self.manner else "",
            self.direct.italian if isinstance(self.direct, NounPhrase) else "",
            contract("a", self.recipient.italian) if isinstance(self.recipient, NounPhrase) else "",
            self.place.italian if self.place else "",
        )

    def _clitic(self, subject: Agreement) -> str:
        if self.verb.reflexive:
            return _REFLEXIVE[subject.slot]
        if isinstance(self.direct, Pronoun):
            return self.direct.direct
        return self.recipient.dative if isinstance(self.recipient, Pronoun) else ""

    def _participle_agreement(self, subject: Agreement) -> Agreement:
        """Return what it agrees with: essere, the subject; avere, a preceding lo, la or li."""
        if self.verb.auxiliary == "essere":
            return subject
        if isinstance(self.direct, Pronoun) and self.direct.agreement.person == 3:
            return self.direct.agreement
        return Agreement()


def _object_english(phrase: NounPhrase | Pronoun | None) -> str:
    if isinstance(phrase, Pronoun):
        return phrase.english_object
    return phrase.english if phrase else ""


@dataclass(frozen=True)
class State:
    """VP -> is very Adj | is more Adj than NP | is PP; the Italian adjective agrees."""

    adjective: Adjective | None = None
    degree: Phrase | None = None
    than: NounPhrase | None = None
    place: Phrase | None = None
    tense: Tense = "present"
    negative: bool = False

    def finite(self, agreement: Agreement) -> Phrase:
        """Return the text after the subject."""
        forms = _WAS if self.tense == "past" else _BE
        italian = _words(
            "non" if self.negative else "",
            forms[agreement.slot],
            "più" if self.than else self.degree.italian if self.degree else "",
            inflect(self.adjective.italian, agreement) if self.adjective else "",
            contract("di", self.than.italian) if self.than else "",
            self.place.italian if self.place else "",
        )
        return Phrase(_words(*self.asked(agreement)), italian)

    def asked(self, agreement: Agreement) -> tuple[str, str]:
        """Return the form of "be" and the rest."""
        verb = be_english(self.tense, agreement) + (" not" if self.negative else "")
        rest = _words(
            "more" if self.than else self.degree.english if self.degree else "",
            self.adjective.english if self.adjective else "",
            f"than {self.than.english}" if self.than else "",
            self.place.english if self.place else "",
        )
        return verb, rest


VERY = Phrase("very", "molto")


def be_english(tense: Tense, agreement: Agreement) -> str:
    """Return am, is, are, was or were."""
    if agreement.number == "plural":
        return "were" if tense == "past" else "are"
    if tense == "past":
        return "was"
    return "am" if agreement.person == 1 else "is"


@dataclass(frozen=True)
class Saying:
    """VP -> V that Clause."""

    verb: Verb
    said: Phrase
    tense: Tense = "present"

    def finite(self, agreement: Agreement) -> Phrase:
        """Return the text after the subject."""
        head = Action(self.verb, tense=self.tense).finite(agreement)
        return Phrase(
            f"{head.english} that {self.said.english}", f"{head.italian} che {self.said.italian}"
        )

    def asked(self, agreement: Agreement) -> tuple[str, str]:
        """Return the English auxiliary and the rest."""
        auxiliary, rest = Action(self.verb, tense=self.tense).asked(agreement)
        return auxiliary, f"{rest} that {self.said.english}"


@dataclass(frozen=True)
class Sequence:
    """VP -> VP and VP."""

    first: Action
    second: Action

    def finite(self, agreement: Agreement) -> Phrase:
        """Return the text after the subject."""
        first, second = self.first.finite(agreement), self.second.finite(agreement)
        return Phrase(
            f"{first.english} and {second.english}", and_italian(first.italian, second.italian)
        )

    def asked(self, agreement: Agreement) -> tuple[str, str]:
        """Return the English auxiliary, shared by both verbs, and the rest."""
        auxiliary, rest = self.first.asked(agreement)
        return auxiliary, f"{rest} and {self.second.asked(agreement)[1]}"


# Clauses


def clause(subject: NounPhrase, verb: VerbPhrase) -> Phrase:
    """S -> NP VP."""
    said = verb.finite(subject.agreement)
    return Phrase(f"{subject.english} {said.english}", f"{subject.italian} {said.italian}")


def there_is(subject: NounPhrase, place: Phrase, tense: Tense, *, is_question: bool) -> Phrase:
    """S -> there is NP PP | c'è NP PP."""
    verb = be_english(tense, subject.agreement)
    forms = _WAS if tense == "past" else _BE
    form = forms[subject.agreement.slot]
    italian = f"c'{form}" if form[0] in "eè" else f"ci {form}"
    english = f"{verb} there" if is_question else f"there {verb}"
    return Phrase(
        f"{english} {subject.english} {place.english}",
        f"{italian} {subject.italian} {place.italian}",
    )


def subject_relative(antecedent: Noun, number: Number, verb: VerbPhrase) -> Phrase:
    """Rel -> who VP | che VP, where the verb agrees with the preceding noun."""
    word = "who" if antecedent.kind in ("person", "kin") else "that"
    said = verb.finite(antecedent.agreement(number))
    return Phrase(f"{word} {said.english}", f"che {said.italian}")


def object_relative(subject: NounPhrase, verb: Action) -> Phrase:
    """Rel -> that NP VP | che NP VP, where the verb lacks its object."""
    said = clause(subject, verb)
    return Phrase(f"that {said.english}", f"che {said.italian}")


def place_relative(subject: NounPhrase, verb: VerbPhrase) -> Phrase:
    """Rel -> where NP VP | dove NP VP."""
    said = clause(subject, verb)
    return Phrase(f"where {said.english}", f"dove {said.italian}")


LINKS = {
    "and": Phrase(" and", " e"),
    "but": Phrase(", but", ", ma"),
    "because": Phrase(" because", " perché"),
    "while": Phrase(" while", " mentre"),
}


def linked(left: Phrase, link: Phrase, right: Phrase) -> Phrase:
    """S -> S because S."""
    if link is LINKS["and"]:
        return Phrase(
            f"{left.english} and {right.english}", and_italian(left.italian, right.italian)
        )
    return Phrase(
        f"{left.english}{link.english} {right.english}",
        f"{left.italian}{link.italian} {right.italian}",
    )


def framed(condition: Phrase, main: Phrase, word: Phrase) -> Phrase:
    """S -> when S, S."""
    return Phrase(
        f"{word.english} {condition.english}, {main.english}",
        f"{word.italian} {condition.italian}, {main.italian}",
    )


WHEN, IF = Phrase("when", "quando"), Phrase("if", "se")


# Times


def oclock(hour: int) -> Phrase:
    """Time -> at three o'clock | alle tre."""
    return Phrase(f"at {number_english(hour)} o'clock", contract("a", f"le {number_italian(hour)}"))


def ago(count: int, unit: Phrase) -> Phrase:
    """Time -> three weeks ago | tre settimane fa."""
    return Phrase(
        f"{number_english(count)} {unit.english} ago", f"{number_italian(count)} {unit.italian} fa"
    )


# Sentences


def _sentence(english: str, italian: str, mark: str) -> Phrase:
    return Phrase(english[0].upper() + english[1:] + mark, italian[0].upper() + italian[1:] + mark)


def statement(said: Phrase, time: Phrase | None = None) -> Phrase:
    """Sentence -> S Time . | Time S ."""
    if time is None:
        return _sentence(said.english, said.italian, ".")
    return _sentence(f"{said.english} {time.english}", f"{time.italian} {said.italian}", ".")


def question(said: Phrase) -> Phrase:
    """Sentence -> S ?, for clauses that are already in question form."""
    return _sentence(said.english, said.italian, "?")


def yes_no(subject: NounPhrase, verb: VerbPhrase) -> Phrase:
    """Sentence -> Aux NP VP ? | NP VP ?"""
    auxiliary, rest = verb.asked(subject.agreement)
    return _sentence(_words(auxiliary, subject.english, rest), clause(subject, verb).italian, "?")


WHERE, WHEN_ASKED, WHAT = (
    Phrase("where", "dove"),
    Phrase("when", "quando"),
    Phrase("what", "che cosa"),
)


def inverted(asked: Phrase, subject: NounPhrase, verb: VerbPhrase) -> Phrase:
    """Sentence -> where Aux NP V ? | dove V NP ?"""
    auxiliary, rest = verb.asked(subject.agreement)
    said = verb.finite(subject.agreement).italian
    italian = f"dov'{said}" if asked is WHERE and said[0] in "eè" else f"{asked.italian} {said}"
    return _sentence(
        _words(asked.english, auxiliary, subject.english, rest), f"{italian} {subject.italian}", "?"
    )


def why(subject: NounPhrase, verb: VerbPhrase) -> Phrase:
    """Sentence -> why Aux NP VP ? | perché NP VP ?"""
    auxiliary, rest = verb.asked(subject.agreement)
    return _sentence(
        _words("why", auxiliary, subject.english, rest),
        f"perché {clause(subject, verb).italian}",
        "?",
    )


def who(verb: VerbPhrase) -> Phrase:
    """Sentence -> who VP ? | chi VP ?"""
    said = verb.finite(Agreement())
    return _sentence(f"who {said.english}", f"chi {said.italian}", "?")


def how_many(noun: Noun, subject: NounPhrase, verb: Action) -> Phrase:
    """Sentence -> how many N Aux NP V ? | quanti N V NP ?"""
    auxiliary, rest = verb.asked(subject.agreement)
    italian = f"{inflect('quanto', noun.agreement('plural'))} {noun.in_italian('plural')}"
    return _sentence(
        f"how many {noun.in_english('plural')} {auxiliary} {subject.english} {rest}",
        f"{italian} {verb.finite(subject.agreement).italian} {subject.italian}",
        "?",
    )
