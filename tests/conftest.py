"""Fixtures that several packages share, such as small model folders with untrained weights."""

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from file_server import Server, serving
from hypothesis import settings

if TYPE_CHECKING:
    from nmt.translator import Translator

# A slow machine is not a failure. By default the same cases are tried each time; new ones are for
# runs whose findings somebody will look into.
settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile("full", deadline=None, max_examples=1000)
settings.load_profile("gate")

# A shell makes what it starts in the background ignore Ctrl-C, and nohup makes it ignore a closed
# terminal; so would what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Test models are too small for several threads: waiting for each other would take longer.
os.environ.setdefault("OMP_NUM_THREADS", "1")

FolderMaker = Callable[..., Path]

SOURCE_TEXT = ["a cat eats a mouse.", "the small dog sleeps", "two birds sing, one bird sleeps"]
TARGET_TEXT = ["un gatto mangia un topo.", "il cane piccolo dorme", "due uccelli cantano"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options, such as the one that runs the fault programme in full; see tests/faults."""
    parser.addoption("--full", action="store_true", help="provoke each fault as often as promised")
    parser.addoption("--plain", action="store_true", help="exchange no module for a fast one")
    parser.addoption("--table", type=Path, help="put the table of faults into this file")


@pytest.fixture(scope="session")
def examples(pytestconfig: pytest.Config) -> Callable[..., int]:
    """Return a function that says how many cases to try: `examples(quick=20, full=1000)`."""
    is_full = pytestconfig.getoption("--full")
    return lambda *, quick, full: full if is_full else quick


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--full"):
        settings.load_profile("full")


@pytest.fixture
def fast_modules(pytestconfig: pytest.Config) -> None:
    """Skip a test of the exchange itself with --plain."""
    if pytestconfig.getoption("--plain"):
        pytest.skip("tests what --plain switches off")


@pytest.fixture(autouse=True)
def plain_equations(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --plain, let models compute the equations of `nmt.layers` as they are written."""
    if pytestconfig.getoption("--plain"):
        from nmt.fast import accelerate

        monkeypatch.setattr(accelerate, "accelerate", lambda model, purpose, *, int8=False: [])
        monkeypatch.setattr(accelerate, "ranking", lambda plain: plain)
        monkeypatch.setattr(accelerate, "row_rounding", lambda device, *, bf16: None)


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Undo what a command did to logging: its handlers write to streams that end with the test."""
    logger = logging.getLogger("nmt")
    previous = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = previous


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Turn the compiled kernels off for a test, as a user would."""
    from nmt.fast.compiler import SWITCH
    from nmt.fast.kernels import kernels

    monkeypatch.setenv(SWITCH, "off")
    kernels.cache_clear()
    assert kernels() is None
    yield
    kernels.cache_clear()


@pytest.fixture
def int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make 8-bit products exact; a CPU without VNNI clips sums of two of them to 16 bits."""
    from torch import Tensor

    from nmt.fast.int8 import Int8Linear
    from nmt.machine import has_fast_int8, has_int8

    if not has_int8():
        pytest.skip("this torch has no 8-bit products")

    def multiply(self: Int8Linear, inputs: Tensor) -> Tensor:
        whole = (inputs.double() - 128) @ self._whole.double().t()
        return (whole * self._scales).float()

    if not has_fast_int8():
        monkeypatch.setattr(Int8Linear, "_multiply_onednn", multiply)


@pytest.fixture
def no_rights() -> Iterator[Path]:
    """Drop the rights of root for the test, and yield a folder that it may write to.

    Lazy imports must happen before: Python's own files may become unreadable.
    """
    folder = Path(tempfile.mkdtemp(prefix="nmt-"))
    folder.chmod(0o777)
    previous = os.geteuid()
    if previous == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(previous)
    for path in folder.iterdir():
        path.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def make_model_folder(tmp_path_factory: pytest.TempPathFactory) -> FolderMaker:
    """Return a function that writes a model folder and returns its path."""
    import torch

    from nmt.config.experiment import Experiment
    from nmt.models.build import build_model
    from nmt.models.folder import ModelCard, save_model_folder
    from nmt.text.subword import JOINT_FILE, SOURCE_FILE, TARGET_FILE, Subword

    def make(
        *,
        seed: int = 1,
        joint: bool = True,
        kind: str = "bpe",
        model: dict | None = None,
        search: dict | None = None,
    ) -> Path:
        folder = tmp_path_factory.mktemp("run")
        experiment = Experiment.model_validate(
            {
                "data": {
                    "source": "en",
                    "target": "it",
                    "train": ("train.en", "train.it"),
                    "valid": ("valid.en", "valid.it"),
                },
                "tokenizer": {"kind": kind, "vocab_size": 320, "joint": joint},
                "model": {
                    "embedding": {"size": 8},
                    "encoder": {"hidden_size": 6},
                    "decoder": {"hidden_size": 12},
                    "initialization": {"kind": "uniform", "scale": 1.0},
                    **(model or {}),
                },
                "search": {
                    "beam": 3,
                    "max_length_factor": 1.0,
                    "max_length_offset": 6,
                    **(search or {}),
                },
            }
        )
        texts = [SOURCE_TEXT + TARGET_TEXT] if joint else [SOURCE_TEXT, TARGET_TEXT]
        paths = [folder / name for name in ([JOINT_FILE] if joint else [SOURCE_FILE, TARGET_FILE])]
        subwords = [
            Subword.train(text * 20, path, kind=kind, vocab_size=320)
            for text, path in zip(texts, paths, strict=True)
        ]
        torch.manual_seed(seed)
        made = build_model(
            experiment.model,
            source_vocab=subwords[0].vocab_size,
            target_vocab=subwords[-1].vocab_size,
        )
        save_model_folder(
            folder / "model",
            made,
            experiment=experiment,
            pieces=folder,
            card=ModelCard(
                date="2026-11-20",
                train_pairs=29000,
                valid_pairs=1014,
                updates=3000,
                scores={"BLEU (valid)": "38.20"},
            ),
        )
        return folder / "model"

    return make


@pytest.fixture(scope="session")
def model_folder(make_model_folder: FolderMaker) -> Path:
    """Return a small model folder: attention, joint pieces. Tests must not modify it."""
    return make_model_folder()


@pytest.fixture(scope="module")
def translator(model_folder: Path) -> "Translator":
    """Return the translator of that model folder."""
    from nmt.translator import Translator

    return Translator.load(model_folder)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server from which the recipes download, without pauses between attempts."""
    monkeypatch.setattr("fetch.PAUSE", 0.001)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as served:
        yield served
