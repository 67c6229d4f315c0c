"""Scores of detokenized translations against unmodified references (Post, 2018)."""

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmt.errors import DataError, UsageError
from nmt.text.lines import FloatArray, describe_shift

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

METRICS = ("bleu", "chrf", "ter", "exact", "wer")
"""All metrics: three of sacrebleu, exact match, word error rate."""
LOWER_IS_BETTER = ("ter", "wer")
TOKENIZERS = ("13a", "intl", "zh", "char", "none")
"""How BLEU splits text into words: "13a" for most languages, "zh" for Chinese, "char" for others
that are written without spaces."""

_MOST_DRAWN = 20_000_000
_MOST_SHOWN = 5
_SUSPICIOUS_SHARE = 0.1
_SPACED_MARK = re.compile(r"\S [.,](?: |$)")
_PIECE_MARKS = ("@@ ", "▁")

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

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.1f}, {self.high:.1f}]"
        return f"{self.name} {self.value:.2f}{interval}  {self.signature}"


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str] = ("bleu",),
    *,
    bootstrap: int = 0,
    tokenize: str = "13a",
) -> list[Score]:
    """Return the scores of `hypotheses`, exactly as the `sacrebleu` command computes them.

    Args:
        hypotheses: detokenized translations, one per line.
        references: one reference per line, unmodified.
        metrics: some of METRICS.
        bootstrap: resamples for the confidence interval; 0 = none.
        tokenize: one of TOKENIZERS, for BLEU.

    Raises:
        DataError: there are no lines, or the numbers of lines differ.
        UsageError: a metric or tokenizer is unknown.
    """
    require_equal_counts(hypotheses, references)
    bootstrap = affordable_resamples(bootstrap, len(references))
    return [_score(name, hypotheses, references, bootstrap, tokenize) for name in metrics]


def _score(
    name: str, hypotheses: Sequence[str], references: Sequence[str], bootstrap: int, tokenize: str
) -> Score:
    # The steps of sacrebleu's `corpus_score`, which itself raises a TypeError for chrF (2.6.0): it
    # takes the mean of float32 scores and of the Python floats 0.0 and 100.0.
    metric: Any = make_metric(name, tokenize=tokenize)
    statistics = metric._extract_corpus_statistics(hypotheses, [references])
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


def make_metric(name: str, *, tokenize: str = "13a") -> "Metric":
    """Return the sacrebleu metric of this name, with the settings of its command line.

    Raises:
        UsageError: there is no such metric or tokenizer.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    from nmt.evaluation.word_metrics import ExactMatch, WordErrorRate

    if name not in METRICS:
        raise UsageError(f'unknown metric "{name}"; known: {", ".join(METRICS)}')
    if tokenize not in TOKENIZERS:
        raise UsageError(f'unknown tokenizer "{tokenize}"; known: {", ".join(TOKENIZERS)}')
    if name == "bleu":  # `force` disables sacrebleu's warning; see `suspicions`
        return BLEU(tokenize=tokenize, force=True)
    others: dict[str, type[Metric]] = {
        "chrf": CHRF,
        "ter": TER,
        "exact": ExactMatch,
        "wer": WordErrorRate,
    }
    return others[name]()


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
        raise DataError(
            f"{names[0]} has {len(hypotheses):,} lines, {names[1]} has {len(references):,}; "
            f"{where}; a score needs one hypothesis per reference, in the same order"
        )
    if not references:
        raise DataError(f"{names[0]} and {names[1]} have no lines to score; name files with text")


def suspicions(hypotheses: Sequence[str], references: Sequence[str]) -> list[str]:
    """Return a sentence for each property that makes a score of these texts doubtful."""
    found = []
    empty = [number for number, line in enumerate(references, 1) if not line.strip()]
    if empty:
        found.append(f"{len(empty):,} references are empty ({shown_lines(empty)})")
    for mark in _PIECE_MARKS:
        hypotheses_have, references_have = (
            any(mark in line for line in lines) for lines in (hypotheses, references)
        )
        if hypotheses_have and not references_have:
            found.append(f'hypotheses contain "{mark}": join the pieces to words before scoring')
        elif references_have and not hypotheses_have:
            found.append(f'references contain "{mark}": use the unmodified references')
    if _share(_SPACED_MARK, references) > _SUSPICIOUS_SHARE:
        found.append(
            'references look tokenized (" ." or " ,"): the score cannot be compared with others; '
            "use the unmodified references"
        )
    elif _share(_SPACED_MARK, hypotheses) > _SUSPICIOUS_SHARE:
        found.append('hypotheses look tokenized (" ." or " ,"): detokenize them before scoring')
    for name, change in (("lower", str.lower), ("upper", str.upper)):
        hypotheses_are, references_are = (
            all(line == change(line) for line in lines) and any(map(_has_case, lines))
            for lines in (hypotheses, references)
        )
        if hypotheses_are and not references_are:
            found.append(
                f"hypotheses are all {name} case, references are not: the score is too low"
            )
        elif references_are and not hypotheses_are:
            found.append(
                f"references are all {name} case, hypotheses are not: the score cannot be compared "
                "with others; use the unmodified references"
            )
    return found


def shown_lines(numbers: Sequence[int]) -> str:
    """Return `line 7` or `lines 7, 9, 12, 20, 21, ...`."""
    head = ", ".join(f"{number:,}" for number in numbers[:_MOST_SHOWN])
    more = ", ..." if len(numbers) > _MOST_SHOWN else ""
    return f"{'line' if len(numbers) == 1 else 'lines'} {head}{more}"


def _share(pattern: re.Pattern[str], lines: Sequence[str]) -> float:
    return sum(bool(pattern.search(line)) for line in lines) / max(1, len(lines))


def _has_case(line: str) -> bool:
    return line.lower() != line.upper()


def _lengths(lines: Sequence[str]) -> FloatArray:
    """Return the number of characters of each line, its end included, [lines]."""
    import numpy as np

    return np.array([len(line) + 1 for line in lines], dtype=np.float64)
