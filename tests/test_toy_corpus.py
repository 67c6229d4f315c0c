"""The toy corpus: its grammar is correct, and its files are what the grammar generates."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

TOY = Path(__file__).parent.parent / "data" / "toy"
sys.path.insert(0, str(TOY))

import generate  # noqa: E402
import grammar  # noqa: E402
import lexicon  # noqa: E402
import morphology  # noqa: E402
from grammar import Action, NounPhrase, Saying, Sequence, State, noun_phrase  # noqa: E402
from lexicon import HE, MUST, NEVER, SHE, THEY, WANT, WE, I, Phrase, adjective, noun, verb  # noqa: E402
from morphology import Agreement  # noqa: E402

PARTS = ("train", "dev", "test")


def read(part: str, language: str) -> list[str]:
    return (TOY / f"{part}.{language}").read_text(encoding="utf-8").split("\n")[:-1]


@pytest.fixture(scope="module")
def pairs() -> dict[str, list[tuple[str, str]]]:
    return {part: list(zip(read(part, "en"), read(part, "it"), strict=True)) for part in PARTS}


# The files


def test_the_generator_writes_the_same_bytes_again(tmp_path: Path) -> None:
    subprocess.run([sys.executable, TOY / "generate.py", "--out", tmp_path], check=True)
    for part in PARTS:
        for language in ("en", "it"):
            name = f"{part}.{language}"
            assert (tmp_path / name).read_bytes() == (TOY / name).read_bytes(), name


def test_check_names_the_file_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "SIZES", {"test": 3, "dev": 3, "train": 3})
    monkeypatch.setattr(sys, "argv", ["generate.py", "--out", str(tmp_path)])
    assert generate.main() == 0
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check", "--out", str(tmp_path)])
    assert generate.main() == 0

    (tmp_path / "dev.it").write_bytes(b"Ciao.\n")
    assert generate.main() == 1
    assert capsys.readouterr().err == (
        f"{tmp_path}/dev.it: differs from what generate.py writes; run it again\n"
    )


def test_sizes(pairs: dict[str, list[tuple[str, str]]]) -> None:
    assert {part: len(pairs[part]) for part in PARTS} == {"train": 20_000, "dev": 500, "test": 500}


def test_no_sentence_of_either_side_occurs_twice(pairs: dict[str, list[tuple[str, str]]]) -> None:
    for side in (0, 1):
        sentences = [pair[side] for part in PARTS for pair in pairs[part]]
        assert len(set(sentences)) == len(sentences)


def test_a_second_translation_of_a_sentence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stammerer:
        def __init__(self, dice: object) -> None:
            self.drawn = iter([Phrase("You sleep.", "Tu dormi."), Phrase("You sleep.", "Dormite.")])

        def sentence(self) -> Phrase:
            return next(self.drawn)

    monkeypatch.setattr(generate, "Speaker", Stammerer)
    with pytest.raises(ValueError, match=r"'You sleep\.' has two translations"):
        list(generate.sentences(seed=1))


def test_another_seed_writes_other_sentences() -> None:
    first, second = (generate.sentences(seed) for seed in (1, 2))
    assert [next(first) for _ in range(20)] != [next(second) for _ in range(20)]


def test_sentences_are_short_and_long(pairs: dict[str, list[tuple[str, str]]]) -> None:
    lengths = [len(english.split()) for english, _ in pairs["train"]]
    assert min(lengths) == 2
    assert max(lengths) == 30
    assert 9 <= sum(lengths) / len(lengths) <= 11
    assert sum(length >= 20 for length in lengths) >= 0.08 * len(lengths)
    assert sum(length >= 25 for length in lengths) >= 0.02 * len(lengths)


def test_every_sentence_is_capitalised_and_ends_with_a_mark(
    pairs: dict[str, list[tuple[str, str]]],
) -> None:
    for part in PARTS:
        for pair in pairs[part]:
            for text in pair:
                assert re.fullmatch(r"[A-Z][A-Za-zàèéìòù' ,-]*[.?]", text), text
                assert "  " not in text


def test_every_word_of_the_lexicon_is_frequent(pairs: dict[str, list[tuple[str, str]]]) -> None:
    counts: Counter[str] = Counter()
    for english, _ in pairs["train"]:
        words = re.findall(r"[a-z]+", english.lower())
        counts.update(words)
        counts.update(f"{first} {second}" for first, second in pairwise(words))
    for rare in lexicon_forms():
        assert sum(counts[form] for form in rare) >= 100, (rare, [counts[form] for form in rare])


def lexicon_forms() -> Iterator[set[str]]:
    """Yield the English forms of each content word."""
    for word in lexicon.NOUNS:
        yield {word.in_english("singular"), word.in_english("plural")}
    for word in lexicon.VERBS:
        yield {word.english, word.past, morphology.third_person_english(word.english)}
    for word in lexicon.ADJECTIVES:
        yield {word.english}
    for name in lexicon.NAMES:
        yield {name.text.lower()}


# The grammar, phenomenon by phenomenon


def the(english: str) -> NounPhrase:
    return noun_phrase(noun(english))


def a(english: str) -> NounPhrase:
    return noun_phrase(noun(english), "a")


def said(subject: NounPhrase, verb_phrase: grammar.VerbPhrase) -> tuple[str, str]:
    phrase = grammar.clause(subject, verb_phrase)
    return phrase.english, phrase.italian


def sides(phrase: Phrase) -> tuple[str, str]:
    return phrase.english, phrase.italian


def test_the_example_is_the_first_test_sentence(pairs: dict[str, list[tuple[str, str]]]) -> None:
    example = ("A cat ate a mouse.", "Un gatto ha mangiato un topo.")
    assert sides(generate.EXAMPLE) == example
    assert pairs["test"][0] == example


@pytest.mark.parametrize(
    ("word", "singular", "plural"),
    [
        ("cat", "il gatto", "i gatti"),
        ("student", "lo studente", "gli studenti"),
        ("backpack", "lo zaino", "gli zaini"),
        ("psychologist", "lo psicologo", "gli psicologi"),
        ("bird", "l'uccello", "gli uccelli"),
        ("man", "l'uomo", "gli uomini"),
        ("friend", "l'amico", "gli amici"),
        ("apple", "la mela", "le mele"),
        ("island", "l'isola", "le isole"),
        ("egg", "l'uovo", "le uova"),
        ("hand", "la mano", "le mani"),
        ("eye", "l'occhio", "gli occhi"),
        ("forest", "il bosco", "i boschi"),
        ("cow", "la mucca", "le mucche"),
        ("beach", "la spiaggia", "le spiagge"),
        ("shirt", "la camicia", "le camicie"),
        ("city", "la città", "le città"),
        ("king", "il re", "i re"),
        ("uncle", "lo zio", "gli zii"),
        ("mirror", "lo specchio", "gli specchi"),
        ("writer", "la scrittrice", "le scrittrici"),
    ],
)
def test_nouns_and_their_articles(word: str, singular: str, plural: str) -> None:
    assert the(word).italian == singular
    assert noun_phrase(noun(word), number="plural").italian == plural


@pytest.mark.parametrize(
    ("word", "with_a", "with_this", "with_that", "with_those", "with_some"),
    [
        ("cat", "un gatto", "questo gatto", "quel gatto", "quei gatti", "dei gatti"),
        ("student", "uno studente", "questo studente", "quello studente", "quegli studenti",
         "degli studenti"),
        ("friend", "un amico", "quest'amico", "quell'amico", "quegli amici", "degli amici"),
        ("eagle", "un'aquila", "quest'aquila", "quell'aquila", "quelle aquile", "delle aquile"),
        ("aunt", "una zia", "questa zia", "quella zia", "quelle zie", "delle zie"),
    ],
)  # fmt: skip
def test_other_determiners(
    word: str, with_a: str, with_this: str, with_that: str, with_those: str, with_some: str
) -> None:
    assert a(word).italian == with_a
    assert noun_phrase(noun(word), "this").italian == with_this
    assert noun_phrase(noun(word), "that").italian == with_that
    assert noun_phrase(noun(word), "that", number="plural").italian == with_those
    assert noun_phrase(noun(word), "some", number="plural").italian == with_some


@pytest.mark.parametrize(
    ("preposition", "phrase", "melted"),
    [
        ("in", "il giardino", "nel giardino"),
        ("in", "l'albergo", "nell'albergo"),
        ("in", "lo zoo", "nello zoo"),
        ("in", "un parco", "in un parco"),
        ("su", "l'isola", "sull'isola"),
        ("su", "i ponti", "sui ponti"),
        ("a", "lo stadio", "allo stadio"),
        ("a", "gli amici", "agli amici"),
        ("a", "Anna", "ad Anna"),
        ("a", "Maria", "a Maria"),
        ("da", "la scuola", "dalla scuola"),
        ("di", "le ragazze", "delle ragazze"),
        ("di", "mia madre", "di mia madre"),
        ("vicino a", "il ponte", "vicino al ponte"),
        ("davanti a", "l'ospedale", "davanti all'ospedale"),
        ("con", "il re", "con il re"),
    ],
)
def test_prepositions_contract_with_articles(preposition: str, phrase: str, melted: str) -> None:
    assert morphology.contract(preposition, phrase) == melted


def test_adjectives_follow_their_noun_and_agree() -> None:
    cats = noun_phrase(noun("cat"), number="plural", adjectives=(adjective("black"),))
    cow = noun_phrase(noun("cow"), "a", adjectives=(adjective("big"), adjective("white")))
    doctors = noun_phrase(noun("teacher"), number="plural", adjectives=(adjective("tired"),))
    eggs = noun_phrase(noun("egg"), number="plural", adjectives=(adjective("fresh"),))
    assert sides(cats) == ("the black cats", "i gatti neri")
    assert sides(cow) == ("a big white cow", "una mucca bianca grande")
    assert sides(doctors) == ("the tired teachers", "le maestre stanche")
    assert sides(eggs) == ("the fresh eggs", "le uova fresche")


@pytest.mark.parametrize(
    ("adjective_", "forms"),
    [
        ("vecchio", "vecchio vecchia vecchi vecchie"),
        ("stanco", "stanco stanca stanchi stanche"),
        ("verde", "verde verde verdi verdi"),
        ("strano", "strano strana strani strane"),
    ],
)
def test_adjective_forms(adjective_: str, forms: str) -> None:
    agreements = [
        Agreement("m"), Agreement("f"), Agreement("m", "plural"), Agreement("f", "plural")
    ]  # fmt: skip
    assert [morphology.inflect(adjective_, each) for each in agreements] == forms.split()


@pytest.mark.parametrize(
    ("value", "english", "italian"),
    [
        (2, "two", "due"),
        (17, "seventeen", "diciassette"),
        (20, "twenty", "venti"),
        (21, "twenty-one", "ventuno"),
        (23, "twenty-three", "ventitré"),
        (28, "twenty-eight", "ventotto"),
        (56, "fifty-six", "cinquantasei"),
        (88, "eighty-eight", "ottantotto"),
        (99, "ninety-nine", "novantanove"),
    ],
)
def test_numbers(value: int, english: str, italian: str) -> None:
    assert sides(noun_phrase(noun("cat"), "none", count=value)) == (
        f"{english} cats",
        f"{italian} gatti",
    )


def test_the_article_before_a_number_follows_the_number() -> None:
    assert noun_phrase(noun("student"), "the", count=2).italian == "i due studenti"
    assert noun_phrase(noun("cat"), "the", count=8).italian == "gli otto gatti"
    assert noun_phrase(noun("girl"), WE, count=80).italian == "le nostre ottanta ragazze"


def test_possessives_take_the_article_but_not_with_one_relative() -> None:
    assert sides(noun_phrase(noun("house"), I)) == ("my house", "la mia casa")
    assert sides(noun_phrase(noun("book"), HE, number="plural")) == ("his books", "i suoi libri")
    assert sides(noun_phrase(noun("mother"), SHE)) == ("her mother", "sua madre")
    assert sides(noun_phrase(noun("mother"), THEY)) == ("their mother", "la loro madre")
    assert sides(noun_phrase(noun("brother"), I, number="plural")) == (
        "my brothers",
        "i miei fratelli",
    )
    small = noun_phrase(noun("sister"), WE, adjectives=(adjective("tall"),))
    assert sides(small) == ("our tall sister", "la nostra sorella alta")


def test_the_owner_comes_last_in_italian() -> None:
    hat = noun_phrase(noun("hat"), the("girl"), adjectives=(adjective("red"),))
    assert sides(hat) == ("the girl's red hat", "il cappello rosso della ragazza")
    aunt = noun_phrase(noun("aunt"), grammar.name(lexicon.NAMES[0]))
    assert sides(aunt) == ("Anna's aunt", "la zia di Anna")


def test_object_pronouns_stand_before_the_verb() -> None:
    she = grammar.pronoun(SHE)
    assert said(she, Action(verb("see"), HE)) == ("she sees him", "lei lo vede")
    assert said(she, Action(verb("see"), WE, negative=True)) == (
        "she does not see us",
        "lei non ci vede",
    )
    assert said(she, Action(verb("see"), THEY, modal=WANT)) == (
        "she wants to see them",
        "lei li vuole vedere",
    )
    gift = Action(verb("give"), a("gift"), recipient=HE, tense="past")
    assert said(she, gift) == ("she gave a gift to him", "lei gli ha dato un regalo")


def test_the_participle_agrees_with_an_object_pronoun() -> None:
    he = grammar.pronoun(HE)
    assert said(he, Action(verb("see"), SHE, tense="past")) == ("he saw her", "lui l'ha vista")
    assert said(he, Action(verb("see"), THEY, tense="past")) == ("he saw them", "lui li ha visti")
    assert said(he, Action(verb("see"), I, tense="past")) == ("he saw me", "lui mi ha visto")
    never = Action(verb("see"), SHE, tense="past", frequency=NEVER)
    assert said(he, never) == ("he never saw her", "lui non l'ha mai vista")


def test_pronouns_after_prepositions() -> None:
    with_, _, without = lexicon.COMPANY
    assert sides(grammar.with_pronoun(with_, SHE)) == ("with her", "con lei")
    assert sides(grammar.with_pronoun(without, I)) == ("without me", "senza di me")


def test_motion_takes_essere_and_agrees_with_the_subject() -> None:
    girls = noun_phrase(noun("girl"), number="plural")
    went = Action(verb("go"), tense="past", place=grammar.prepositional(("to", "a"), the("zoo")))
    assert said(girls, went) == ("the girls went to the zoo", "le ragazze sono andate allo zoo")
    entered = Action(
        verb("enter"), tense="past", place=grammar.prepositional(("", "in"), the("house"))
    )
    maria = grammar.name(lexicon.Name("Maria", "f"))
    assert said(maria, entered) == ("Maria entered the house", "Maria è entrata nella casa")


def test_reflexive_verbs() -> None:
    woke = Action(verb("wake up"), tense="past")
    assert said(the("woman"), woke) == ("the woman woke up", "la donna si è svegliata")
    we = grammar.pronoun(WE)
    assert said(we, replace(woke, tense="present", modal=MUST)) == (
        "we must wake up",
        "noi ci dobbiamo svegliare",
    )


def test_two_subjects_are_feminine_only_if_both_are() -> None:
    arrived = Action(verb("arrive"), tense="past")
    both_women = grammar.both(the("queen"), the("nurse"))
    assert said(both_women, arrived)[1] == "la regina e l'infermiera sono arrivate"
    assert said(grammar.both(the("queen"), the("king")), arrived)[1] == (
        "la regina e il re sono arrivati"
    )


def test_relative_clauses() -> None:
    ate = Action(verb("eat"), the("mouse"), tense="past")
    cat = noun_phrase(noun("cat"), modifier=grammar.subject_relative(noun("cat"), "singular", ate))
    assert sides(cat) == ("the cat that ate the mouse", "il gatto che ha mangiato il topo")
    saw = Action(verb("see"), the("horse"), tense="past")
    girls = noun_phrase(
        noun("girl"),
        number="plural",
        modifier=grammar.subject_relative(noun("girl"), "plural", saw),
    )
    tired = State(adjective("tired"))
    assert said(girls, tired) == (
        "the girls who saw the horse are tired",
        "le ragazze che hanno visto il cavallo sono stanche",
    )
    by_cat = grammar.object_relative(the("cat"), Action(verb("eat"), tense="past"))
    assert sides(noun_phrase(noun("apple"), modifier=by_cat)) == (
        "the apple that the cat ate",
        "la mela che il gatto ha mangiato",
    )
    where = grammar.place_relative(the("king"), Action(verb("sleep")))
    assert sides(noun_phrase(noun("castle"), modifier=where)) == (
        "the castle where the king sleeps",
        "il castello dove il re dorme",
    )


def test_adverbs_change_places() -> None:
    eats = Action(verb("eat"), the("apple"), manner=lexicon.MANNERS[0])
    assert said(the("girl"), eats) == (
        "the girl eats the apple slowly",
        "la ragazza mangia lentamente la mela",
    )
    slept = Action(verb("sleep"), frequency=lexicon.ALWAYS, tense="past")
    assert said(the("dog"), slept) == ("the dog always slept", "il cane ha sempre dormito")


def test_time_comes_first_in_italian() -> None:
    slept = grammar.clause(grammar.pronoun(HE), Action(verb("sleep"), tense="past"))
    assert sides(grammar.statement(slept, lexicon.PAST_TIMES[0])) == (
        "He slept yesterday.",
        "Ieri lui ha dormito.",
    )
    assert sides(grammar.statement(slept, grammar.oclock(8)))[1] == "Alle otto lui ha dormito."
    assert sides(grammar.statement(slept, grammar.ago(3, lexicon.UNITS[1]))) == (
        "He slept three weeks ago.",
        "Tre settimane fa lui ha dormito.",
    )


def test_questions() -> None:
    dog = the("dog")
    assert sides(grammar.yes_no(dog, Action(verb("eat"), the("cake")))) == (
        "Does the dog eat the cake?",
        "Il cane mangia la torta?",
    )
    assert sides(grammar.yes_no(dog, State(adjective("tired"), degree=grammar.VERY))) == (
        "Is the dog very tired?",
        "Il cane è molto stanco?",
    )
    women = noun_phrase(noun("woman"), number="plural")
    assert sides(grammar.inverted(grammar.WHERE, women, Action(verb("go"), tense="past"))) == (
        "Where did the women go?",
        "Dove sono andate le donne?",
    )
    assert sides(grammar.inverted(grammar.WHERE, dog, State())) == (
        "Where is the dog?",
        "Dov'è il cane?",
    )
    assert sides(grammar.inverted(grammar.WHAT, dog, Action(verb("look for")))) == (
        "What does the dog look for?",
        "Che cosa cerca il cane?",
    )
    assert sides(grammar.how_many(noun("pen"), dog, Action(verb("find"), tense="past"))) == (
        "How many pens did the dog find?",
        "Quante penne ha trovato il cane?",
    )
    assert sides(grammar.who(Action(verb("come"), tense="past"))) == ("Who came?", "Chi è venuto?")
    assert sides(grammar.why(dog, Action(verb("sleep")))) == (
        "Why does the dog sleep?",
        "Perché il cane dorme?",
    )


def test_there_is() -> None:
    garden = grammar.prepositional(lexicon.IN, the("garden"))
    two = noun_phrase(noun("fox"), "none", count=2)
    assert sides(grammar.there_is(a("fox"), garden, "present", is_question=False)) == (
        "there is a fox in the garden",
        "c'è una volpe nel giardino",
    )
    assert sides(grammar.there_is(two, garden, "past", is_question=True)) == (
        "were there two foxes in the garden",
        "c'erano due volpi nel giardino",
    )
    assert sides(grammar.there_is(two, garden, "present", is_question=False))[1] == (
        "ci sono due volpi nel giardino"
    )


def test_comparison_and_states() -> None:
    famous = State(adjective("famous"), than=the("queen"))
    assert said(the("actress"), famous) == (
        "the actress is more famous than the queen",
        "l'attrice è più famosa della regina",
    )
    i = grammar.pronoun(I)
    assert said(i, State(adjective("happy"), negative=True)) == (
        "I am not happy",
        "io non sono felice",
    )


def test_clauses_in_clauses() -> None:
    sings = grammar.clause(the("bird"), Action(verb("sing")))
    sleeps = grammar.clause(the("cat"), Action(verb("sleep")))
    assert sides(grammar.statement(grammar.linked(sleeps, grammar.LINKS["but"], sings))) == (
        "The cat sleeps, but the bird sings.",
        "Il gatto dorme, ma l'uccello canta.",
    )
    assert sides(grammar.framed(sleeps, sings, grammar.WHEN)) == (
        "when the cat sleeps, the bird sings",
        "quando il gatto dorme, l'uccello canta",
    )
    assert said(the("boy"), Saying(lexicon.SAY, sings)) == (
        "the boy says that the bird sings",
        "il ragazzo dice che l'uccello canta",
    )
    two = Sequence(
        Action(verb("eat"), a("apple"), tense="past"), Action(verb("go out"), tense="past")
    )
    assert said(the("girl"), two) == (
        "the girl ate an apple and went out",
        "la ragazza ha mangiato una mela ed è uscita",
    )


@pytest.mark.parametrize(
    ("infinitive", "forms"),
    [
        ("mangiare", "mangio mangia mangiamo mangiano"),
        ("cercare", "cerco cerca cerchiamo cercano"),
        ("svegliare", "sveglio sveglia svegliamo svegliano"),
        ("vedere", "vedo vede vediamo vedono"),
        ("dormire", "dormo dorme dormiamo dormono"),
    ],
)
def test_regular_verbs(infinitive: str, forms: str) -> None:
    assert " ".join(morphology.present_italian(infinitive)) == forms
