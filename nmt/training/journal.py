"""What a run tells: `metrics.jsonl` for programs, the log for people.

The log goes to standard error and, with the time of each line, to `train.log`. After a crash the
run resumes from a checkpoint; what the journal holds of later updates is then taken out, so each
update stands in it once.
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
from typing import Any, TextIO

from nmt.errors import UsageError
from nmt.storage.files import write_bytes
from nmt.storage.os_errors import explain_write_errors
from nmt.training.run_folder import LOG, METRICS

logger = logging.getLogger("nmt.training")


@dataclass(frozen=True)
class UpdateReport:
    """How training went since the last report."""

    update: int
    epoch: float
    """Passes over the corpus, with the fraction of the current one."""
    loss: float
    """Mean negative log-likelihood per target token, in nats."""
    tokens_per_second: float
    """Target tokens."""
    learning_rate: float
    gradient_norm: float
    """Before clipping, of the last update."""
    skipped: int
    """Updates skipped so far."""
    seconds: float
    """Time spent training so far."""
    eta: float | None
    """Seconds to the last update, where that is known."""

    def line(self) -> str:
        """Return `update  2000  epoch 2.2  loss 3.412  ppl 30.3  8,140 tok/s  eta 00:41`."""
        parts = [
            f"update {self.update:5d}",
            f"epoch {self.epoch:.1f}",
            f"loss {self.loss:.3f}",
            f"ppl {format_perplexity(self.loss)}",
            f"{self.tokens_per_second:,.0f} tok/s",
        ]
        if self.skipped:
            parts.append(f"skipped {self.skipped}")
        if self.eta is not None:
            parts.append(f"eta {format_duration(self.eta)}")
        return "  ".join(parts)


@dataclass(frozen=True)
class ValidationReport:
    """How good the weights are."""

    update: int
    loss: float
    """Mean negative log-likelihood per target token, in nats."""
    bleu: float | None
    """Of detokenized text, 0 to 100; None if nothing was translated."""
    chrf: float | None
    """Likewise."""
    is_best: bool
    """By the metric that chooses."""
    seconds: float
    """What the validation took."""

    def line(self) -> str:
        """Return `valid   2000  ppl 24.8  BLEU 18.3  chrF 44.1  best so far -> saved`."""
        parts = [f"valid  {self.update:5d}", f"ppl {format_perplexity(self.loss)}"]
        if self.bleu is not None:
            parts.append(f"BLEU {self.bleu:.1f}")
        if self.chrf is not None:
            parts.append(f"chrF {self.chrf:.1f}")
        if self.is_best:
            parts.append("best so far -> saved")
        return "  ".join(parts)


class Journal:
    """The metrics and the log of a run; a context manager.

    Args:
        run: the run folder.
        resumed_at: the update of the restored checkpoint; entries after it are taken out.
        console: where the log is shown as well; None if the logger `nmt` has its handlers already.

    Raises:
        ResourceError: the disk refuses.
    """

    def __init__(self, run: Path, *, resumed_at: int = 0, console: TextIO | None = None) -> None:
        self._metrics = run / METRICS
        truncate_metrics(self._metrics, resumed_at)
        self._handlers: list[logging.Handler] = [_LogFile(run / LOG)]
        if console is not None:
            self._handlers.append(_console(console))
        self._logger = logging.getLogger("nmt")
        self._former_level = self._logger.level

    def __enter__(self) -> "Journal":
        if self._logger.getEffectiveLevel() > logging.INFO:
            self._logger.setLevel(logging.INFO)
        for handler in self._handlers:
            self._logger.addHandler(handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handler in self._handlers:
            self._logger.removeHandler(handler)
            with contextlib.suppress(OSError):  # a full disk was reported when the line was written
                handler.close()
        self._logger.setLevel(self._former_level)

    def rewind(self, update: int) -> None:
        """Take out the entries after `update`: the run goes back to there.

        Raises:
            ResourceError: the disk refuses.
        """
        truncate_metrics(self._metrics, update)

    def report(self, report: UpdateReport | ValidationReport) -> None:
        """Log a report for people, and keep it for programs."""
        kind = "update" if isinstance(report, UpdateReport) else "valid"
        self.keep({"kind": kind, **asdict(report)})
        logger.info(report.line())

    def keep(self, entry: Mapping[str, Any]) -> None:
        """Append one entry to `metrics.jsonl`; it must have an `update`.

        NaN and infinity, which JSON does not know, become null.
        """
        values = {key: None if _is_unwritable(value) else value for key, value in entry.items()}
        line = json.dumps(values, ensure_ascii=False).encode() + b"\n"
        with explain_write_errors(self._metrics, need=len(line)), self._metrics.open("ab") as file:
            file.write(line)


def truncate_metrics(path: Path, update: int) -> None:
    """Keep only the entries of updates up to `update`, atomically; also drop a half-written line.

    The entries that stay, stay byte by byte.
    """
    lines = _lines(path)
    kept = [line + b"\n" for line in lines if _update_of(line) <= update]
    write_bytes(path, b"".join(kept))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the entries of `metrics.jsonl`, leaving out a last line that is still being written.

    A run without the file has no entries.
    """
    return [json.loads(line) for line in _lines(path) if _update_of(line) < math.inf]


def _lines(path: Path) -> list[bytes]:
    """Return the lines of a metrics file; none where there is none."""
    _refuse_pipe(path)
    return path.read_bytes().split(b"\n") if path.exists() else []


def _refuse_pipe(path: Path) -> None:
    """Refuse what would be waited for, and what cannot be written.

    Raises:
        UsageError: a pipe or a folder is in the place of the file.
    """
    if path.is_fifo() or path.is_dir():
        raise UsageError(f"{path}: is not a plain file; move it away.")


def _update_of(line: bytes) -> float:
    """Return the update of an entry; infinity if the line is not one."""
    try:
        return float(json.loads(line)["update"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return math.inf


def _is_unwritable(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def format_perplexity(loss: float) -> str:
    """Return exp(`loss`), short: `30.3`, `1.1e+07`, `inf`."""
    perplexity = math.inf if loss > 700 else math.exp(loss)
    return f"{perplexity:.1f}" if perplexity < 1e6 else f"{perplexity:.1e}"


def format_duration(seconds: float) -> str:
    """Return a time as `00:41` (minutes, seconds) or `2:05:00` (hours as well), `?` for NaN."""
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"


def _console(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


class _LogFile(logging.FileHandler):
    """`train.log`; where others would print a traceback and go on, a full disk ends the run."""

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
