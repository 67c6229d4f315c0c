"""What every configuration section has in common: frozen, strict, no unknown keys."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    """One table of the configuration file. The text under each field is its documentation."""

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
"""Lets a tagged table be written as its kind alone: `cell = "lstm"` for `{ kind = "lstm" }`."""
