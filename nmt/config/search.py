"""`[search]`: search options; shipped with the model, may be overridden on the command line.

This is the only declaration of a search option. TOML files, the options of `nmt translate`, and
`change_search` of the Python interface follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from nmt.config import limits
from nmt.config.section import Section
from nmt.errors import UsageError


@dataclass(frozen=True)
class OnlyWith:
    """Marks an option that has no effect unless another has a certain value."""

    option: str
    """Name of the other option."""
    value: bool | str
    """Value that the other option must have."""


class SearchConfig(Section):
    """How translations are searched. Lengths are in pieces and count the end symbol."""

    beam: Annotated[int, OnlyWith("sample", False)] = Field(
        default=5, ge=1, le=limits.MOST_HYPOTHESES
    )
    """Hypotheses kept per sentence; 1 = greedy."""
    n_best: int = Field(default=1, ge=1, le=limits.MOST_HYPOTHESES)
    """Translations per sentence, at most `beam` unless sampling."""
    stop: Annotated[Literal["full", "best"], OnlyWith("sample", False)] = "full"
    """End the search of a sentence when `beam` hypotheses are finished, or only when no unfinished
    one can score more than the `n_best` finished ones; that is slower."""
    groups: Annotated[int, OnlyWith("sample", False)] = Field(
        default=1, ge=1, le=limits.MOST_HYPOTHESES
    )
    """Divide the beam into this many groups that avoid each other's pieces (diverse beam search,
    Vijayakumar et al., 2018), for n-best lists; 1 = a plain beam."""
    diversity: float = Field(default=0.5, ge=0.0, le=limits.MOST_DIVERSITY)
    """With `groups`: what the log-probability of a piece loses for each hypothesis of an earlier
    group that takes it at the same step."""
    length_penalty: Literal["none", "average", "gnmt"] = "average"
    """Compare hypotheses by sum, by mean per piece, or by sum / ((5 + length) / 6)^alpha
    (Wu et al., 2016)."""
    alpha: Annotated[float, OnlyWith("length_penalty", "gnmt")] = Field(
        default=0.6, ge=0.0, le=limits.MOST_ALPHA
    )
    """Exponent of the "gnmt" penalty."""
    coverage_penalty: float = Field(default=0.0, ge=0.0, le=limits.MOST_COVERAGE_PENALTY)
    """Weight of the coverage penalty (Wu et al., 2016), for source positions with little attention;
    needs attention."""
    max_length_factor: float = Field(default=2.0, ge=0.0, le=limits.MOST_LENGTH_FACTOR)
    """Longest translation in pieces = factor x source pieces + offset."""
    max_length_offset: int = Field(default=20, ge=1, le=limits.MOST_LENGTH_OFFSET)
    """See max_length_factor."""
    min_length_factor: float = Field(default=0.0, ge=0.0, le=limits.MOST_LENGTH_FACTOR)
    """Shortest translation in pieces = factor x source pieces + offset."""
    min_length_offset: int = Field(default=0, ge=0, le=limits.MOST_LENGTH_OFFSET)
    """See min_length_factor."""
    no_repeat_ngram: int = Field(default=0, ge=0)
    """Repeat no n-gram of this many pieces in a translation (Paulus et al., 2018); 0 = off."""
    ban: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Words or phrases that no translation may contain, spelled exactly so; on the command line, a
    file with one per line."""
    shortlist: int = Field(default=0, ge=0)
    """Use only this many of the most frequent pieces, plus likely translations of the source
    (Jean et al., 2015): faster; 0 = use all."""
    lm_weight: float = Field(default=0.2, ge=0.0, le=limits.MOST_LM_WEIGHT)
    """Weight of the log-probabilities of the language model given with --lm (Gulcehre et al.,
    2015)."""
    rescore_weight: float = Field(default=1.0, ge=0.0, le=limits.MOST_LM_WEIGHT)
    """Weight of the log-probabilities of the models given with --rescore, which are added to the
    scores of all hypotheses of a sentence, after the same length penalty."""
    mbr: Literal["none", "chrf", "bleu"] = "none"
    """Minimum Bayes risk: of all hypotheses of the beam, or of the samples, return those with the
    highest expected chrF or sentence BLEU (Kumar and Byrne, 2004; Eikema and Aziz, 2020)."""
    sample: bool = False
    """Sample translations instead of searching for the best."""
    temperature: Annotated[float, OnlyWith("sample", True)] = Field(
        default=1.0, ge=limits.LEAST_TEMPERATURE, le=limits.MOST_TEMPERATURE
    )
    """Divisor of log-probabilities before sampling: below 1 safer, above 1 more varied."""
    top_k: Annotated[int, OnlyWith("sample", True)] = Field(default=0, ge=0)
    """Sample from the k most likely pieces; 0 = from all."""
    top_p: Annotated[float, OnlyWith("sample", True)] = Field(default=1.0, gt=0.0, le=1.0)
    """Sample from the fewest pieces that together have this probability; 1 = from all."""
    seed: Annotated[int, OnlyWith("sample", True)] = Field(default=1, ge=0)
    """Seed of sampling; the samples of a line depend on this and on its number."""
    candidates: Annotated[int, OnlyWith("sample", True)] = Field(
        default=50, ge=1, le=limits.MOST_HYPOTHESES
    )
    """Samples of a sentence from which `mbr` or --rescore chooses."""

    @model_validator(mode="after")
    def _require_wide_beam(self) -> Self:
        if not self.sample and self.n_best > self.beam:
            raise ValueError(
                f"n_best: {self.n_best} is more than a beam of {self.beam} can find; "
                f"ask for at most {self.beam}, or for a beam of {self.n_best}"
            )
        return self

    @model_validator(mode="after")
    def _require_equal_groups(self) -> Self:
        if not self.sample and self.beam % self.groups:
            raise ValueError(
                f"groups: a beam of {self.beam} cannot be divided into {self.groups} equal groups; "
                f"take a beam of {self.groups * max(1, round(self.beam / self.groups))}"
            )
        return self


def change_search(config: SearchConfig, changes: Mapping[str, object]) -> SearchConfig:
    """Return `config` with changed values of some options, by name.

    Raises:
        UsageError: there is no such option, or a value is not allowed.
    """
    from nmt.config.faults import faults_of  # here, since it imports all sections, this one too

    try:
        return SearchConfig.model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        faults = [fault.within("search") for fault in faults_of(error, inside=("search",))]
        raise UsageError("\n".join(faults)) from None
