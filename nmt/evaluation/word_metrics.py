"""Exact match and word error rate, for tasks whose answers are right or wrong.

They are sacrebleu metrics, so that its signatures, bootstrap and paired tests apply. sacrebleu is
slow to import: import this module inside functions.
"""

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.base import Metric, Score, Signature


class _CaseSignature(Signature):
    """Lines are compared unchanged, or in lower case."""

    def __init__(self, args: dict[str, Any]) -> None:
        super().__init__(args)
        self.info.update({"case": "lc" if args["lowercase"] else "mixed", "tok": "none"})


class _RatioMetric(Metric):
    """A ratio of two sums over lines, in percent; statistics are (part, whole) per line."""

    _SIGNATURE_TYPE = _CaseSignature
    _NAME: str

    def __init__(self, *, lowercase: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lowercase = lowercase

    def _aggregate_and_compute(self, stats: Sequence[Sequence[float]]) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats, strict=True)])

    def _compute_score_from_stats(self, stats: Sequence[float]) -> Score:
        part, whole = float(stats[0]), float(stats[1])
        return Score(self._NAME, 100.0 * part / whole if whole else 100.0 * min(part, 1.0))

    def _preprocess_segment(self, sent: str) -> str:
        return sent.rstrip().lower() if self.lowercase else sent.rstrip()

    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, Any]:
        return {"references": refs}


class ExactMatch(_RatioMetric):
    """Percentage of lines that equal one of their references, trailing white space aside."""

    _NAME = "exact"

    def _compute_segment_statistics(
        self, hypothesis: str, ref_kwargs: dict[str, Any]
    ) -> list[float]:
        return [float(hypothesis in ref_kwargs["references"]), 1.0]


class WordErrorRate(_RatioMetric):
    """Insertions, deletions and substitutions per 100 words (between spaces) of the reference.

    Of several references, the one with the lowest rate counts.
    """

    _NAME = "WER"

    def _compute_segment_statistics(
        self, hypothesis: str, ref_kwargs: dict[str, Any]
    ) -> list[float]:
        words = hypothesis.split()
        references = [reference.split() for reference in ref_kwargs["references"]]
        edits = [(edit_distance(words, reference), len(reference)) for reference in references]
        best = min(edits, key=lambda edit: edit[0] / max(1, edit[1]))
        return [float(value) for value in best]


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the number of insertions, deletions and substitutions between two (Levenshtein)."""
    row = list(range(len(second) + 1))
    for i, item in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (item != other)),
            )
    return row[-1]
