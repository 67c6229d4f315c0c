"""The recipes: every config loads, and corpora arrive whole or not at all."""

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from file_server import Answer, Server, breaks_off, refuses, serves

from nmt.cli.main import run
from nmt.config.changes import changes
from nmt.config.load import load, resolve_paths

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes"
sys.path.insert(0, str(RECIPES))

import compare_joeynmt  # noqa: E402
import compare_search  # noqa: E402
import corpora  # noqa: E402
import fetch  # noqa: E402
import near_language  # noqa: E402
import score_exact  # noqa: E402
from corpora import CORPORA, EMBEDDED, Corpus, Origin  # noqa: E402
from fetch import FetchError  # noqa: E402

CONFIGS = sorted(RECIPES.glob("*/config.toml"))
TEXT = "Ein Mann schläft.\nZwei Hunde.\n".encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Configs


def test_there_are_recipes() -> None:
    assert len(CONFIGS) >= 12


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.parent.name)
def test_every_config_loads_and_has_its_readme(config: Path) -> None:
    experiment = load(config)
    assert experiment.data.test is not None
    readme = (config.parent / "README.md").read_text(encoding="utf-8")
    assert f"make recipe NAME={config.parent.name}" in readme


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.parent.name)
def test_every_config_names_the_files_that_are_fetched(config: Path) -> None:
    data = resolve_paths(load(config), config.parent).data
    assert data.test is not None
    named = {
        Path(file) for pair in (data.train, data.valid, data.test) for file in pair or () if file
    }
    if config.parent.name in EMBEDDED:
        assert all(file.is_file() for file in named)
    else:
        fetched = {config.parent / "data" / name for name in CORPORA[config.parent.name].sums}
        assert named == fetched


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.parent.name)
def test_make_trains_and_scores_the_files_of_the_config(config: Path) -> None:
    name = config.parent.name
    done = subprocess.run(
        ["make", "-n", "-f", "recipes/Makefile", f"NAME={name}", "BIN=bin"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    data = resolve_paths(load(config), config.parent).data
    source, reference = data.test or ("", "")
    assert f"bin/python recipes/fetch.py {name}\n" in done.stdout
    assert f"bin/nmt train recipes/{name}/config.toml --run runs/{name}" in done.stdout
    tested = f"{Path(reference).relative_to(ROOT)} "
    if data.has_source:
        tested = (
            f"bin/nmt evaluate --run runs/{name} --test {Path(source).relative_to(ROOT)} {tested}"
        )
    else:
        tested = f"bin/nmt score runs/{name} --target {tested}"
    assert tested in done.stdout


@pytest.mark.parametrize("languages", ["en-ga", "ga-en"])
def test_the_recipe_of_a_small_corpus_is_what_init_writes(languages: str, tmp_path: Path) -> None:
    corpus = Path(os.environ.get("NMT_DATA", "")) / "loresmt21-en-ga"
    if not os.environ.get("NMT_DATA") or not corpus.is_dir():
        pytest.skip("needs the corpus loresmt21-en-ga in the folder $NMT_DATA")
    recipe = load(RECIPES / f"loresmt21-{languages}" / "config.toml")
    arguments = ["init", str(tmp_path / "written.toml"), "--languages", languages]
    for option, part in (("--train", "train"), ("--valid", "dev"), ("--test", "test")):
        arguments += [option, *(str(corpus / f"{part}.{code}") for code in languages.split("-"))]
    assert run(arguments) == 0
    written = load(tmp_path / "written.toml")
    assert {change.key for change in changes(recipe, written)} <= {
        *("data.train", "data.valid", "data.test")
    }


@pytest.mark.parametrize(
    ("name", "model", "own"),
    [
        ("multi30k-en-fr", "multi30k-en-de", set()),
        ("multi30k-en-cs", "multi30k-en-de", set()),
        ("multi30k-de-en", "multi30k-en-de", set()),
        ("g2p-fra", "g2p-eng", {"training.max_updates", "training.schedule.updates"}),
    ],
)
def test_recipes_of_one_kind_have_the_same_settings(name: str, model: str, own: set[str]) -> None:
    recipe, other = (load(RECIPES / folder / "config.toml") for folder in (name, model))
    changed = {change.key for change in changes(recipe, other)}
    data = {f"data.{key}" for key in ("source", "target", "train", "valid", "test")}
    assert changed - data == own


def test_make_lists_the_recipes_if_a_name_is_unknown() -> None:
    done = subprocess.run(
        ["make", "-f", "recipes/Makefile", "NAME=klingon"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert 'no recipe "klingon"; give NAME=one of: dates g2p-eng' in done.stderr


def test_demo_sentences_are_not_in_the_training_data() -> None:
    sample = (RECIPES / "toy" / "sample.en").read_text(encoding="utf-8").splitlines()
    train = (ROOT / "data" / "toy" / "train.en").read_text(encoding="utf-8").splitlines()
    assert not set(sample) & set(train)
    vocabulary = {word for line in train for word in line.lower().split()}
    assert {word for line in sample for word in line.lower().split()} <= vocabulary


# Fetching, from a server of our own


@pytest.fixture
def corpus(server: Server) -> Corpus:
    """One gzipped file, as the server has it."""
    server.answers["/a.de.gz"] = [serves(gzip.compress(TEXT))]
    origin = Origin(f"{server.url}/a.de.gz", corpora.gunzipped, ("train.de",))
    return Corpus("little", {"train.de": sha256(TEXT)}, (origin,))


def download(corpus: Corpus, out: Path) -> list[str]:
    reports: list[str] = []
    fetch.fetch(corpus, out, local=None, report=reports.append)
    return reports


def test_a_file_is_downloaded_and_unpacked(corpus: Corpus, tmp_path: Path) -> None:
    reports = download(corpus, tmp_path / "data")
    assert (tmp_path / "data" / "train.de").read_bytes() == TEXT
    assert reports[-1] == f"{tmp_path}/data: complete, checksums agree"


def test_nothing_is_downloaded_twice(corpus: Corpus, server: Server, tmp_path: Path) -> None:
    download(corpus, tmp_path)
    assert download(corpus, tmp_path) == [f"{tmp_path}: complete"]
    assert server.requests == ["/a.de.gz"]


def test_words_and_sounds_become_two_files(server: Server, tmp_path: Path) -> None:
    server.answers["/g.tsv"] = [serves("abe\te ɪ b\nbe\tb i\n".encode())]
    graph, ipa = b"a b e\nb e\n", "e ɪ b\nb i\n".encode()
    origin = Origin(f"{server.url}/g.tsv", corpora.words_and_sounds, ("train.graph", "train.ipa"))
    sums = {"train.graph": sha256(graph), "train.ipa": sha256(ipa)}
    download(Corpus("g", sums, (origin,)), tmp_path)
    assert (tmp_path / "train.graph").read_bytes() == graph
    assert (tmp_path / "train.ipa").read_bytes() == ipa


def test_unexpected_content_is_refused_with_both_checksums(
    corpus: Corpus, server: Server, tmp_path: Path
) -> None:
    other = b"something else\n"
    server.answers["/a.de.gz"] = [serves(gzip.compress(other))]
    with pytest.raises(FetchError) as caught:
        download(corpus, tmp_path)
    assert str(caught.value) == (
        f"train.de from {server.url}/a.de.gz: sha256 is {sha256(other)}, "
        f"expected {sha256(TEXT)}; the file on the server has changed; nothing was written"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_not_requested_again(
    corpus: Corpus, server: Server, tmp_path: Path
) -> None:
    server.answers["/a.de.gz"] = [refuses(404)]
    with pytest.raises(FetchError, match=r"a\.de\.gz: HTTP 404 Not Found; .* set NMT_DATA"):
        download(corpus, tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("trouble", [refuses(503), breaks_off(gzip.compress(TEXT))])
def test_temporary_failures_are_retried(
    trouble: Answer, corpus: Corpus, server: Server, tmp_path: Path
) -> None:
    server.answers["/a.de.gz"] = [trouble, trouble, serves(gzip.compress(TEXT))]
    download(corpus, tmp_path)
    assert (tmp_path / "train.de").read_bytes() == TEXT
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [(refuses(503), "HTTP 503"), (breaks_off(gzip.compress(TEXT)), "IncompleteRead")],
)
def test_after_the_last_attempt_the_reason_is_reported(
    trouble: Answer, reason: str, corpus: Corpus, server: Server, tmp_path: Path
) -> None:
    server.answers["/a.de.gz"] = [trouble]
    with pytest.raises(FetchError, match=rf"cannot be downloaded: {reason}.* \(4 attempts\)"):
        download(corpus, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_archive_is_refused(corpus: Corpus, server: Server, tmp_path: Path) -> None:
    server.answers["/a.de.gz"] = [serves(gzip.compress(TEXT)[:-9])]
    with pytest.raises(FetchError, match=r"a\.de\.gz: the download has unexpected content"):
        download(corpus, tmp_path)


def test_an_unreachable_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.001)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    origin = Origin("http://127.0.0.1:9/a.gz", corpora.gunzipped, ("a",))
    with pytest.raises(FetchError, match=r"127\.0\.0\.1:9/a\.gz: cannot be downloaded: .*refused"):
        download(Corpus("little", {"a": sha256(TEXT)}, (origin,)), tmp_path)


# Fetching, from $NMT_DATA


def test_a_local_corpus_is_linked(corpus: Corpus, server: Server, tmp_path: Path) -> None:
    (tmp_path / "corpora" / "little").mkdir(parents=True)
    (tmp_path / "corpora" / "little" / "train.de").write_bytes(TEXT)
    fetch.fetch(corpus, tmp_path / "data", local=tmp_path / "corpora", report=lambda line: None)
    linked = tmp_path / "data" / "train.de"
    assert linked.is_symlink()
    assert linked.read_bytes() == TEXT
    assert server.requests == []


def test_a_local_corpus_is_verified(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "little").mkdir()
    (tmp_path / "little" / "train.de").write_bytes(b"other\n")
    with pytest.raises(FetchError, match=r"little/train\.de: sha256 is [0-9a-f]{64}, expected"):
        fetch.fetch(corpus, tmp_path / "data", local=tmp_path, report=lambda line: None)
    assert not (tmp_path / "data").exists()


def test_a_damaged_file_is_detected_on_the_next_fetch(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "train.de").write_bytes(TEXT[:-5])
    with pytest.raises(FetchError, match=r"train\.de: sha256 is .*; delete it and fetch again"):
        download(corpus, tmp_path)


def test_an_incomplete_local_corpus_is_named(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "little").mkdir()
    with pytest.raises(FetchError, match=r"little/train\.de: no such file; the corpus in"):
        fetch.fetch(corpus, tmp_path / "data", local=tmp_path, report=lambda line: None)


# The program


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private recipes folder for the test."""
    monkeypatch.setattr(fetch, "RECIPES", tmp_path)
    monkeypatch.delenv("NMT_DATA", raising=False)
    return tmp_path


def test_a_wrong_checksum_exits_with_3(
    recipes: Path,
    corpus: Corpus,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(CORPORA, "little", corpus)
    server.answers["/a.de.gz"] = [serves(gzip.compress(b"other\n"))]
    assert fetch.main(["little"]) == 3
    assert sha256(TEXT) in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tatoeba-en-de", "dates"])
def test_a_corpus_that_cannot_be_downloaded_says_so(
    name: str, recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch.main([name]) == 3
    message = capsys.readouterr().err
    assert "this corpus cannot be downloaded, and NMT_DATA is not set" in message
    assert "github.com/" in message
    assert f"Set NMT_DATA to a folder that contains {CORPORA[name].folder}/" in message


def test_an_unknown_recipe_exits_with_2(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main(["klingon"]) == 2
    assert (
        "no recipe 'klingon'; known recipes: toy, toy-lm, multi30k-en-" in capsys.readouterr().err
    )


def test_toy_needs_nothing_fetched(recipes: Path) -> None:
    assert fetch.main(["toy"]) == 0
    assert list(recipes.iterdir()) == []


# Exact match


def test_exact_match_and_word_error_rate() -> None:
    hypotheses = ["right"] * 2068 + ["wrong"] * 17
    assert score_exact.report(hypotheses, ["right"] * 2085) == (
        "exact match 99.2 %  (2068 of 2085)   word error rate 0.8 %"
    )


@pytest.mark.parametrize(("hypotheses", "references"), [(b"a\n", b"a\nb\n"), (b"", b"")])
def test_exact_match_needs_as_many_lines(
    hypotheses: bytes, references: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "h").write_bytes(hypotheses)
    (tmp_path / "r").write_bytes(references)
    assert score_exact.main([str(tmp_path / "h"), str(tmp_path / "r")]) == 3
    assert "both need one line for each item" in capsys.readouterr().err


def test_exact_match_of_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "h").write_bytes(b"a\nx\n")
    (tmp_path / "r").write_bytes(b"a\nb\n")
    assert score_exact.main([str(tmp_path / "h"), str(tmp_path / "r")]) == 0
    assert capsys.readouterr().out == ("exact match 50.0 %  (1 of 2)   word error rate 50.0 %\n")


def test_variants_of_a_search_are_compared(model_folder, tmp_path, capsys):
    (tmp_path / "in").write_text("a cat eats\nthe small dog sleeps\n")
    (tmp_path / "out").write_text("un gatto mangia\nil cane piccolo dorme\n")
    files = [str(tmp_path / name) for name in ("in", "out")]
    variants = ["", "stop=best beam=2", "length_penalty=none mbr=chrf"]
    assert compare_search.main([str(model_folder), *files, *variants]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 4
    assert table[1].split()[-3:-1] == ["0", "0"]
    assert table[2].startswith("stop=best beam=2 ")
    assert compare_search.main([str(model_folder), *files, "beem=3"]) == 2
    assert 'beem: unknown key (did you mean "beam"?)' in capsys.readouterr().err


def test_a_near_language_keeps_some_words_and_changes_others_alike(monkeypatch, capsys):
    text = "The king and THE QUEEN sing throughout, and we think.\nQueens: 12 kings!\n"
    assert near_language.rewrite(text, 0.0) == text
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    near_language.main(["--differ", "1"])
    words = capsys.readouterr().out.split()
    assert [words[place] for place in (4, 6, 9, 10, 12)] == [
        *("KVIN", "druaut,", "dink.", "Kvins:", "kins!")
    ]
    assert words[2] == words[7]  # "and", wherever it is
    assert words[0].upper() == words[3]


JOEYNMT = """#!/bin/sh
case "$3" in
  train) touch {trained}; mkdir -p "$(dirname "$4")/model"; {then};;
  test) cp "$(dirname "$4")/test.trg" "$6.test";;
esac
"""
"""Stands for the interpreter of its environment: `python -m joeynmt train CONFIG --skip-test`, and
`python -m joeynmt test CONFIG --output-path PATH`, which "translates" without a mistake."""


@pytest.mark.parametrize(
    ("then", "code", "said"),
    [
        ('touch "$(dirname "$4")/model/best.ckpt"; exec sleep 60', 0, "100.00  BLEU"),
        ("exec sleep 60", 1, "no weights yet; give it more minutes"),
        ("exit 1", 1, "JoeyNMT has ended early; see "),
    ],
)
def test_joeynmt_is_trained_for_some_minutes_and_scored(then, code, said, tmp_path, capfd):
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(JOEYNMT.format(trained=tmp_path / "trained", then=then))
    python.chmod(0o755)
    config = str(RECIPES / "toy" / "config.toml")
    options = [config, "--folder", str(tmp_path), "--minutes", "0.02", "--batch-tokens", "512"]
    assert compare_joeynmt.main(options) == code
    assert said in "".join(capfd.readouterr())
    source = (tmp_path / "train.src").read_text()
    pieces = set((tmp_path / "vocabulary.txt").read_text().splitlines())
    assert all(set(line.split()) <= pieces for line in source.splitlines())
    made = json.loads((tmp_path / "config.yaml").read_text())
    assert made["data"]["trg"]["voc_file"] == str(tmp_path / "vocabulary.txt")
    assert made["training"]["batch_size"] == 512
    # JoeyNMT refuses any other.
    assert made["training"]["validation_freq"] % made["training"]["logging_freq"] == 0
    assert made["testing"]["max_output_length"] == 1
    if code == 0:
        tested = json.loads((tmp_path / "test.yaml").read_text())
        longest = max(len(line.split()) for line in (tmp_path / "dev.trg").read_text().splitlines())
        assert tested["testing"]["max_output_length"] == longest


def test_joeynmt_needs_a_test_set(tmp_path, capfd):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").touch()
    config = tmp_path / "config.toml"
    text = (RECIPES / "toy" / "config.toml").read_text().replace("../../data", str(ROOT / "data"))
    config.write_text(re.sub("(?m)^test = .*$", "", text))
    assert compare_joeynmt.main([str(config), "--folder", str(tmp_path)]) == 1
    assert f"{config}: names no file for test" in capfd.readouterr().err


def test_a_student_learns_from_the_translations_of_its_teachers(tmp_path):
    make = ["make", "-n", "-f", "recipes/Makefile", "distill", "NAME=dates", "TEACHERS=2"]
    done = subprocess.run([*make, "BIN=b", "RUN=r"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps = [line.strip() for line in done.stdout.splitlines() if line.startswith("b/nmt")]
    assert [step.split("--set training.")[-1] for step in steps[:2]] == ["seed=1", "seed=2"]
    teachers, taught = "r-distilled/teacher-1 r-distilled/teacher-2", "r-distilled/translated.iso"
    assert steps[2] == f"b/nmt translate {teachers} -i recipes/dates/data/train.human -o {taught}"
    assert "--run r-distilled/student" in steps[3]
    assert "evaluate --run r-distilled/student" in steps[4]
