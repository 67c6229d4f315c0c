"""Row 25: every mistake in a configuration is named before anything else is done."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from filled_folder import contents
from pydantic.fields import FieldInfo
from text_commands import built_once, nmt

from nmt.config.data import FilePair
from nmt.config.dump import toml_value
from nmt.config.embedding import VectorsConfig
from nmt.config.experiment import Experiment
from nmt.config.schema import kinds, table
from nmt.config.section import Section
from nmt.config.training import Interval

BASE: dict[str, Any] = {
    "data": {
        "source": "en",
        "target": "it",
        "train": ["train.en", "train.it"],
        "valid": ["train.en", "train.it"],
    }
}
NEEDED: dict[str, dict[str, Any]] = {"cosine": {"updates": 10}}
"""What a kind cannot do without."""

_SAMPLES: dict[str, Any] = {
    "bool": True,
    "int": 7,
    "float": 1.5,
    "text": "zzz",
    "array": [1],
    "table": {"zzz": 1},
    "date": date(2026, 11, 21),
}
_LIMITS = {"ge": -1, "gt": 0, "le": 1, "lt": 0}
"""How far beyond a limit the first forbidden value is."""


@dataclass(frozen=True)
class Key:
    """One key of the configuration, and the tables it has to stand in."""

    path: tuple[str, ...]
    field: FieldInfo
    around: dict[str, Any]
    """The table it stands in: the kind, and what the kind cannot do without."""
    outside: tuple[tuple[int, str], ...] = ()
    """Kinds of the tables around that, by the number of keys on the way to them."""

    def document(self, name: str, value: Any) -> dict[str, Any]:
        """Return a configuration with `name` = `value` beside this key or in its place."""
        document = {section: dict(values) for section, values in BASE.items()}
        here = document
        kinds_of_tables = dict(self.outside)
        for place, part in enumerate(self.path[:-1], start=1):
            here = here.setdefault(part, {})
            if kind := kinds_of_tables.get(place):
                here["kind"] = kind
        here.update({**self.around, name: value})
        return document


def each_key(
    section: type[Section] = Experiment,
    path: tuple[str, ...] = (),
    kind: str = "",
    outside: tuple[tuple[int, str], ...] = (),
) -> Iterator[Key]:
    around = {"kind": kind, **NEEDED.get(kind, {})} if kind else {}
    for name, field in section.model_fields.items():
        yield Key((*path, name), field, around, outside)
        above = (*outside, (len(path), kind)) if kind else outside
        if (plain := table(field)) is not None:
            yield from each_key(plain, (*path, name), outside=above)
        for inner, chosen in kinds(field).items():
            yield from each_key(chosen, (*path, name), inner, above)


def accepted_types(field: FieldInfo) -> set[str]:
    """Names of the TOML types that the key accepts, whatever the value."""
    annotation = field.annotation
    if kinds(field):
        return {"text", "table"}
    if annotation == Interval.__origin__:
        return {"int", "text"}
    if annotation in (FilePair, FilePair | None, tuple[str, str]):
        return {"array"}
    if annotation is VectorsConfig:
        return {"text", "table"}
    if get_origin(annotation) is tuple:
        return {"array"}
    if get_origin(annotation) is dict:
        return {"table"}
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return {"table"} | ({"int", "float"} if field.metadata else set())
    if annotation is bool:
        return {"bool"}
    if annotation is int:
        return {"int"}
    if annotation is float:
        return {"int", "float"}
    return {"text"}  # any text, or one of several


def misspelt(name: str) -> str:
    """The name with two letters swapped, or with an extra one."""
    for i in range(len(name) - 1):
        if name[i] != name[i + 1]:
            return name[:i] + name[i + 1] + name[i] + name[i + 2 :]
    return f"{name}x"


@dataclass(frozen=True)
class Mutation:
    """A configuration with one mistake."""

    what: str
    document: dict[str, Any]
    named: str
    """The dotted key that has to be named."""


def mutations(key: Key) -> Iterator[Mutation]:
    section = ".".join(key.path[:-1])
    is_kind = key.path[-1] == "kind" and bool(key.around)
    dotted = section if is_kind else ".".join(key.path)  # for `kind`, its table
    wrong = misspelt(key.path[-1])
    yield Mutation("misspelt", key.document(wrong, 1), f"{section}.{wrong}".lstrip("."))
    yield Mutation("unknown", key.document("zzz", 1), f"{section}.zzz".lstrip("."))
    for name, value in _SAMPLES.items():
        if name not in accepted_types(key.field):
            yield Mutation(f"of type {name}", key.document(key.path[-1], value), dotted)
    if get_args(key.field.annotation) or kinds(key.field):
        yield Mutation("no choice", key.document(key.path[-1], "zzz"), dotted)
    for limit in key.field.metadata:
        if hasattr(limit, "min_length"):
            yield Mutation("empty", key.document(key.path[-1], ""), dotted)
        for name, beyond in _LIMITS.items():
            if (bound := getattr(limit, name, None)) is not None:
                yield Mutation("out of range", key.document(key.path[-1], bound + beyond), dotted)
    if key.field.annotation is float:
        for value in (float("nan"), float("inf")):
            yield Mutation("not finite", key.document(key.path[-1], value), dotted)
    if key.field.is_required():
        document = key.document(key.path[-1], 0)
        here = document
        for part in key.path[:-1]:
            here = here[part]
        del here[key.path[-1]]
        yield Mutation("missing", document, dotted)


KEYS = list(each_key())


def write(document: dict[str, Any]) -> None:
    lines = [f"{name} = {toml_value(value)}" for name, value in document.items()]
    Path("demo.toml").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("train.en").write_text("a cat\nthe dog\n")
    Path("train.it").write_text("un gatto\nil cane\n")
    return tmp_path


def test_this_module_covers_every_key():
    assert len(KEYS) > 100
    assert {key.path[0] for key in KEYS} == set(Experiment.model_fields)


def test_every_mistake_in_any_key_is_named_before_anything_is_done(corpus, programme):
    every = [mutation for key in KEYS for mutation in mutations(key)]
    assert len(every) > 1000
    chosen = random.Random(25).sample(every, programme.count(quick=150, full=len(every)))
    worst = 0.0
    for number, mutation in enumerate(chosen):
        write(mutation.document)
        before, began = contents(corpus), time.monotonic()
        with built_once():
            found = nmt(("train", "prepare")[number % 2], "demo.toml")
        worst = max(worst, time.monotonic() - began)
        assert found.code == 2, (mutation, found.log)
        assert f"error: demo.toml: {mutation.named}: " in found.log, mutation
        assert found.out == b""
        assert contents(corpus) == before
    programme.record(
        25,
        "a key misspelt, unknown, missing, of another type, out of range: named, code 2",
        tries=len(chosen),
        worst_seconds=worst,
    )


def test_every_mistake_in_a_setting_is_named_before_anything_is_done(corpus, programme):
    write(BASE)
    before = contents(corpus)
    every = [
        (key, value, name)
        for key in KEYS
        for name, value in _SAMPLES.items()
        if name not in accepted_types(key.field) and not key.around
    ]
    chosen = random.Random(25).sample(every, programme.count(quick=50, full=len(every)))
    for key, value, name in chosen:
        dotted = ".".join(key.path)
        with built_once():
            found = nmt("train", "demo.toml", "--set", f"{dotted}={toml_value(value)}")
        assert found.code == 2, (dotted, name, found.log)
        assert f"{dotted}: " in found.log
        assert contents(corpus) == before
    programme.record(25, "--set of a value of another type: named, code 2", tries=len(chosen))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a = 1" + "0" * 5000,
            "demo.toml: not TOML: a number has more than 4,300 digits; shorten it",
        ),
        (
            "a = " + "[" * 100_000,
            "demo.toml: not TOML: it is nested too deeply; give a configuration",
        ),
        (
            "[training]\nseed = 9223372036854775808",
            "training.seed: must be a whole number of at most 64 bits",
        ),
        (
            f"[training]\nseed = 0x{'f' * 5000}",
            "training.seed: must be a whole number of at most 64 bits",
        ),
        ('[data]\nsource = "\\ud800"', "demo.toml:2"),
    ],
    ids=["digits", "depth", "64 bits", "hexadecimal", "surrogate"],
)
def test_a_file_beyond_the_limits_of_python_is_refused(corpus, text, message):
    Path("demo.toml").write_text(text)
    found = nmt("train", "demo.toml")
    assert found.code == 2
    assert message in found.log
    assert len(found.log) < 1000


def test_any_bytes_for_a_configuration_load_or_are_refused(corpus, programme):
    """A complete file with bytes changed, doubled, removed and inserted, and lines swapped."""
    write(BASE)
    original = nmt("train", "demo.toml", "--dry-run").out
    tries, chance, refused = programme.count(quick=200, full=5000), random.Random(25), 0
    with built_once():
        for _ in range(tries):
            data = bytearray(original)
            for _ in range(chance.choice([1, 1, 2, 8])):
                place, end = chance.randrange(len(data)), chance.randrange(1, 40)
                match chance.randrange(4):
                    case 0:
                        data[place] = chance.randrange(256)
                    case 1:
                        del data[place : place + end]
                    case 2:
                        data[place:place] = data[place : place + end]
                    case 3:
                        data[place:place] = chance.choice(
                            [
                                b"\xff",
                                b"\0",
                                b"\r",
                                b"=",
                                b'"',
                                b"[",
                                b"]",
                                b"\\u",
                                b"1e999",
                                b"\n[",
                            ]
                        )
            Path("demo.toml").write_bytes(data)
            found = nmt("train", "demo.toml", "--dry-run")
            # 3: it loads, but names files that are not there.
            assert found.code in (0, 2, 3), (bytes(data), found)
            assert (found.code != 0) == found.log.startswith("error: "), bytes(data)
            refused += found.code == 2
    assert refused > tries // 4
    programme.record(25, "bytes of a configuration changed: loads, or is refused", tries=tries)
