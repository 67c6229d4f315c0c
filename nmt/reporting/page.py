"""An explanation as one HTML page that needs no network: its numbers and a script are inside."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from nmt.diagnostics.explanation import Explanation

_TEMPLATE = Path(__file__).with_name("explain.html")
_PLACE = "{{DATA}}"
_DIGITS = 4  # of a number on the page
# In JSON these may be written as escapes; in HTML they could end the script, or a line of it.
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def as_record(name: str, explanation: Explanation) -> dict[str, object]:
    """Return an explanation as JSON can write it, with the model's name; -inf becomes None."""
    return {"name": name, **{key: _plain(each) for key, each in asdict(explanation).items()}}


def as_page(explanations: Mapping[str, Explanation]) -> str:
    """Return the page that shows explanations of one sentence beside each other.

    Args:
        explanations: by the name of the model; at least one.
    """
    records = [as_record(name, explanation) for name, explanation in explanations.items()]
    data = json.dumps({"models": _plain(records, digits=_DIGITS)}, ensure_ascii=False)
    before, after = _TEMPLATE.read_text(encoding="utf-8").split(_PLACE)
    return before + data.translate(_ESCAPES) + after


def _plain(value: object, *, digits: int | None = None) -> object:
    """Return a value in which numbers are finite, or None, and rounded if `digits` says so."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else round(value, digits)
    if isinstance(value, dict):
        return {key: _plain(each, digits=digits) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, digits=digits) for each in value]
    return value
