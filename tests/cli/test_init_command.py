"""`nmt init` writes a configuration that loads, fits the corpus and can be moved about."""

import logging
import random
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nmt.cli.init import init
from nmt.cli.pairs import PairCommand
from nmt.config.load import load, resolve_paths
from nmt.errors import DataError, UsageError

app = typer.Typer()
app.command()(init)


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    for split, german, lines in (("train", "Lehre", 20), ("dev", "Wahl", 3), ("test", "Probe", 3)):
        for language, words in (("de", f"{german} Wort"), ("en", f"{split} word")):
            text = "".join(f"{words} {number}\n" for number in range(lines))
            Path(f"data/{split}.{language}").write_text(text)


def call(*arguments: str, config: str = "conf/de-en.toml", languages: str = "de-en"):
    data = ["--train", "data/train.de", "data/train.en", "--valid", "data/dev.de", "data/dev.en"]
    return CliRunner().invoke(app, [config, *data, "--languages", languages, *arguments])


def unusual(caplog) -> list[str]:
    """Return the warnings, but for those of so few pairs, which all corpora here are."""
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    few = "--train: a model trained on 20 pairs", "--valid data/dev.de and data/dev.en: too few"
    assert all(any(each.startswith(begin) for each in warnings) for begin in few)
    return [each for each in warnings if not each.startswith(few)]


def test_what_it_writes_loads_and_finds_the_files_from_anywhere(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    result = call("--test", "data/test.de", "data/test.en")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    experiment = load(Path("conf/de-en.toml"))
    assert experiment.data.train == ("../data/train.de", "../data/train.en")
    assert (experiment.data.source, experiment.data.target) == ("de", "en")
    resolved = resolve_paths(experiment, Path("conf"))
    assert resolved.data.test == tuple(f"{tmp_path}/data/test.{code}" for code in ("de", "en"))
    assert caplog.messages[-1] == "next: nmt train conf/de-en.toml"


def test_without_validation_files_it_says_what_then_happens(caplog):
    caplog.set_level(logging.INFO)
    data = ["--train", "data/train.de", "data/train.en", "--languages", "de-en"]
    assert CliRunner().invoke(app, ["plain.toml", *data]).exit_code == 0
    assert load(Path("plain.toml")).data.valid is None
    assert "no --valid: `nmt train` will hold sentences out from --train" in caplog.text
    assert (
        "# valid is not set: Source and target file that select" in Path("plain.toml").read_text()
    )


def test_init_says_which_preset_it_chose():
    call()
    text = Path("conf/de-en.toml").read_text()
    assert text.startswith('# de to en, 20 pairs: preset "tiny" of `nmt init`.\n# - Latin letters')
    assert "\n\n# Which files" in text


def test_init_says_what_its_preset_has_scored(caplog):
    with caplog.at_level("INFO"):
        call()
    said = "what these settings have scored on other text: from English to Irish, 8,112 pairs, BLEU"
    assert said in caplog.text
    Path("data/train.de").write_text(Path("data/train.en").read_text().replace("word", "Wort"))
    caplog.clear()
    with caplog.at_level("INFO"):
        call("--force")
    assert "may copy" in caplog.text
    assert "have scored" not in caplog.text  # those were measured without copying


def test_an_existing_file_is_kept_unless_forced():
    Path("mine.toml").write_text("mine")
    result = call(config="mine.toml")
    assert isinstance(result.exception, UsageError)
    assert "mine.toml: already exists; choose another name, or add --force" in str(result.exception)
    assert Path("mine.toml").read_text() == "mine"
    assert call("--force", config="mine.toml").exit_code == 0
    assert load(Path("mine.toml")).data.source == "de"


def test_a_file_name_that_training_would_refuse_is_refused():
    result = call(config="mine.yaml")
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == (
        "mine.yaml: configurations are TOML, not YAML; call it mine.toml"
    )
    assert not Path("mine.yaml").exists()


def test_unequal_files_are_refused_before_anything_is_written():
    Path("data/train.en").write_text("a\n" * 19)
    result = call()
    assert isinstance(result.exception, DataError)
    assert "data/train.de has 20 lines, data/train.en 19" in str(result.exception)
    assert not Path("conf").exists()


def test_a_missing_file_is_named():
    Path("data/dev.en").unlink()
    assert "data/dev.en: no such file" in str(call().exception)


@pytest.mark.parametrize("languages", ["deen", "pt-br-en", "pt-BR"])
def test_languages_that_are_unclear_are_refused_before_anything_is_written(languages):
    error = call(languages=languages).exception
    assert isinstance(error, UsageError)
    assert f"--languages {languages}" in str(error).replace("'", "")
    assert not Path("conf").exists()


@pytest.mark.parametrize(
    ("languages", "source", "target"),
    [("pt-BR-en", "pt-BR", "en"), ("zh-Hans:en", "zh-Hans", "en"), ("en-en", "en", "en")],
)
def test_languages_may_have_regions_and_scripts_or_be_the_same(languages, source, target):
    assert call(languages=languages).exit_code == 0
    data = load(Path("conf/de-en.toml")).data
    assert (data.source, data.target) == (source, target)


def test_what_it_found_stands_in_the_file_and_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    Path("data/train.de").write_text("ein Wort\nHallo\nein Wort\nein Wort\nja\n")
    Path("data/train.en").write_text("a word\nHallo\na word\n\nyes\n")
    assert call().exit_code == 0
    data = load(Path("conf/de-en.toml")).data
    assert (data.drop_copies, data.drop_duplicates) == (True, True)
    text = Path("conf/de-en.toml").read_text()
    for note in (
        "- Latin letters / Latin letters: one vocabulary (tokenizer.joint)",
        "- 1 pair with an empty side: dropped",
        "- 1 pair with the same text on both sides: dropped (data.drop_copies)",
        "- 1 pair repeated: only the first is kept (data.drop_duplicates)",
    ):
        assert f"\n# {note}\n" in text
        assert note in caplog.messages


@pytest.mark.parametrize("option", ["--valid", "--test"])
def test_held_out_files_that_are_trained_on_are_refused(option):
    Path("data/link.en").symlink_to(Path("data/train.en").absolute())
    Path("data/copy.de").write_text(Path("data/train.de").read_text())
    error = call(option, "data/copy.de", "data/link.en").exception
    assert isinstance(error, UsageError)
    assert str(error) == (
        f"{option} data/link.en: is named in --train, too, so scores on it say nothing; name other "
        f"text, or leave {option} out."
    )
    assert not Path("conf").exists()


def test_a_test_set_that_selects_the_weights_is_refused():
    for name in ("held.en", "held.de"):
        Path("data", name).write_text("a word\n")
    files = ["--valid", "data/held.en", "data/held.de", "--test", "data/held.en", "data/held.de"]
    error = call(*files).exception
    assert isinstance(error, UsageError)
    assert "--test data/held.en: is named in --valid, too" in str(error)


def test_a_corpus_of_which_nothing_is_left_is_refused_by_the_names_that_were_given():
    Path("data/train.en").write_text(Path("data/train.de").read_text())
    error = call().exception
    assert isinstance(error, DataError)
    assert str(error).startswith("data/train.de and data/train.en: none of 20 pairs is left")
    assert not Path("conf").exists()


def test_the_pairs_that_are_left_are_counted_and_few_of_them_are_warned_of(caplog):
    caplog.set_level(logging.INFO)
    lines = Path("data/train.de").read_text().splitlines()
    Path("data/train.de").write_text("\n" * 17 + "".join(f"{line}\n" for line in lines[17:]))
    assert call().exit_code == 0
    assert 'conf/de-en.toml: written for 3 of 20 pairs, preset "tiny"' in caplog.messages
    assert (
        "--train: 17 of 20 pairs have an empty side, and are dropped; look whether the files are "
        "complete"
    ) in caplog.messages


@pytest.mark.parametrize("name", ["train", "dev"])
def test_bad_lines_are_skipped_here_but_end_training(name, caplog):
    german, english = Path(f"data/{name}.de"), Path(f"data/{name}.en")
    german.write_bytes(german.read_bytes() + b"K\xe4se\n")
    english.write_text(english.read_text() + "cheese\n")
    assert call().exit_code == 0
    assert (
        "bad lines end training; convert the files to UTF-8, or leave the lines out by: "
        "nmt prepare conf/de-en.toml --bad-lines skip"
    ) in caplog.messages


@pytest.mark.parametrize(("text", "count"), [("\n" * 3, "no pair"), ("Wort\n\n\n", "1 of 3")])
def test_held_out_files_of_blank_lines_are_refused(text, count):
    Path("data/dev.de").write_text(text)
    result = call()
    assert isinstance(result.exception, DataError)
    assert f"data/dev.de and data/dev.en: {count}" in str(result.exception)
    assert not Path("conf/de-en.toml").exists()


def test_held_out_files_with_exchanged_sides_are_named(caplog):
    for code, word in (("de", "Wort"), ("en", "word")):
        Path(f"data/held.{code}").write_text("".join(f"held {word} {n}\n" for n in range(30)))
    assert call("--test", "data/held.de", "data/held.en").exit_code == 0
    assert unusual(caplog) == []
    assert call("--force", "--test", "data/held.en", "data/held.de").exit_code == 0
    assert (
        "--test data/held.en and data/held.de: source and target seem to be exchanged, in "
        "comparison with --train; name the source first"
    ) in caplog.messages


def test_copies_but_for_capitals_are_named(caplog):
    caplog.set_level(logging.INFO)
    Path("data/train.de").write_text(Path("data/train.en").read_text().title())
    assert call().exit_code == 0
    assert "- 20 pairs with the same text on both sides but for capitals: kept" in caplog.messages
    assert "20 of 20 pairs are the same text on both sides but for capitals" in caplog.text
    caplog.clear()
    assert call("--force", languages="de:de").exit_code == 0
    assert "give its code twice" not in caplog.text


@pytest.mark.parametrize(
    ("form", "column", "text"),
    [("{n}\tHaus {n}\thouse {n}\n", 1, "2,3"), ("Haus {n}\t0.{n}\thouse {n}\n", 2, "1,3")],
)
def test_columns_without_letters_are_no_side_if_others_have_text(form, column, text):
    Path("all.tsv").write_text("".join(form.format(n=n) for n in range(9)))
    arguments = ["a.toml", "--train", "all.tsv", "all.tsv", "--languages", "de-en"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, DataError)
    assert str(result.exception) == (
        f"all.tsv: column {column} has no letters, but source and target must be the first two "
        f"columns; text is in columns {text.replace(',', ', ')}. Write two of them into a file of "
        f"their own: cut -f{text} all.tsv > pairs.tsv"
    )
    Path("all.tsv").write_text("".join(f"{n} {n}\t{n}\n" for n in range(9)))
    assert CliRunner().invoke(app, arguments).exit_code == 0


def test_languages_that_disagree_with_the_text_are_named(caplog):
    assert call(languages="ru-en").exit_code == 0
    (warning,) = unusual(caplog)
    assert warning.startswith('--languages ru-en: "ru" is written in Cyrillic letters')


def test_too_few_pairs_to_validate_on_are_named(caplog):
    assert call().exit_code == 0
    assert (
        "--valid data/dev.de and data/dev.en: too few pairs (3) to choose the best weights by; "
        "name a few hundred"
    ) in caplog.messages


def test_shifted_lines_of_held_out_files_are_named(caplog):
    generator = random.Random(1)
    lengths = [generator.randint(1, 30) for _ in range(200)]
    Path("data/held.de").write_text("".join("Wort " * length + "\n" for length in lengths))
    lengths = [*lengths[1:], 1]
    Path("data/held.en").write_text("".join("word " * length + "\n" for length in lengths))
    assert call("--test", "data/held.de", "data/held.en").exit_code == 0
    (warning,) = unusual(caplog)
    assert warning.startswith("--test data/held.de and data/held.en: the translations of lines ")
    assert "seem to be 1 line further up; look for a line that is missing" in warning


def two_or_one(option: str) -> str:
    return (
        f"{option}: needs two files that are translations of each other, or one .tsv of "
        "tab-separated pairs."
    )


def call_pairs(*arguments: str):
    pairs = typer.Typer()
    pairs.command(cls=PairCommand)(init)
    return CliRunner().invoke(pairs, ["--languages", "de-en", *arguments])


@pytest.fixture
def pairs() -> None:
    for name, lines in (("c.tsv", 20), ("d.tsv", 3)):
        text = "".join(f"ein Wort {number}\ta word {number}\n" for number in range(lines))
        Path(name).write_text(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["new.toml", "--train", "c.tsv", "--valid", "d.tsv"],
        ["new.toml", "--train", "c.tsv", "c.tsv", "--valid", "d.tsv", "d.tsv"],
        ["--train", "c.tsv", "new.toml", "--valid", "d.tsv"],
        ["--train=c.tsv", "--valid=d.tsv", "--", "new.toml"],
    ],
)
def test_one_file_of_pairs_is_enough(pairs, arguments):
    result = call_pairs(*arguments)
    assert result.exit_code == 0, result.output
    text = Path("new.toml").read_text()
    assert text.startswith("# de to en, 20 pairs")
    assert 'train = "c.tsv"\n' in text
    assert 'valid = "d.tsv"' in text
    assert load(Path("new.toml")).data.train == ("c.tsv", "c.tsv")


def test_pairs_and_two_files_can_be_mixed(pairs):
    result = call_pairs("new.toml", "--train", "data/train.de", "data/train.en", "--valid", "d.tsv")
    assert result.exit_code == 0, result.output
    assert load(Path("new.toml")).data.train == ("data/train.de", "data/train.en")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "data/train.de", "--valid", "d.tsv"], two_or_one("--train data/train.de")),
        (["--train", "c.tsv", "--valid", "data/dev.de"], two_or_one("--valid data/dev.de")),
        (["--valid", "d.tsv", "--train"], two_or_one("--train")),
        (
            ["--train", "c.tsv", "--train", "c.tsv"],
            "--train: give it once; run the command again for other files.",
        ),
        (["--train", "--valid", "d.tsv"], two_or_one("--train")),
        (
            ["--train", "data/train.de", "data/train.de", "--valid", "d.tsv"],
            "data/train.de: is named for both sides; name two files that are translations of each "
            "other, or one .tsv of tab-separated pairs.",
        ),
        (
            ["--train", "c.tsv", "d.tsv", "--valid", "d.tsv"],
            "c.tsv: is called .tsv, so it holds both sides of a corpus; name it alone, or give it "
            "another ending if it holds one side.",
        ),
    ],
)
def test_files_that_are_no_corpus_are_refused(pairs, arguments, message):
    error = call_pairs("new.toml", *arguments).exception
    assert isinstance(error, UsageError)
    assert str(error) == message
    assert not Path("new.toml").exists()
