"""Scores equal those of the sacrebleu command, and misleading ones cause a warning."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import DataError, UsageError
from nmt.evaluation.metrics import METRICS, affordable_resamples, score, suspicions
from nmt.evaluation.word_metrics import edit_distance

REFERENCES = [
    "A man is sleeping on a green bench.",
    "Two dogs play in the snow, and one barks!",
    "The children's ball isn't red.",
    "",
    "Ein Bär schläft – 3.5 Stunden lang.",
]
HYPOTHESES = [
    "A man sleeps on the green bench.",
    "Two dogs are playing in the snow and one barks!",
    "The children's ball isn't red.",
    "Nothing.",
    "Ein bär schläft 3.5 Stunden",
]


@pytest.fixture(scope="module")
def sacrebleu_says(tmp_path_factory) -> list[dict]:
    """Return what the sacrebleu command prints, to twelve digits."""
    folder: Path = tmp_path_factory.mktemp("sacrebleu")
    for name, lines in (("hyp", HYPOTHESES), ("ref", REFERENCES)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-m", "bleu", "chrf", "ter"]
    command += ["--confidence", "--confidence-n", "50", "-w", "12"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_scores_intervals_and_signatures_equal_the_sacrebleu_command(sacrebleu_says):
    ours = score(HYPOTHESES, REFERENCES, ("bleu", "chrf", "ter"), bootstrap=50)
    for mine, theirs in zip(ours, sacrebleu_says, strict=True):
        assert mine.name == theirs["name"]
        assert mine.value == pytest.approx(theirs["score"], abs=1e-9)
        assert mine.signature == theirs["signature"]
        middle, half = theirs["confidence_mean"], theirs["confidence_var"]
        assert mine.low == pytest.approx(middle - half, abs=1e-4)  # a mean in single precision
        assert mine.high == pytest.approx(min(100.0, middle + half), abs=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_an_interval_holds_only_possible_scores(metric):
    references = ["It rains.", "A man sleeps.", "Two big dogs bark at one small cat."]
    for hypotheses in (references, ["x", *references[1:]], ["x", "y", references[2]], ["x"] * 3):
        [found] = score(hypotheses, references, [metric], bootstrap=1000)
        most = math.inf if metric in ("ter", "wer") else 100.0
        assert 0.0 <= found.low <= found.value + 1e-9  # sacrebleu's 100 may be a bit more
        assert found.value - 1e-9 <= found.high <= most


def test_errors_may_outnumber_the_words():
    [found] = score(["a b c d e f"] * 3, ["x"] * 3, ["wer"], bootstrap=50)
    assert (found.value, found.low, found.high) == (600.0, 600.0, 600.0)


def test_without_bootstrap_there_is_no_interval():
    [bleu] = score(HYPOTHESES, REFERENCES)
    assert (bleu.low, bleu.high) == (None, None)
    assert str(bleu).startswith(f"BLEU {bleu.value:.2f}  nrefs:1|case:mixed|eff:no|tok:13a|")


def test_a_score_prints_its_interval_and_signature():
    [bleu] = score(HYPOTHESES, REFERENCES, bootstrap=20)
    assert str(bleu) == (
        f"BLEU {bleu.value:.2f} [{bleu.low:.1f}, {bleu.high:.1f}]  {bleu.signature}"
    )
    assert "bs:20|seed:12345" in bleu.signature


def test_exact_match_is_the_share_of_equal_lines():
    [exact] = score(["a", "b ", "C", ""], ["a", "b", "c", ""], ["exact"])
    assert exact.value == 75.0


def test_word_error_rate_is_edits_per_reference_word():
    # one substitution, one deletion, one insertion; 3 + 2 + 1 reference words
    [wer] = score(["a x c", "a", "a b"], ["a b c", "a b", "a"], ["wer"])
    assert wer.value == pytest.approx(100 * 3 / 6)


def test_word_error_rate_of_empty_references():
    assert score([""], [""], ["wer"])[0].value == 0.0
    assert score(["a b"], [""], ["wer"])[0].value == 100.0


@given(st.text("ab", max_size=6), st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_edit_distance_is_a_metric(first, second, third):
    distance = edit_distance(first, second)
    assert distance == edit_distance(second, first)
    assert (distance == 0) == (first == second)
    assert distance <= edit_distance(first, third) + edit_distance(third, second)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_text_gets_the_best_score_against_itself(lines):
    by_name = {found.metric: found.value for found in score(lines, lines, METRICS)}
    assert by_name["exact"] == 100.0
    assert by_name["wer"] == by_name["ter"] == 0.0


def test_unequal_counts_are_refused_with_both():
    with pytest.raises(
        DataError, match=r"the hypothesis has 2 lines, the reference has 3;"
    ) as error:
        score(["a", "b"], ["a", "b", "c"])
    assert error.value.exit_code == 3
    assert str(error.value).endswith(
        "a score needs one hypothesis per reference, in the same order"
    )


def test_empty_texts_cannot_be_scored():
    with pytest.raises(DataError, match="have no lines to score; name files with text"):
        score([], [])


def test_unknown_metrics_and_tokenizers_are_named():
    with pytest.raises(UsageError, match='unknown metric "blue"; known: bleu, chrf'):
        score(["a"], ["a"], ["blue"])
    with pytest.raises(UsageError, match='unknown tokenizer "12a"; known: 13a'):
        score(["a"], ["a"], tokenize="12a")


def test_chinese_is_split_by_its_tokenizer():
    [plain], [chinese] = (score(["我爱你们"], ["我爱他们"], tokenize=t) for t in ("13a", "zh"))
    assert plain.value == 0.0
    assert chinese.value > 0.0


def test_a_large_corpus_is_resampled_less_often(caplog):
    assert affordable_resamples(1000, 3000) == 1000
    assert affordable_resamples(1000, 200_000) == 100
    assert "only 100 of 1,000 resamples are drawn: 200,000 lines each" in caplog.text


class TestSuspicions:
    def test_ordinary_text_is_not_suspicious(self):
        assert suspicions(HYPOTHESES[:3], REFERENCES[:3]) == []

    @pytest.mark.parametrize(
        ("hypotheses", "references", "said"),
        [
            (["The end ."], ["The end."], 'hypotheses look tokenized (" ." or " ,")'),
            (["Yes , he did."], ["Yes, he did."], "hypotheses look tokenized"),
            (["The end ."], ["The end ."], "references look tokenized"),
            (["Un@@ der"], ["Under"], 'hypotheses contain "@@ ": join the pieces'),
            (["▁Un der"], ["Under"], 'hypotheses contain "▁": join the pieces'),
            (["the end."], ["The end."], "hypotheses are all lower case, references are not"),
            (["A"] * 3, ["A", "", " "], "2 references are empty (lines 2, 3)"),
        ],
    )
    def test_each_suspicion_is_reported(self, hypotheses, references, said):
        [found] = suspicions(hypotheses, references)
        assert found.startswith(said)

    def test_french_punctuation_is_not_tokenized(self):
        assert suspicions(["Où est-il ?"], ["Où est-elle ?"]) == []

    def test_lower_case_references_excuse_lower_case_hypotheses(self):
        assert suspicions(["the end"], ["the end"]) == []
