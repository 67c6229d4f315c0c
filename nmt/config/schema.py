"""The schema of the configuration, derived from its classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from nmt.config.experiment import Experiment
from nmt.config.section import Section, key_of


def kinds(field: FieldInfo) -> dict[str, type[Section]]:
    """Return the sections that `field` chooses from by `kind`; empty for other fields."""
    if field.discriminator is None:
        return {}
    return {
        kind: section
        for section in get_args(field.annotation)
        for kind in get_args(section.model_fields["kind"].annotation)
    }


def table(field: FieldInfo, kind: object = None) -> type[Section] | None:
    """Return the section of a table under `field`, given its `kind`; None for a value."""
    if field.discriminator is not None:
        return kinds(field).get(str(kind))
    annotation = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None


def long_form(field: FieldInfo, value: Any) -> Any:
    """Expand a short form: "lstm" -> {"kind": "lstm"}, a dropout rate -> a table of rates."""
    for step in field.metadata:
        if isinstance(step, BeforeValidator):
            value = step.func(value)  # type: ignore[call-arg]
    return value


@dataclass(frozen=True)
class Place:
    """The end of a path through the configuration."""

    keys: tuple[str, ...]
    """The keys as a user writes them."""
    section: type[Section]
    """The section in which the last key was looked up."""
    field: FieldInfo | None
    """The field of the last key; None if the section has no such key."""
    is_inside: bool = False
    """Whether the location continues inside the value: an item of a pair, a member of a union."""


def locate(location: Sequence[int | str]) -> Place:
    """Follow a pydantic location through the schema and keep only the keys that users write.

    Between keys, pydantic inserts the tag of a tagged table; inside a value, positions and type
    names.
    """
    place = Place((), Experiment, None)
    section: type[Section] | None = Experiment
    choices: dict[str, type[Section]] = {}
    for part in location:
        key = str(part)
        if section is not None:
            field = {key_of(n, f): f for n, f in section.model_fields.items()}.get(key)
            place = Place((*place.keys, key), section, field)
            if field is None:
                break
            section, choices = table(field), kinds(field)
        elif key in choices:
            section, choices = choices[key], {}
        else:
            return replace(place, is_inside=True)
    return place


def paths(section: type[Section] = Experiment, prefix: str = "") -> Iterator[str]:
    """Yield every key of the configuration, dotted, including those of all kinds."""
    for name, field in section.model_fields.items():
        key = prefix + key_of(name, field)
        yield key
        plain = table(field)
        for child in dict.fromkeys([plain] if plain else kinds(field).values()):
            yield from paths(child, f"{key}.")
