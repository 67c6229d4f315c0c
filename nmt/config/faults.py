"""Say in plain words what pydantic found wrong."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from nmt.config.data import FilePair
from nmt.config.dump import dotted, toml_value
from nmt.config.schema import Place, kinds, locate, paths, table

_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_TYPES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "string_too_short": "must not be empty",
}


@dataclass(frozen=True)
class Fault:
    """One wrong key or value."""

    keys: tuple[str, ...]
    """The path to it, as the user writes it."""
    message: str

    @property
    def where(self) -> str:
        """The dotted key."""
        return dotted(*self.keys)

    def within(self, section: str) -> str:
        """Say what is wrong with an option of `section` to somebody who gave it alone."""
        keys = self.keys[1:] if self.keys[0] == section else self.keys
        return f"{dotted(*keys)}: {self.message}." if keys else f"{self.message}."


def faults_of(error: ValidationError, *, inside: tuple[str, ...] = ()) -> Iterator[Fault]:
    """Yield each wrong key or value once, in words of the configuration file.

    `inside` leads to the section that was validated.
    """
    seen: set[tuple[str, ...]] = set()
    for details in error.errors(include_url=False):
        place = locate((*inside, *details["loc"]))
        if place.keys not in seen:
            seen.add(place.keys)
            yield Fault(place.keys, _message(place, details))


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the nearest of `known`, or the list of all of them."""
    known = list(known)
    close = difflib.get_close_matches(wrong, known, n=1)
    if close:
        return f' (did you mean "{close[0]}"?)'
    return f" (known: {', '.join(known)})"


def _message(place: Place, details: ErrorDetails) -> str:
    """Translate one error of pydantic; what it found at the place comes last."""
    field, kind, value = place.field, details["type"], details["input"]
    if kind == "value_error":  # between the options of a section, which says it in these words
        return str(details["ctx"]["error"])
    if field is None:
        return _unknown_key(place)
    if kind == "missing" and not place.inside:
        if (section := table(field)) is not None:
            needed = [key for key, inner in section.model_fields.items() if inner.is_required()]
            return (
                f"missing: write a table [{'.'.join(place.keys)}] with the keys "
                f"{', '.join(needed)} (`nmt init` writes a commented example)"
            )
        meaning = (field.description or "").split(";")[0].rstrip(".")
        return f"missing: {meaning[:1].lower()}{meaning[1:]}"
    if kind == "union_tag_invalid":
        wrong = value["kind"]
        return f"unknown kind {_short(wrong)}{suggest(str(wrong), kinds(field))}"
    if kind == "union_tag_not_found":
        return f"needs a kind, one of {_choice(kinds(field))}"
    return f"{_demand(place, details)}, got {_short(value)}{_near_choice(field, value)}"


def _demand(place: Place, details: ErrorDetails) -> str:
    """Say what a value must be."""
    field, kind = place.field, details["type"]
    annotation = field.annotation if field else None
    if _is_pair(annotation):
        return 'must be two file names, ["source file", "target file"]'
    if annotation == int | str:
        return 'must be a number of updates, or a time such as "90s", "10m", "2h"'
    if kind == "literal_error":
        return f"must be {_choice(get_args(annotation))}"
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        bound = details["ctx"][limit]
        return f"must be {words} {bound if isinstance(bound, int) else f'{bound:g}'}"
    if kind in ("model_type", "model_attributes_type") and field is not None:
        choices = kinds(field)
        return f"must be {_choice(choices)}, or a table" if choices else "must be a table"
    return _TYPES.get(kind, f"is wrong: {details['msg'].lower()}")


def _unknown_key(place: Place) -> str:
    key, where = place.keys[-1], ".".join(place.keys)
    known = list(place.section.model_fields)
    everywhere = dict.fromkeys(paths())
    if where in everywhere:  # of the same table, but of another kind
        return f"unknown key for this kind (known: {', '.join(known)})"
    close = difflib.get_close_matches(key, known, n=1)
    homes = close or [path for path in everywhere if path.split(".")[-1] == key]
    if homes and len(homes) <= 3:
        return f"unknown key (did you mean {_choice(homes)}?)"
    return f"unknown key (known: {', '.join(known)})"


def _is_pair(annotation: object) -> bool:
    """Tell whether this is a pair of files, or such a pair or nothing."""
    return annotation == tuple[str, str] or annotation == FilePair | None


def _choice(values: Iterable[object]) -> str:
    """Join as `"a", "b" or "c"`."""
    quoted = [f'"{value}"' for value in values]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def _near_choice(field: FieldInfo, value: object) -> str:
    choices = [str(choice) for choice in get_args(field.annotation)]
    close = difflib.get_close_matches(str(value), choices, n=1) if isinstance(value, str) else []
    return f' (did you mean "{close[0]}"?)' if close else ""


def _short(value: object) -> str:
    """Show a value as it is written in TOML, on one line and not too long."""
    text = toml_value(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
