"""One entry to every search."""

from collections.abc import Sequence

from torch import Tensor

from nmt.models.shortlist import Choice
from nmt.search.beam import beam_search
from nmt.search.hypothesis import Hypothesis
from nmt.search.options import SearchOptions
from nmt.search.sampling import sample
from nmt.search.scorer import Scorer


def search(
    scorer: Scorer,
    source: Tensor,
    source_mask: Tensor,
    options: SearchOptions,
    *,
    numbers: Sequence[int] | None = None,
    choice: Choice | None = None,
) -> list[list[Hypothesis]]:
    """Translate a batch as `options` says.

    Args:
        scorer: gives the probabilities.
        source: ids ending in EOS, [batch, src_len].
        source_mask: [batch, src_len].
        options: what to search, how far, and what to return.
        numbers: random stream of each sentence when sampling; None = its place in the batch.
        choice: the pieces to write with; None = all.

    Returns:
        Up to `options.n_best` hypotheses per sentence; best first, samples as they were drawn.
    """
    if choice is not None:
        found = search(scorer.narrow(choice), source, source_mask, options, numbers=numbers)
        names = choice.pieces.tolist()
        return [[hypothesis.renamed(names) for hypothesis in each] for each in found]
    if options.sample:
        streams = range(source.shape[0]) if numbers is None else numbers
        return sample(scorer, source, source_mask, options, numbers=streams)
    return beam_search(scorer, source, source_mask, options)
