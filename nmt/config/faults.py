"""Wrong keys and values, explained in terms of the configuration file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from nmt.config.data import FilePair
from nmt.config.dump import choice, dotted, toml_value
from nmt.config.interval import EXPECTED
from nmt.config.schema import Place, kinds, locate, paths, table
from nmt.config.section import key_of
from nmt.paths import similar

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
    "tuple_type": "must be a list of texts in quotes",
    "dict_type": "must be a table",
    "string_too_short": "must not be empty",
    "missing": "is missing",
    "extra_forbidden": "is an unknown key",
    "unexpected_keyword_argument": "is an unknown key",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
}


@dataclass(frozen=True)
class Fault:
    """One wrong key or value."""

    keys: tuple[str, ...]
    """The path to it, as the user writes it."""
    message: str
    involves: tuple[str, ...] = ()
    """Dotted keys of the other values that cause it."""

    @property
    def where(self) -> str:
        """The dotted key."""
        return dotted(*self.keys)

    def within(self, section: str) -> str:
        """Describe the fault of an option of `section` that was given on its own."""
        keys = self.keys[1:] if self.keys[0] == section else self.keys
        return f"{dotted(*keys)}: {self.message}." if keys else f"{self.message}."


def fault_at(where: str, message: str, *involves: str) -> Fault:
    """Return a fault at the dotted key to change first, and the other keys it follows from."""
    return Fault(tuple(where.split(".")), message, involves)


def faults_of(error: ValidationError, *, inside: tuple[str, ...] = ()) -> Iterator[Fault]:
    """Yield each wrong key or value once, in terms of the configuration file.

    `inside` is the path to the section that was validated.
    """
    seen: set[tuple[str, ...]] = set()
    for details in error.errors(include_url=False):
        place = locate((*inside, *details["loc"]))
        if place.keys not in seen:
            seen.add(place.keys)
            yield Fault(place.keys, _message(place, details))


def _message(place: Place, details: ErrorDetails) -> str:
    """Translate one error of pydantic; the value that was found comes last."""
    field, kind, value = place.field, details["type"], details["input"]
    if kind == "value_error":  # from a validator of a section, already worded for users
        return str(details["ctx"]["error"])
    if field is None:
        return f"unknown key{_intended_key(place)}"
    if kind == "missing" and not place.is_inside:
        return f"missing: {_missing(place, field)}"
    if kind == "union_tag_invalid":
        known = kinds(field)
        return f"unknown kind {_short(value['kind'])}{_hint(str(value['kind']), known, known)}"
    if kind == "union_tag_not_found":
        return f"needs a kind, one of {choice(kinds(field))}"
    choices = map(str, get_args(field.annotation))
    hint = _hint(value, choices) if isinstance(value, str) else ""
    return f"{_demand(field, details)}, got {_short(value)}{hint}"


def _missing(place: Place, field: FieldInfo) -> str:
    if (section := table(field)) is not None:
        fields = section.model_fields.items()
        needed = [key_of(name, inner) for name, inner in fields if inner.is_required()]
        return (
            f"write a table [{'.'.join(place.keys)}] with the keys {', '.join(needed)} "
            "(`nmt init` writes a commented example)"
        )
    meaning = (field.description or "").split(";")[0].rstrip(".")
    return meaning[:1].lower() + meaning[1:]


def _demand(field: FieldInfo, details: ErrorDetails) -> str:
    """Return what a value must be."""
    kind = details["type"]
    annotation: object = field.annotation
    if annotation in (tuple[str, str], FilePair | None):
        return 'must be two file names, ["source file", "target file"]'
    if annotation == int | str:
        return EXPECTED
    if kind == "literal_error":
        return f"must be {choice(get_args(annotation))}"
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        bound = details["ctx"][limit]
        return f"must be {words} {bound if isinstance(bound, int) else f'{bound:g}'}"
    if kind in ("model_type", "model_attributes_type"):
        choices = kinds(field)
        return f"must be {choice(choices)}, or a table" if choices else "must be a table"
    return wording(details)


def wording(details: ErrorDetails) -> str:
    """Return what is wrong with a value, from one error of pydantic."""
    other = details["msg"].replace("Input should be", "must be")
    return _TYPES.get(details["type"], other[:1].lower() + other[1:])


def _intended_key(place: Place) -> str:
    key = place.keys[-1]
    known = [key_of(name, field) for name, field in place.section.model_fields.items()]
    everywhere = dict.fromkeys(paths())
    if ".".join(place.keys) in everywhere:
        return f" for this kind (known: {', '.join(known)})"
    elsewhere = [path for path in everywhere if path.split(".")[-1] == key]
    intended = similar(key, known) or elsewhere
    if intended and len(intended) <= 3:
        return f" (did you mean {choice(intended)}?)"
    return f" (known: {', '.join(known)})"


def _hint(wrong: str, choices: Iterable[str], known: Iterable[str] = ()) -> str:
    """Return ` (did you mean "x"?)` for the nearest choice, or the list of `known`, or ""."""
    if close := similar(wrong, choices):
        return f' (did you mean "{close[0]}"?)'
    return f" (known: {', '.join(known)})" if known else ""


def _short(value: object) -> str:
    """Return a value as TOML, on one line and not too long."""
    text = toml_value(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
