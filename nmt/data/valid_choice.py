"""The choice of training sentences to validate on when no validation files are named."""

from array import array

import numpy as np
from numpy.typing import NDArray

from nmt.text.filters import digest_of

MOST = 1000
"""Largest number of sentences held out for validation."""
_SHARE = 20  # at most one sentence in 20


class ValidChoice:
    """Chooses source sentences of the training files to hold out for validation.

    All pairs of a chosen sentence leave the training data, so it is on one side only. Sentences
    come first whose translations occur nowhere else, that are no copies and not overlong; the
    choice among them depends on nothing but their text. Takes 17 bytes of memory per pair.

    Args:
        longest: characters above which a line is overlong.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._sources, self._targets = array("Q"), array("Q")
        self._unwanted = bytearray()

    def add(self, source: str, target: str) -> None:
        """Include a training pair; for a language model, the line twice."""
        self._sources.append(digest_of(source))
        self._targets.append(digest_of(target))
        is_overlong = max(len(source), len(target)) > self._longest
        self._unwanted.append(source == target or is_overlong)

    def choose(self) -> frozenset[int]:
        """Return the digests of the chosen sources; none if there is only one sentence."""
        if not self._sources:
            return frozenset()
        sources, targets = (np.array(each, np.uint64) for each in (self._sources, self._targets))
        is_unwanted = np.array(self._unwanted, bool) | _is_shared(sources, targets)
        distinct = np.unique(sources)  # in the order of the digests, which is random
        if len(distinct) < 2:
            return frozenset()
        comes_later = np.isin(distinct, sources[is_unwanted])
        ranked = distinct[np.argsort(comes_later, kind="stable")]
        return frozenset(ranked[: min(MOST, max(1, len(distinct) // _SHARE))].tolist())


def _is_shared(sources: NDArray[np.uint64], targets: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether the target of each pair also occurs with another source, [pairs]."""
    order = np.lexsort((sources, targets))
    sources, targets = sources[order], targets[order]
    is_new_target = np.append(True, targets[1:] != targets[:-1])
    is_new_pair = is_new_target | np.append(True, sources[1:] != sources[:-1])
    group = np.cumsum(is_new_target) - 1
    is_shared = np.empty(len(order), bool)
    is_shared[order] = (np.bincount(group, weights=is_new_pair) > 1)[group]
    return is_shared
