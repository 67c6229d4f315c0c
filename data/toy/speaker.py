"""Choose what to say: draw phrases and sentences from the toy grammar.

This module and the kinds in `lexicon.py` decide what is sensible (cats eat food, not bridges);
`grammar.py` decides how it is expressed in both languages.
"""

from dataclasses import dataclass, field, replace

import grammar
import lexicon
from dice import Dice
from grammar import Action, Determiner, NounPhrase, Saying, State, VerbPhrase
from lexicon import NOUNS, Adjective, Noun, Phrase, Pronoun, Verb
from morphology import Number, Tense


@dataclass(frozen=True)
class Band:
    """A range of English lengths in words, its share of the corpus, and its complexity."""

    shortest: int
    longest: int
    share: float
    richness: float
    """Probability that a phrase is extended by another part."""
    clauses: float
    """Probability of a sentence with several clauses."""


BANDS = [
    Band(2, 5, 0.20, 0.05, 0.0),
    Band(6, 11, 0.50, 0.25, 0.15),
    Band(12, 19, 0.20, 0.45, 0.6),
    Band(20, 30, 0.10, 0.65, 0.95),
]

PERSONS = frozenset({"person", "kin"})
ANIMATE = PERSONS | {"animal"}
INANIMATE = frozenset({"thing", "text", "food", "drink", "place", "part"})
SOUGHT = frozenset({"person", "animal", "thing", "text"})
"""Kinds of nouns whose location is stated or asked for."""
OWNED = frozenset({"kin", "part"})
"""Kinds of nouns that always have an owner: "my mother", "the girl's hand"."""
SINGLE = [lexicon.noun("mother"), lexicon.noun("father")]
"""Nouns that are never plural, because everybody has only one."""
WEIGHTS = {"part": 4.0, "drink": 1.5, "food": 1.4}
"""Relative frequency of nouns of these kinds, raised because few verbs take them."""
SUPPORTS = [noun for noun in NOUNS if noun.preposition]


@dataclass(frozen=True)
class Subject:
    """A noun phrase and its kind, which determines the possible verbs."""

    phrase: NounPhrase
    kind: str


@dataclass
class Speaker:
    """Draws random sentences from the grammar."""

    dice: Dice
    band: Band = field(default=BANDS[0])

    # Noun phrases

    def noun(self, kinds: frozenset[str]) -> Noun:
        """Draw a noun."""
        return self.dice.weigh(
            [(noun, WEIGHTS.get(noun.kind, 1.0)) for noun in NOUNS if noun.kind in kinds]
        )

    def noun_phrase(
        self, kinds: frozenset[str], *, is_place: bool = False, is_last: bool = True, depth: int = 0
    ) -> NounPhrase:
        """Draw a noun phrase.

        Args:
            kinds: possible kinds of the noun.
            is_place: True after a preposition, where "some" is not allowed.
            is_last: True if it may end in a relative clause.
            depth: number of enclosing clauses and phrases; the deeper, the simpler.
        """
        noun = self.noun(kinds)
        return self.noun_phrase_of(noun, is_place=is_place, is_last=is_last, depth=depth)

    def noun_phrase_of(
        self, noun: Noun, *, is_place: bool = False, is_last: bool = True, depth: int = 0
    ) -> NounPhrase:
        """Draw a noun phrase with this head."""
        is_plural = noun not in SINGLE and self.dice.chance(0.4)
        number: Number = "plural" if is_plural else "singular"
        determiner, count = self._determiner(noun, number, is_place=is_place)
        modifier = None
        has_owner = isinstance(determiner, NounPhrase | Pronoun)
        if is_last and depth < 2 and not has_owner and self.dice.chance(self.band.richness * 0.45):
            modifier = self._modifier(noun, number, depth)
        return grammar.noun_phrase(
            noun,
            determiner,
            number=number,
            count=count,
            adjectives=self._adjectives(noun, depth),
            modifier=modifier,
        )

    def _determiner(self, noun: Noun, number: Number, *, is_place: bool) -> tuple[Determiner, int]:
        """Draw a determiner, and a count or 0."""
        owner = self.dice.pick(lexicon.PRONOUNS)
        if noun.kind in OWNED:
            return (owner if self.dice.chance(0.65) else self._owner()), 0
        if number == "singular":
            word = self.dice.weigh(
                [("the", 42), ("a", 26), ("my", 13), ("'s", 7), ("this", 5), ("that", 5),
                 ("every", 2 if is_place else 4)]
            )  # fmt: skip
        else:
            word = self.dice.weigh(
                [("the", 38), ("count", 16), ("the count", 4), ("my", 15), ("my count", 3),
                 ("'s", 4), ("some", 0 if is_place else 9), ("many", 7), ("this", 6), ("that", 6)]
            )  # fmt: skip
        count = self._count() if word.endswith("count") else 0
        determiners: dict[str, Determiner] = {
            "the": "the", "a": "a", "this": "this", "that": "that", "every": "every",
            "some": "some", "many": "many", "count": "none", "the count": "the",
            "my": owner, "my count": owner,
        }  # fmt: skip
        return (self._owner() if word == "'s" else determiners[word]), count

    def _count(self) -> int:
        low, high = self.dice.weigh([((2, 10), 0.34), ((11, 19), 0.26), ((20, 99), 0.40)])
        return self.dice.pick(range(low, high + 1))

    def _owner(self) -> NounPhrase:
        """Draw the owner of something: a single person."""
        draw = self.dice.weigh([("name", 45), ("person", 35), ("kin", 20)])
        if draw == "name":
            return grammar.name(self.dice.pick(lexicon.NAMES))
        if draw == "kin":
            return grammar.noun_phrase(
                self.dice.pick(lexicon.KIN), self.dice.pick(lexicon.PRONOUNS)
            )
        return grammar.noun_phrase(self.dice.pick(lexicon.PEOPLE))

    def _adjectives(self, noun: Noun, depth: int) -> tuple[Adjective, ...]:
        if not self.dice.chance((0.10 + 0.5 * self.band.richness) / (1 + depth)):
            return ()
        fitting = [word for word in lexicon.ADJECTIVES if noun.kind in word.kinds]
        first = self.dice.pick(fitting)
        colours = [word for word in fitting if word.english in lexicon.COLOURS]
        if first in colours or not colours or not self.dice.chance(0.2):
            return (first,)
        return first, self.dice.pick(colours)

    def _modifier(self, noun: Noun, number: Number, depth: int) -> Phrase:
        """Draw a relative clause or a phrase of place."""
        tense = self._tense()
        draw = self.dice.weigh([("subject", 40), ("object", 30), ("place", 30)])
        if draw == "place":
            if noun.preposition and noun.kind == "place":
                subject = self.subject(ANIMATE, depth=2)
                return grammar.place_relative(
                    subject.phrase, self.intransitive(subject, tense, depth=2)
                )
            return self.place(depth + 1)
        if draw == "subject" and noun.kind in ANIMATE:
            subject = Subject(grammar.noun_phrase(noun, number=number), noun.kind)
            verb = self.verb_phrase(subject, tense, depth=depth + 1)
            return grammar.subject_relative(noun, number, verb)
        subject = self.subject(ANIMATE, depth=2)
        return grammar.object_relative(subject.phrase, self._gapped(subject, noun, tense))

    def _gapped(self, subject: Subject, noun: Noun, tense: Tense) -> Action:
        """Draw a verb whose object is the preceding noun, as in "the mouse that the cat ate"."""
        verbs = [
            verb
            for verb in lexicon.TRANSITIVE
            if subject.kind in verb.subjects and noun.kind in verb.objects
        ]
        return Action(self.dice.pick(verbs), tense=tense, negative=self.dice.chance(0.08))

    def subject(self, kinds: frozenset[str], *, depth: int = 0) -> Subject:
        """Draw a subject: a pronoun, a name, or one or two noun phrases."""
        options = [("noun", 55.0)]
        if kinds & PERSONS:
            options += [("pronoun", 34.0), ("name", 15.0), ("two", 30 * self.band.richness)]
        draw = self.dice.weigh(options)
        if draw == "pronoun":
            word = self.dice.weigh(
                [(word, 2.0 if word.agreement.person == 1 else 1.0) for word in lexicon.PRONOUNS]
            )
            return Subject(grammar.pronoun(word), "person")
        if draw == "name":
            return Subject(grammar.name(self.dice.pick(lexicon.NAMES)), "person")
        if draw == "two":
            left = (
                grammar.name(self.dice.pick(lexicon.NAMES))
                if self.dice.chance(0.3)
                else self.noun_phrase(PERSONS, is_last=False, depth=2)
            )
            right = self.noun_phrase(PERSONS, is_last=False, depth=2)
            return Subject(grammar.both(left, right), "person")
        noun = self.noun(kinds)
        return Subject(self.noun_phrase_of(noun, depth=depth), noun.kind)

    # Verb phrases

    def _tense(self) -> Tense:
        return "past" if self.dice.chance(0.42) else "present"

    def _verb(self, verbs: list[Verb], subject: Subject) -> Verb:
        """Draw a verb; those for persons only are drawn more often."""
        return self.dice.weigh(
            [
                (verb, 1.5 if verb.subjects == PERSONS else 1.0)
                for verb in verbs
                if subject.kind in verb.subjects
            ]
        )

    def place(self, depth: int) -> Phrase:
        """Draw a phrase of place."""
        noun = self.dice.pick(SUPPORTS)
        phrase = self.noun_phrase_of(noun, is_place=True, is_last=depth < 2, depth=depth + 1)
        own = noun.preposition
        if own and self.dice.chance(0.65):
            return grammar.prepositional(own, phrase)
        return grammar.prepositional(self.dice.pick(lexicon.PREPOSITIONS), phrase)

    def company(self, subject: Subject, depth: int) -> Phrase:
        """Draw a phrase for the person with whom, or for whom, something is done."""
        preposition = self.dice.pick(lexicon.COMPANY)
        if self.dice.chance(0.35):
            return grammar.with_pronoun(preposition, self._other_pronoun(subject))
        return grammar.prepositional(
            preposition,
            self.noun_phrase(PERSONS, is_place=True, is_last=depth < 2, depth=depth + 1),
        )

    def _other_pronoun(self, subject: Subject, *, is_dative: bool = False) -> Pronoun:
        """Draw an object pronoun that does not refer to the subject."""
        person = subject.phrase.agreement.person
        return self.dice.pick(
            [
                word
                for word in lexicon.PRONOUNS
                if not (person == word.agreement.person == 1) and (word.dative or not is_dative)
            ]
        )

    def verb_phrase(self, subject: Subject, tense: Tense, *, depth: int = 0) -> VerbPhrase:
        """Draw an action or state of a person or animal."""
        if self.dice.chance(0.17):
            return self.state(subject, tense, depth)
        return self.action(subject, tense, depth)

    def action(self, subject: Subject, tense: Tense, depth: int) -> Action:
        """Draw an action of a person or animal."""
        options = [("transitive", 50), ("intransitive", 22), ("motion", 16)]
        if subject.kind in PERSONS:
            options.append(("giving", 14))
        draw = self.dice.weigh(options)
        if draw == "transitive":
            return self._transitive(subject, tense, depth)
        if draw == "motion":
            return self._motion(tense, depth)
        if draw == "giving":
            return self._giving(subject, tense, depth)
        return self.intransitive(subject, tense, depth)

    def _extras(self, verb: Verb, tense: Tense, depth: int) -> Action:
        """Draw modal, negation and adverbs of an action, without an object."""
        modal, frequency, manner, is_negative = None, None, None, False
        draw = self.dice.weigh([("plain", 66), ("negative", 13), ("modal", 12), ("frequency", 9)])
        if draw == "modal" and tense == "present":
            modal, is_negative = self.dice.pick(lexicon.MODALS), self.dice.chance(0.25)
        elif draw == "frequency":
            frequency = self.dice.pick(lexicon.FREQUENCIES)
        is_negative = is_negative or draw == "negative"
        if verb.manner and depth == 0 and self.dice.chance(0.16):
            manner = self.dice.pick(lexicon.MANNERS)
        return Action(
            verb, modal=modal, frequency=frequency, manner=manner, tense=tense, negative=is_negative
        )

    def _transitive(self, subject: Subject, tense: Tense, depth: int) -> Action:
        verb = self._verb(lexicon.TRANSITIVE, subject)
        plain = self._extras(verb, tense, depth)
        if "person" in verb.objects and self.dice.chance(0.4):
            direct: NounPhrase | Pronoun = self._other_pronoun(subject)
            place = self._maybe_place(subject, depth, 1.0)
        else:
            is_last = plain.manner is None and self.dice.chance(0.6)
            direct = self.noun_phrase(verb.objects, is_last=is_last, depth=depth)
            if is_last and self.dice.chance(self.band.richness * 0.3):
                other = self.noun_phrase(verb.objects, is_last=False, depth=depth + 1)
                direct = grammar.both(direct, other)
            place = None if is_last else self._maybe_place(subject, depth, 1.0)
        return replace(plain, direct=direct, place=place)

    def intransitive(self, subject: Subject, tense: Tense, depth: int) -> Action:
        """Draw something one does alone."""
        verb = self._verb(lexicon.INTRANSITIVE, subject)
        plain = self._extras(verb, tense, depth)
        place = None if depth > 1 else self._maybe_place(subject, depth, 1.4)
        return replace(plain, place=place)

    def _motion(self, tense: Tense, depth: int) -> Action:
        verb = self.dice.pick(lexicon.MOTION)
        inside = [noun for noun in lexicon.PLACES if noun.preposition == lexicon.IN]
        noun = self.dice.pick(inside if verb.path == ("", "in") else lexicon.PLACES)
        phrase = self.noun_phrase_of(noun, is_place=True, is_last=depth < 2, depth=depth + 1)
        place = grammar.prepositional(verb.path, phrase) if verb.path else None
        return replace(self._extras(verb, tense, depth), place=place)

    def _giving(self, subject: Subject, tense: Tense, depth: int) -> Action:
        verb = self.dice.pick(lexicon.GIVING)
        direct = self.noun_phrase(verb.objects, is_last=False, depth=depth + 1)
        recipient: NounPhrase | Pronoun
        if self.dice.chance(0.5):
            recipient = self._other_pronoun(subject, is_dative=True)
        elif self.dice.chance(0.3):
            recipient = grammar.name(self.dice.pick(lexicon.NAMES))
        else:
            recipient = self.noun_phrase(PERSONS, is_place=True, depth=depth + 1)
        return replace(self._extras(verb, tense, depth), direct=direct, recipient=recipient)

    def _maybe_place(self, subject: Subject, depth: int, weight: float) -> Phrase | None:
        if not self.dice.chance(weight * (0.1 + 0.5 * self.band.richness)):
            return None
        if subject.kind in PERSONS and self.dice.chance(0.3):
            return self.company(subject, depth)
        return self.place(depth)

    def state(self, subject: Subject, tense: Tense, depth: int) -> State:
        """Draw a property or location of the subject."""
        is_negative = self.dice.chance(0.12)
        if self.dice.chance(0.25):
            return State(place=self.place(depth), tense=tense, negative=is_negative)
        adjectives = [word for word in lexicon.ADJECTIVES if subject.kind in word.kinds]
        adjective = self.dice.pick(adjectives)
        if adjective.english in _COMPARED and self.dice.chance(0.4):
            than = self.noun_phrase(frozenset({subject.kind}), is_place=True, depth=depth + 1)
            return State(adjective, than=than, tense=tense, negative=is_negative)
        degree = grammar.VERY if self.dice.chance(0.25) else None
        return State(adjective, degree=degree, tense=tense, negative=is_negative)

    # Sentences

    def clause(self, tense: Tense) -> Phrase:
        """Draw a clause."""
        if self.dice.chance(0.07):
            subject = self.subject(INANIMATE)
            return grammar.clause(subject.phrase, self.state(subject, tense, 0))
        subject = self.subject(ANIMATE)
        verb: VerbPhrase = self.verb_phrase(subject, tense)
        if self.band.clauses > 0 and isinstance(verb, Action) and self.dice.chance(0.1):
            verb = grammar.Sequence(_bare(verb), _bare(self.action(subject, tense, 0)))
        return grammar.clause(subject.phrase, verb)

    def simple(self) -> Phrase:
        """Draw a single-clause statement, optionally with a time."""
        tense = self._tense()
        if self.dice.chance(0.06):
            return grammar.statement(self._existence(tense, is_question=False))
        said = self.clause(tense)
        if not self.dice.chance(0.36):
            return grammar.statement(said)
        return grammar.statement(said, self._time(tense))

    def _existence(self, tense: Tense, *, is_question: bool) -> Phrase:
        noun = self.noun(SOUGHT)
        determiner = self.dice.weigh(_INDEFINITE)
        phrase = grammar.noun_phrase(
            noun,
            determiner,
            number="singular" if determiner == "a" else "plural",
            count=self._count() if determiner == "none" else 0,
            adjectives=self._adjectives(noun, 0),
        )
        return grammar.there_is(phrase, self.place(1), tense, is_question=is_question)

    def _time(self, tense: Tense) -> Phrase:
        draw = self.dice.weigh([("day", 33), ("hour", 22), ("tense", 45)])
        if draw == "day":
            return self.dice.pick(lexicon.DAYS)
        if draw == "hour":
            return grammar.oclock(self.dice.pick(range(2, 13)))
        if tense == "present":
            return self.dice.pick(lexicon.PRESENT_TIMES)
        if self.dice.chance(0.5):
            return self.dice.pick(lexicon.PAST_TIMES)
        return grammar.ago(self.dice.pick(range(2, 31)), self.dice.pick(lexicon.UNITS))

    def question(self) -> Phrase:
        """Draw a single-clause question."""
        tense = self._tense()
        draw = self.dice.weigh(
            [("yes or no", 40), ("where", 10), ("where is", 5), ("when", 8), ("what", 10),
             ("why", 12), ("who", 12), ("how many", 8), ("is there", 5)]
        )  # fmt: skip
        if draw == "who":
            anyone = Subject(grammar.pronoun(lexicon.HE), "person")
            return grammar.who(self.action(anyone, tense, 0))
        if draw == "is there":
            return grammar.question(self._existence(tense, is_question=True))
        if draw in ("yes or no", "why"):
            subject = self.subject(ANIMATE)
            verb = _affirmed(self.verb_phrase(subject, tense))
            ask = grammar.why if draw == "why" else grammar.yes_no
            return ask(subject.phrase, verb)
        return self._inverted_question(draw, tense)

    def _inverted_question(self, draw: str, tense: Tense) -> Phrase:
        if draw == "where is":
            sought = self.noun_phrase(SOUGHT, is_last=False)
            return grammar.inverted(grammar.WHERE, sought, State(tense=tense))
        noun = self.noun(ANIMATE)
        subject = Subject(self.noun_phrase_of(noun), noun.kind)
        if draw == "how many":
            thing = self.dice.pick([noun for noun in NOUNS if noun.kind not in OWNED])
            verb = _bare(self._gapped(subject, thing, tense))
            return grammar.how_many(thing, subject.phrase, verb)
        if draw == "what":
            ware = self.dice.pick([*lexicon.FOODS, *lexicon.DRINKS, *lexicon.THINGS])
            verb = self._gapped(subject, ware, tense)
            return grammar.inverted(grammar.WHAT, subject.phrase, _bare(verb))
        asked = grammar.WHEN_ASKED if draw == "when" else grammar.WHERE
        verb = _bare(self.intransitive(subject, tense, 2))
        if draw == "where" and self.dice.chance(0.4):
            verb = Action(lexicon.verb("go"), tense=tense)
        elif draw == "when" and self.dice.chance(0.5):
            verb = Action(lexicon.verb("arrive"), tense=tense)
        return grammar.inverted(asked, subject.phrase, verb)

    def compound(self) -> Phrase:
        """Draw a statement of two or three clauses."""
        tense = self._tense()
        draw = self.dice.weigh([("linked", 45), ("framed", 30), ("saying", 25)])
        first, second = self.clause(tense), self.clause(tense)
        if draw == "linked":
            names = ["and", "but", "because"] + (["while"] if tense == "present" else [])
            said = grammar.linked(first, grammar.LINKS[self.dice.pick(names)], second)
            if self.band.richness > 0.5 and self.dice.chance(0.25):
                said = grammar.framed(self.clause(tense), said, grammar.WHEN)
            return grammar.statement(said)
        if draw == "framed":
            word = grammar.IF if tense == "present" and self.dice.chance(0.5) else grammar.WHEN
            return grammar.statement(grammar.framed(first, second, word))
        subject = self.subject(PERSONS, depth=1)
        if self.band.richness > 0.4 and self.dice.chance(0.5):
            first = grammar.linked(first, grammar.LINKS["because"], second)
        verb = self.dice.pick([lexicon.SAY, lexicon.KNOW]) if tense == "present" else lexicon.SAY
        saying = Saying(verb, first, tense)
        if self.dice.chance(0.2):
            return grammar.yes_no(subject.phrase, saying)
        return grammar.statement(grammar.clause(subject.phrase, saying))

    def sentence(self) -> Phrase:
        """Draw a band, then a sentence whose English length is within it."""
        self.band = self.dice.weigh([(band, band.share) for band in BANDS])
        while True:
            if self.dice.chance(self.band.clauses):
                said = self.compound()
            else:
                said = self.question() if self.dice.chance(0.2) else self.simple()
            length = len(said.english.split())
            if (
                self.band.shortest <= length <= self.band.longest
                and "that that" not in said.english
            ):
                return said


_INDEFINITE: list[tuple[Determiner, float]] = [("a", 50), ("none", 25), ("some", 12), ("many", 13)]
"""Determiners after "there is"; "none" is used with a number."""
_COMPARED = frozenset({"famous", "intelligent", "curious", "tired", "expensive", "quiet"})
"""Adjectives that form their comparative with "more"."""


def _affirmed(verb: VerbPhrase) -> VerbPhrase:
    """Return the verb phrase without negation, for use in a question."""
    return replace(verb, negative=False) if isinstance(verb, Action | State) else verb


def _bare(action: Action) -> Action:
    """Return the action without modal, adverbs and negation, so that it can be combined."""
    return replace(action, modal=None, frequency=None, manner=None, negative=False)
