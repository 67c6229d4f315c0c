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
from nmt.evaluation.metrics import LOWER_IS_BETTER, METRICS, Score, affordable_resamples, score
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


OTHER_REFERENCES = [
    "A man sleeps on a bench which is green.",
    "Two dogs are playing in the snow.",
    "The ball of the children is not red.",
    "Nothing.",
    "Ein Bär schläft dreieinhalb Stunden.",
]


def sacrebleu_says(folder: Path, *options: str, references: list[list[str]]) -> list[dict]:
    """Return what the sacrebleu command prints, to twelve digits."""
    texts = {"hyp": HYPOTHESES} | {f"ref{n}": lines for n, lines in enumerate(references)}
    for name, lines in texts.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", *list(texts)[1:], "-i", "hyp", *options]
    command += ["--confidence", "--confidence-n", "50", "-w", "12"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize(
    ("options", "metrics", "references", "lowercase"),
    [
        (["-m", "bleu", "chrf", "ter"], ("bleu", "chrf", "ter"), [REFERENCES], False),
        (
            ["-m", "bleu", "chrf", "ter"],
            ("bleu", "chrf", "ter"),
            [REFERENCES, OTHER_REFERENCES],
            False,
        ),
        (["-m", "chrf", "--chrf-word-order", "2"], ("chrf++",), [REFERENCES], False),
        (["-m", "bleu", "chrf", "-lc", "--chrf-lowercase"], ("bleu", "chrf"), [REFERENCES], True),
    ],
    ids=["one reference", "two references", "chrF++", "lower case"],
)
def test_scores_intervals_and_signatures_equal_the_sacrebleu_command(
    tmp_path, options, metrics, references, lowercase
):
    first, *more = references
    ours = score(
        HYPOTHESES, first, metrics, more_references=more, bootstrap=50, lowercase=lowercase
    )
    theirs = sacrebleu_says(tmp_path, *options, references=references)
    for mine, their in zip(ours, theirs, strict=True):
        assert mine.name == their["name"]
        assert mine.value == pytest.approx(their["score"], abs=1e-9)
        assert mine.signature == their["signature"]
        middle, half = their["confidence_mean"], their["confidence_var"]
        assert mine.low == pytest.approx(middle - half, abs=1e-4)  # a mean in single precision
        assert mine.high == pytest.approx(min(100.0, middle + half), abs=1e-4)


@pytest.mark.parametrize("metric", ["exact", "wer"])
def test_a_line_counts_by_its_best_reference(metric):
    first, second = ["a", "x y", "b c"], ["q", "a y", "z"]
    best = ["a", "a y", "b c"]
    [both] = score(["a", "a b", "b"], first, [metric], more_references=[second])
    assert both.value == score(["a", "a b", "b"], best, [metric])[0].value
    assert "nrefs:2" in both.signature


def test_a_second_reference_of_other_length_is_refused():
    with pytest.raises(DataError, match="the hypothesis has 2 lines, the reference has 1"):
        score(["a", "b"], ["a", "b"], more_references=[["a"]])


def test_case_is_ignored_by_every_metric_on_request():
    for found in score(["AB c D e"], ["ab C d E"], METRICS, lowercase=True):
        assert found.value == pytest.approx(0.0 if found.metric in LOWER_IS_BETTER else 100.0)
        assert "case:lc" in found.signature


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
        f"BLEU {bleu.value:.2f} [{bleu.low:.2f}, {bleu.high:.2f}]  {bleu.signature}"
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
    with pytest.raises(UsageError, match='unknown tokenizer "12a"; known: auto, 13a'):
        score(["a"], ["a"], tokenize="12a")


def test_a_large_corpus_is_resampled_less_often(caplog):
    assert affordable_resamples(1000, 3000) == 1000
    assert affordable_resamples(1000, 200_000) == 100
    assert "only 100 of 1,000 resamples are drawn: 200,000 lines each" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("A cat.", "A cat."), r"hypotheses: is a single string; give a list of hypotheses\."),
        ((["A cat."], "A"), r"references: is a single string; give a list of references\."),
        ((["A"], ["B"], "chrf"), r"metrics: is a single string; give a list of metrics\."),
        ((["A", None], ["B", "C"]), r"hypotheses: number 2 is None; give strings\."),
    ],
)
def test_what_is_no_list_of_strings_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        score(*arguments)


def test_the_interval_has_the_decimals_of_the_score():
    shown = str(Score("bleu", "BLEU", 0.07, "tok:13a", 0.051, 0.094))
    assert shown == "BLEU 0.07 [0.05, 0.09]  tok:13a"
