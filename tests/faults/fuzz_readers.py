"""Readers of files that others wrote, to be fed with any bytes, and what must result.

A reader is made in an empty folder and called with bytes. It returns whether it accepted them;
it raises AssertionError, or whatever escapes from nmt, if it neither accepts them nor refuses them
properly. `fuzz_targets.py` looks for such bytes.
"""

import contextlib
import copy
import gzip
import hashlib
import json
import random
import re
import tomllib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from fuzz_bytes import any_bytes
from torch import nn

from nmt.config.dump import dump, toml_value
from nmt.config.experiment import Experiment
from nmt.config.load import load, resolve_paths
from nmt.config.schema import paths
from nmt.config.training import AdamConfig
from nmt.errors import ConfigError, DataError, ModelError, NmtError
from nmt.models.build import build_model
from nmt.models.folder import ModelCard, load_model_folder, save_model_folder
from nmt.storage.checksums import CHECKSUMS
from nmt.text.formats import kind_of
from nmt.text.lines import count_lines, read_lines
from nmt.text.subword import JOINT_FILE, Subword
from nmt.training.checkpoint import (
    Trainee,
    best_checkpoints,
    data_key_of,
    load_checkpoint,
    naming,
    save_checkpoint,
)
from nmt.training.distributed import World
from nmt.training.optimizer import MovingAverage, build_optimizer
from nmt.training.state import (
    Best,
    Stopping,
    TrainingState,
    gather_random_states,
    restore_random_states,
)

TEXT = "a cat eats a mouse.\nthe small dog sleeps\n\ntwo birds sing, one bird sleeps\n"
TABLES = {
    "data": {"source": "en", "target": "it", "train": ("a.en", "a.it"), "valid": ("b.en", "b.it")},
    "tokenizer": {"kind": "char", "vocab_size": 30, "byte_fallback": False},
    "model": {
        "embedding": {"size": 4},
        "encoder": {"hidden_size": 2},
        "decoder": {"hidden_size": 4},
    },
}

ODD_VALUES = (
    *(None, True, 0, -1, 1, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf")),
    *("", "a", "\0", "\ud800", "a" * 300, [], {}, [0], ["a"], {"a": 0}, {"kind": "none"}),
)


def places_of(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every nested table or array, with each of its keys."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree) if type(tree) is list else 0)
    for key in keys:
        yield tree, key
        yield from places_of(tree[key])


def altered(tree: Any, chance: random.Random) -> Any:
    """Return parsed JSON or TOML with a value changed, removed or swapped with another."""
    tree = [copy.deepcopy(tree)]
    places = list(places_of(tree))
    here, key = chance.choice(places)
    what = chance.randrange(4)
    if what == 0 and len(places) > 1:
        here, key = chance.choice(places[1:])
        del here[key]
    elif what == 1:
        other, of_other = chance.choice(places)
        here[key] = copy.deepcopy(other[of_other])
    elif what == 2 and isinstance(here, dict):
        here[chance.choice(["a", "kind", "format", "__metadata__", "a/weight"])] = here.pop(key)
    else:
        here[key] = chance.choice(ODD_VALUES)
    return tree[0]


def require_place(error: NmtError, opening: str) -> None:
    """Assert that each line of an error begins with the place of the mistake."""
    assert all(line.startswith(opening) for line in str(error).split("\n")), error


def put(path: Path, content: bytes) -> None:
    """Write a new file: some file systems take milliseconds to truncate an old one."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def is_plain(text: bytes) -> bool:
    """Whether text is neither packed, once more, nor of another encoding, nor of another kind."""
    marks = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\xfe\xff")
    return not text.startswith(marks) and kind_of(text.removeprefix(b"\xef\xbb\xbf"), "") is None


class Lines:
    """The line reader: it returns all lines, or an error that names line and byte."""

    words = ("\\xff", "\\x00", "\\xef\\xbb\\xbf", "\\x0d\\x0a", "\\x1f\\x8b", "\\xed\\xa0\\x80")

    def __init__(self, folder: Path) -> None:
        self.path = folder / "text"

    def seeds(self) -> Iterator[bytes]:
        for text in (b"", TEXT.encode(), b"\xef\xbb\xbfa\r\nb\r\n", "▁ \u2028 \x85 \n".encode()):
            yield b"p" + text
            yield b"z" + text
            yield b"p" + gzip.compress(text)
        for text in ("a\n\u2028b", "▁"):
            yield b"z" + text.encode("utf-16")
        yield b"pa\n\xff\n\0\n"

    def mutate(self, data: bytes, chance: random.Random) -> bytes:
        """Return other bytes of the same grammar, or no bytes if these do not follow it."""
        return data[:1] + any_bytes(chance)

    def __call__(self, data: bytes) -> bool:
        """Read a file that holds what follows the first byte, compressed by gzip if that is "z".

        Text of other encodings and files of other kinds are read, or refused by name.
        """
        stored = gzip.compress(data[1:]) if data[:1] == b"z" else data[1:]
        put(self.path, stored)
        try:
            text = gzip.decompress(stored) if stored[:2] == b"\x1f\x8b" else stored
        except (EOFError, OSError, zlib.error):
            text = None
        if text is not None and not is_plain(text):
            try:
                list(read_lines(self.path, bad_lines="replace"))
            except DataError as error:
                require_place(error, f"{self.path}: is ")
                return False
            return True
        for bad_lines in ("skip", "replace", "error"):
            try:
                lines = list(read_lines(self.path, bad_lines=bad_lines))
            except DataError as error:
                self._check_error(str(error), text, bad_lines)
                return False
            assert text is not None
            records = text.removesuffix(b"\n").split(b"\n") if text else []
            assert len(lines) == len(records) == count_lines(self.path)
            assert not any("\n" in line or "\0" in line for line in lines)
        plain = [record.removesuffix(b"\r").decode() for record in records]
        assert lines == [line.removeprefix("\ufeff") for line in plain[:1]] + plain[1:]
        return True

    def _check_error(self, message: str, text: bytes | None, bad_lines: str) -> None:
        if text is None:
            assert message.startswith(f"{self.path}: is a damaged gzip file"), message
            return
        assert bad_lines == "error", message
        place = re.match(r":(\d+): byte (\d+) is 0x(..)", message.removeprefix(str(self.path)))
        assert place is not None, message
        line, byte, value = int(place[1]), int(place[2]), int(place[3], 16)
        assert text.split(b"\n")[line - 1][byte - 1] == value, message


class Config:
    """The loader of configurations: an experiment that can be written and read, or an error."""

    words = ("[[", "]]", '\\"\\"\\"', "'''", "\\\\u0000", "1e999", "inf", "nan", "0x", "1979-05-27")

    def __init__(self, folder: Path) -> None:
        self.path = folder / "demo.toml"
        self.words += tuple(sorted({word for path in paths() for word in (path, f"[{path}]\\x0a")}))

    def seeds(self) -> Iterator[bytes]:
        experiment = Experiment.model_validate(TABLES)
        complete = [line.partition("#")[0].rstrip() for line in dump(experiment).split("\n")]
        yield "\n".join(filter(None, complete)).encode()
        yield "\n".join(filter(None, complete[:6])).encode()
        yield b'data={source="a",target="b",train=["~nobody_/a","b"],valid=["c","d"]}'
        yield b'[training]\noptimizer.kind="sgd"\nsave_every="10m"\n[model.decoder]\ncell="gru"\n'

    def mutate(self, data: bytes, chance: random.Random) -> bytes:
        with contextlib.suppress(ValueError, RecursionError):
            document = altered(tomllib.loads(data.decode()), chance)
            if isinstance(document, dict):
                lines = (f"{name} = {toml_value(value)}\n" for name, value in document.items())
                return "".join(lines).encode("utf-8", "surrogatepass")
        return b""

    def __call__(self, data: bytes) -> bool:
        put(self.path, data)
        try:
            experiment = load(self.path)
        except ConfigError as error:
            require_place(error, str(self.path))
            return False
        text = dump(experiment)
        put(self.path, text.encode())
        again = load(self.path)
        assert again == experiment
        assert dump(again) == text
        try:
            resolve_paths(experiment, self.path.parent)
        except ConfigError as error:
            require_place(error, "data.")
        return True


class _Summed(ABC):
    """A folder in which one file is replaced by any bytes, with checksums to match.

    The first byte says which file. The checksums themselves are one of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        self.names = [name for name in self.good if name != "README.md"]

    def seeds(self) -> Iterator[bytes]:
        for number, name in enumerate(self.names):
            yield bytes([number]) + self.good[name]

    def __call__(self, data: bytes) -> bool:
        name, content = self.names[(data or b"\0")[0] % len(self.names)], data[1:]
        put(self.folder / name, content)
        if name != CHECKSUMS:
            old, new = (hashlib.sha256(c).hexdigest() for c in (self.good[name], content))
            sums = self.good[CHECKSUMS].replace(old.encode(), new.encode())
            put(self.folder / CHECKSUMS, sums)
        try:
            self.load()
        except ModelError as error:
            require_place(error, str(self.folder))
            return False
        finally:
            for changed in (name, CHECKSUMS):
                put(self.folder / changed, self.good[changed])
        return True

    def mutate(self, data: bytes, chance: random.Random) -> bytes:
        name, content = self.names[(data or b"\0")[0] % len(self.names)], data[1:]
        with contextlib.suppress(ValueError, RecursionError):
            if name.endswith(".json"):
                return data[:1] + json.dumps(altered(json.loads(content), chance)).encode()
            if name.endswith(".safetensors"):
                end = 8 + int.from_bytes(content[:8], "little")
                header = json.dumps(altered(json.loads(content[8:end]), chance)).encode()
                return data[:1] + len(header).to_bytes(8, "little") + header + content[end:]
        return b""

    @abstractmethod
    def load(self) -> None:
        """Read the folder."""


class Checkpoint(_Summed):
    """The reader of checkpoints: what it accepts can be trained on, all else is a ModelError."""

    words = ('\\"', "null", "1e400", "-1", "NaN", '\\"F32\\"', '\\"I64\\"', '\\"BOOL\\"', "[0,0]")

    def __init__(self, folder: Path) -> None:
        self.trainee = self._trainee()
        state = TrainingState(update=1, stopping=Stopping((Best(1, 2.5, 2.5),)))
        self._step()
        states = gather_random_states(World())
        super().__init__(save_checkpoint(folder, self.trainee, state, states))

    def seeds(self) -> Iterator[bytes]:
        for seed in super().seeds():  # the states of random generators would be most of it
            yield re.sub(rb'"cpu": "\w+"', b'"cpu": "00"}, {"cpu": "00"', seed)
            if len(seed) < 4096:
                yield seed

    def _trainee(self) -> Trainee:
        torch.manual_seed(1)
        model = nn.Linear(2, 2)
        optimizer = build_optimizer(AdamConfig(), model.parameters(), 0.1)
        return Trainee(model, optimizer, MovingAverage(model, 0.9))

    def _step(self) -> None:
        for parameter in self.trainee.model.parameters():
            parameter.grad = torch.ones_like(parameter)
        self.trainee.optimizer.step()

    def load(self) -> None:
        self.trainee = self._trainee()
        data_key_of(self.folder)
        best_checkpoints(self.folder.parents[1])
        restored = load_checkpoint(self.folder, self.trainee)
        with naming(self.folder / "state.json"):
            restore_random_states(restored.random_states, World())
        assert TrainingState.from_json(restored.state.to_json()) == restored.state
        restored.state.stopping.observe("loss", Best(2, 1.0, 1.0), keep=3)
        self._step()


class Model(_Summed):
    """The reader of model folders."""

    words = Checkpoint.words

    def __init__(self, folder: Path) -> None:
        experiment = Experiment.model_validate(TABLES)
        options = {"kind": "char", "vocab_size": 30, "byte_fallback": False}
        subword = Subword.train(TEXT.splitlines() * 9, folder / JOINT_FILE, **options)
        size = subword.vocab_size
        model = build_model(experiment.model, source_vocab=size, target_vocab=size)
        card = ModelCard(date="2026-11-20", train_pairs=1, valid_pairs=1, updates=1)
        save_model_folder(folder / "model", model, experiment=experiment, pieces=folder, card=card)
        super().__init__(folder / "model")

    def load(self) -> None:
        loaded = load_model_folder(self.folder)
        loaded.target.decode(loaded.source.encode("a cat \x00 日本"))


READERS = {"lines": Lines, "config": Config, "checkpoint": Checkpoint, "model": Model}
"""By name."""
