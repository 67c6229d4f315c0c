"""Write a configuration as TOML, with its documentation as comments."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping

from nmt.config.experiment import Experiment
from nmt.config.section import Section, key_of

_WIDTH = 100
_BARE = re.compile("[A-Za-z0-9_-]+")  # of keys that need no quotes


def dump(experiment: Experiment) -> str:
    """Return `experiment` as TOML, with every default and an explanation of every key.

    It loads back as an equal experiment. Optional values that are not set are only explained,
    because TOML has no null.
    """
    return "\n".join(_tables(experiment, (), "")).strip() + "\n"


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


def _tables(section: Section, path: tuple[str, ...], meaning: str) -> Iterator[str]:
    """Yield the lines of a section: first its own keys, as TOML requires, then its tables."""
    fields = {
        key_of(name, field): (getattr(section, name), field.description or "")
        for name, field in type(section).model_fields.items()
    }
    keys = {name: pair for name, pair in fields.items() if not isinstance(pair[0], Section)}
    if keys:
        yield from _comment(meaning)
        yield f"[{'.'.join(path)}]"
        for name, (value, description) in keys.items():
            if value is None:
                yield from _comment(f"{name} is not set: {description}")
            else:
                yield from _key(f"{name} = {toml_value(value)}", description)
        yield ""
    for name, (value, description) in fields.items():
        if isinstance(value, Section):
            yield from _tables(value, (*path, name), description or value.__doc__ or "")


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
