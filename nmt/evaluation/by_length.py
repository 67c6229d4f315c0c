"""Scores of short and of long sentences apart: where a model without attention gives in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nmt.evaluation.metrics import Score, require_equal_counts, score

EDGES = (5, 10, 15, 20, 30, 40, 60)
"""Longest sentence of each group, in words; a last group takes the rest."""


@dataclass(frozen=True)
class LengthGroup:
    """The lines of a range of lengths, and their scores."""

    shortest: int
    """In words between spaces."""
    longest: int | None
    """None: no limit."""
    lines: int
    scores: tuple[Score, ...]

    @property
    def name(self) -> str:
        """The range, for example `6-10` or `61-`."""
        return f"{self.shortest}-{'' if self.longest is None else self.longest}"


def score_by_length(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = ("bleu",),
    *,
    measured: Sequence[str] | None = None,
    edges: Sequence[int] = EDGES,
    tokenize: str = "13a",
) -> list[LengthGroup]:
    """Score the lines of each range of lengths; empty ranges are left out.

    Args:
        hypotheses: detokenized translations.
        references: one reference per line.
        metrics: some of METRICS.
        measured: the texts whose words are counted, such as the source; None = the references.
        edges: longest sentence of each range, in words.
        tokenize: one of TOKENIZERS, for BLEU.

    Raises:
        DataError: there are no lines, or not as many everywhere.
    """
    require_equal_counts(hypotheses, references)
    measured = references if measured is None else measured
    require_equal_counts(
        measured, references, ("the text whose words are counted", "the reference")
    )
    lengths = [len(line.split()) for line in measured]
    groups = []
    starts = [0, *(edge + 1 for edge in edges)]
    for shortest, longest in zip(starts, [*edges, None], strict=True):
        end = max(lengths) if longest is None else longest
        members = [row for row, length in enumerate(lengths) if shortest <= length <= end]
        if members:
            scores = score(
                [hypotheses[row] for row in members],
                [references[row] for row in members],
                metrics,
                tokenize=tokenize,
            )
            groups.append(LengthGroup(shortest, longest, len(members), tuple(scores)))
    return groups


def as_table(groups: Sequence[LengthGroup], measured: str = "reference") -> str:
    """Return the groups as a table for people."""
    names = [score.name for score in groups[0].scores]
    rows = [[f"{measured} words", "lines", *names]]
    rows += [
        [group.name, f"{group.lines:,}", *(f"{score.value:.2f}" for score in group.scores)]
        for group in groups
    ]
    return "\n".join(_aligned(rows))


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells[1:]])
