"""What changed between two configurations, and which changes a resumed run accepts.

Which keys are fixed is declared beside them, see `nmt.config.section.Resuming`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nmt.config.dump import toml_value
from nmt.config.experiment import Experiment
from nmt.config.section import MAY_CHANGE, Resuming, Section, key_of


@dataclass(frozen=True)
class Change:
    """A key with another value than before."""

    key: str
    """Dotted, as in `--set`."""
    old: Any
    new: Any
    fixed_by: str
    """Why it cannot change when a run resumes; "" = it may."""

    @property
    def old_text(self) -> str:
        """The old value as TOML."""
        return _short(self.old)

    @property
    def new_text(self) -> str:
        """The new value as TOML."""
        return _short(self.new)

    def __str__(self) -> str:
        """Return `training.learning_rate: 0.001 -> 0.0005`."""
        return f"{self.key}: {self.old_text} -> {self.new_text}"


def changes(old: Experiment, new: Experiment) -> list[Change]:
    """Return every key whose value differs.

    Of a tagged table with another kind, the table is one change: the keys of the two kinds have
    nothing to do with each other.
    """
    return list(_changes(old, new, "", MAY_CHANGE))


def _changes(old: Section, new: Section, path: str, above: Resuming) -> Iterator[Change]:
    for name, field in type(new).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        marks = [mark for mark in field.metadata if isinstance(mark, Resuming)]
        mark = marks[0] if marks else above
        key = path + key_of(name, field)
        if type(before) is type(after) and isinstance(after, Section):
            yield from _changes(before, after, f"{key}.", mark)
        elif before != after:
            yield Change(key, before, after, mark.fixed_by)


def _short(value: Any) -> str:
    """Return a value as TOML; of a table, only the keys that differ from their defaults."""
    if value is None:
        return "none"
    if not isinstance(value, Section):
        return toml_value(value)
    table = {"kind": getattr(value, "kind", None)}
    table |= value.model_dump(by_alias=True, exclude_defaults=True)
    return toml_value(table if len(table) > 1 else table["kind"])
