"""Language models are trained, validated, resumed and shared by the commands of translation."""

import logging
import math
from itertools import chain
from pathlib import Path

import pytest
import torch
from tiny import entries, tiny, write_corpus

from nmt.cli.main import run as nmt
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.config.model import ModelConfig
from nmt.data.batch import make_batch
from nmt.errors import ConfigError, ModelError, UsageError
from nmt.fast.accelerate import accelerate
from nmt.models.build import build_model
from nmt.models.folder import load_model_folder
from nmt.models.weights import weights_of
from nmt.objectives.likelihood import Likelihood
from nmt.storage.files import read_json
from nmt.text.subword import load_subwords
from nmt.text.vocabulary import EOS
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

TOY = Path(__file__).parent.parent / "data" / "toy" / "train.en"
HAN = {ord("a") + number: chr(0x4E00 + number) for number in range(26)}
LANGUAGE_MODEL = (
    'data.source=""',
    'data.train="train.yy"',
    'data.valid="valid.yy"',
    "model.encoder=none",
    "model.decoder.attention=none",
    "model.decoder.bridge=zero",
    "validation.metric=loss",
    "validation.every=5",
)


def language_model(folder: Path, *overrides: str) -> Experiment:
    return tiny(folder, *LANGUAGE_MODEL, *overrides)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return weights_of(load_model_folder(run).model)


def test_a_language_model_learns_the_pieces_of_its_text_and_has_no_encoder(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert run_training(language_model(tmp_path), tmp_path / "run", RunOptions()) == 0
    assert "validating on 10 lines of " in caplog.text

    loaded = load_model_folder(tmp_path / "run")
    assert loaded.source is loaded.target
    assert not [name for name in weights_of(loaded.model) if name.startswith("encoder")]
    first, *_, last = entries(tmp_path / "run", "valid")
    assert last["loss"] < first["loss"] < math.log(loaded.target.vocab_size)
    assert last["bleu"] is None


def test_the_loss_per_word_is_that_of_whole_lines(tmp_path):
    """Pieces are words here, so that both are counted alike, each end of line included."""
    run_training(language_model(tmp_path), tmp_path / "run", RunOptions())
    last = entries(tmp_path / "run", "valid")[-1]
    assert last["loss_per_word"] == pytest.approx(last["loss"])


def test_the_loss_per_word_does_not_depend_on_the_pieces(tmp_path):
    """Characters as pieces are more numerous, but the words stay the same."""
    options = ("tokenizer.kind=char", "training.max_updates=5")
    run_training(language_model(tmp_path, *options), tmp_path / "run", RunOptions())
    last = entries(tmp_path / "run", "valid")[-1]
    lines = (tmp_path / "valid.yy").read_text().splitlines()
    words = sum(len(line.split()) + 1 for line in lines)
    pieces = sum(
        len(load_subwords(tmp_path / "run" / "data")[1].encode(line)) + 1 for line in lines
    )
    assert last["loss_per_word"] == pytest.approx(last["loss"] * pieces / words)


def test_the_loss_of_a_script_without_spaces_is_per_character(tmp_path):
    options = ("tokenizer.kind=char", "training.max_updates=5")
    experiment = language_model(tmp_path, *options)
    for name in ("train.yy", "valid.yy"):
        text = (tmp_path / name).read_text().replace(" ", "")
        (tmp_path / name).write_text(text.translate(HAN))
    run_training(experiment, tmp_path / "run", RunOptions())
    last = entries(tmp_path / "run", "valid")[-1]
    assert last["unit"] == "character"
    lines = (tmp_path / "valid.yy").read_text().splitlines()
    pieces = sum(
        len(load_subwords(tmp_path / "run" / "data")[1].encode(line)) + 1 for line in lines
    )
    characters = sum(len(line) + 1 for line in lines)
    assert last["loss_per_word"] == pytest.approx(last["loss"] * pieces / characters)
    assert "  per character " in (tmp_path / "run" / "train.log").read_text()


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    run_training(language_model(tmp_path), tmp_path / "whole", RunOptions())
    half = language_model(tmp_path, "training.max_updates=10")
    run_training(half, tmp_path / "parts", RunOptions())
    run_training(language_model(tmp_path), tmp_path / "parts", RunOptions())

    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_language_model_scores_the_probability_of_a_line(tmp_path):
    """The log-probabilities of its pieces and of the end symbol, each given those before it."""
    run_training(language_model(tmp_path), tmp_path / "run", RunOptions())
    translator = Translator.load(tmp_path / "run")
    (scored,) = translator.score([("", "a b")])
    memory = translator.models[0].encode(torch.tensor([[3]]), torch.tensor([[True]]))
    state, total = translator.models[0].start(memory), 0.0
    with torch.inference_mode():
        for read, written in zip(
            [2, *ids(translator, "a b")], [*ids(translator, "a b"), 3], strict=True
        ):
            step = translator.models[0].step(torch.tensor([read]), state, memory)
            state = step.state
            total += float(translator.models[0].output.log_probs(step.features)[0, written])
    assert scored.log_prob == pytest.approx(total, abs=1e-5)
    assert [pair.log_prob for pair in translator.score([("", "")])] == [0.0]


def ids(translator: Translator, text: str) -> list[int]:
    return translator.target.encode(text)


def test_a_language_model_refuses_to_translate(tmp_path):
    run_training(language_model(tmp_path), tmp_path / "run", RunOptions())
    text = (
        "run: is a language model, which reads no source; score text by `nmt score RUN --target "
        r"FILE`, or help a translation model by `nmt translate RUN --lm LM`\.$"
    )
    with pytest.raises(UsageError, match=text):
        next(Translator.load(tmp_path / "run").translate(["a b"]))


def test_a_language_model_cannot_be_explained(tmp_path):
    run_training(language_model(tmp_path), tmp_path / "run", RunOptions())
    text = (
        r"translates nothing that could be explained; its probabilities are printed by `nmt score`"
    )
    with pytest.raises(UsageError, match=text):
        Translator.load(tmp_path / "run").explain("a b")


def test_the_perplexity_of_a_uniform_model_is_the_size_of_its_vocabulary(tmp_path):
    run_training(language_model(tmp_path), tmp_path / "run", RunOptions())
    translator = Translator.load(tmp_path / "run")
    with torch.no_grad():
        for weight in translator.models[0].output.parameters():
            weight.zero_()
    (scored,) = translator.score([("", "a b c")])
    perplexity = math.exp(-scored.log_prob / (len(ids(translator, "a b c")) + 1))
    assert perplexity == pytest.approx(translator.target.vocab_size, rel=1e-6)


def test_fifty_lines_are_learned_by_heart():
    """The first word cannot be known, so a perplexity of 1 is out of reach."""
    words = [line.split() for line in TOY.read_text(encoding="utf-8").splitlines()[:500]]
    chosen = sorted(words, key=len)[-50:]
    known = {word: 4 + number for number, word in enumerate(sorted(set(chain(*chosen))))}
    pairs = [([EOS], [*(known[word] for word in line), EOS]) for line in chosen]
    batch = make_batch(pairs, range(len(pairs)))
    torch.manual_seed(1)
    config = {
        "encoder": "none",
        "embedding": {"size": 64},
        "decoder": {"attention": "none", "bridge": "zero", "hidden_size": 128},
        "dropout": 0.0,
    }
    vocab = 4 + len(known)
    model = build_model(ModelConfig.model_validate(config), source_vocab=vocab, target_vocab=vocab)
    accelerate(model, "training")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        loss = Likelihood().loss(model, batch)
        optimizer.zero_grad()
        (loss.total / loss.tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    loss = Likelihood().loss(model, batch)
    assert math.exp(loss.total.item() / loss.tokens) < 1.5


def test_its_scores_need_no_source(tmp_path, capsys):
    run_training(language_model(tmp_path), tmp_path / "run", RunOptions())
    run, lines = str(tmp_path / "run"), tmp_path / "lines"
    lines.write_text("a b\n\n")
    assert nmt(["score", run, "--target", str(lines)]) == 0
    first, blank = capsys.readouterr().out.splitlines()
    (expected, _) = Translator.load(run).score([("", "a b"), ("", "")])
    assert first.split("\t") == [f"{expected.log_prob:.4f}", "3", f"{expected.mean:.4f}"]
    assert blank.split("\t")[1:] == ["0", "0.0000"]


def test_scoring_with_the_wrong_files_names_the_kind_of_model(tmp_path, model_folder, capsys):
    run_training(language_model(tmp_path), tmp_path / "run", RunOptions())
    lines = tmp_path / "lines"
    lines.write_text("a b\n")
    assert nmt(["score", str(model_folder), "--target", str(lines)]) == 2
    wanted = f"error: {model_folder}: holds a translation model; add --source FILE."
    assert wanted in capsys.readouterr().err
    (tmp_path / "others").write_text("c\n")
    files = ["--source", str(lines), "--target", str(tmp_path / "others")]
    assert nmt(["score", str(tmp_path / "run"), *files]) == 2
    wanted = f"error: {tmp_path / 'run'}: holds a language model; leave --source out."
    assert wanted in capsys.readouterr().err
    (tmp_path / "pairs.tsv").write_text("a\tb\n")
    assert nmt(["score", str(tmp_path / "run"), "--target", str(tmp_path / "pairs.tsv")]) == 2
    assert "holds a language model; name one text with --target, not" in capsys.readouterr().err


def test_pairs_of_one_file_score_as_those_of_two(tmp_path, model_folder, capsys):
    for name, text in (("s", "a\nb\n"), ("t", "c d\n\n"), ("p.tsv", "a\tc d\nb\t\n")):
        (tmp_path / name).write_text(text)
    texts = ["--source", str(tmp_path / "s"), "--target", str(tmp_path / "t")]
    pairs = str(tmp_path / "p.tsv")
    printed = []
    for files in (texts, ["--target", pairs], ["--source", pairs, "--target", pairs]):
        assert nmt(["score", str(model_folder), *files]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0].count("\n") == 2
    assert printed[1] == printed[2] == printed[0]


def test_pieces_of_a_folder_without_a_model_are_refused(tmp_path):
    text = rf"{tmp_path}: has no subword models; name a run or a model folder\.$"
    with pytest.raises(ModelError, match=text):
        run_training(
            language_model(tmp_path, f"tokenizer.from={tmp_path}"), tmp_path / "run", RunOptions()
        )


@pytest.mark.parametrize("joint", ["true", "false"])
def test_a_language_model_uses_the_target_pieces_of_a_translation_run_by_tokenizer_from(
    tmp_path, joint
):
    write_corpus(tmp_path, pairs=60)
    translation = tiny(tmp_path, f"tokenizer.joint={joint}", "training.max_updates=2")
    run_training(translation, tmp_path / "translation", RunOptions())
    (tmp_path / "train.yy").write_text("a b c\nc b a\n" * 20)  # fewer words than pieces
    experiment = language_model(tmp_path, "tokenizer.from=translation", "training.max_updates=2")
    run_training(experiment, tmp_path / "lm", RunOptions())

    _, wanted = load_subwords(tmp_path / "translation" / "data")
    for folder in ("data", "model"):
        source, target = load_subwords(tmp_path / "lm" / folder)
        assert source is target
        assert target.fingerprint == wanted.fingerprint
    shipped = read_json(tmp_path / "lm" / "model" / "config.json")
    assert shipped["tokenizer"]["from"] == "", "a path of this machine was shipped"


def test_damaged_pieces_of_another_run_are_refused(tmp_path):
    run_training(language_model(tmp_path, "training.max_updates=1"), tmp_path / "lm", RunOptions())
    pieces = tmp_path / "lm" / "data" / "subword.model"
    pieces.write_bytes(pieces.read_bytes() + b" ")
    experiment = language_model(tmp_path, "tokenizer.from=lm", "training.max_updates=1")
    with pytest.raises(ModelError, match=r"subword\.model"):
        run_training(experiment, tmp_path / "other", RunOptions())


def test_other_pieces_give_another_data_key(tmp_path):
    for name, size in (("first", 12), ("second", 14)):
        options = (f"tokenizer.vocab_size={size}", "training.max_updates=2")
        run_training(language_model(tmp_path, *options), tmp_path / name, RunOptions())
    keys = []
    for name in ("first", "second"):
        experiment = language_model(tmp_path, f"tokenizer.from={name}", "training.max_updates=2")
        run_training(experiment, tmp_path / f"from-{name}", RunOptions())
        keys.append(read_json(tmp_path / f"from-{name}" / "data" / "preparation.json")["key"])
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('data.train=["train.xx", "train.yy"]', "data.train: must be one text file, without"),
        ("data.train=train.tsv", "data.train: must be one text file, without a source and not ca"),
        ('data.source="xx"', "data.source: must be left out: a language model reads no source"),
        ("validation.metric=bleu", 'validation.metric: must be "loss" for a language model'),
        ("model.decoder.attention=dot", 'model.decoder.attention: must be "none" without an enc'),
        ("model.decoder.bridge=last", 'model.decoder.bridge: must be "zero" or "learned" without'),
        (
            'tokenizer={kind = "bpe", sampling = 0.1, sampled = "source"}',
            'tokenizer.sampled: must be "both" or "target" for a language model',
        ),
        ("model.encoder=recurrent", "data.source: missing: language code of the source side"),
    ],
)
def test_options_that_contradict_a_language_model_are_named(tmp_path, override, message):
    path = write_corpus(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(path, [*LANGUAGE_MODEL, override])
    assert message in str(caught.value)


def test_a_misspelt_key_is_the_only_fault_of_a_language_model(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(write_corpus(tmp_path), [*LANGUAGE_MODEL, "data.max_lenght=9"])
    assert len(str(caught.value).splitlines()) == 1
