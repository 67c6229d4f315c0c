"""The words of the toy grammar, each English word with its only Italian translation.

No English word is ambiguous: verbs whose past equals their present ("put"), nouns without a
distinct plural ("sheep"), "you" and "it" are omitted, so an English sentence always has exactly one
Italian translation. If English does not mark gender ("I am tired", "they went"), the Italian is
masculine.
"""

from dataclasses import dataclass

from morphology import (
    Agreement,
    Gender,
    Number,
    Tense,
    inflect,
    participle_italian,
    plural_english,
    plural_italian,
    present_italian,
    third_person_english,
)


@dataclass(frozen=True)
class Noun:
    """A noun; only irregular plurals are given, and the plural may differ in gender."""

    english: str
    italian: str
    gender: Gender
    kind: str
    english_plural: str = ""
    italian_plural: str = ""
    plural_gender: Gender | None = None
    preposition: tuple[str, str] | None = None
    """Preposition for being at this place: ("in", "in") or ("on", "su"); None if not a place."""

    def agreement(self, number: Number) -> Agreement:
        """Return the features that adjectives and verbs agree with."""
        if number == "plural" and self.plural_gender:
            return Agreement(self.plural_gender, number)
        return Agreement(self.gender, number)

    def in_english(self, number: Number) -> str:
        """Return the English form."""
        if number == "singular":
            return self.english
        return self.english_plural or plural_english(self.english)

    def in_italian(self, number: Number) -> str:
        """Return the Italian form."""
        if number == "singular":
            return self.italian
        return self.italian_plural or plural_italian(self.italian)


@dataclass(frozen=True)
class Name:
    """A person's name, the same in both languages."""

    text: str
    gender: Gender


@dataclass(frozen=True)
class Adjective:
    """An adjective that follows its Italian noun; `kinds` are the kinds of noun it can modify."""

    english: str
    italian: str
    kinds: frozenset[str]


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun; Italian object forms precede the verb."""

    english: str
    english_object: str
    english_possessive: str
    italian: str
    direct: str
    dative: str
    reflexive: str
    stressed: str
    possessive: str
    agreement: Agreement


@dataclass(frozen=True)
class Verb:
    """A verb; only irregular Italian forms are given."""

    english: str
    past: str
    italian: str
    subjects: frozenset[str]
    objects: frozenset[str] = frozenset()
    present: tuple[str, str, str, str] | None = None
    participle: str = ""
    auxiliary: str = "avere"
    reflexive: bool = False
    path: tuple[str, str] | None = None
    """Preposition for the place that a verb of motion leads to or from, in both languages."""
    manner: bool = False
    """Whether it can take an adverb of manner, such as "slowly"."""

    def in_english(self, tense: Tense, agreement: Agreement) -> str:
        """Return the finite English form."""
        if tense == "past":
            return self.past
        singular = agreement.number == "singular" and agreement.person == 3
        return third_person_english(self.english) if singular else self.english

    def in_italian(self, agreement: Agreement) -> str:
        """Return the Italian present."""
        return (self.present or present_italian(self.italian))[agreement.slot]

    def italian_participle(self, agreement: Agreement) -> str:
        """Return the past participle, inflected for agreement."""
        return inflect(self.participle or participle_italian(self.italian), agreement)


def _kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


IN, ON = ("in", "in"), ("on", "su")

NAMES = [
    Name("Anna", "f"),
    Name("Giulia", "f"),
    Name("Luca", "m"),
    Name("Marco", "m"),
    Name("Maria", "f"),
    Name("Paolo", "m"),
]

PEOPLE = [
    Noun("boy", "ragazzo", "m", "person"),
    Noun("girl", "ragazza", "f", "person"),
    Noun("man", "uomo", "m", "person", "men", "uomini"),
    Noun("woman", "donna", "f", "person", "women"),
    Noun("child", "bambino", "m", "person", "children"),
    Noun("student", "studente", "m", "person"),
    Noun("teacher", "maestra", "f", "person"),
    Noun("doctor", "dottore", "m", "person"),
    Noun("nurse", "infermiera", "f", "person"),
    Noun("friend", "amico", "m", "person", italian_plural="amici"),
    Noun("actress", "attrice", "f", "person"),
    Noun("king", "re", "m", "person", italian_plural="re"),
    Noun("queen", "regina", "f", "person"),
    Noun("thief", "ladro", "m", "person", "thieves"),
    Noun("scientist", "scienziato", "m", "person"),
    Noun("writer", "scrittrice", "f", "person"),
    Noun("painter", "pittore", "m", "person"),
    Noun("psychologist", "psicologo", "m", "person", italian_plural="psicologi"),
]

KIN = [
    Noun("mother", "madre", "f", "kin"),
    Noun("father", "padre", "m", "kin"),
    Noun("sister", "sorella", "f", "kin"),
    Noun("brother", "fratello", "m", "kin"),
    Noun("aunt", "zia", "f", "kin"),
    Noun("uncle", "zio", "m", "kin", italian_plural="zii"),
]

ANIMALS = [
    Noun("cat", "gatto", "m", "animal"),
    Noun("dog", "cane", "m", "animal"),
    Noun("mouse", "topo", "m", "animal", "mice"),
    Noun("bird", "uccello", "m", "animal"),
    Noun("horse", "cavallo", "m", "animal"),
    Noun("cow", "mucca", "f", "animal"),
    Noun("squirrel", "scoiattolo", "m", "animal"),
    Noun("monkey", "scimmia", "f", "animal"),
    Noun("eagle", "aquila", "f", "animal"),
    Noun("elephant", "elefante", "m", "animal"),
    Noun("fox", "volpe", "f", "animal"),
    Noun("wolf", "lupo", "m", "animal", "wolves"),
]

FOODS = [
    Noun("apple", "mela", "f", "food"),
    Noun("orange", "arancia", "f", "food", italian_plural="arance"),
    Noun("egg", "uovo", "m", "food", italian_plural="uova", plural_gender="f"),
    Noun("cake", "torta", "f", "food"),
    Noun("cheese", "formaggio", "m", "food"),
    Noun("strawberry", "fragola", "f", "food"),
    Noun("tomato", "pomodoro", "m", "food", "tomatoes"),
    Noun("potato", "patata", "f", "food", "potatoes"),
]

DRINKS = [
    Noun("coffee", "caffè", "m", "drink"),
    Noun("tea", "tè", "m", "drink"),
    Noun("juice", "succo", "m", "drink"),
]

THINGS = [
    Noun("book", "libro", "m", "text"),
    Noun("letter", "lettera", "f", "text"),
    Noun("pen", "penna", "f", "thing"),
    Noun("key", "chiave", "f", "thing"),
    Noun("hat", "cappello", "m", "thing"),
    Noun("backpack", "zaino", "m", "thing"),
    Noun("mirror", "specchio", "m", "thing"),
    Noun("umbrella", "ombrello", "m", "thing"),
    Noun("bicycle", "bicicletta", "f", "thing"),
    Noun("lamp", "lampada", "f", "thing"),
    Noun("flower", "fiore", "m", "thing"),
    Noun("gift", "regalo", "m", "thing"),
    Noun("ring", "anello", "m", "thing"),
    Noun("shirt", "camicia", "f", "thing", italian_plural="camicie"),
    Noun("chair", "sedia", "f", "thing", preposition=ON),
    Noun("table", "tavolo", "m", "thing", preposition=ON),
]

PARTS = [
    Noun("hand", "mano", "f", "part"),
    Noun("eye", "occhio", "m", "part"),
]

PLACES = [
    Noun("house", "casa", "f", "place", preposition=IN),
    Noun("garden", "giardino", "m", "place", preposition=IN),
    Noun("park", "parco", "m", "place", preposition=IN),
    Noun("market", "mercato", "m", "place", preposition=IN),
    Noun("hospital", "ospedale", "m", "place", preposition=IN),
    Noun("hotel", "albergo", "m", "place", preposition=IN),
    Noun("forest", "bosco", "m", "place", preposition=IN),
    Noun("stadium", "stadio", "m", "place", preposition=IN),
    Noun("zoo", "zoo", "m", "place", italian_plural="zoo", preposition=IN),
    Noun("city", "città", "f", "place", preposition=IN),
    Noun("castle", "castello", "m", "place", preposition=IN),
    Noun("bridge", "ponte", "m", "place", preposition=ON),
    Noun("island", "isola", "f", "place", preposition=ON),
    Noun("beach", "spiaggia", "f", "place", italian_plural="spiagge", preposition=ON),
]

ADJECTIVES = [
    Adjective("tired", "stanco", _kinds("person kin animal")),
    Adjective("happy", "felice", _kinds("person kin animal")),
    Adjective("sad", "triste", _kinds("person kin animal")),
    Adjective("hungry", "affamato", _kinds("person kin animal")),
    Adjective("intelligent", "intelligente", _kinds("person kin animal")),
    Adjective("curious", "curioso", _kinds("person kin animal")),
    Adjective("strong", "forte", _kinds("person kin animal")),
    Adjective("famous", "famoso", _kinds("person kin text place")),
    Adjective("tall", "alto", _kinds("person kin")),
    Adjective("young", "giovane", _kinds("person animal")),
    Adjective("old", "vecchio", _kinds("person animal text thing place")),
    Adjective("big", "grande", _kinds("animal food thing part place")),
    Adjective("small", "piccolo", _kinds("animal food thing part place")),
    Adjective("black", "nero", _kinds("animal thing part")),
    Adjective("white", "bianco", _kinds("animal thing")),
    Adjective("red", "rosso", _kinds("thing food")),
    Adjective("green", "verde", _kinds("thing food part")),
    Adjective("yellow", "giallo", _kinds("thing food")),
    Adjective("new", "nuovo", _kinds("text thing place")),
    Adjective("heavy", "pesante", _kinds("thing text")),
    Adjective("expensive", "costoso", _kinds("thing text food drink")),
    Adjective("clean", "pulito", _kinds("thing part place")),
    Adjective("dirty", "sporco", _kinds("thing part place")),
    Adjective("fresh", "fresco", _kinds("food drink")),
    Adjective("cold", "freddo", _kinds("food drink part")),
    Adjective("sweet", "dolce", _kinds("food drink")),
    Adjective("quiet", "tranquillo", _kinds("place animal")),
]

COLOURS = frozenset({"black", "white", "red", "green", "yellow"})
"""Adjectives that come closest to the noun when there are two."""

_MALE, _FEMALE = Agreement("m"), Agreement("f")
_I, _WE = Agreement("m", "singular", 1), Agreement("m", "plural", 1)
_THEY = Agreement("m", "plural")

I = Pronoun("I", "me", "my", "io", "mi", "mi", "mi", "me", "mio", _I)  # noqa: E741
HE = Pronoun("he", "him", "his", "lui", "lo", "gli", "si", "lui", "suo", _MALE)
SHE = Pronoun("she", "her", "her", "lei", "la", "le", "si", "lei", "suo", _FEMALE)
WE = Pronoun("we", "us", "our", "noi", "ci", "ci", "ci", "noi", "nostro", _WE)
THEY = Pronoun("they", "them", "their", "loro", "li", "", "si", "loro", "loro", _THEY)
"""Has no dative: Italian uses both "gli" and "loro" for it."""

PRONOUNS = [I, HE, SHE, WE, THEY]

_PEOPLE = _kinds("person kin")
_ANIMATE = _kinds("person kin animal")
_WARES = _kinds("food drink text thing")
_VISIBLE = _kinds("person kin animal food text thing part place")

TRANSITIVE = [
    Verb("eat", "ate", "mangiare", _ANIMATE, _kinds("food"), manner=True),
    Verb("drink", "drank", "bere", _PEOPLE, _kinds("drink"),
         ("bevo", "beve", "beviamo", "bevono"), "bevuto", manner=True),
    Verb("cook", "cooked", "cucinare", _PEOPLE, _kinds("food"), manner=True),
    Verb("see", "saw", "vedere", _ANIMATE, _VISIBLE, participle="visto"),
    Verb("love", "loved", "amare", _PEOPLE, _VISIBLE | _kinds("drink")),
    Verb("look for", "looked for", "cercare", _ANIMATE, _VISIBLE),
    Verb("find", "found", "trovare", _ANIMATE, _VISIBLE),
    Verb("buy", "bought", "comprare", _PEOPLE, _WARES),
    Verb("sell", "sold", "vendere", _PEOPLE, _WARES),
    Verb("write", "wrote", "scrivere", _PEOPLE, _kinds("text"), participle="scritto", manner=True),
    Verb("wash", "washed", "lavare", _PEOPLE, _kinds("part thing animal"), manner=True),
    Verb("steal", "stole", "rubare", _PEOPLE, _WARES),
    Verb("take", "took", "prendere", _ANIMATE, _WARES, participle="preso"),
    Verb("hide", "hid", "nascondere", _ANIMATE, _WARES, participle="nascosto", manner=True),
    Verb("break", "broke", "rompere", _ANIMATE, _kinds("thing"), participle="rotto"),
    Verb("choose", "chose", "scegliere", _PEOPLE, _VISIBLE,
         ("scelgo", "sceglie", "scegliamo", "scelgono"), "scelto"),
    Verb("watch", "watched", "guardare", _ANIMATE, _VISIBLE),
    Verb("hear", "heard", "sentire", _ANIMATE, _ANIMATE),
    Verb("follow", "followed", "seguire", _ANIMATE, _ANIMATE, manner=True),
    Verb("help", "helped", "aiutare", _PEOPLE, _ANIMATE),
    Verb("meet", "met", "incontrare", _ANIMATE, _ANIMATE),
    Verb("remember", "remembered", "ricordare", _PEOPLE, _VISIBLE),
]  # fmt: skip

INTRANSITIVE = [
    Verb("sleep", "slept", "dormire", _ANIMATE),
    Verb("work", "worked", "lavorare", _PEOPLE, manner=True),
    Verb("sing", "sang", "cantare", _PEOPLE),
    Verb("dance", "danced", "ballare", _PEOPLE, manner=True),
    Verb("play", "played", "giocare", _ANIMATE),
    Verb("swim", "swam", "nuotare", _ANIMATE, manner=True),
    Verb("go out", "went out", "uscire", _ANIMATE, auxiliary="essere",
         present=("esco", "esce", "usciamo", "escono"), manner=True),
    Verb("wake up", "woke up", "svegliare", _ANIMATE, auxiliary="essere", reflexive=True,
         manner=True),
    Verb("get up", "got up", "alzare", _ANIMATE, auxiliary="essere", reflexive=True, manner=True),
    Verb("stop", "stopped", "fermare", _ANIMATE, auxiliary="essere", reflexive=True),
]  # fmt: skip

MOTION = [
    Verb("go", "went", "andare", _ANIMATE, auxiliary="essere", path=("to", "a"),
         present=("vado", "va", "andiamo", "vanno")),
    Verb("come", "came", "venire", _ANIMATE, auxiliary="essere", path=("from", "da"),
         present=("vengo", "viene", "veniamo", "vengono"), participle="venuto"),
    Verb("return", "returned", "tornare", _ANIMATE, auxiliary="essere", path=("to", "a")),
    Verb("arrive", "arrived", "arrivare", _ANIMATE, auxiliary="essere", path=("at", "a")),
    Verb("enter", "entered", "entrare", _ANIMATE, auxiliary="essere", path=("", "in")),
]  # fmt: skip

GIVING = [
    Verb("give", "gave", "dare", _PEOPLE, _WARES, ("do", "dà", "diamo", "danno")),
    Verb("show", "showed", "mostrare", _PEOPLE, _kinds("text thing part place")),
    Verb("send", "sent", "mandare", _PEOPLE, _kinds("text thing")),
    Verb("bring", "brought", "portare", _PEOPLE, _WARES),
]

SAY = Verb("say", "said", "dire", _PEOPLE, present=("dico", "dice", "diciamo", "dicono"),
           participle="detto")  # fmt: skip
KNOW = Verb("know", "knew", "sapere", _PEOPLE, present=("so", "sa", "sappiamo", "sanno"))


@dataclass(frozen=True)
class Modal:
    """A verb before an infinitive; English may need "does" to negate it or form a question."""

    english: str
    italian: tuple[str, str, str, str]
    negative: str = ""
    """Negated form of a verb that does not take "does"."""


CAN = Modal("can", ("posso", "può", "possiamo", "possono"), "cannot")
MUST = Modal("must", ("devo", "deve", "dobbiamo", "devono"), "must not")
WANT = Modal("want to", ("voglio", "vuole", "vogliamo", "vogliono"))
MODALS = [CAN, MUST, WANT]


@dataclass(frozen=True)
class Phrase:
    """A piece of text in both languages."""

    english: str
    italian: str


ALWAYS, OFTEN, NEVER = (
    Phrase("always", "sempre"),
    Phrase("often", "spesso"),
    Phrase("never", "mai"),
)
FREQUENCIES = [ALWAYS, OFTEN, NEVER]

MANNERS = [
    Phrase("slowly", "lentamente"),
    Phrase("quickly", "velocemente"),
    Phrase("quietly", "silenziosamente"),
    Phrase("gladly", "volentieri"),
]

DAYS = [
    Phrase("on Monday", "lunedì"),
    Phrase("on Tuesday", "martedì"),
    Phrase("on Wednesday", "mercoledì"),
    Phrase("on Thursday", "giovedì"),
    Phrase("on Friday", "venerdì"),
    Phrase("on Saturday", "sabato"),
    Phrase("on Sunday", "domenica"),
]
PAST_TIMES = [
    Phrase("yesterday", "ieri"),
    Phrase("last week", "la settimana scorsa"),
    Phrase("last year", "l'anno scorso"),
]
PRESENT_TIMES = [
    Phrase("today", "oggi"),
    Phrase("now", "adesso"),
    Phrase("every day", "ogni giorno"),
    Phrase("every morning", "ogni mattina"),
    Phrase("every evening", "ogni sera"),
]
UNITS = [
    Phrase("days", "giorni"),
    Phrase("weeks", "settimane"),
    Phrase("months", "mesi"),
    Phrase("years", "anni"),
]

PREPOSITIONS = [
    Phrase("near", "vicino a"),
    Phrase("behind", "dietro"),
    Phrase("in front of", "davanti a"),
]
WITHOUT = Phrase("without", "senza")
COMPANY = [Phrase("with", "con"), Phrase("for", "per"), WITHOUT]


NOUNS = [*PEOPLE, *KIN, *ANIMALS, *FOODS, *DRINKS, *THINGS, *PARTS, *PLACES]
VERBS = [*TRANSITIVE, *INTRANSITIVE, *MOTION, *GIVING, SAY, KNOW]


def noun(english: str) -> Noun:
    """Return the noun with this English singular."""
    return next(word for word in NOUNS if word.english == english)


def verb(english: str) -> Verb:
    """Return the verb with this English infinitive."""
    return next(word for word in VERBS if word.english == english)


def adjective(english: str) -> Adjective:
    """Return the adjective with this English form."""
    return next(word for word in ADJECTIVES if word.english == english)
