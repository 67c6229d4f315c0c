"""Base class of all configuration sections: frozen, strict, without unknown keys."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    """One table of the configuration file; the text under each field is its documentation."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def _kind_only(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


SHORT_FORM = BeforeValidator(_kind_only)
"""Allows the kind alone for a tagged table: `cell = "lstm"` for `{ kind = "lstm" }`."""
