"""`[search]`: how a translation is found; shipped with the model, command lines may override."""

from typing import Literal

from pydantic import Field

from nmt.config import limits
from nmt.config.section import Section


class SearchConfig(Section):
    """How a translation is found."""

    beam: int = Field(default=5, ge=1, le=limits.MOST_HYPOTHESES)
    """Hypotheses kept; 1 = greedy."""
    length_penalty: Literal["none", "average", "gnmt"] = "average"
    """Compare hypotheses by sum, by mean per piece, or by sum / ((5 + length) / 6)^alpha
    (Wu et al., 2016)."""
    alpha: float = Field(default=0.6, ge=0.0, le=limits.MOST_ALPHA)
    """Exponent of the "gnmt" penalty."""
    coverage_penalty: float = Field(default=0.0, ge=0.0, le=limits.MOST_COVERAGE_PENALTY)
    """Weight of the penalty for source positions left unread (Wu et al., 2016)."""
    max_length_factor: float = Field(default=2.0, ge=0.0, le=limits.MOST_LENGTH_FACTOR)
    """Longest translation in pieces = factor x source pieces + offset."""
    max_length_offset: int = Field(default=20, ge=1, le=limits.MOST_LENGTH_OFFSET)
    """See max_length_factor."""
    min_length_factor: float = Field(default=0.0, ge=0.0, le=limits.MOST_LENGTH_FACTOR)
    """Shortest translation in pieces = factor x source pieces + offset."""
    min_length_offset: int = Field(default=0, ge=0, le=limits.MOST_LENGTH_OFFSET)
    """See min_length_factor."""
    no_repeat_ngram: int = Field(default=0, ge=0)
    """Write no run of so many pieces twice in a translation (Paulus et al., 2018); 0 = off."""
    shortlist: int = Field(default=0, ge=0)
    """Write with so many of the most frequent pieces, and with those that are likely for the
    source (Jean et al., 2015): faster; 0 = with all."""
