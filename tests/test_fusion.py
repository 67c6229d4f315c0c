"""A language model helps a translation model to choose target pieces."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny, write_corpus

from nmt.cli.main import run as nmt
from nmt.config.data import NormalizationConfig
from nmt.config.search import change_search
from nmt.data.folder import normalization_of
from nmt.errors import ConfigError, ModelError, UsageError
from nmt.models.compatibility import require_language_model
from nmt.models.folder import load_model_folder
from nmt.search.scorers import FusionScorer, ModelScorer
from nmt.search.search import search
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

LANGUAGE_MODEL = (
    'data.source=""',
    'data.train="train.yy"',
    'data.valid="valid.yy"',
    "model.encoder=none",
    "model.decoder.attention=none",
    "model.decoder.bridge=zero",
    "validation.metric=loss",
)
LINES = ["a b c", "d e", "", "f g h i"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translation run, and a language model with its target pieces."""
    folder = tmp_path_factory.mktemp("fusion")
    write_corpus(folder)
    run_training(tiny(folder, "training.max_updates=3"), folder / "run", RunOptions())
    (folder / "train.yy").write_text("j j j\ni j\nj i j\n" * 20)
    experiment = tiny(folder, *LANGUAGE_MODEL, "tokenizer.from=run", "training.max_updates=20")
    run_training(experiment, folder / "lm", RunOptions())
    return folder


def translate(runs: Path, weight: float | None) -> list[tuple[str, float]]:
    lm = None if weight is None else runs / "lm"
    translator = Translator.load(runs / "run", language_model=lm)
    changes = {} if weight is None else {"lm_weight": weight}
    options = change_search(translator.options, changes)
    return [(each.text, each.log_prob) for each in translator.translate(LINES, options=options)]


def test_a_weight_of_zero_equals_no_language_model(runs):
    assert translate(runs, 0.0) == translate(runs, None)


def test_a_language_model_with_a_large_weight_determines_the_output(runs):
    texts = {text for text, _ in translate(runs, 20.0) if text}
    assert texts
    assert set("".join(texts)) <= {"i", "j", " "}


def test_the_translator_equals_the_fusion_of_both_scorers(runs):
    translator = Translator.load(runs / "run", language_model=runs / "lm", fast=False)
    assert translator.engine.language_model is not None
    options = change_search(translator.options, {"lm_weight": 0.7, "beam": 4})
    (found,) = translator.translate(["a b c"], options=options)
    ids = torch.tensor([[*translator.source.encode("a b c"), 3]])
    scorer = FusionScorer(
        translator.engine.scorer, ModelScorer(translator.engine.language_model), 0.7
    )
    ((expected, *_),) = search(scorer, ids, torch.ones_like(ids, dtype=torch.bool), options)
    assert found.text == translator.target.decode(expected.tokens)
    assert found.score == pytest.approx(expected.score)


def test_a_shortlist_and_a_language_model_can_be_combined(runs):
    translator = Translator.load(runs / "run", language_model=runs / "lm")
    options = change_search(translator.options, {"shortlist": 100, "lm_weight": 0.5})
    everything = change_search(options, {"shortlist": 0})
    texts = [each.text for each in translator.translate(LINES, options=options)]
    assert texts == [each.text for each in translator.translate(LINES, options=everything)]


def test_the_command_line_takes_model_and_weight(runs, tmp_path, capsys):
    (tmp_path / "in").write_text("a b c\n")
    command = ["translate", str(runs / "run"), "-i", str(tmp_path / "in"), "--lm", str(runs / "lm")]
    assert nmt([*command, "--lm-weight", "20"]) == 0
    assert set(capsys.readouterr().out.strip()) <= {"i", "j", " "}


def test_a_weight_without_a_model_is_refused(runs, capsys):
    assert nmt(["translate", str(runs / "run"), "--lm-weight", "1"]) == 2
    text = "--lm-weight: has an effect only with --lm; add that, or leave --lm-weight out."
    assert text in capsys.readouterr().err


def test_a_translation_model_is_refused_as_language_model(runs):
    text = r"--lm .*run: holds a translation model; name a language model\.$"
    with pytest.raises(UsageError, match=text):
        Translator.load(runs / "run", language_model=runs / "run")


def test_a_language_model_with_other_pieces_is_refused_with_a_remedy(runs):
    experiment = tiny(runs, *LANGUAGE_MODEL, "tokenizer.vocab_size=8", "training.max_updates=1")
    run_training(experiment, runs / "other", RunOptions())
    with pytest.raises(ModelError, match=r'has other pieces than .*\[tokenizer\] from = "'):
        Translator.load(runs / "run", language_model=runs / "other")


def test_a_language_model_with_another_normalization_is_refused(runs):
    ours, other = load_model_folder(runs / "run"), load_model_folder(runs / "lm")
    unlike = NormalizationConfig(unicode="nfkc")
    changed = replace(other, config=other.config.model_copy(update={"normalization": unlike}))
    text = r"--lm lm: has another normalisation than run; train it with the same\.$"
    with pytest.raises(ModelError, match=text):
        require_language_model("lm", changed, "run", ours)


def test_pieces_for_text_with_another_normalization_are_refused(runs):
    options = ("tokenizer.from=run", "normalization.unicode=nfkc")
    text = 'set [normalization] to unicode = "nfc", whitespace = true, repair = false.'
    with pytest.raises(ConfigError, match=rf"^tokenizer\.from: .* {re.escape(text)}$"):
        run_training(tiny(runs, *LANGUAGE_MODEL, *options), runs / "nfkc", RunOptions())


@pytest.mark.parametrize("content", ["{}", '{"normalization": {"unicode": 3}}', "[]"])
def test_a_model_folder_without_its_normalization_is_damaged(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(
        ModelError, match=r"config\.json: is damaged; copy the model folder again\.$"
    ):
        normalization_of(tmp_path)


def test_a_translation_model_and_a_language_model_are_no_ensemble(runs):
    text = r"one translates and one is a language model, .*; add the language model by --lm\.$"
    with pytest.raises(UsageError, match=text):
        Translator.load([runs / "run", runs / "lm"])
