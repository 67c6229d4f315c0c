"""Time of attention over source length x target length: it compares each pair of positions.

What is timed is the part of Luong's general attention that depends on both lengths, forwards: the
scores of all queries with all keys, their softmax, and the weighted sums of states. The keys
themselves are one product per source position, and count as part of the model elsewhere.
"""

from collections.abc import Callable, Sequence

import torch

from curves.curve import Curve
from curves.measure import median_seconds
from curves.options import Options
from curves.points import Point, Side
from nmt.layers.attention import GeneralAttention
from nmt.translator import DTYPES

_SEED = 1


def attention_curve(
    side: Side, lengths: Sequence[tuple[int, int]], base: Point, options: Options
) -> Curve:
    """Return the seconds for a batch at each pair of a source and a target length."""
    seconds = [median_seconds(attending(*pair, base, options), options) for pair in lengths]
    products = [source * target for source, target in lengths]
    return Curve("attention", side, products, seconds, products)


def attending(source: int, target: int, base: Point, options: Options) -> Callable[[], int]:
    """Return what attends once from all targets to all sources of a batch, and counts it."""
    torch.manual_seed(_SEED)
    units, rows, dtype = base.hidden_size, options.sentences, DTYPES[options.precision]
    attention = GeneralAttention(units, units).to(dtype)
    query = torch.randn(rows, target, units, dtype=dtype)
    states = torch.randn(rows, source, units, dtype=dtype)
    mask = torch.ones(rows, source, dtype=torch.bool)
    with torch.inference_mode():
        keys = attention.keys(states)

    @torch.inference_mode()
    def attend() -> int:
        attention.attend(query, keys, states, mask)
        return 1

    return attend
