"""Write a configuration as TOML, with its documentation as comments."""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from nmt.config.experiment import Experiment
from nmt.config.schema import kinds
from nmt.config.section import Section, key_of

_WIDTH = 100
_BARE = re.compile("[A-Za-z0-9_-]+")  # of keys that need no quotes


def dump(experiment: Experiment) -> str:
    """Return `experiment` as TOML, with every default, and the meaning and choices of every key.

    It loads back as an equal experiment. Optional values that are not set are only explained,
    because TOML has no null.
    """
    return "\n".join(_tables(experiment, (), "", {})).strip() + "\n"


def toml_value(value: object) -> str:
    """Return one value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{dotted(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return str(value)


def dotted(*keys: str) -> str:
    """Return a path of keys as TOML: `model.encoder`, `model."a key with spaces"`."""
    return ".".join(key if _BARE.fullmatch(key) else toml_value(key) for key in keys)


def choice(values: Iterable[object]) -> str:
    """Join as `"a", "b" or "c"`."""
    quoted = [f'"{value}"' for value in values]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def _tables(
    section: Section,
    path: tuple[str, ...],
    meaning: str,
    alternatives: Mapping[str, type[Section]],
) -> Iterator[str]:
    """Yield the lines of a section: first its own keys, as TOML requires, then its tables.

    `alternatives` are the sections that could stand in its place, by kind.
    """
    fields = {key_of(name, field): field for name, field in type(section).model_fields.items()}
    values = dict(zip(fields, dict(section).values(), strict=True))
    short = dict(zip(fields, section.model_dump().values(), strict=True))
    keys = {name: short[name] for name in fields if not isinstance(values[name], Section)}
    if keys:
        yield from _comment(meaning)
        yield from _other_kinds(section, alternatives)
        yield f"[{'.'.join(path)}]"
        for name, value in keys.items():
            explanation = _explanation(fields[name])
            if value is None:
                yield from _comment(f"{name} is not set: {explanation}")
            else:
                yield from _key(f"{name} = {toml_value(value)}", explanation)
        yield ""
    for name, value in values.items():
        if isinstance(value, Section):
            meaning = fields[name].description or value.__doc__ or ""
            yield from _tables(value, (*path, name), meaning, kinds(fields[name]))


def _explanation(field: FieldInfo) -> str:
    """Return the meaning of a key, after its choices if there are several."""
    choices = choices_of(field)
    listed = f"{choice(choices)}. " if len(choices) > 1 else ""
    return f"{listed}{field.description or ''}"


def choices_of(field: FieldInfo) -> tuple[object, ...]:
    """Return the only values that a key may have; none if there are others."""
    is_literal = get_origin(field.annotation) is Literal
    return get_args(field.annotation) if is_literal else ()


def _other_kinds(section: Section, alternatives: Mapping[str, type[Section]]) -> Iterator[str]:
    """Yield a comment for each other kind of a table: what it is, and its options."""
    for kind, other in alternatives.items():
        if isinstance(section, other):
            continue
        fields = {key_of(name, field): field for name, field in other.model_fields.items()}
        meaning = (fields.pop("kind").description or "").rstrip(".")
        options = "; ".join(_option(name, field) for name, field in fields.items())
        text = f'kind = "{kind}": {meaning}{f". Options: {options}" if options else ""}'
        yield from textwrap.wrap(
            text, _WIDTH, initial_indent="#   ", subsequent_indent="#     ", break_on_hyphens=False
        )


def _option(name: str, field: FieldInfo) -> str:
    """Return a key of another kind with its choices, or its default: `reset = "after"`."""
    if choices := choices_of(field):
        return f"{name} = {choice(choices)}"
    default = None if field.is_required() else field.get_default()
    if default is None or isinstance(default, Section):
        return name
    return f"{name} = {toml_value(default)}"


def _key(assignment: str, description: str) -> Iterator[str]:
    """Yield a key with its meaning beside it, or above it if the line would be too long."""
    line = f"{assignment:<32}  # {description}"
    if "\n" in description or len(line) > _WIDTH:
        yield from _comment(description)
        yield assignment
    else:
        yield line


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), _WIDTH - 2):
        yield f"# {line}"
