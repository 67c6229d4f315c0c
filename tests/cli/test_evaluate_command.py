"""`nmt evaluate`: scores on stdout, warnings in the log."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.testing import CliRunner

from nmt.cli.evaluate import evaluate
from nmt.cli.pairs import PairCommand
from nmt.errors import DataError, ModelError, UsageError
from nmt.evaluation.metrics import score

app = typer.Typer()
app.command(cls=PairCommand)(evaluate)

REFERENCES = ["A man sleeps.", "Two big dogs bark at one small cat.", "It rains."]
HYPOTHESES = ["A man sleeps.", "Two big dogs bark at a small cat.", "It snows."]


def write(name: str, lines: Iterable[str]) -> None:
    Path(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture(autouse=True)
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("hyp", HYPOTHESES)
    write("ref", REFERENCES)
    write("other", ["A man.", "Dogs bark.", "Rain."])
    write("src", ["x " * 12] * 3)


def call(*arguments: str):
    return CliRunner().invoke(app, arguments)


FILES = ("--hypothesis", "hyp", "--reference", "ref")
RUN = ("--run", "runs/x", "--test", "src", "ref")
UNCLEAR = (
    (),
    ("--hypothesis", "hyp"),
    ("--reference", "ref"),
    (*FILES, *RUN),
    ("--run", "runs/x", "--hypothesis", "hyp"),
    (*FILES, "-o", "kept"),
)
TWO_WAYS = (
    "give --hypothesis and --reference, or --run and --test SRC REF (and with --run, --output to "
    "keep the translations)"
)


def test_evaluate_prints_a_line_per_metric():
    result = call(*FILES, "-m", "bleu", "-m", "exact", "--bootstrap", "0")
    expected = score(HYPOTHESES, REFERENCES, ["bleu", "exact"])
    assert result.stdout == f"{expected[0]}\n{expected[1]}\n"


def test_bleu_with_confidence_is_the_default():
    assert call(*FILES).stdout == f"{score(HYPOTHESES, REFERENCES, bootstrap=1000)[0]}\n"


def test_comparison_with_another_system_and_scores_by_length():
    result = call(*FILES, "--against", "other", "--by-length", "--source", "src", "-m", "exact")
    blocks = result.stdout.split("\n\n")
    assert blocks[0].startswith("exact 33.33 [")
    assert blocks[1].startswith("exact 33.33 against 0.00: +33.33, p = ")
    assert blocks[2].splitlines() == [
        "source words  lines  exact  other  difference",
        "11-15             3  33.33   0.00      +33.33",
    ]


def test_json_holds_everything_at_full_precision():
    told = json.loads(call(*FILES, "--json", "--by-length", "--against", "other").stdout)
    [bleu] = score(HYPOTHESES, REFERENCES, bootstrap=1000)
    assert told["scores"][0]["value"] == bleu.value
    assert told["scores"][0]["signature"] == bleu.signature
    assert told["comparisons"][0]["baseline"] < bleu.value
    assert [group["lines"] for group in told["by_length"]["groups"]] == [2, 1]


def test_unequal_counts_name_the_files():
    write("hyp", HYPOTHESES[:2])
    error = call(*FILES).exception
    assert isinstance(error, DataError)
    assert str(error).startswith("hyp has 2 lines, ref has 3;")


def test_another_system_with_unequal_line_count_is_named():
    write("other", ["a"])
    error = call(*FILES, "--against", "other").exception
    assert str(error).startswith("other has 1 line, ref has 3;")


def test_warnings_are_logged_and_not_printed(caplog):
    write("hyp", ["A man sleeps ."] * 3)
    result = call(*FILES, "--bootstrap", "0")
    assert "hypotheses look tokenized" in caplog.text
    assert "tokenized" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *((arguments, TWO_WAYS) for arguments in UNCLEAR),
        (
            (*FILES, "--source", "src"),
            "--source is for --by-length; add that, or omit --source",
        ),
        (
            ("--hypothesis", "ref", "--reference", "./ref"),
            "ref: is the hypothesis, too; name its references.",
        ),
        (
            ("--hypothesis", "hyp", "--reference", "ref", "--reference", "./ref"),
            "ref: is named twice as a reference; name each one once.",
        ),
        (
            ("--run", "runs/x", "--test", "ref", "ref"),
            "ref: is named for both sides; name two files that are translations of each other",
        ),
        (("--run", "runs/x", "--test", "ref", "--json"), "--test ref: needs two files that are"),
        (
            ("--run", "runs/x", "--test", "src", "ref", "--test", "src", "ref2"),
            "--test: give it once; run the command again for other files.",
        ),
        (
            (*FILES, "--reference", "./hyp"),
            "hyp: is the hypothesis, too; name its references.",
        ),
        (
            ("--run", "hyp", "--test", "src", "ref"),
            "--run hyp: is a file, not a run; if it holds translations, score them by --hypothesis "
            "hyp",
        ),
        (
            ("--hypothesis", ".", "--reference", "ref"),
            "--hypothesis .: is a folder, not a file of translations; if it is a run, translate "
            "with it by --run .",
        ),
        ((*FILES, "--plain"), "--plain is for --run; add that, or omit --plain"),
        (
            (*FILES, "--checkpoint", "3"),
            "--checkpoint is for --run; add that, or omit --checkpoint",
        ),
        ((*FILES, "-m", "blue"), 'unknown metric "blue"; known: bleu'),
    ],
)
def test_invalid_options_are_refused(arguments, message):
    error = call(*arguments).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(message)
    assert error.exit_code == 2


@dataclass(frozen=True)
class Translation:
    text: str


class StubTranslator:
    """Answers every line with the hypothesis of the same number."""

    loaded: object = None
    fast = False
    checkpoint: str | None = None
    asked = 0

    @classmethod
    def load(cls, run: object, *, fast: bool, checkpoint: str | None) -> "StubTranslator":
        cls.loaded, cls.fast, cls.checkpoint = run, fast, checkpoint
        return cls()

    def translate(self, lines: Iterable[str]) -> Iterator[Translation]:
        for _, hypothesis in zip(lines, HYPOTHESES, strict=True):
            type(self).asked += 1
            yield Translation(hypothesis)


@pytest.fixture
def translator(monkeypatch: pytest.MonkeyPatch) -> type[StubTranslator]:
    module = ModuleType("nmt.translator")
    monkeypatch.setattr(module, "Translator", StubTranslator, raising=False)
    monkeypatch.setitem(sys.modules, "nmt.translator", module)
    monkeypatch.setattr(StubTranslator, "loaded", None)
    monkeypatch.setattr(StubTranslator, "asked", 0)
    return StubTranslator


def test_a_run_translates_the_test_set_and_keeps_the_translations(translator):
    result = call(*RUN, "-o", "kept")
    assert result.stdout == call(*FILES).stdout
    assert Path("kept").read_bytes() == Path("hyp").read_bytes()
    assert translator.loaded == Path("runs/x")
    assert translator.fast
    assert call(*RUN, "--plain").stdout == result.stdout
    assert not translator.fast
    assert translator.checkpoint is None
    assert call(*RUN, "--checkpoint", "300").stdout == result.stdout
    assert translator.checkpoint == "300"


def test_a_run_can_be_the_system_to_compare_with(translator, tmp_path):
    Path("runs/y").mkdir(parents=True)
    result = call(*RUN, "--against", "runs/y")
    comparison = result.stdout.split("\n\n")[1]
    assert ": +0.00, p = " in comparison  # both are the same stand-in for a translator
    assert translator.loaded == Path("runs/y")
    error = call(*FILES, "--against", "runs/y").exception
    assert str(error) == (
        "--against runs/y: is a run, which needs a text to translate; add --run and --test, or "
        "name a file of translations."
    )


def test_a_test_set_can_be_a_file_of_pairs(translator):
    write("test.tsv", [f"x x\t{reference}" for reference in REFERENCES])
    result = call("--run", "runs/x", "--test", "test.tsv")
    assert result.stdout == call(*FILES).stdout


def test_a_file_that_cannot_be_written_is_found_before_translating(translator):
    error = call(*RUN, "-o", "none/kept").exception
    assert isinstance(error, UsageError)
    assert str(error) == "none: no such folder; create it, or choose another place for kept."
    assert translator.asked == 0


@pytest.mark.parametrize("text", ["src", "ref"])
def test_a_file_of_the_test_set_is_not_overwritten(translator, text):
    before = Path(text).read_bytes()
    error = call(*RUN, "-o", text).exception
    assert isinstance(error, UsageError)
    assert str(error) == (f"{text}: is an input of this command; choose another output.")
    assert Path(text).read_bytes() == before
    assert translator.loaded is None


def test_translations_and_scores_do_not_share_standard_output(translator):
    error = call(*RUN, "-o", "-").exception
    assert isinstance(error, UsageError)
    assert str(error) == "--output -: standard output is for the scores; name a file."
    assert translator.loaded is None


def test_translations_are_kept_when_scoring_fails(translator):
    write("other", ["a"])
    assert isinstance(call(*RUN, "-o", "kept", "--against", "other").exception, DataError)
    assert Path("kept").read_bytes() == Path("hyp").read_bytes()


def test_a_missing_text_is_found_before_translating(translator):
    for option in (["--against", "none"], ["--by-length", "--source", "none"]):
        error = call(*RUN, *option).exception
        assert isinstance(error, DataError)
        assert "none: no such file" in str(error)
    assert translator.loaded is None


def write_run(data: str, validation: str = "") -> None:
    """Write what a run folder with a model has, as far as it is read before translating."""
    Path("runs/x/model").mkdir(parents=True, exist_ok=True)
    Path("runs/x/model/config.json").write_text("{}")
    train = 'train = ["src", "ref"]\nvalid = ["src", "ref"]'
    Path("runs/x/config.toml").write_text(
        f'[data]\nsource = "en"\ntarget = "it"\n{train}\n{data}\n[validation]\n{validation}\n'
    )


def test_a_run_is_scored_on_the_test_files_of_its_configuration(translator, caplog):
    caplog.set_level("INFO")
    write_run(f'test = ["{Path("src").absolute()}", "{Path("ref").absolute()}"]')
    result = call("--run", "runs/x")
    assert result.stdout == call(*FILES).stdout
    assert f"test files of runs/x: {Path('src').absolute()} {Path('ref').absolute()}" in caplog.text


def test_the_test_set_of_a_configuration_can_be_a_file_of_pairs(translator, caplog):
    caplog.set_level("INFO")
    write("test.tsv", [f"x x\t{reference}" for reference in REFERENCES])
    path = Path("test.tsv").absolute()
    write_run(f'test = "{path}"')
    assert call("--run", "runs/x").stdout == call(*FILES).stdout
    assert caplog.messages[0] == f"test files of runs/x: {path}"


@pytest.mark.parametrize("option", ["--hypothesis", "--reference", "--against"])
def test_a_file_of_pairs_is_no_single_text(option):
    write("pairs.tsv", [f"x x\t{reference}" for reference in REFERENCES])
    error = call(*FILES, option, "pairs.tsv").exception
    assert isinstance(error, DataError)
    assert str(error).startswith("pairs.tsv: is called .tsv, so it holds both sides of a corpus; ")


def test_a_run_without_test_files_says_where_to_name_them(translator):
    write_run("")
    error = call("--run", "runs/x").exception
    assert isinstance(error, UsageError)
    assert str(error) == "runs/x/config.toml: names no data.test; give --test SRC REF"
    Path("runs/x/config.toml").unlink()
    assert str(call("--run", "runs/x").exception) == (
        "runs/x: has no config.toml that names test files; give --test SRC REF"
    )
    error = call("--run", "runs/none").exception
    assert isinstance(error, ModelError)
    assert str(error).startswith("runs/none: no such folder")
    assert translator.loaded is None


def test_a_run_is_scored_by_its_own_tokenizer_unless_another_is_named(translator):
    write_run("", 'tokenize = "char"')
    assert "|tok:char|" in call(*RUN).stdout
    assert "|tok:intl|" in call(*RUN, "--tokenize", "intl").stdout
    assert "|tok:13a|" in call(*FILES).stdout


def test_several_references_count_together(translator):
    write("ref2", HYPOTHESES)
    both = score(HYPOTHESES, REFERENCES, more_references=[HYPOTHESES], bootstrap=1000)
    assert call(*FILES, "--reference", "ref2").stdout == f"{both[0]}\n"
    assert call(*RUN, "--reference", "ref2").stdout == f"{both[0]}\n"
    assert "nrefs:2" in both[0].signature


def test_a_reference_with_another_number_of_lines_is_found_before_translating(translator):
    write("ref2", HYPOTHESES[:2])
    error = call(*RUN, "--reference", "ref2").exception
    assert isinstance(error, DataError)
    assert str(error).startswith("ref2 has 2 lines, ref has 3;")
    assert translator.loaded is None


def test_case_is_ignored_on_request():
    write("hyp", [line.lower() for line in REFERENCES])
    metrics = ("-m", "bleu", "-m", "chrf", "-m", "chrf++", "-m", "exact", "-m", "wer")
    scores = json.loads(call(*FILES, *metrics, "--lowercase", "--json").stdout)["scores"]
    assert [round(each["value"]) for each in scores] == [100, 100, 100, 100, 0]
    assert all("case:lc" in each["signature"] for each in scores)
    assert json.loads(call(*FILES, *metrics, "--json").stdout)["scores"][0]["value"] < 80


def test_repeating_translations_are_named_with_the_option_against_it(caplog):
    write("hyp", ["a man a man a man sleeps a man a man."] * 3)
    call(*FILES)
    assert '100 % of the lines repeat themselves ("a man a man a man sleeps' in caplog.text
    assert "--no-repeat-ngram 3" in caplog.text


def test_several_runs_are_an_ensemble(translator):
    call("--run", "runs/x", "--run", "runs/y", "--test", "src", "ref")
    assert translator.loaded == [Path("runs/x"), Path("runs/y")]


def test_a_test_set_with_unequal_sides_is_refused_before_translating(translator):
    write("src", ["x"])
    assert isinstance(call(*RUN).exception, DataError)
    assert translator.loaded is None
