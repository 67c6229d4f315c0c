"""Words of a test set that the training text hardly has."""

import random

import pytest

from nmt.data.rare_words import RareWords, words_of


def findings(test: list[str], train: list[str]):
    words = RareWords()
    for line in test:
        words.add(line)
    for line in train:
        words.meet(line)
    return list(words.findings("t.en", "a.en"))


def test_the_share_counts_every_occurrence_in_the_test_set():
    test = ["common words here"] * 198 + ["Rubella HPV, hpv!", "rubella rare hpv"]
    train = ["Common words, here"] * 5 + ["rubella"] * 4 + ["rare"] * 5
    (finding,) = findings(test, train)
    assert str(finding) == (
        "note     t.en: 0.8% of the words occur fewer than 5 times in a.en, such as HPV, Rubella"
    )
    assert finding.count == 5
    assert finding.name == "rare-words"


def test_many_rare_words_are_a_warning():
    (finding,) = findings(["seen seen seen seen seen seen seen seen seen new"] * 60, ["seen"] * 5)
    assert finding.level == "warning"
    assert str(finding).splitlines() == [
        "warning  t.en: 10.0% of the words occur fewer than 5 times in a.en, such as new",
        "         fix: a model can hardly know how to translate them: more text of this kind, even "
        "a few thousand pairs, helps more than other settings",
    ]


def test_nothing_is_said_without_rare_words_or_of_a_short_test_set():
    assert not findings(["seen"] * 500, ["seen"] * 5)
    assert not findings(["new"] * 499, ["seen"])
    assert findings(["new"] * 500, ["seen"])


def test_nothing_is_said_of_text_without_spaces():
    assert not findings(["猫がいる。"] * 500, ["犬"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Don't stop-gap 12 x2 É_é", ["Don", "t", "stop", "gap", "x", "É", "é"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # with vowel signs
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("می‌خواهم", ["میخواهم"]),
        ("co­operate", ["cooperate"]),
        (" ... ", []),
    ],
)
def test_a_word_is_a_run_of_letters_and_their_marks(line: str, words: list[str]):
    assert words_of(line) == words


def test_the_order_of_lines_does_not_matter():
    random.seed(1)
    letters = "abcdefghijklmnop"
    test = [" ".join(random.choices(letters, k=8)) for _ in range(100)]
    train = [" ".join(random.choices(letters, k=2)) for _ in range(40)]
    shuffled = random.sample(test, len(test)), random.sample(train, len(train))
    assert findings(test, train) == findings(*shuffled)
