"""A model that writes the last piece of a translation first, and what it says in reading order."""

from pathlib import Path

import pytest
import torch
from tiny import tiny, write_corpus

from nmt.config.search import change_search
from nmt.data.batch import make_batch, right_to_left
from nmt.errors import ConfigError, UsageError
from nmt.models.folder import load_model_folder
from nmt.search.search import search
from nmt.text.vocabulary import EOS, PAD
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

OPTIONS = ("training.max_updates=4", "training.learning_rate=0.1", "validation.every=2")
LINES = ["a b c d", "e f", "g h i j a", "c"]


def reverse_words(line: str) -> str:
    return " ".join(line.split()[::-1])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from right to left, and one from left to right on reversed targets."""
    folder = tmp_path_factory.mktemp("directions")
    write_corpus(folder)
    experiment = tiny(folder, "model.decoder.right_to_left=true", *OPTIONS)
    run_training(experiment, folder / "leftward", RunOptions())
    for part in ("train", "valid"):
        lines = (folder / f"{part}.yy").read_text().splitlines()
        (folder / f"{part}.back").write_text("".join(f"{reverse_words(line)}\n" for line in lines))
    files = [f'data.{part}=["{part}.xx","{part}.back"]' for part in ("train", "valid")]
    experiment = tiny(folder, *files, "tokenizer.from=leftward", *OPTIONS)
    run_training(experiment, folder / "rightward", RunOptions())
    return folder


def test_training_equals_that_of_reversed_targets(runs):
    one, other = (load_model_folder(runs / name).model for name in ("leftward", "rightward"))
    assert (one.right_to_left, other.right_to_left) == (True, False)
    expected = other.state_dict()
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize("changes", [{"beam": 4, "n_best": 4}, {"sample": True, "n_best": 3}])
def test_translations_are_in_reading_order(runs, changes):
    one, other = (Translator.load(runs / name) for name in ("leftward", "rightward"))
    found = one.translate(LINES, search=changes, score_words=True, align=True)
    expected = other.translate(LINES, search=changes, score_words=True, align=True)
    for ours, theirs in zip(found, expected, strict=True):
        for mine, reversed_one in zip(ours.hypotheses, theirs.hypotheses, strict=True):
            assert mine.text == reverse_words(reversed_one.text)
            assert mine.score == reversed_one.score
            assert mine.word_scores == reversed_one.word_scores[::-1]
            last = len(mine.text.split()) - 1
            assert sorted(mine.alignment) == sorted(
                (source, last - target) for source, target in reversed_one.alignment
            )


def test_given_translations_are_scored_in_reading_order(runs):
    one, other = (Translator.load(runs / name) for name in ("leftward", "rightward"))
    pairs = [(line, "a b e") for line in LINES] + [("a", ""), ("", "")]
    back = [(line, reverse_words(target)) for line, target in pairs]
    found, expected = one.score(pairs, attention=True), other.score(back, attention=True)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.pieces[:-1] == theirs.pieces[:-1][::-1]
        assert mine.log_probs == (*theirs.log_probs[:-1][::-1], *theirs.log_probs[-1:])
        count = len(mine.pieces) - 1
        weights, backwards = (each.attention.words.weights for each in (mine, theirs))
        assert weights[:count] == backwards[:count][::-1]


def test_a_hypothesis_is_what_the_search_finds_backwards(runs):
    translator = Translator.load(runs / "leftward")
    options = change_search(translator.options, {"beam": 3})
    ids = torch.tensor([[*translator.source.encode("a b c d"), EOS]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    ((written,),) = search(translator.engine.scorer, ids, mask, options)
    (found,) = translator.translate(["a b c d"], options=options)
    assert found.text == translator.target.decode(written.tokens[::-1])


def test_a_batch_reverses_targets_but_not_their_end_symbol():
    pairs = [([5, 6, EOS], [7, 8, 9, EOS]), ([5, EOS], [EOS]), ([5, EOS], [4, EOS])]
    batch = make_batch(pairs, [0, 1, 2], reverse=True)
    assert batch.target_out.tolist() == [[9, 8, 7, EOS], [EOS, PAD, PAD, PAD], [4, EOS, PAD, PAD]]
    assert batch.source.tolist() == [[5, 6, EOS], [5, EOS, PAD], [5, EOS, PAD]]
    for length in range(1, 6):
        order = right_to_left(length)
        assert [order[place] for place in order] == list(range(length))


def test_a_translation_from_right_to_left_cannot_be_explained(runs):
    text = (
        r"^this model writes translations from right to left, which cannot be explained; name one "
        r"that writes from left to right\.$"
    )
    with pytest.raises(UsageError, match=text):
        Translator.load(runs / "leftward").explain("a b c")


def test_both_directions_are_no_ensemble(runs):
    text = (
        r"one writes from left to right and one from right to left, which cannot be an ensemble; "
        r"add one of them by --rescore\.$"
    )
    with pytest.raises(UsageError, match=text):
        Translator.load([runs / "leftward", runs / "rightward"])


def test_banned_words_are_refused_before_training(tmp_path):
    options = ("model.decoder.right_to_left=true", 'search.ban=["a"]')
    with pytest.raises(ConfigError, match=r"search\.ban: must be empty with model\.decoder\.right"):
        tiny(tmp_path, *options)


def test_a_language_model_writes_from_left_to_right(tmp_path):
    options = (
        'data.source=""',
        'data.train="train.yy"',
        'data.valid="valid.yy"',
        "model.encoder=none",
        "model.decoder.attention=none",
        "model.decoder.bridge=zero",
        "model.decoder.right_to_left=true",
        "validation.metric=loss",
    )
    with pytest.raises(ConfigError, match=r"model\.decoder\.right_to_left: is for translation mod"):
        tiny(tmp_path, *options)
