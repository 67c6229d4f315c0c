"""Scores as output: for people, or as one JSON object."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nmt.evaluation.by_length import LengthGroup
    from nmt.evaluation.metrics import Score
    from nmt.evaluation.significance import Comparison


@dataclass(frozen=True)
class Findings:
    """Everything `nmt evaluate` has computed."""

    scores: "Sequence[Score]"
    comparisons: "Sequence[Comparison] | None"
    """None unless two systems are compared."""
    groups: "Sequence[LengthGroup] | None"
    """Scores by length; None unless requested."""
    measured: str
    """The text whose length counts: "reference" or "source"."""


def findings_as_text(findings: Findings) -> str:
    """Return a line for each score and comparison, and a table of the scores by length."""
    from nmt.evaluation.by_length import as_table

    blocks = ["\n".join(map(str, findings.scores))]
    if findings.comparisons is not None:
        blocks.append("\n".join(map(str, findings.comparisons)))
    if findings.groups is not None:
        blocks.append(as_table(findings.groups, findings.measured))
    return "\n\n".join(blocks)


def findings_as_json(findings: Findings) -> str:
    """Return a JSON object with all values at full precision."""
    found: dict[str, object] = {"scores": [asdict(score) for score in findings.scores]}
    if findings.comparisons is not None:
        found["comparisons"] = [asdict(comparison) for comparison in findings.comparisons]
    if findings.groups is not None:
        groups = [asdict(group) for group in findings.groups]
        found["by_length"] = {"measured": findings.measured, "groups": groups}
    return json.dumps(found, ensure_ascii=False, indent=2)
