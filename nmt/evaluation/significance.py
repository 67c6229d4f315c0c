"""Paired significance test of two systems on the same lines.

sacrebleu's other test, approximate randomization, is not offered: it counts only trials whose
difference exceeds the observed one, so that a single differing line, for which all trials tie,
appears significant (p = 0.0001 by default).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nmt.evaluation.metrics import affordable_resamples, make_metric, require_equal_counts
from nmt.evaluation.tokenizers import choose_tokenizer

DEFAULT_SAMPLES = 1000
"""Default number of resamples."""


@dataclass(frozen=True)
class Comparison:
    """The difference between a system and a baseline, and how likely it is by chance."""

    metric: str
    name: str
    """Name that sacrebleu prints, for example "chrF2"."""
    value: float
    """Score of the system."""
    baseline: float
    """Score of the baseline."""
    p_value: float
    """Probability of at least this difference if the two were equally good."""
    signature: str

    def __str__(self) -> str:
        return (
            f"{self.name} {self.value:.2f} against {self.baseline:.2f}: "
            f"{self.value - self.baseline:+.2f}, p = {self.p_value:.4f} "
            f"(paired bootstrap)  {self.signature}"
        )


def compare(
    hypotheses: Sequence[str],
    baseline: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = ("bleu",),
    *,
    more_references: Sequence[Sequence[str]] = (),
    samples: int = DEFAULT_SAMPLES,
    tokenize: str = "auto",
    lowercase: bool = False,
) -> list[Comparison]:
    """Compare a system with a baseline by paired bootstrap resampling (Koehn, 2004).

    Args:
        hypotheses: translations of the system.
        baseline: translations of the baseline.
        references: one reference per line.
        metrics: some of METRICS.
        more_references: other references of the same lines.
        samples: number of resamples, each of as many lines, drawn with replacement.
        tokenize: how BLEU splits text, one of TOKENIZERS or `spm:FILE`.
        lowercase: compare without regard to case.

    Raises:
        DataError: there are no lines, or the numbers of lines differ.
    """
    from sacrebleu.significance import PairedTest

    for each in (references, *more_references):
        require_equal_counts(hypotheses, each)
    require_equal_counts(baseline, references, ("the other hypothesis", "the reference"))
    tokenize = choose_tokenizer(references, tokenize)
    comparisons = []
    for metric in metrics:
        signatures, scores = PairedTest(
            [("baseline", baseline), ("system", hypotheses)],
            {metric: make_metric(metric, tokenize=tokenize, lowercase=lowercase)},
            [references, *more_references],
            test_type="bs",
            n_samples=affordable_resamples(samples, len(references)),
        )()
        [(name, signature)] = signatures.items()
        results: Any = scores[name]  # sacrebleu's type allows for the column of names as well
        old, new = results
        comparisons.append(
            Comparison(
                metric=metric,
                name=name,
                value=float(new.score),
                baseline=float(old.score),
                # sacrebleu counts differences above the observed one, so that equal scores get the
                # smallest p; but a difference of 0 has p = 1.
                p_value=1.0 if new.score == old.score else new.p_value,
                signature=str(signature),
            )
        )
    return comparisons
