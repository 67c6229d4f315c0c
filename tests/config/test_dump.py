"""A written configuration names every key and the choices of each."""

from collections.abc import Iterator
from typing import Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from nmt.config.cells import GruCellConfig
from nmt.config.data import DataConfig
from nmt.config.decoders import DecoderConfig
from nmt.config.dump import dump
from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.config.schema import kinds, table
from nmt.config.section import Section, key_of

DATA = DataConfig(source="de", target="en", train=("a", "b"), valid=("c", "d"), test=("e", "f"))
TEXT = dump(Experiment(data=DATA))
ONE_LINE = " ".join(line.lstrip("# ") for line in TEXT.splitlines())


def fields(section: type[Section] = Experiment) -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key of the configuration, those of all kinds included."""
    for name, field in section.model_fields.items():
        yield key_of(name, field), field
        plain = table(field)
        for child in dict.fromkeys([plain] if plain else kinds(field).values()):
            yield from fields(child)


@pytest.mark.parametrize(
    "key", dict.fromkeys(key for key, field in fields() if not table(field) and not kinds(field))
)
def test_every_key_is_named_also_those_of_other_kinds(key):
    assert f"{key} = " in ONE_LINE or f"{key};" in ONE_LINE or f" {key} " in ONE_LINE


@pytest.mark.parametrize(
    ("key", "values"),
    {
        key: get_args(field.annotation)
        for key, field in fields()
        if get_origin(field.annotation) is Literal
    }.items(),
)
def test_every_value_of_a_choice_is_named(key, values):
    for value in values:
        assert f'"{value}"' in ONE_LINE, key


@pytest.mark.parametrize(
    "line",
    [
        '# "zero", "learned", "last", "mean" or "copy". Initial state: zeros, learned alike',
        'init_state = "zero"               # "zero" or "learned". Initial state.',
        '#   kind = "gru": Gated recurrent unit (Cho et al., 2014). Options: reset = "after" or',
    ],
)
def test_choices_stand_beside_their_key(line):
    assert f"\n{line}" in TEXT


def test_the_kind_that_is_set_is_not_listed_as_another():
    assert 'kind = "lstm":' not in TEXT
    gru = ModelConfig(decoder=DecoderConfig(cell=GruCellConfig()))
    decoder = (
        dump(Experiment(data=DATA, model=gru)).split("[model.decoder.cell]")[0].split("\n\n")[-1]
    )
    assert 'kind = "lstm": ' in decoder
    assert 'kind = "gru": ' not in decoder
