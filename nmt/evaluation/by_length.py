"""Scores by sentence length: they show where a model without attention degrades."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from nmt.evaluation.metrics import Score, require_equal_counts, score
from nmt.evaluation.tokenizers import choose_tokenizer, is_spaceless
from nmt.text.columns import align_columns

EDGES = (5, 10, 15, 20, 30, 40, 60)
"""Longest sentence of each group, in words or characters; a final group takes the rest."""


@dataclass(frozen=True)
class LengthGroup:
    """The scores of the lines in a range of lengths."""

    shortest: int
    """In units."""
    longest: int | None
    """None: no limit."""
    lines: int
    scores: tuple[Score, ...]
    other_scores: tuple[Score, ...] = ()
    """Those of another system; empty if there is none."""
    unit: Literal["words", "characters"] = "words"
    """Words between spaces, or characters of text in a script without such spaces."""

    @property
    def name(self) -> str:
        """The range, for example `6-10` or `61-`."""
        return f"{self.shortest}-{'' if self.longest is None else self.longest}"


def score_by_length(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = ("bleu",),
    *,
    more_references: Sequence[Sequence[str]] = (),
    against: Sequence[str] | None = None,
    measured: Sequence[str] | None = None,
    edges: Sequence[int] = EDGES,
    tokenize: str = "auto",
    lowercase: bool = False,
) -> list[LengthGroup]:
    """Return the scores of each range of lengths; empty ranges are skipped.

    Args:
        hypotheses: detokenized translations.
        references: one reference per line.
        metrics: some of METRICS.
        more_references: other references of the same lines.
        against: translations by another system, scored as well.
        measured: texts that determine the lengths, such as the source; None = the references.
        edges: longest sentence of each range, in words; in characters for text without spaces.
        tokenize: how BLEU splits text, one of TOKENIZERS or `spm:FILE`; the same in all ranges.
        lowercase: compare without regard to case.

    Raises:
        DataError: there are no lines, or the numbers of lines differ.
    """
    systems = [hypotheses] if against is None else [hypotheses, against]
    for system in systems:
        require_equal_counts(system, references)
    measured = references if measured is None else measured
    require_equal_counts(
        measured, references, ("the text whose words are counted", "the reference")
    )
    tokenize = choose_tokenizer(references, tokenize)
    unit: Literal["words", "characters"] = "characters" if is_spaceless(measured) else "words"
    lengths = [len(line.split() if unit == "words" else line.strip()) for line in measured]
    groups = []
    starts = [0, *(edge + 1 for edge in edges)]
    for shortest, longest in zip(starts, [*edges, None], strict=True):
        end = max(lengths) if longest is None else longest
        members = [row for row, length in enumerate(lengths) if shortest <= length <= end]
        if members:
            scores, *others = (
                tuple(
                    score(
                        [system[row] for row in members],
                        [references[row] for row in members],
                        metrics,
                        more_references=[
                            [text[row] for row in members] for text in more_references
                        ],
                        tokenize=tokenize,
                        lowercase=lowercase,
                    )
                )
                for system in systems
            )
            other = others[0] if others else ()
            groups.append(LengthGroup(shortest, longest, len(members), scores, other, unit))
    return groups


def as_table(groups: Sequence[LengthGroup], measured: str = "reference") -> str:
    """Return the groups as a table for people; of two systems, with the difference."""
    has_other = bool(groups[0].other_scores)
    heads = [
        [score.name, "other", "difference"][: 3 if has_other else 1] for score in groups[0].scores
    ]
    rows = [[f"{measured} {groups[0].unit}", "lines", *chain.from_iterable(heads)]]
    for group in groups:
        cells = [f"{score.value:.2f}" for score in group.scores]
        if has_other:
            cells = [
                text
                for ours, theirs in zip(group.scores, group.other_scores, strict=True)
                for text in (
                    f"{ours.value:.2f}",
                    f"{theirs.value:.2f}",
                    f"{ours.value - theirs.value:+.2f}",
                )
            ]
        rows.append([group.name, f"{group.lines:,}", *cells])
    return "\n".join(align_columns(rows))
