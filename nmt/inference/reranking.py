"""Reordering the hypotheses of a sentence by other models, or by their expected scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nmt.config.search import SearchConfig
from nmt.evaluation.expected import Utility, expected_scores
from nmt.inference.scoring import Scoring
from nmt.inference.translating import Hypotheses
from nmt.search.hypothesis import Hypothesis
from nmt.search.lengths import divisor
from nmt.text.subword import Subword


@dataclass(frozen=True)
class Rescoring:
    """Adds the log-probabilities under other models to the scores of hypotheses.

    To a hypothesis, a model contributes weight x log p(its text) / divisor(pieces of its text), the
    divisor being that of the length penalty. Each model reads and cuts the texts in its own way.
    """

    rescorers: Sequence[Scoring]
    """The other models; those without a source score the target alone."""
    options: SearchConfig
    """For the weight and the length penalty."""
    target: Subword
    """Pieces of the hypotheses."""

    def __call__(self, sources: Mapping[int, str], found: Hypotheses) -> Hypotheses:
        """See `Rerank`."""
        texts = {key: _texts(each, self.target) for key, each in found.items()}
        sums = {(key, text): 0.0 for key, of_sentence in texts.items() for text in of_sentence}
        for scoring in self.rescorers:
            reads = scoring.engine.has_source
            pairs = [(sources[key] if reads else "", text) for key, text in sums]
            for place, scored in zip(sums, scoring.run([pairs] if pairs else []), strict=True):
                sums[place] += scored.log_prob / divisor(len(scored.pieces), self.options)
        weight = self.options.rescore_weight
        return {
            key: _ranked(
                hypotheses,
                [
                    hypothesis.score + weight * sums[key, text]
                    for hypothesis, text in zip(hypotheses, texts[key], strict=True)
                ],
            )
            for key, hypotheses in found.items()
        }


@dataclass(frozen=True)
class MinimumBayesRisk:
    """Scores hypotheses by their expected score against each other.

    Samples count alike (Eikema and Aziz, 2020), the hypotheses of a beam by their probability,
    normalised over the beam (Kumar and Byrne, 2004).
    """

    utility: Utility
    are_samples: bool
    target: Subword
    """Pieces of the hypotheses."""

    def __call__(self, sources: Mapping[int, str], found: Hypotheses) -> Hypotheses:
        """See `Rerank`."""
        return {key: self._rank(hypotheses) for key, hypotheses in found.items()}

    def _rank(self, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        best = max(each.log_prob for each in hypotheses)
        weights = [
            1.0 if self.are_samples else math.exp(each.log_prob - best) for each in hypotheses
        ]
        texts = _texts(hypotheses, self.target)
        return _ranked(hypotheses, expected_scores(texts, weights, self.utility))


def _texts(hypotheses: Sequence[Hypothesis], target: Subword) -> list[str]:
    """Return the text of each hypothesis."""
    return [target.decode(each.tokens, each.beyond) for each in hypotheses]


def _ranked(hypotheses: Sequence[Hypothesis], scores: Sequence[float]) -> list[Hypothesis]:
    """Return hypotheses with new scores, best first; ties keep their order."""
    scored = [replace(each, score=score) for each, score in zip(hypotheses, scores, strict=True)]
    return sorted(scored, key=lambda each: -each.score)
