"""Any valid configuration loads, and is unchanged after being dumped and loaded again."""

import tomllib
from typing import Any, get_args, get_origin

import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from nmt.config.changes import changes
from nmt.config.checks import disagreements
from nmt.config.data import FilePair
from nmt.config.dump import dump, toml_value
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.config.schema import kinds, table
from nmt.config.section import Section, key_of
from nmt.config.training import Interval
from nmt.errors import ConfigError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
INTERVALS = st.one_of(
    st.integers(1, 10**9), st.builds("{}{}".format, st.integers(1, 999), st.sampled_from("smh"))
)


def values(field: FieldInfo) -> st.SearchStrategy[Any]:
    """Any value that a key may have."""
    if chosen := kinds(field):
        return st.one_of([sections(section, kind) for kind, section in chosen.items()])
    if (plain := table(field)) is not None:
        return sections(plain)
    annotation = field.annotation
    if annotation in (FilePair, FilePair | None, tuple[str, str]):
        return st.one_of(st.lists(TEXTS, min_size=2, max_size=2), TEXTS)
    if annotation == tuple[str, ...]:
        return st.lists(TEXTS, max_size=3)
    if annotation == tuple[int, ...]:
        return st.sets(st.integers(1, 1000), min_size=1, max_size=3).map(sorted)
    if annotation == get_args(Interval)[0]:
        return INTERVALS
    if get_origin(annotation) is dict:
        factors = st.floats(0.0, allow_nan=False, allow_infinity=False)
        return st.dictionaries(TEXTS, factors, max_size=3)
    if annotation is bool:
        return st.booleans()
    if annotation is str:
        return TEXTS
    if choices := get_args(annotation):
        return st.sampled_from(choices)
    limits = {
        name: getattr(limit, name)
        for limit in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(limit, name)
    }
    least, most = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if annotation is int:
        return st.integers(least, 2**63 - 1 if most is None else most)
    assert annotation is float
    return st.floats(
        least,
        most,
        exclude_min="gt" in limits,
        exclude_max="lt" in limits,
        allow_nan=False,
        allow_infinity=False,
    )


def sections(section: type[Section], kind: str = "") -> st.SearchStrategy[dict[str, Any]]:
    """A table with some of its keys; the tag of its kind is always there."""
    fields = {
        key_of(name, field): field
        for name, field in section.model_fields.items()
        if name != "kind" or not kind
    }
    needed = {name: values(field) for name, field in fields.items() if field.is_required()}
    if kind:
        needed["kind"] = st.just(kind)
    free = {name: values(field) for name, field in fields.items() if name not in needed}
    return st.fixed_dictionaries(needed, optional=free)


def experiment_of(document: dict[str, Any]) -> Experiment:
    """The experiment of a document; documents whose options contradict each other are left out.

    Each option on its own is allowed, so nothing else can be wrong with them.
    """
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        if {details["type"] for details in error.errors()} != {"value_error"}:
            raise
        reject()


def test_values_of_all_kinds_are_drawn():
    assert {"sgd", "adam", "adamw"} == set(
        kinds(Experiment.model_fields["training"].annotation.model_fields["optimizer"])
    )


NOT_DIFFERENT = {"source": "\n", "target": "\n", "train": ["0", "0"], "valid": ["0", "0"]}

NAMED_BY_LINE_BREAK = {"target": "0", "train": ["\n", "\n"]}


@example(document={"data": NAMED_BY_LINE_BREAK})
@example(document={"data": NOT_DIFFERENT})
@given(document=sections(Experiment))
def test_a_dumped_experiment_loads_back_equal(document, tmp_path_factory):
    experiment = experiment_of(document)
    text = dump(experiment)
    again = Experiment.model_validate(tomllib.loads(text))
    assert again == experiment
    assert changes(again, experiment) == []
    assert dump(again) == text

    path = tmp_path_factory.getbasetemp() / "dumped.toml"
    path.write_bytes(text.encode())
    wrong = [found.where for found in disagreements(experiment)]
    if not wrong:
        assert load(path) == experiment
        return
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [line.split(": ")[1] for line in str(caught.value).split("\n")] == wrong


@given(document=sections(Experiment))
def test_a_handwritten_file_loads_as_written(document, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "written.toml"
    path.write_bytes("".join(f"{k} = {toml_value(v)}\n" for k, v in document.items()).encode())
    assert tomllib.loads(path.read_text(encoding="utf-8")) == document
    experiment = experiment_of(document)
    if not list(disagreements(experiment)):
        assert load(path) == experiment


@given(text=TEXTS)
def test_any_text_is_read_back(text):
    assert tomllib.loads(f"key = {toml_value(text)}")["key"] == text
