"""Remarks on validation name the fault, its share and the remedy."""

import pytest

from nmt.config.training import ValidationConfig
from nmt.evaluation.collapse import Collapse
from nmt.training.remarks import Baseline, explain_collapse, most_frequent_target
from nmt.training.state import Best


def test_a_collapse_is_excused_while_the_model_is_young_and_not_at_the_end():
    found = Collapse("same", 0.37, "il il il il")
    assert explain_collapse(found, 0.1, has_ended=False) == (
        '37 % of the lines are the same sentence ("il il il il"), as is common early in training; '
        "if this persists, lower training.learning_rate (now 0.1), or train longer if the loss "
        "falls"
    )
    assert explain_collapse(found, 0.1, has_ended=True) == (
        'last validation: 37 % of the lines are the same sentence ("il il il il"); '
        "lower training.learning_rate (now 0.1), or train longer if the loss falls"
    )


def test_copies_have_another_remedy():
    said = explain_collapse(Collapse("copies", 0.5, "A"), 0.1, has_ended=True)
    assert "data.drop_copies" in said
    assert "learning_rate" not in said


def test_copying_is_scored_as_translations_are():
    def measure(source, reference, tokenize="13a", lines=1):
        return Baseline.measure("copying", [source] * lines, [reference] * lines, tokenize)

    copying = measure("Anna kommt aus Rom nach Wien.", "Anna kommt uit Rom nach Wien.", lines=3)
    assert copying.is_remarkable
    assert str(copying) == f"BLEU {copying.bleu:.1f}, chrF {copying.chrf:.1f}"
    assert not measure("A cat.", "Un gatto.").is_remarkable
    assert "(zh)" in str(measure("我有三个苹果", "我有三个梨子", "zh"))


def test_the_most_frequent_target_is_found_in_a_sample_of_a_large_corpus(monkeypatch):
    class Lines(list):
        def texts(self, index):
            return "", self[index]

    assert most_frequent_target(Lines(["b", "a", "c", "a"])) == "a"
    monkeypatch.setattr("nmt.training.remarks._PAIRS_TO_COUNT", 2)
    assert most_frequent_target(Lines(["b", "a", "b", "a"])) == "b"  # reads the first and third


@pytest.mark.parametrize(
    ("metric", "value", "beats"),
    [("bleu", 20.0, True), ("bleu", 21.0, False), ("chrf", 50.0, True), ("loss", 3.0, False)],
)
def test_a_baseline_is_compared_with_the_best_model_by_its_metric(metric, value, beats):
    config = ValidationConfig(metric=metric)
    assert Baseline("copying", 20.9, 55.9, "13a").beats(Best(1, value), config) is beats
