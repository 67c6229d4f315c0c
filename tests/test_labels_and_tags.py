"""Models that label lines or tag words are trained and run by the commands of translation."""

import json
import math
import random
from pathlib import Path

import pytest
import torch
from tiny import CONFIG, tiny

from nmt.cli.main import run as nmt
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.errors import ConfigError, DataError, UsageError
from nmt.models.folder import load_model, load_model_folder
from nmt.models.weights import weights_of
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

LABEL = (
    "model.decoder=label",
    "model.encoder.bidirectional=false",
    "validation.metric=loss",
    "model.dropout=0",
    "training.max_updates=8",
)
TAGS = ("model.decoder=aligned", "model.dropout=0", "training.max_updates=8")


def write(folder: Path, pairs: list[tuple[str, str]], valid: list[tuple[str, str]]) -> None:
    for part, lines in (("train", pairs), ("valid", valid)):
        for suffix, side in zip(("xx", "yy"), zip(*lines, strict=True), strict=True):
            (folder / f"{part}.{suffix}").write_text("".join(f"{line}\n" for line in side))
    (folder / "tiny.toml").write_text(CONFIG)


def temporal_order(count: int, *, length: int = 8, seed: int = 1) -> list[tuple[str, str]]:
    """Return lines of noise with an A or B early and one late; which, in order, is the label."""
    chance, found = random.Random(seed), []
    for _ in range(count):
        line = chance.choices("uvwx", k=length)
        first, second = chance.choices("AB", k=2)
        line[chance.randrange(2)], line[length // 2 + chance.randrange(2)] = first, second
        found.append((" ".join(line), first + second))
    return found


def tags(count: int, *, lag: int = 0, seed: int = 1) -> list[tuple[str, str]]:
    """Return lines of letters, each tagged by the letter `lag` before it in capitals, "-" first."""
    chance, found = random.Random(seed), []
    for _ in range(count):
        line = chance.choices("abcde", k=chance.randint(1, 6))
        before = ["-"] * lag + [letter.upper() for letter in line]
        found.append((" ".join(line), " ".join(before[: len(line)])))
    return found


def labelled(folder: Path, *overrides: str) -> Experiment:
    write(folder, temporal_order(300), temporal_order(20, seed=2))
    return tiny(folder, *LABEL, *overrides)


def tagged(folder: Path, *overrides: str, lag: int = 0) -> Experiment:
    write(folder, tags(200, lag=lag), tags(20, lag=lag, seed=2))
    return tiny(folder, *TAGS, *overrides)


def exact(run: Path, pairs: list[tuple[str, str]]) -> float:
    """Return the share of lines that are translated exactly."""
    sources, references = zip(*pairs, strict=True)
    found = Translator.load(run).translate(sources)
    return sum(t.text == wanted for t, wanted in zip(found, references, strict=True)) / len(pairs)


def test_a_recurrent_network_learns_the_temporal_order_of_two_symbols(tmp_path):
    experiment = labelled(
        tmp_path,
        "model.encoder.hidden_size=32",
        "model.encoder.cell=gru",
        "training.max_updates=60",
        "training.batch_tokens=200",
        "training.learning_rate=0.03",
    )
    run_training(experiment, tmp_path / "run", RunOptions())
    assert exact(tmp_path / "run", temporal_order(200, seed=3)) > 0.99


@pytest.mark.parametrize("lag", [0, 1])
def test_tags_of_the_same_word_or_the_one_before_are_learned_exactly(tmp_path, lag):
    experiment = tagged(
        tmp_path,
        "model.encoder.hidden_size=32",
        "model.encoder.cell=gru",
        "training.max_updates=60",
        "training.batch_tokens=300",
        "training.learning_rate=0.05",
        lag=lag,
    )
    run_training(experiment, tmp_path / "run", RunOptions())
    assert exact(tmp_path / "run", tags(100, lag=lag, seed=3)) == 1.0


def test_lines_in_are_labels_out_whatever_the_lines_are(tmp_path, capsys):
    run_training(labelled(tmp_path), tmp_path / "run", RunOptions())
    lines = ["u v A w", "", "One sentence. Another sentence!", "42", "http://example.org", "ALL"]
    (tmp_path / "lines").write_text("\n".join(lines) + "\n")
    assert nmt(["translate", str(tmp_path / "run"), "-i", str(tmp_path / "lines")]) == 0
    out = capsys.readouterr()
    labels = {"AA", "AB", "BA", "BB"}
    found = out.out.splitlines()
    assert [found[1]] == [""]
    assert {*found[:1], *found[2:]} <= labels
    assert len(found) == len(lines)
    assert "lack" not in out.err


def test_n_words_in_are_n_words_out_even_if_none_is_known(tmp_path, capsys):
    run_training(tagged(tmp_path), tmp_path / "run", RunOptions())
    lines = ["a b c", "nobody knows these words.", "", "a", "z z z z z z z z 1234 z"]
    (tmp_path / "lines").write_text("\n".join(lines) + "\n")
    assert nmt(["translate", str(tmp_path / "run"), "-i", str(tmp_path / "lines")]) == 0
    out = capsys.readouterr()
    assert [len(line.split()) for line in out.out.splitlines()] == [3, 4, 0, 1, 10]
    assert "repeat" not in out.err
    assert "lack" not in out.err


def test_labels_have_pieces_of_their_own_beside_any_tokenizer(tmp_path):
    experiment = labelled(tmp_path, "tokenizer.kind=bpe", "tokenizer.joint=true")
    run_training(experiment, tmp_path / "run", RunOptions())
    loaded = load_model_folder(tmp_path / "run")
    assert (loaded.source.kind, loaded.target.kind) == ("bpe", "word")
    assert loaded.target.pieces(range(4, 8)) != loaded.source.pieces(range(4, 8))
    assert loaded.target.vocab_size == 4 + 4


def test_scores_are_the_probabilities_of_labels(tmp_path, capsys):
    run_training(labelled(tmp_path), tmp_path / "run", RunOptions())
    translator = Translator.load(tmp_path / "run")
    line = "u A v v w B x x"
    labels = ["AA", "AB", "BA", "BB"]
    scored = list(translator.score([(line, label) for label in labels]))
    total = sum(math.exp(pair.log_prob) for pair in scored)
    assert 0.8 < total < 1  # the rest is that of labels that were not seen
    assert all(pair.log_probs[1] == 0.0 for pair in scored)
    best = max(scored, key=lambda pair: pair.log_prob)
    (translation,) = translator.translate([line])
    assert translation.text == labels[scored.index(best)]
    assert translation.log_prob == pytest.approx(best.log_prob)
    (impossible,) = translator.score([(line, "AA BB")])
    assert impossible.log_prob == -torch.inf
    for name, text in (("s", line), ("t", "AA BB")):
        (tmp_path / name).write_text(f"{text}\n")
    files = ["--source", str(tmp_path / "s"), "--target", str(tmp_path / "t")]
    capsys.readouterr()
    assert nmt(["score", str(tmp_path / "run"), *files, "--json"]) == 0
    printed = capsys.readouterr().out
    assert "Infinity" not in printed
    assert json.loads(printed)["logprob"] is None


@pytest.mark.parametrize("make", [labelled, tagged], ids=["label", "aligned"])
def test_plain_and_fast_modules_translate_alike(tmp_path, make):
    run_training(make(tmp_path), tmp_path / "run", RunOptions())
    lines = (tmp_path / "valid.xx").read_text().splitlines()
    found = [
        [
            (each.text, round(each.log_prob, 4))
            for each in translator.translate(lines, search=search)
        ]
        for translator in (
            Translator.load(tmp_path / "run"),
            Translator.load(tmp_path / "run", fast=False),
        )
        for search in ({"beam": 5}, {"beam": 1})
    ]
    assert found[0] == found[1] == found[2] == found[3]


@pytest.mark.parametrize("make", [labelled, tagged], ids=["label", "aligned"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, make):
    run_training(make(tmp_path), tmp_path / "whole", RunOptions())
    run_training(make(tmp_path, "training.max_updates=4"), tmp_path / "parts", RunOptions())
    run_training(make(tmp_path), tmp_path / "parts", RunOptions())
    whole, parts = (
        weights_of(load_model(tmp_path / name, "last").model) for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_the_n_best_labels_are_different_ones(tmp_path):
    run_training(labelled(tmp_path), tmp_path / "run", RunOptions())
    (found,) = Translator.load(tmp_path / "run").translate(
        ["u A v B"], search={"beam": 4, "n_best": 4}
    )
    assert sorted(each.text for each in found.hypotheses) == ["AA", "AB", "BA", "BB"]


def test_a_label_of_two_words_is_refused_with_its_line(tmp_path):
    write(tmp_path, [("a b", "X"), ("a", "X Y"), ("b", "X Y Z")], [("a", "X")])
    text = (
        rf'{tmp_path}/train.yy:2: has 2 words, but model.decoder.kind "label" needs one a line '
        r"\(2 of 3 lines are like that\); correct them, or leave them out\.$"
    )
    with pytest.raises(DataError, match=text):
        run_training(tiny(tmp_path, *LABEL), tmp_path / "run", RunOptions())


@pytest.mark.parametrize("part", ["train", "valid"])
def test_tags_that_are_not_as_many_as_words_are_refused_with_their_line(tmp_path, part):
    good, bad = [("a b", "X Y"), ("a", "X")], [("a b", "X Y"), ("a b c", "X")]
    write(tmp_path, bad if part == "train" else good, bad if part == "valid" else good)
    text = (
        rf"{tmp_path}/{part}.yy:2: has 1 words and its source 3, but model.decoder.kind "
        r'"aligned" needs as many on both sides \(1 of 2 lines are like that\)'
    )
    with pytest.raises(DataError, match=text):
        run_training(tiny(tmp_path, *TAGS), tmp_path / "run", RunOptions())


def test_long_lines_with_one_label_are_kept(tmp_path):
    write(tmp_path, [("a " * 40, "X"), ("b " * 40, "Y")] * 5, [("a", "X")])
    run_training(tiny(tmp_path, *LABEL), tmp_path / "run", RunOptions())
    record = json.loads((tmp_path / "run" / "data" / "preparation.json").read_text())
    assert record["summary"]["kept"] == 10


def test_a_model_card_says_what_the_model_does(tmp_path):
    for name, make in (("labels", labelled), ("tags", tagged)):
        run_training(make(tmp_path), tmp_path / name, RunOptions())
    card = (tmp_path / "labels" / "model" / "README.md").read_text()
    assert card.startswith("# Labelling model xx → yy\n")
    assert "| Decoder | label, from the last states |" in card
    card = (tmp_path / "tags" / "model" / "README.md").read_text()
    assert card.startswith("# Tagging model xx → yy\n")
    assert "| Decoder | aligned, a word for each source word |" in card


def test_models_of_different_kinds_are_no_ensemble(tmp_path):
    run_training(tagged(tmp_path), tmp_path / "tags", RunOptions())
    translation = tiny(tmp_path, "training.max_updates=2")
    run_training(translation, tmp_path / "translation", RunOptions())
    text = "models of different kinds, whose lines are not the same; name models of one kind.$"
    with pytest.raises(UsageError, match=text):
        Translator.load([tmp_path / "tags", tmp_path / "translation"])


def test_labels_cannot_be_pieces_of_text(tmp_path):
    translation = labelled(tmp_path, "model.decoder=recurrent", "tokenizer.kind=bpe")
    run_training(translation, tmp_path / "translation", RunOptions())
    text = (
        f"tokenizer.from: {tmp_path}/translation has target pieces of kind bpe, but "
        'model.decoder.kind "label" needs whole words; leave it out.'
    )
    with pytest.raises(ConfigError) as caught:
        run_training(labelled(tmp_path, "tokenizer.from=translation"), tmp_path / "r", RunOptions())
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((*LABEL, "validation.metric=bleu"), 'validation.metric: must be "loss" or "chrf" with mo'),
        ((*LABEL, "model.embedding.tied=target"), 'model.embedding.tied: must be "none" with mod'),
        ((*LABEL, "model.decoder.cell=gru"), "model.decoder.cell: unknown key for this kind"),
        (
            (*LABEL, "training.scheduled_sampling=linear"),
            'training.scheduled_sampling: must be "none" with model.decoder.kind "label"',
        ),
        ((*TAGS, "tokenizer.kind=bpe"), 'tokenizer.kind: must be "word" with model.decoder.kind'),
        (
            ("model.encoder.kind=convolutional", "model.encoder.kernel_size=4"),
            "model.encoder.kernel_size: must be odd to see as much on both sides, got 4; or set",
        ),
    ],
)
def test_options_that_contradict_a_kind_are_named(tmp_path, overrides, message):
    write(tmp_path, tags(5), tags(5))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "tiny.toml", overrides)
    assert message in str(caught.value)
