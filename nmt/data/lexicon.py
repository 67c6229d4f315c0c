"""Likely translations of each source piece, estimated from the training corpus.

IBM model 1 (Brown et al., 1993): each target piece is the translation of one of the source pieces
of its sentence, and expectation maximisation estimates which. A search restricted to likely pieces
has a much smaller output layer to compute (Jean et al., 2015); see `nmt.models.shortlist`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.data.corpus import Corpus
from nmt.storage.tensors import save_arrays
from nmt.text.subword import LIKELY, SHORTLIST_FILE

_ITERATIONS = 4
_ENTRIES = 8_000_000  # pairs of a source and a target token; a large corpus is sampled

Pieces = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Lexicon:
    """Frequencies and translation probabilities of the target pieces of a corpus."""

    frequent: Pieces
    """All target pieces, the most frequent first, [target_vocab]."""
    likely: Pieces
    """Most likely translations of each source piece, best first, padded with PAD,
    [source_vocab, LIKELY]."""
    probability: npt.NDArray[np.float32]
    """p(target piece | source piece) of each, padded with 0, [source_vocab, LIKELY]."""

    def save(self, folder: Path) -> None:
        """Write it into a folder, for `nmt.models.shortlist` and `nmt.objectives.guide`."""
        arrays = {
            "frequent": self.frequent,
            "likely": self.likely,
            "probability": self.probability,
        }
        save_arrays(folder / SHORTLIST_FILE, arrays, {})


def learn_lexicon(corpus: Corpus, *, source_vocab: int, target_vocab: int) -> Lexicon:
    """Estimate a lexicon from a prepared corpus; the same corpus gives the same result.

    Args:
        corpus: training corpus.
        source_vocab: number of source pieces.
        target_vocab: number of target pieces.
    """
    source, target, token = _entries(corpus)
    count = np.bincount(target[np.unique(token, return_index=True)[1]], minlength=target_vocab)
    frequent = np.argsort(-count, kind="stable").astype(np.int32)
    likely = np.zeros((source_vocab, LIKELY), np.int32)
    entries = source.astype(np.int64) * target_vocab + target
    known, probability = _translate(entries, token, target_vocab)
    pieces, translations = known // target_vocab, known % target_vocab
    order = np.lexsort((translations, -probability, pieces))
    pieces, translations, probability = pieces[order], translations[order], probability[order]
    rank = np.arange(len(pieces)) - np.searchsorted(pieces, pieces)  # within its source piece
    kept = rank < LIKELY
    likely[pieces[kept], rank[kept]] = translations[kept]
    probabilities = np.zeros(likely.shape, np.float32)
    probabilities[pieces[kept], rank[kept]] = probability[kept]
    return Lexicon(frequent, likely, probabilities)


def _entries(corpus: Corpus) -> tuple[Pieces, Pieces, Pieces]:
    """Return all pairs of a source and a target token of one sentence, without end symbols.

    Returns:
        Source pieces, target pieces, and the index of the target token, [entries].
    """
    products = (corpus.source_lengths - 1).astype(np.int64) * (corpus.target_lengths - 1)
    stride = max(1, -(-int(products.sum()) // _ENTRIES))  # rounded up
    sources, targets, tokens, first = [], [], [], 0
    for index in range(0, len(corpus), stride):
        source, target = (ids[:-1].astype(np.int32) for ids in corpus.pair(index))
        sources.append(np.tile(source, len(target)))
        targets.append(np.repeat(target, len(source)))
        numbers = np.arange(first, first + len(target), dtype=np.int32)
        tokens.append(np.repeat(numbers, len(source)))
        first += len(target)
    return np.concatenate(sources), np.concatenate(targets), np.concatenate(tokens)


def _translate(
    entries: npt.NDArray[np.int64], token: Pieces, target_vocab: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the pairs of pieces that occur, and p(target piece | source piece) of each.

    Args:
        entries: source piece x target_vocab + target piece, [entries].
        token: index of the target token, [entries].
        target_vocab: number of target pieces.
    """
    known, place = np.unique(entries, return_inverse=True)
    source = known // target_vocab
    probability = np.ones(len(known))
    for _ in range(_ITERATIONS):
        share = probability[place]
        share /= np.bincount(token, share)[token]  # posterior of each source token
        expected = np.bincount(place, share)
        probability = expected / np.bincount(source, expected)[source]
    return known, probability
