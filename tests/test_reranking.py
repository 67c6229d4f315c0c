"""Ensembles with weights, rescoring by other models, and minimum Bayes risk, by hand."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import torch
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from nmt.cli.main import run as nmt
from nmt.config.search import change_search
from nmt.errors import UsageError
from nmt.search.hypothesis import Hypothesis
from nmt.search.lengths import divisor
from nmt.search.search import search
from nmt.translation import TranslatedText
from nmt.translator import Translator

LINES = ["a cat eats", "the small dog sleeps", "two birds and a mouse", "a mouse sings"]
UTILITIES = {"chrf": CHRF(), "bleu": BLEU(effective_order=True)}


@pytest.fixture(scope="module")
def other(make_model_folder) -> Path:
    """A model with other cells, sizes and attention, and the pieces of `model_folder`."""
    return make_model_folder(
        seed=2,
        model={
            "encoder": {"cell": "gru", "hidden_size": 9, "layers": 2},
            "decoder": {"cell": "rnn", "hidden_size": 10, "attention": "additive"},
        },
    )


@pytest.fixture(scope="module")
def apart(make_model_folder) -> Path:
    """A model with pieces of its own, which writes from right to left."""
    decoder = {"hidden_size": 12, "right_to_left": True}
    return make_model_folder(seed=3, joint=False, model={"decoder": decoder})


def hypotheses_of(translator: Translator, line: str, **changes: object) -> list[Hypothesis]:
    """All hypotheses that a search for one line ends with."""
    ids = torch.tensor([[*translator.source.encode(line), 3]])
    options = change_search(translator.options, changes)
    mask = torch.ones_like(ids, dtype=torch.bool)
    (found,) = search(translator.engine.scorer, ids, mask, options)
    return found


def test_an_ensemble_mixes_probabilities_by_weight(model_folder, other):
    pairs = [(line, "il cane dorme") for line in LINES]
    one, two = (Translator.load(each).score(pairs) for each in (model_folder, other))
    both = Translator.load([model_folder, other], weights=[3, 1]).score(pairs)
    for first, second, mixed in zip(one, two, both, strict=True):
        expected = [
            math.log(0.75 * math.exp(a) + 0.25 * math.exp(b))
            for a, b in zip(first.log_probs, second.log_probs, strict=True)
        ]
        assert mixed.log_probs == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            [1.0],
            r"^weights: 1 are for 1 models, and there are 2; give one for each, in their order\.$",
        ),
        ([0.5, 0.0], r"^weights: must be above 0, got 0\.5, 0; leave such a model out\.$"),
        ([0.5, math.inf], r"^weights: must be above 0, got 0\.5, inf"),
    ],
)
def test_weights_that_make_no_mean_are_refused(model_folder, weights, message):
    with pytest.raises(UsageError, match=message):
        Translator.load([model_folder, model_folder], weights=weights)


@pytest.mark.parametrize("length_penalty", ["average", "none"])
def test_rescoring_equals_scoring_and_adding_by_hand(model_folder, other, apart, length_penalty):
    search = {"beam": 6, "n_best": 6, "length_penalty": length_penalty, "rescore_weight": 0.7}
    plain, *rescorers = (Translator.load(each) for each in (model_folder, other, apart))
    both = Translator.load(model_folder, rescorers=[other, apart])
    options = change_search(both.options, search)
    for line, found in zip(LINES, both.translate(LINES, search=search), strict=True):
        expected: list[tuple[str, float]] = []
        for each in hypotheses_of(plain, line, **search):
            text, score = plain.target.decode(each.tokens), each.score
            for rescorer in rescorers:
                (scored,) = rescorer.score([(line, text)])
                score += 0.7 * scored.log_prob / divisor(len(scored.pieces), options)
            expected.append((text, score))
        compare(found.hypotheses, expected)


def compare(found: Sequence[TranslatedText], expected: Iterable[tuple[str, float]]) -> None:
    """Compare translations with texts and scores: best first, each text once but for spaces."""
    ranked: dict[str, float] = {}
    for text, score in sorted(expected, key=lambda each: -each[1]):
        ranked.setdefault(" ".join(text.split()), score)
    assert [each.score for each in found] == pytest.approx(list(ranked.values()), abs=1e-5)
    scores = {" ".join(each.text.split()): each.score for each in found}
    assert scores == pytest.approx(ranked, abs=1e-5)


def test_the_best_after_rescoring_comes_from_the_whole_beam(model_folder, apart):
    both = Translator.load(model_folder, rescorers=[apart])
    search = {"beam": 6, "rescore_weight": 5.0}
    best, every = (
        [each.text for each in both.translate(LINES, search=search | {"n_best": count})]
        for count in (1, 6)
    )
    assert best == every
    alone = Translator.load(model_folder).translate(LINES, search={"beam": 6})
    assert best != [each.text for each in alone]


def test_a_rescorer_without_weight_changes_nothing(model_folder, apart):
    search = {"beam": 5, "n_best": 5}
    both = Translator.load(model_folder, rescorers=[apart])
    found = both.translate(LINES, search=search | {"rescore_weight": 0.0})
    assert list(found) == list(Translator.load(model_folder).translate(LINES, search=search))


def test_rescored_translations_do_not_depend_on_the_batch(model_folder, apart):
    both = Translator.load(model_folder, rescorers=[apart])
    together, alone = (
        [each.text for each in both.translate(LINES, batch_size=size)] for size in (64, 1)
    )
    assert together == alone


def test_a_rescorer_of_other_languages_is_refused(model_folder, monkeypatch):
    load = Translator.load.__func__

    def rename(cls, *arguments, **options):
        translator = load(cls, *arguments, **options)
        translator.languages = ("en", "fr")
        return translator

    monkeypatch.setattr(Translator, "load", classmethod(rename))
    text = r"^--rescore .*: is a model of en-fr, and the translations are en-it; name a "
    text += r"model of these languages\.$"
    with pytest.raises(UsageError, match=text):
        load(Translator, model_folder, rescorers=[model_folder])


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
def test_minimum_bayes_risk_over_a_beam_equals_brute_force(model_folder, utility):
    translator = Translator.load(model_folder)
    search = {"beam": 6, "n_best": 6, "mbr": utility}
    for line, found in zip(LINES, translator.translate(LINES, search=search), strict=True):
        hypotheses = hypotheses_of(translator, line, beam=6, n_best=6)
        texts = [translator.target.decode(each.tokens) for each in hypotheses]
        masses = [math.exp(each.log_prob) for each in hypotheses]
        compare(found.hypotheses, expect(texts, masses, utility))


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
def test_minimum_bayes_risk_over_samples_equals_brute_force(model_folder, utility):
    translator = Translator.load(model_folder)
    sampled = {"sample": True, "seed": 5, "temperature": 0.4}
    drawn = translator.translate(LINES, search=sampled | {"n_best": 12})
    chosen = translator.translate(
        LINES, search=sampled | {"n_best": 12, "candidates": 12, "mbr": utility}
    )
    for samples, found in zip(drawn, chosen, strict=True):
        texts = [each.text for each in samples.hypotheses]
        compare(found.hypotheses, expect(texts, [1.0] * len(texts), utility))


def expect(texts: list[str], masses: list[float], utility: str) -> list[tuple[str, float]]:
    """Return each text with its expected score if another one is right, by its mass."""
    metric = UTILITIES[utility]
    return [
        (
            text,
            sum(
                mass * metric.sentence_score(text, [reference]).score
                for reference, mass in zip(texts, masses, strict=True)
            )
            / sum(masses),
        )
        for text in texts
    ]


def test_minimum_bayes_risk_depends_on_seed_and_line_alone(model_folder):
    translator = Translator.load(model_folder)

    def draw(batch_size: int, seed: int) -> list[str]:
        search = {"sample": True, "seed": seed, "candidates": 8, "mbr": "chrf"}
        return [
            each.text for each in translator.translate(LINES, search=search, batch_size=batch_size)
        ]

    assert draw(64, 1) == draw(1, 1) == draw(4, 1)
    assert draw(64, 1) != draw(64, 2)


def test_what_needs_the_beginning_first_is_refused_from_right_to_left(apart):
    translator = Translator.load(apart)
    text = (
        r"^prefix: the model writes from right to left, and would know the text only at the end; "
        r"leave it out, or let this model rescore another one \(--rescore\)\.$"
    )
    with pytest.raises(UsageError, match=text):
        translator.translate(LINES, prefixes=["a"] * 4)
    with pytest.raises(UsageError, match=r"^ban: the model writes from right to left"):
        translator.translate(LINES, search={"ban": ("a",)})


def test_models_of_labels_neither_rescore_nor_have_expected_scores(model_folder, make_model_folder):
    labels = make_model_folder(model={"decoder": {"kind": "label"}})
    text = r"^--rescore .*: only models of text can rescore each other\.$"
    with pytest.raises(UsageError, match=text):
        Translator.load(model_folder, rescorers=[labels])
    text = r'^mbr: compares texts, and this model does not translate text; set it to "none"\.$'
    with pytest.raises(UsageError, match=text):
        Translator.load(labels).translate(LINES, search={"mbr": "chrf"})


def test_minimum_bayes_risk_and_rescorers_exclude_each_other(model_folder, other):
    translator = Translator.load(model_folder, rescorers=[other])
    text = r"^mbr: chooses by expected scores, and --rescore by .*; leave one of the two out\.$"
    with pytest.raises(UsageError, match=text):
        translator.translate(LINES, search={"mbr": "chrf"})
    with pytest.raises(UsageError, match=r"^exact: the models of --rescore compute batches of any"):
        translator.translate(LINES, exact=True)


def test_the_command_line_takes_rescorers_weights_and_risk(
    model_folder, other, apart, tmp_path, capsys
):
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in LINES))
    command = ["translate", str(model_folder), "-i", str(tmp_path / "in"), "--precision", "fp32"]

    def translate(*options: object) -> list[str]:
        assert nmt([*command, *map(str, options)]) == 0
        return capsys.readouterr().out.splitlines()

    rescored = Translator.load(model_folder, rescorers=[other, apart])
    assert translate("--rescore", other, "--rescore", apart, "--rescore-weight", 0.4) == [
        each.text for each in rescored.translate(LINES, search={"rescore_weight": 0.4})
    ]
    mixed = Translator.load([model_folder, other], weights=[0.2, 0.8])
    command.insert(2, str(other))
    assert translate("--weights", "0.2,0.8") == [each.text for each in mixed.translate(LINES)]
    assert translate("--mbr", "bleu") == [
        each.text
        for each in Translator.load([model_folder, other]).translate(LINES, search={"mbr": "bleu"})
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--rescore-weight", "1"],
            "--rescore-weight: has an effect only with --rescore; add that, or leave "
            "--rescore-weight out.",
        ),
        (
            ["--weights", "1;2"],
            "--weights 1;2: must be numbers between commas, one for each model, such as 0.7,0.3.",
        ),
        (["--candidates", "9"], "--candidates: has an effect only with --sample; add"),
    ],
)
def test_options_of_the_command_line_that_can_do_nothing_are_refused(
    model_folder, capsys, options, message
):
    assert nmt(["translate", str(model_folder), *options]) == 2
    assert message in capsys.readouterr().err
