"""Translations and scores of lines, as values."""

from dataclasses import dataclass

from nmt.diagnostics.alignment import Link


@dataclass(frozen=True)
class TranslatedText:
    """One of the translations of a line."""

    text: str
    """Plain text, one line."""
    log_prob: float
    """Natural logarithm of its probability."""
    score: float
    """Score that ranks translations: `log_prob` after length and coverage penalties."""
    finished: bool
    """Whether it ended with the end symbol; False if it was cut at the length limit."""
    alignment: tuple[Link, ...] | None
    """(source word, target word), both counted from 0; None unless requested."""
    repeats: bool = False
    """True if some words are repeated in a loop, more often than in the source."""


@dataclass(frozen=True)
class Translation:
    """A line and its translations."""

    source: str
    """The line as it was given."""
    hypotheses: tuple[TranslatedText, ...]
    """At least one, best first."""

    @property
    def text(self) -> str:
        """The best translation."""
        return self.hypotheses[0].text

    @property
    def log_prob(self) -> float:
        """See `TranslatedText`."""
        return self.hypotheses[0].log_prob

    @property
    def score(self) -> float:
        """See `TranslatedText`."""
        return self.hypotheses[0].score

    @property
    def finished(self) -> bool:
        """See `TranslatedText`."""
        return self.hypotheses[0].finished

    @property
    def alignment(self) -> tuple[Link, ...] | None:
        """See `TranslatedText`."""
        return self.hypotheses[0].alignment


@dataclass(frozen=True)
class ScoredPair:
    """Log-probabilities of a given translation."""

    pieces: tuple[str, ...]
    """Target pieces, the end symbol last; an empty pair has none."""
    log_probs: tuple[float, ...]
    """Natural log-probability of each."""
    words: int
    """Number of target words, plus one for the end of the line; 0 for an empty pair."""

    @property
    def log_prob(self) -> float:
        """Their sum."""
        return sum(self.log_probs, start=0.0)

    @property
    def mean(self) -> float:
        """Their mean; 0 for an empty pair."""
        return self.log_prob / max(1, len(self.log_probs))
