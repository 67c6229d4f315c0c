"""The reports of a run: `metrics.jsonl` for programs, the log for people.

The log goes to standard error and, with the time of each line, to `train.log`. After a crash the
run resumes from a checkpoint; entries of later updates are then removed, so that each update is
in the metrics once.
"""

import contextlib
import json
import logging
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from nmt.errors import DivergenceError, ResourceError, UsageError
from nmt.run_folder.layout import LOG, METRICS
from nmt.storage.files import write_bytes
from nmt.storage.os_errors import explain_write_errors

logger = logging.getLogger("nmt.training")


@dataclass(frozen=True)
class UpdateReport:
    """Progress of training since the last report."""

    update: int
    epoch: float
    """Passes over the corpus, with the fraction of the current one."""
    loss: float
    """Mean negative log-likelihood per target token, in nats."""
    tokens_per_second: float
    """Target tokens."""
    learning_rate: float
    gradient_norm: float
    """Gradient norm of the last update, before clipping."""
    clip_norm: float | None
    """Largest norm that is not clipped; None without clipping."""
    clipped: float | None
    """Share of the updates since the last report whose gradient was clipped, 0 to 1; None without
    clipping."""
    reference_probability: float | None
    """Probability that the decoder read the reference in the last update (epsilon of scheduled
    sampling); None if it always did."""
    skipped: int
    """Updates skipped so far."""
    seconds: float
    """Time spent training so far."""
    eta: float | None
    """Estimated seconds until the first limit (updates, epochs or time); None if unknown."""
    loss_name: str = "nll"
    """What the loss is: "nll", or "squared error" per line."""

    def line(self) -> str:
        """Return the report in up to 100 characters, perplexity standing for the loss.

        `update  2000  epoch 2.2  ppl 30.3  rate 0.001  norm 0.70 clip 12%  8,140 tok/s  eta 00:41`
        """
        norm = f"norm {self.gradient_norm:.2f}"
        if self.clipped is not None:
            norm += f" clip {self.clipped:.0%}"
        parts = [
            f"update {self.update:5d}",
            f"epoch {self.epoch:.1f}",
            format_loss(self.loss, self.loss_name),
            f"rate {format_rate(self.learning_rate)}",
            norm,
        ]
        if self.reference_probability is not None:
            parts.append(f"eps {self.reference_probability:.2f}")
        parts.append(f"{self.tokens_per_second:,.0f} tok/s")
        if self.skipped:
            parts.append(f"skipped {self.skipped}")
        if self.eta is not None:
            parts.append(f"eta {format_eta(self.eta)}")
        return "  ".join(parts)


@dataclass(frozen=True)
class ValidationReport:
    """Loss and scores of the weights."""

    update: int
    loss: float
    """Mean negative log-likelihood per target token, in nats."""
    bleu: float | None
    """BLEU of detokenized text, 0 to 100; None if nothing was translated."""
    chrf: float | None
    """chrF of detokenized text, 0 to 100; None if nothing was translated."""
    loss_per_word: float
    """See `nmt.training.validator.Scores`."""
    is_best: bool
    """Whether this is the best validation so far, by the selecting metric."""
    seconds: float
    """Duration of the validation."""
    tokenizer: str = ""
    """See `nmt.training.validator.Scores`."""
    collapse: tuple[str, ...] = ()
    """See `nmt.training.validator.Scores`."""
    loss_name: str = "nll"
    """See `nmt.training.validator.Scores`."""
    unit: str = "word"
    """See `nmt.training.validator.Scores`."""

    def line(self) -> str:
        """Return `valid   2000  ppl 24.8  BLEU 18.3  chrF 44.1  best so far -> saved`."""
        parts = [f"valid  {self.update:5d}", format_loss(self.loss, self.loss_name)]
        if self.bleu is None and self.loss_name == "nll":
            parts.append(f"per {self.unit} {format_perplexity(self.loss_per_word)}")
        if self.bleu is not None:
            parts.append(f"BLEU {self.bleu:.1f}{name_tokenizer(self.tokenizer)}")
        if self.chrf is not None:
            parts.append(f"chrF {self.chrf:.1f}")
        if self.is_best:
            parts.append("best so far -> saved")
        parts += self.collapse[:1]
        return "  ".join(parts)


class Journal:
    """The metrics and the log of a run; a context manager.

    Args:
        run: the run folder.
        resumed_at: the update of the restored checkpoint; entries after it are removed.

    Raises:
        ResourceError: writing failed.
    """

    def __init__(self, run: Path, *, resumed_at: int = 0) -> None:
        self._metrics = run / METRICS
        truncate_metrics(self._metrics, resumed_at)
        self._log_file = _LogFile(run / LOG)
        self._logger = logging.getLogger("nmt")
        self._former_level = self._logger.level

    def __enter__(self) -> "Journal":
        if self._logger.getEffectiveLevel() > logging.INFO:
            self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self._log_file)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, DivergenceError):
            self.record_divergence(error, update=error.update)
        self._logger.removeHandler(self._log_file)
        with contextlib.suppress(OSError):  # a full disk was reported when the line was written
            self._log_file.close()
        self._logger.setLevel(self._former_level)

    def rewind(self, update: int) -> None:
        """Remove the entries after `update`, to which the run goes back.

        Raises:
            ResourceError: writing failed.
        """
        truncate_metrics(self._metrics, update)

    def record_divergence(self, error: DivergenceError, *, update: int) -> None:
        """Record that training diverged, at the `update` where it goes on or has ended."""
        entry = {"kind": "diverged", "update": update, "diverged_at": error.update}
        with contextlib.suppress(OSError, ResourceError):  # it must not hide the error itself
            self.record({**entry, "what": error.what})

    def report(self, report: UpdateReport | ValidationReport) -> None:
        """Log a report for people, and record it for programs."""
        kind = "update" if isinstance(report, UpdateReport) else "valid"
        self.record({"kind": kind, **asdict(report)})
        logger.info(report.line())

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append one entry to `metrics.jsonl`; it must have an `update`.

        NaN and infinity, which JSON does not support, become null.
        """
        values = {key: None if _is_unwritable(value) else value for key, value in entry.items()}
        line = json.dumps(values, ensure_ascii=False).encode() + b"\n"
        with explain_write_errors(self._metrics, need=len(line)), self._metrics.open("ab") as file:
            file.write(line)


def truncate_metrics(path: Path, update: int) -> None:
    """Keep only the entries of updates up to `update`, atomically; also drop a half-written line.

    The remaining entries are unchanged byte by byte.
    """
    lines = _lines(path)
    kept = [line + b"\n" for line in lines if _update_of(line) <= update]
    write_bytes(path, b"".join(kept))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the entries of `metrics.jsonl`, except for a last line that is still being written.

    A missing file has no entries.
    """
    return [json.loads(line) for line in _lines(path) if _update_of(line) < math.inf]


def _lines(path: Path) -> list[bytes]:
    """Return the lines of a metrics file; none if it is missing."""
    _refuse_pipe(path)
    return path.read_bytes().split(b"\n") if path.exists() else []


def _refuse_pipe(path: Path) -> None:
    """Refuse a pipe, which would block, or a folder in place of the file.

    Raises:
        UsageError: the path is not a regular file.
    """
    if path.is_fifo() or path.is_dir():
        raise UsageError(f"{path}: is not a plain file; move it away.")


def _update_of(line: bytes) -> float:
    """Return the update number of an entry; infinity if the line is not an entry."""
    try:
        return float(json.loads(line)["update"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return math.inf


def _is_unwritable(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def format_loss(loss: float, name: str) -> str:
    """Return a loss for the log: `ppl 30.3` of a log-likelihood, or `squared error 0.167`."""
    return f"ppl {format_perplexity(loss)}" if name == "nll" else f"{name} {loss:.4g}"


def format_perplexity(loss: float) -> str:
    """Return exp(`loss`), short: `30.3`, `1.1e+07`, `inf`."""
    perplexity = math.inf if loss > 700 else math.exp(loss)
    return f"{perplexity:.1f}" if perplexity < 1e6 else f"{perplexity:.1e}"


def name_tokenizer(tokenizer: str) -> str:
    """Return ` (zh)` after a BLEU whose tokenizer is not sacrebleu's default, else nothing."""
    return f" ({tokenizer})" if tokenizer not in ("", "13a") else ""


def format_rate(rate: float) -> str:
    """Return a learning rate with two digits: `0.001`, `5.1e-5`, `0`."""
    return f"{rate:.2g}".replace("e-0", "e-")


def format_eta(seconds: float) -> str:
    """Return a rough time: `00:41` (minutes, seconds), from an hour on `2h05`, `?` for NaN."""
    if not math.isfinite(seconds) or round(seconds) < 3600:
        return format_duration(seconds)
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}h{minutes:02d}"


def format_duration(seconds: float) -> str:
    """Return a time as `00:41` (minutes, seconds) or `2:05:00` (hours as well), `?` for NaN."""
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"


class _LogFile(logging.FileHandler):
    """`train.log`; a full disk ends the run, rather than printing a traceback for each line."""

    def __init__(self, path: Path) -> None:
        _refuse_pipe(path)
        with explain_write_errors(path):
            super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            with explain_write_errors(Path(self.baseFilename)):
                raise error
