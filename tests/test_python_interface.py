"""The interface in Python: the examples of docs/python.md run, and hosts keep their settings."""

import doctest
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from tiny import CONFIG, write_corpus

import nmt
from nmt.machine import using_threads
from nmt.signals import GracefulStop

ROOT = Path(__file__).parent.parent


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Return a folder with the first lines of the toy corpus and a small configuration."""
    for language in ("en", "it"):
        for name, lines in (("train", 300), ("dev", 20)):
            text = (ROOT / f"data/toy/{name}.{language}").read_text().splitlines()[:lines]
            (tmp_path / f"{name}.{language}").write_text("\n".join([*text, ""]))
    config = CONFIG.replace('"xx"', '"en"').replace('"yy"', '"it"')
    for side, language in (("xx", "en"), ("yy", "it")):
        config = config.replace(f"train.{side}", f"train.{language}")
        config = config.replace(f"valid.{side}", f"dev.{language}")
    config = config.replace('kind = "word"\nvocab_size = 30', 'kind = "bpe"\nvocab_size = 120')
    (tmp_path / "en-it.toml").write_text(config)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_of_the_documentation_work(toy):
    text = re.sub("^```(python)?$", "", (ROOT / "docs/python.md").read_text(), flags=re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest(text, {}, "python.md", "docs/python.md", 0)
    found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples)
    assert found.attempted > 10
    assert found.failed == 0


def test_a_path_in_place_of_models_is_refused_with_the_way_to_load_it():
    for path in ("M", Path("M")):
        with pytest.raises(nmt.UsageError) as error:
            nmt.Translator(path)
        assert str(error.value) == (
            "Translator('M'): is made of models, not of their path; load them by "
            "Translator.load('M')."
        )


def test_importing_nmt_imports_no_torch():
    script = "import sys, nmt; dir(nmt); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_public_name_exists_and_others_do_not():
    assert [getattr(nmt, name) for name in nmt.__all__]
    assert set(nmt.__all__) <= set(dir(nmt))
    with pytest.raises(AttributeError, match="has no attribute 'Translater'"):
        nmt.Translater  # noqa: B018


def test_threads_are_those_of_the_host_again(tmp_path):
    write_corpus(tmp_path)
    before = torch.get_num_threads()
    model = nmt.train(tmp_path / "tiny.toml", tmp_path / "run", max_time="1m")
    assert torch.get_num_threads() == before
    translator = nmt.Translator.load(model, threads=before + 1)
    assert [each.source for each in translator.translate(["a b"])] == ["a b"]
    assert torch.get_num_threads() == before


def test_threads_are_restored_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), using_threads(before + 1):
        assert 1 / (torch.get_num_threads() - before - 1)
    assert torch.get_num_threads() == before


def test_signals_are_left_alone_in_another_thread():
    errors = []

    def enter():
        try:
            with GracefulStop() as stop:
                assert stop.requested is None
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert errors == []
