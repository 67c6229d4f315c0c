"""An explanation as one HTML page that needs no network: its numbers and a script are inside."""

import json
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
    """Return the numbers of an explanation as plain lists and dicts, with the model's name."""
    return {"name": name, **asdict(explanation)}


def as_page(explanations: Mapping[str, Explanation]) -> str:
    """Return the page that shows explanations of one sentence beside each other.

    Args:
        explanations: by the name of the model; at least one.
    """
    records = [as_record(name, explanation) for name, explanation in explanations.items()]
    data = json.dumps({"models": [_rounded(record) for record in records]}, ensure_ascii=False)
    before, after = _TEMPLATE.read_text(encoding="utf-8").split(_PLACE)
    return before + data.translate(_ESCAPES) + after


def _rounded(value: object) -> object:
    """Return a value with its numbers rounded, to keep the page small."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
