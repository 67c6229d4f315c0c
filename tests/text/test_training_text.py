"""Figures of the training text, from a few lines that can be counted by hand."""

import pytest

from nmt.text.training_text import TrainingText, TrainingTextSurvey


def survey(*pairs: tuple[str, str]) -> TrainingText:
    found = TrainingTextSurvey("en")
    for source, target in pairs:
        found.add(source, target, pieces=(len(source.split()), len(target.split())))
    result = found.result()
    assert result is not None
    return result


def test_the_figures_are_shares_of_the_lines():
    found = survey(
        ("A CAT SLEPT.", "Ab."),
        ("The Old Cat Slept.", "b"),
        ("it slept in 1984.", "c"),
        ("42", "42"),
    )
    assert (found.lines, found.longest) == (4, 4)
    assert (found.capitals, found.title_case) == (0.25, 0.25)
    assert found.capitalized == pytest.approx(2 / 3, abs=1e-6)
    assert (found.letterless, found.letterless_copied) == (0.25, 0.25)
    assert (found.numbers, found.numbers_lost) == (0.25, 0.25)
    assert found.target_characters == "".join(sorted("Ab.c42"))
    assert set(found.source_characters) >= set("ACT.12489 ")
    assert TrainingText.model_validate_json(found.model_dump_json()) == found


def test_the_apostrophe_is_the_one_of_nearly_all_source_words():
    usual = ("can't it's so ’ good ’", "d’a d’b")
    assert survey(*[usual] * 3, ("don’t", "a")).apostrophe == "'"
    assert survey(usual, ("don’t", "a")).apostrophe == ""
    assert survey(("so ' good '", "d’a")).apostrophe == ""


def test_what_is_usual_leaves_out_a_few_lines():
    rare = [("One. Two. Three. Four.", "x")]
    found = survey(*[("One word.", "x")] * 500, *rare)
    assert (found.usual_sentences, found.longest) == (1, 4)
    found = survey(*[("One word.", "x")] * 50, *rare)
    assert (found.usual_sentences, found.usual_longest) == (4, 4)


def test_the_usual_ratio_is_that_of_long_lines_but_for_the_fewest():
    long, short = ("a b c d e f g h", "1 2 3 4 5 6"), ("a b", "1")
    assert survey(short).usual_ratio == 0
    assert survey(short, *[long] * 5).usual_ratio == 0.75
    assert survey(*[long] * 500, ("a b c d e f g h", "1")).usual_ratio == 0.75
    assert survey(*[long] * 50, ("a b c d e f g h", "1 2")).usual_ratio == 0.25


def test_letterless_lines_are_translated_only_if_training_did_so_more_than_once_in_a_thousand():
    words = [("A cat.", "Un gatto.")]
    assert not survey(*words).translates_letterless
    assert survey(*words, ("42", "quarantadue")).translates_letterless
    assert not survey(*words, ("42", "quarantadue"), ("1", "1"), ("2", "2")).translates_letterless
    assert not survey(*words * 2000, ("42", "quarantadue")).translates_letterless


def test_numbers_are_expected_to_stay_unless_training_lost_them():
    assert survey(("A cat.", "Un gatto.")).keeps_numbers
    assert survey(("In 1984.", "Nel 1984.")).keeps_numbers
    assert not survey(("In 1984.", "Nel millenovecentottantaquattro.")).keeps_numbers


def test_no_pairs_have_no_figures():
    assert TrainingTextSurvey("en").result() is None
