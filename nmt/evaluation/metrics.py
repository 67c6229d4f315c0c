"""Scores of detokenized translations against unmodified references (Post, 2018)."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmt.arguments import refuse_text, require_texts
from nmt.errors import DataError, UsageError
from nmt.evaluation.tokenizers import choose_tokenizer, make_bleu
from nmt.text.lines import FloatArray, describe_shift

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

METRICS = ("bleu", "chrf", "chrf++", "ter", "exact", "wer")
"""All metrics: four of sacrebleu, exact match, word error rate."""
LOWER_IS_BETTER = ("ter", "wer")

_MOST_DRAWN = 20_000_000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Score:
    """A score and the signature that makes it reproducible."""

    metric: str
    """One of METRICS."""
    name: str
    """Name that sacrebleu prints, for example "chrF2"."""
    value: float
    signature: str
    low: float | None = None
    """Lower end of the 95 % confidence interval, by bootstrap over lines: sacrebleu's mean less its
    half width, clipped to valid scores."""
    high: float | None = None
    """Upper end of the interval."""

    @property
    def tokenizer(self) -> str:
        """How the text was split into words, as the signature says; "" if it does not."""
        parts = dict(part.split(":", 1) for part in self.signature.split("|"))
        return parts.get("tok", "")

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.name} {self.value:.2f}{interval}  {self.signature}"


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = ("bleu",),
    *,
    more_references: Sequence[Sequence[str]] = (),
    bootstrap: int = 0,
    tokenize: str = "auto",
    lowercase: bool = False,
) -> list[Score]:
    """Return the scores of `hypotheses`, exactly as the `sacrebleu` command computes them.

    Args:
        hypotheses: detokenized translations, one per line.
        references: one reference per line, unmodified.
        metrics: some of METRICS.
        more_references: other references of the same lines.
        bootstrap: resamples for the confidence interval; 0 = none.
        tokenize: how BLEU splits text, one of TOKENIZERS or `spm:FILE`; see `choose_tokenizer`.
        lowercase: compare without regard to case, as TER always does.

    Raises:
        DataError: there are no lines, or the numbers of lines differ.
        UsageError: a metric or tokenizer is unknown or cannot be used, or something is no list of
            strings.
    """
    refuse_text(metrics, "metrics")
    named = [("hypotheses", hypotheses), ("references", references)]
    named += [("more_references", each) for each in more_references]
    for name, lines in named:
        require_texts(lines, name)
        require_equal_counts(hypotheses, lines)
    bootstrap = affordable_resamples(bootstrap, len(references))
    tokenize = choose_tokenizer(references, tokenize)
    return [
        _score(
            make_metric(name, tokenize=tokenize, lowercase=lowercase),
            name,
            hypotheses,
            [references, *more_references],
            bootstrap,
        )
        for name in metrics
    ]


def _score(
    metric: Any,
    name: str,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    bootstrap: int,
) -> Score:
    # The steps of sacrebleu's `corpus_score`, which itself raises a TypeError for chrF (2.6.0): it
    # takes the mean of float32 scores and of the Python floats 0.0 and 100.0.
    statistics = metric._extract_corpus_statistics(hypotheses, references)
    result = metric._aggregate_and_compute(statistics)
    low = high = None
    if bootstrap > 1:
        most = math.inf if name in LOWER_IS_BETTER else 100.0  # errors may outnumber words
        low, high = _interval(metric, statistics, bootstrap)
        low, high = max(low, 0.0), min(high, most)
    return Score(
        metric=name,
        name=result.name,
        value=float(result.score),
        signature=str(metric.get_signature()),
        low=low,
        high=high,
    )


def _interval(metric: Any, statistics: Any, resamples: int) -> tuple[float, float]:
    """Return the ends of sacrebleu's interval, and set what the signature of `metric` shows."""
    import numpy as np
    from sacrebleu.significance import _bootstrap_resample, estimate_ci

    metric.n_bootstrap = resamples
    metric.seed, scores = _bootstrap_resample(statistics, metric, resamples)
    middle, half_width = estimate_ci(np.array([score.score for score in scores], dtype=np.float64))
    return float(middle - half_width), float(middle + half_width)


def make_metric(name: str, *, tokenize: str = "13a", lowercase: bool = False) -> "Metric":
    """Return the sacrebleu metric of this name, with the settings of its command line.

    Args:
        name: one of METRICS.
        tokenize: of BLEU, what `choose_tokenizer` returned.
        lowercase: compare without regard to case, as TER always does.

    Raises:
        UsageError: there is no such metric or tokenizer, or the tokenizer cannot be used.
        DataError: the file of `spm:FILE` cannot be used.
    """
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    from nmt.evaluation.word_metrics import ExactMatch, WordErrorRate

    match name:
        case "bleu":
            return make_bleu(tokenize, lowercase=lowercase)
        case "chrf":
            return CHRF(lowercase=lowercase)
        case "chrf++":
            return CHRF(word_order=2, lowercase=lowercase)
        case "ter":
            return TER()
        case "exact":
            return ExactMatch(lowercase=lowercase)
        case "wer":
            return WordErrorRate(lowercase=lowercase)
        case _:
            raise UsageError(f'unknown metric "{name}"; known: {", ".join(METRICS)}')


def affordable_resamples(resamples: int, lines: int) -> int:
    """Return the number of resamples, reduced with a warning if they would not fit into memory.

    sacrebleu holds all resamples at once, up to 100 bytes per drawn line.
    """
    most = _MOST_DRAWN // lines
    if resamples <= most:
        return resamples
    _logger.warning(
        "only %s of %s resamples are drawn: %s lines each would not fit into memory",
        f"{most:,}",
        f"{resamples:,}",
        f"{lines:,}",
    )
    return most


def require_equal_counts(
    hypotheses: Sequence[str],
    references: Sequence[str],
    names: tuple[str, str] = ("the hypothesis", "the reference"),
) -> None:
    """Refuse texts with different numbers of lines, which sacrebleu accepts.

    Raises:
        DataError: with both counts, and where the texts most likely get out of step.
    """
    if len(hypotheses) != len(references):
        where = describe_shift(_lengths(hypotheses), _lengths(references), names=names)
        found = (
            f"{names[0]} has {len(hypotheses):,} line{'s' * (len(hypotheses) != 1)}, "
            f"{names[1]} has {len(references):,}"
        )
        advice = "a score needs one hypothesis per reference, in the same order"
        raise DataError("; ".join(filter(None, (found, where, advice))))
    if not references:
        raise DataError(f"{names[0]} and {names[1]} have no lines to score; name files with text")


def _lengths(lines: Sequence[str]) -> FloatArray:
    """Return the number of characters of each line, its end included, [lines]."""
    import numpy as np

    return np.array([len(line) + 1 for line in lines], dtype=np.float64)
