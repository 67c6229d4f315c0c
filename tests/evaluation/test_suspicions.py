"""What makes a score doubtful is said, and ordinary texts cause no warning."""

import pytest

from nmt.evaluation.suspicions import missing_spaces, suspicions

HYPOTHESES = [
    "A man sleeps on the green bench.",
    "Two dogs are playing in the snow and one barks!",
    "The children's ball isn't red.",
    "iPhone users said: 3.5 hours.",
]
REFERENCES = [
    "A man is sleeping on a green bench.",
    "Two dogs play in the snow, and one barks!",
    "The children's ball isn't red.",
    "Users of R&D; it took 3.5 hours.",
]


def first_lower(line: str) -> str:
    """As a truecaser leaves a line."""
    return line[:1].lower() + line[1:]


def test_ordinary_text_is_not_suspicious():
    assert suspicions(HYPOTHESES, REFERENCES) == []
    assert suspicions(["Où est-il ?"], ["Où est-elle ?"]) == []
    assert suspicions(["the end"], ["the end"]) == []


@pytest.mark.parametrize(
    ("hypotheses", "references", "said"),
    [
        (["The end ."], ["The end."], 'hypotheses look tokenized (" ." or " ,")'),
        (["Yes , he did."], ["Yes, he did."], "hypotheses look tokenized"),
        (["The end ."], ["The end ."], "references look tokenized"),
        (["Un@@ der"], ["Under"], 'hypotheses contain "@@ ": join the pieces'),
        (["▁Un der"], ["Under"], 'hypotheses contain "▁": join the pieces'),
        (["It&apos;s"], ["It's"], 'hypotheses contain HTML entities such as "&apos;"'),
        (["It's"], ["It&#39;s"], 'references contain HTML entities such as "&#39;"'),
        (["A"] * 3, ["A", "", " "], "2 references are empty (lines 2, 3)"),
        (["0 ||| Un gatto. ||| -1"], ["Un gatto."], "hypotheses look like an n-best list"),
        (["1\tUn gatto."], ["Un gatto."], "hypotheses look like an n-best list or numbered"),
        (["A cat\tUn gatto."], ["Un gatto."], 'hypotheses look like several columns ("A cat'),
        (["Un gatto."], ["0\tUn gatto."], "references look like an n-best list"),
        (["Perche\u0301 no?"], ["Perch\u00e9 no?"], "hypotheses have accents apart"),
        (["\u00c8 vero"], ["E\u0300 vero"], "references have accents apart"),
        (["Questiduepiccoligattihannofame." * 2], REFERENCES[:1] * 2, "hypotheses hardly have sp"),
    ],
)
def test_each_suspicion_is_reported(hypotheses, references, said):
    [found] = suspicions(hypotheses, references)
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (str.lower, "are all lower case"),
        (str.upper, "are all upper case"),
        (first_lower, "begin with a small letter"),
    ],
)
def test_case_is_compared_in_both_directions_and_need_not_be_all_lines(change, what):
    references = [f"{line} Yes." for line in REFERENCES * 5]
    changed = [change(line) if number % 3 else line for number, line in enumerate(references)]
    [found] = suspicions(changed, references)
    assert found.startswith(f"hypotheses {what} in 65 % of the lines, references in 0 %")
    [found] = suspicions(references, changed)
    assert found.startswith(f"references {what} in 65 % of the lines, hypotheses in 0 %")
    assert "--lowercase" in found
    assert suspicions(references, changed, lowercase=True) == []
    assert suspicions(references, changed, ["ter"]) == []


def test_title_case_is_told_from_ordinary_text_and_from_nouns_with_capitals():
    references = ["Two dogs play in the deep snow.", "Several children sleep on benches."] * 3
    [found] = suspicions([line.title() for line in references], references)
    assert found.startswith("hypotheses are in Title Case in 100 % of the lines, references in 0 %")
    headlines = ["Two Dogs Play in the Deep Snow", "Several Children Sleep on Benches"] * 3
    [found] = suspicions(references, headlines)
    assert found.startswith("references are in Title Case in 100 % of the lines")
    german = ["Zwei Hunde spielen im Schnee.", "Mehrere Kinder schlafen auf der Bank."] * 3
    assert suspicions(german, [line.replace("spielen", "tollen") for line in german]) == []


def test_a_truecased_hypothesis_is_found_against_lower_case_references():
    truecased = ["the house of Anna is red.", "it is in Rome.", "she sleeps."]
    [found] = suspicions(truecased, [line.lower() for line in truecased])
    assert found.startswith("references are all lower case in 100 % of the lines, hypotheses in 33")


def test_both_sides_are_named_if_both_have_one_case():
    upper, lower = ([change(line) for line in REFERENCES] for change in (str.upper, str.lower))
    [found] = suspicions(lower, upper)
    assert found == (
        "hypotheses are all lower case in 100 % of the lines, references in 0 %; references are "
        "all upper case in 100 % of the lines, hypotheses in 0 %: the score is too low; use the "
        "unmodified references, or compare with --lowercase"
    )


def test_the_case_of_one_line_among_several_is_no_reason_for_a_warning():
    assert suspicions(["it rains.", *REFERENCES[:2]], ["It rains.", *REFERENCES[:2]]) == []


def test_a_script_without_case_has_none_to_compare():
    assert (
        suspicions(
            ["我有 iphone", "你好", "他在家"], ["我有 iPhone", "你好", "他在家"], tokenize="zh"
        )
        == []
    )


def test_an_empty_line_of_a_second_reference_is_named():
    [found] = suspicions(["A", "B"], ["A", "B"], more_references=[["A", ""]])
    assert found == "1 references of text 2 are empty (line 2)"


class TestMissingSpaces:
    @pytest.mark.parametrize(
        "text",
        [
            "我有三个苹果。",
            "私は林檎を三つ持っています。",
            "ฉันมีแอปเปิลสามลูก วันนี้",
            "ខ្ញុំមានផ្លែប៉ោម",
            "ငါ့မှာပန်းသီးရှိတယ်",
        ],
    )
    def test_references_without_spaces_are_told_where_words_count(self, text):
        for metric, name in (("bleu", "BLEU with the tokenizer 13a"), ("wer", "WER")):
            [found] = missing_spaces([text] * 3, [metric], "13a")
            assert "hardly have spaces" in found
            assert f"the words of {name}: such scores say little" in found
        assert missing_spaces([text] * 3, ["bleu", "chrf"], "char") == []

    def test_text_that_was_cut_into_words_has_spaces(self):
        assert missing_spaces(["我 有 三 个 苹果 。"], ["bleu"], "none") == []

    def test_a_script_without_a_name_for_it_is_found_by_its_spaces(self):
        assert missing_spaces(["ꀀꀁꀂꀃꀄꀅꀆꀇꀈꀉ" * 2] * 10, ["bleu"], "13a")

    @pytest.mark.parametrize(
        "line",
        [
            "Donaudampfschifffahrtsgesellschaft ist lang",
            "1984-09-25",
            "42",
            "",
            "나는 사과를 먹는다",
        ],
    )
    def test_other_text_is_not_accused(self, line):
        assert missing_spaces([line] * 50, ["bleu", "ter", "wer", "chrf++"], "13a") == []
