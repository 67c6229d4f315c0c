"""Copying and pointing from files to text, with words that training never saw."""

import random
from pathlib import Path

import pytest
from tiny import CONFIG, tiny

from nmt.errors import DataError, UsageError
from nmt.models.checkpoints import checkpoint_path
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

FRAMES = ("call {} now", "{} and {} wait", "now {} wait", "call {}", "wait and call {}")


def name(chance: random.Random) -> str:
    return "".join(chance.choices("bcdfglmnprst", k=5))


def sentences(count: int, seed: int) -> list[str]:
    """Return sentences with names, nearly all of which occur once."""
    chance = random.Random(seed)
    return [chance.choice(FRAMES).format(name(chance), name(chance)) for _ in range(count)]


def write(folder: Path, train: list[tuple[str, str]], valid: list[tuple[str, str]]) -> None:
    for part, pairs in (("train", train), ("valid", valid)):
        for suffix, side in zip(("xx", "yy"), zip(*pairs, strict=True), strict=True):
            (folder / f"{part}.{suffix}").write_text("".join(f"{line}\n" for line in side))
    (folder / "tiny.toml").write_text(CONFIG)


@pytest.fixture(scope="module")
def copying(tmp_path_factory) -> Path:
    """Return a run that learned to copy sentences, names included."""
    folder = tmp_path_factory.mktemp("copying")
    write(
        folder,
        [(line, line) for line in sentences(400, seed=1)],
        [(line, line) for line in sentences(20, seed=2)],
    )
    experiment = tiny(
        folder,
        "data.drop_copies=false",
        "tokenizer.vocab_size=8",
        "model.output=copy",
        "model.dropout=0.0",
        "model.encoder.hidden_size=16",
        "model.decoder.hidden_size=32",
        "training.batch_tokens=120",
        "training.learning_rate=0.02",
        "training.max_updates=100",
        "training.log_every=100",
        "validation.every=100",
        "validation.metric=loss",
    )
    assert run_training(experiment, folder / "run", RunOptions()) == 0
    return folder / "run"


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
def test_words_never_seen_in_training_are_copied(copying, fast):
    held_out = sentences(300, seed=3)

    translations = Translator.load(copying, fast=fast).translate(held_out)

    exact = sum(translation.text == translation.source for translation in translations)
    assert exact >= 297


def test_unseen_words_are_scored_as_copies(copying):
    scored = Translator.load(copying).score(
        [("call bcdfg now", "call bcdfg now"), ("call bcdfg now", "call mnprs now")]
    )

    copied, other = (pair.log_probs[1] for pair in scored)
    assert copied > -0.3
    assert other < copied - 1


def test_a_copied_word_is_shown_as_it_is_spelled_and_one_that_is_not_in_the_source_as_unknown(
    copying,
):
    translator = Translator.load(copying)
    (pair,) = translator.score([("call bcdfg now", "call bcdfg mnprs")], attention=True)

    assert pair.pieces == ("▁call", "▁bcdfg", "<unk>", "</s>")
    assert pair.attention is not None
    assert pair.attention.pieces.target == pair.pieces[:-1]


def test_an_alignment_tells_from_where_a_word_was_copied(copying):
    (translation,) = Translator.load(copying).translate(["bcdfg and lmnpr wait"], align=True)

    assert translation.alignment == ((0, 0), (1, 1), (2, 2), (3, 3))


def test_an_ensemble_copies_and_samples_do(copying):
    line = "bcdfg and lmnpr wait"

    for options in ({"beam": 4}, {"sample": True, "temperature": 0.1}):
        (found,) = Translator.load([copying, copying]).translate([line], search=options)
        assert found.text == line


def test_results_do_not_depend_on_the_batch(copying):
    translator = Translator.load(copying, fast=False)
    lines = sentences(9, seed=5)

    together = list(translator.translate(lines, exact=True))
    alone = [each for line in lines for each in translator.translate([line], exact=True)]
    assert together == alone


def test_a_banned_word_is_not_copied_and_a_prefix_is_completed(copying):
    translator = Translator.load(copying)
    line = "call bcdfg now"

    (banned,) = translator.translate([line], search={"ban": ["bcdfg"]})
    assert "bcdfg" not in banned.text
    (prefixed,) = translator.translate([line], prefixes=["call"])
    assert prefixed.text == line


def test_a_shortlist_and_a_language_model_are_refused(copying):
    translator = Translator.load(copying)

    with pytest.raises(UsageError) as error:
        list(translator.translate(["call"], search={"shortlist": 5}))
    assert str(error.value) == (
        "shortlist: the model copies from the source, which a shortlist may lack; set it to 0."
    )
    translator.engine.language_model = translator.models[0]
    with pytest.raises(UsageError) as error:
        list(translator.translate(["call"]))
    assert str(error.value) == (
        "--lm: a language model cannot be fused with a model that copies from the source, whose "
        "words it may not know; leave it out."
    )


def test_a_model_that_copies_and_one_that_does_not_are_no_ensemble(copying, tmp_path):
    experiment = tiny(copying.parent, "training.max_updates=1", "data.drop_copies=false")
    run_training(experiment, tmp_path / "run", RunOptions())

    with pytest.raises(UsageError) as error:
        Translator.load([copying, tmp_path / "run"])
    assert str(error.value) == (
        f"{copying} and {tmp_path / 'run'}: one writes pieces of the source and one does not, "
        "which cannot be an ensemble; use models with the same model.output."
    )


@pytest.mark.parametrize("kind", ["copy", "pointer"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, kind):
    lines = [(line, line) for line in sentences(40, seed=1)]
    write(tmp_path, lines, lines[:5])
    options = (f"model.output={kind}", "tokenizer.vocab_size=8", "validation.metric=loss")

    def train(name: str, updates: int) -> bytes:
        experiment = tiny(tmp_path, *options, f"training.max_updates={updates}")
        assert run_training(experiment, tmp_path / name, RunOptions()) == 0
        return (checkpoint_path(tmp_path / name, updates) / "model.safetensors").read_bytes()

    whole = train("whole", 6)
    train("pieces", 3)
    assert train("pieces", 6) == whole


SORTING = (
    'tokenizer={kind = "word", vocab_size = 16, byte_fallback = false}',
    "model.output={kind = 'pointer', hidden_size = 32}",
    "model.decoder.attention=none",
    "model.dropout=0.0",
)


def test_a_pointer_learns_to_sort_numbers(tmp_path):
    """3 to 5 of the numbers from 0 to 7."""
    chance = random.Random(1)
    lines = [chance.sample("01234567", k=chance.randint(3, 5)) for _ in range(2300)]
    pairs = [(" ".join(line), " ".join(sorted(line))) for line in lines]
    write(tmp_path, pairs[300:], pairs[280:300])
    experiment = tiny(
        tmp_path,
        *SORTING,
        "model.embedding.size=32",
        "model.encoder.hidden_size=32",
        "model.decoder.hidden_size=32",
        "model.initialization=xavier",
        "training.batch_tokens=300",
        "training.max_updates=70",
        "training.schedule=cosine",
        "training.log_every=70",
        "validation.every=70",
        "validation.metric=loss",
    )
    assert run_training(experiment, tmp_path / "run", RunOptions()) == 0
    held_out = pairs[:280]

    translator = Translator.load(tmp_path / "run")
    found = translator.translate([source for source, _ in held_out], search={"beam": 1})

    exact = sum(each.text == target for each, (_, target) in zip(found, held_out, strict=True))
    assert exact >= 266  # 95 %


@pytest.mark.parametrize("part", ["train", "valid"])
def test_a_pointer_refuses_targets_that_are_not_in_the_source(tmp_path, part):
    pairs = {"train": [("c a b", "a b c")] * 2, "valid": [("b a", "a b")]}
    pairs[part] = [*pairs[part], ("b c unseen", "b unseen new")]
    write(tmp_path, pairs["train"], pairs["valid"])

    with pytest.raises(DataError) as error:
        run_training(
            tiny(tmp_path, *SORTING, "data.drop_duplicates=false"), tmp_path / "run", RunOptions()
        )
    line = len(pairs[part])
    assert str(error.value) == (
        f'{tmp_path / part}.yy:{line}: "new" is not in the source line, and model.output "pointer" '
        'writes pieces of the source alone; remove the pair, or use "copy".'
    )
