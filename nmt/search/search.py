"""Entry points of all searches.

`search` translates a batch from beginning to end. A server that receives sentences one by one calls
`advance` step by step instead, and adds sentences while others are in progress:

    decoding = start(scorer, source, mask, config, keys=[1, 2])
    decoding, found = advance(decoding)                               # {} or {2: hypotheses}, ...
    decoding = decoding.concat(start(scorer, other, its_mask, config, keys=[3]))
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt.config.search import SearchConfig
from nmt.search.beam import beam_step
from nmt.search.decoding import Decoding, start
from nmt.search.hypothesis import Hypothesis
from nmt.search.ranking import Rank, rank_plainly
from nmt.search.sampling import sample_step
from nmt.search.scorers import Scorer


@torch.inference_mode()
def search(
    scorer: Scorer,
    source: Tensor,
    source_mask: Tensor,
    config: SearchConfig,
    *,
    streams: Sequence[int] | None = None,
    keep_attention: bool = False,
    fixed_shape: bool = False,
    rank: Rank = rank_plainly,
    pieces: Sequence[str] = (),
    prefixes: Sequence[str] = (),
) -> list[list[Hypothesis]]:
    """Translate a batch.

    Args:
        scorer: scores the next pieces.
        source: ids ending in EOS, [batch, src_len].
        source_mask: [batch, src_len].
        config: search options.
        streams: number that seeds each sentence's random streams; None = its position.
        keep_attention: return attention with the hypotheses.
        fixed_shape: keep finished sentences in the batch, so that all steps have the same shapes.
        rank: finds the best continuations.
        pieces: target pieces by id, for rules about text.
        prefixes: what each translation must begin with, [batch]; see `start`.

    Returns:
        Up to `n_best` hypotheses per sentence; best first, samples in the order of their streams.
    """
    decoding = start(
        scorer,
        source,
        source_mask,
        config,
        streams=streams,
        keep_attention=keep_attention,
        pieces=pieces,
        prefixes=prefixes,
    )
    found: dict[int, list[Hypothesis]] = {}
    while len(found) < len(source):
        decoding, done = _advance(decoding, fixed_shape, rank)
        found |= done
    return [found[place] for place in range(len(source))]


@torch.inference_mode()
def advance(
    decoding: Decoding, *, fixed_shape: bool = False, rank: Rank = rank_plainly
) -> tuple[Decoding, dict[int, list[Hypothesis]]]:
    """Extend every hypothesis by one piece, according to the options of the decoding.

    Returns:
        The decoding after the step, without the sentences finished by it unless `fixed_shape`, and
        the hypotheses of those sentences.
    """
    return _advance(decoding, fixed_shape, rank)


def _advance(
    decoding: Decoding, fixed_shape: bool, rank: Rank
) -> tuple[Decoding, dict[int, list[Hypothesis]]]:
    """See `advance`, which enters inference mode; `search` does that once for all steps."""
    if decoding.config.sample:
        return sample_step(decoding, fixed_shape=fixed_shape)
    return beam_step(decoding, rank=rank, fixed_shape=fixed_shape)
