"""Base class of all configuration sections: frozen, strict, without unknown keys."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """One table of the configuration file; the text under each field is its documentation."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


@dataclass(frozen=True)
class Resuming:
    """Marks a key, or a section with all its keys, by what a change means when a run resumes.

    The innermost mark counts; a key without any mark may change.
    """

    fixed_by: str
    """Why it cannot change; "" = it may, although its section is fixed."""


FIXED_BY_WEIGHTS = Resuming("the weights were trained with it")
FIXED_BY_DATA = Resuming("the training data were prepared with it")
FIXED_BY_ORDER = Resuming("it decides the order of the data")
MAY_CHANGE = Resuming("")


def key_of(name: str, field: FieldInfo) -> str:
    """Return the key of a field in the configuration file; `from` is a reserved word in Python."""
    return field.alias or name


def _kind_only(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


SHORT_FORM = BeforeValidator(_kind_only)
"""Allows the kind alone for a tagged table: `cell = "lstm"` for `{ kind = "lstm" }`."""


def _kind_or_recurrent(value: Any) -> Any:
    value = _kind_only(value)
    return {"kind": "recurrent", **value} if isinstance(value, dict) else value


RECURRENT_BY_DEFAULT = BeforeValidator(_kind_or_recurrent)
"""Allows the kind alone as well, and a table without a kind, which is then "recurrent"."""
