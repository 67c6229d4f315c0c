"""What a search may be told."""

import math
from dataclasses import dataclass
from typing import Literal

from nmt.config import limits
from nmt.config.search import SearchConfig
from nmt.errors import UsageError

LengthPenalty = Literal["none", "average", "gnmt"]

_RANGES: dict[str, tuple[float, float]] = {
    "beam": (1, limits.MOST_HYPOTHESES),
    "n_best": (1, limits.MOST_HYPOTHESES),
    "alpha": (0, limits.MOST_ALPHA),
    "coverage_penalty": (0, limits.MOST_COVERAGE_PENALTY),
    "max_length_factor": (0, limits.MOST_LENGTH_FACTOR),
    "max_length_offset": (1, limits.MOST_LENGTH_OFFSET),
    "min_length_factor": (0, limits.MOST_LENGTH_FACTOR),
    "min_length_offset": (0, limits.MOST_LENGTH_OFFSET),
    "temperature": (limits.LEAST_TEMPERATURE, limits.MOST_TEMPERATURE),
    "no_repeat_ngram": (0, math.inf),
    "shortlist": (0, math.inf),
    "top_k": (0, math.inf),
    "seed": (0, math.inf),
}


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How translations are found. All lengths are in pieces and count the end symbol."""

    beam: int = 5
    """Hypotheses kept per sentence; 1 = greedy."""
    n_best: int = 1
    """Hypotheses returned per sentence; at most `beam`, or the number of samples."""
    length_penalty: LengthPenalty = "average"
    """Compare by sum, mean per piece, or sum / ((5 + length) / 6)^alpha."""
    alpha: float = 0.6
    """Exponent of "gnmt"."""
    coverage_penalty: float = 0.0
    """Weight of the penalty for source positions left unread; needs attention."""
    max_length_factor: float = 2.0
    """Longest translation = factor x source length + offset."""
    max_length_offset: int = 20
    """See max_length_factor."""
    min_length_factor: float = 0.0
    """Shortest translation = factor x source length + offset."""
    min_length_offset: int = 0
    """See min_length_factor."""
    no_repeat_ngram: int = 0
    """No run of so many pieces stands twice in a hypothesis; 0 = it may."""
    sample: bool = False
    """Draw translations instead of searching the best."""
    temperature: float = 1.0
    """Divides the log-probabilities before drawing: below 1 safer, above 1 more varied."""
    top_k: int = 0
    """Draw from the k most likely pieces only; 0 = all."""
    top_p: float = 1.0
    """Draw from the fewest pieces that together have this probability; 1 = all."""
    seed: int = 1
    """Every sentence draws from its own stream, which follows from this and its number."""
    shortlist: int = 0
    """Write with so many of the most frequent pieces, and with those that are likely for the
    source; 0 = with all."""
    keep_attention: bool = False
    """Return where each piece looked."""
    fixed_shape: bool = False
    """Keep finished sentences in the batch, so that every step computes the same shapes."""

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                allowed = f"from {least:g} to {most:g}" if most < math.inf else f"at least {least}"
                raise UsageError(f"{name}: {value} is out of range; it must be {allowed}.")
        if self.length_penalty not in ("none", "average", "gnmt"):
            raise UsageError(
                f'length_penalty: "{self.length_penalty}" is unknown; "none", "average" or "gnmt".'
            )
        if not self.sample and self.n_best > self.beam:
            raise UsageError(
                f"n_best: {self.n_best} is more than beam = {self.beam} can find; "
                f"ask for at most {self.beam}, or set beam to {self.n_best}."
            )
        if not 0.0 < self.top_p <= 1.0:
            raise UsageError(f"top_p: {self.top_p} must be above 0 and at most 1.")

    @classmethod
    def from_config(cls, config: SearchConfig) -> "SearchOptions":
        """Return the options that `[search]` asks for, the rest at their defaults."""
        return cls(
            beam=config.beam,
            length_penalty=config.length_penalty,
            alpha=config.alpha,
            coverage_penalty=config.coverage_penalty,
            max_length_factor=config.max_length_factor,
            max_length_offset=config.max_length_offset,
            min_length_factor=config.min_length_factor,
            min_length_offset=config.min_length_offset,
            no_repeat_ngram=config.no_repeat_ngram,
            shortlist=config.shortlist,
        )
