"""Expected scores of translations when it is not known which of them is right."""

from collections.abc import Sequence
from typing import Literal

from nmt.evaluation.tokenizers import choose_tokenizer

Utility = Literal["chrf", "bleu"]
"""Sentence scores of sacrebleu: chrF2, or BLEU with the orders that a sentence has."""


def expected_scores(
    texts: Sequence[str], weights: Sequence[float], utility: Utility
) -> list[float]:
    """Return the expected score of each text, from 0 to 100, if one of `texts` is the reference.

    The text with the highest one is the choice of minimum Bayes risk (Kumar and Byrne, 2004).

    Args:
        texts: translations of one sentence, which may be equal.
        weights: how likely each is the reference, up to a factor.
        utility: the score.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    metric: BLEU | CHRF = CHRF()
    if utility == "bleu":
        metric = BLEU(tokenize=choose_tokenizer(texts), effective_order=True)
    shares = dict.fromkeys(texts, 0.0)  # each different text is compared once
    for text, weight in zip(texts, weights, strict=True):
        shares[text] += weight / sum(weights)
    expected = {
        text: sum(
            share * metric.sentence_score(text, [other]).score for other, share in shares.items()
        )
        for text in shares
    }
    return [expected[text] for text in texts]
