"""Random segmentations of a text, reproducible from a seed in every process.

sentencepiece samples as well, but seeds its generator differently in every process, so that two
ranks, or a run and its resumption, cannot agree. Pieces never cross a space, so words are
independent, and the computation for a word is cached.
"""

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from nmt.text.vocabulary import UNK

SPACE = "▁"
"""The symbol for a space inside pieces (U+2581)."""

_WORD = re.compile(f"{SPACE}[^{SPACE}]*")
_CACHED_WORDS = 1 << 17
_LONGEST_MERGED = 512  # characters; a sentence without spaces has fewer
_LONGEST_CACHED_WORD = 64
_UNKNOWN_PENALTY = 10.0  # log-probability of the rarest piece less that of an unknown character


@dataclass(frozen=True)
class PieceTable:
    """The pieces of a subword model.

    Attributes:
        ids: id of each ordinary piece.
        scores: of each id; log-probability (unigram) or negative rank of its merge (bpe).
        bytes: id of each of the 256 bytes; empty without byte fallback.
    """

    ids: Mapping[str, int]
    scores: list[float]
    bytes: list[int]

    def spell(self, character: str) -> list[int]:
        """Return the ids that spell a character without a piece of its own."""
        if not self.bytes:
            return [UNK]
        return [self.bytes[value] for value in character.encode("utf-8", "replace")]


class Symbols:
    """Texts that are never cut, each a piece of its own (sentencepiece's user-defined symbols).

    Args:
        ids: id of each of them.
    """

    def __init__(self, ids: Mapping[str, int]) -> None:
        self.ids = ids
        longest_first = sorted(ids, key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if ids else None

    def split(self, text: str) -> list[str]:
        """Return the symbols in `text` and the texts between them, in order."""
        return [text] if self._pattern is None else [*filter(None, self._pattern.split(text))]


def sample_segmentation(
    text: str,
    sample_word: Callable[[str, random.Random], list[int]],
    generator: random.Random,
    symbols: Symbols,
) -> list[int]:
    """Return ids for `text`, each word segmented by `sample_word`; adjacent unknowns are merged.

    Symbols stay whole.
    """
    ids: list[int] = []
    if not text:
        return ids
    for word in _WORD.findall(SPACE + text.replace(" ", SPACE)):
        for part in symbols.split(word):
            symbol = symbols.ids.get(part)
            for piece in sample_word(part, generator) if symbol is None else [symbol]:
                if piece != UNK or not ids or ids[-1] != UNK:
                    ids.append(piece)
    return ids


@dataclass(frozen=True)
class _Arcs:
    """The pieces that may end at one position of a word.

    Attributes:
        begins: start position of each piece.
        ids: ids of each piece; several if it is spelled in bytes.
        cumulated: cumulative probabilities of the pieces, given that a boundary is here.
    """

    begins: list[int]
    ids: list[list[int]]
    cumulated: list[float]


class UnigramSampler:
    """Subword regularisation (Kudo, 2018, section 3.2) over all segmentations of a word.

    A segmentation has a probability proportional to p(pieces)^alpha. Forward filtering over the
    lattice of pieces gives the sums; a segmentation is then sampled backward from the end.
    """

    def __init__(self, pieces: PieceTable, alpha: float) -> None:
        self._pieces = pieces
        self._alpha = alpha
        self._longest = max(map(len, pieces.ids), default=1)
        ordinary = [pieces.scores[i] for i in pieces.ids.values()]
        self._unknown_score = min(ordinary, default=0.0) - _UNKNOWN_PENALTY
        self._lattices: dict[str, list[_Arcs]] = {}

    def __call__(self, word: str, generator: random.Random) -> list[int]:
        """Return the ids of a random segmentation of `word`."""
        lattice = self._lattices.get(word)
        if lattice is None:
            lattice = self._build(word)
            self._keep(word, lattice)
        drawn = []
        end = len(word)
        while end:
            arcs = lattice[end]
            choice = 0
            if len(arcs.begins) > 1:
                threshold = generator.random()
                while arcs.cumulated[choice] <= threshold:
                    choice += 1
            drawn.append(arcs.ids[choice])
            end = arcs.begins[choice]
        return [piece for ids in reversed(drawn) for piece in ids]

    def _build(self, word: str) -> list[_Arcs]:
        """Return the arcs that end at each position 0 ... len(word)."""
        lattice = [_Arcs([], [], [])]
        forward = [0.0]  # log of the total weight of all paths to a position
        for end in range(1, len(word) + 1):
            begins, ids, logs = [], [], []
            for begin in range(max(0, end - self._longest), end):
                piece = self._pieces.ids.get(word[begin:end])
                if piece is not None:
                    score, spelled = self._pieces.scores[piece], [piece]
                elif begin == end - 1:
                    score, spelled = self._unknown_score, self._pieces.spell(word[begin])
                else:
                    continue
                begins.append(begin)
                ids.append(spelled)
                logs.append(forward[begin] + self._alpha * score)
            largest = max(logs)
            weights = [math.exp(log - largest) for log in logs]
            total = math.fsum(weights)
            forward.append(largest + math.log(total))
            cumulated = list(accumulate(weight / total for weight in weights))
            cumulated[-1] = 1.0  # above random(), so that rounding never leaves no choice
            lattice.append(_Arcs(begins, ids, cumulated))
        return lattice

    def _keep(self, word: str, lattice: list[_Arcs]) -> None:
        if len(word) > _LONGEST_CACHED_WORD:
            return
        if len(self._lattices) >= _CACHED_WORDS:
            self._lattices.clear()
        self._lattices[word] = lattice


@dataclass(frozen=True)
class _Undropped:
    """The segmentation of a word if no merge is dropped.

    Attributes:
        places: index of the left symbol of each merge, in order.
        ids: of the final pieces.
    """

    places: list[int]
    ids: list[int]


class BpeDropout:
    """Byte-pair encoding with random omission of merges (Provilkov et al., 2020, alg. 1).

    At every step each possible merge of a word is dropped with probability `rate`, and the best of
    the others is made; when none is left, the word is done. Rate 0 gives the usual segmentation.

    As long as the best merge is not dropped, it does not matter whether others are: until then, the
    word follows its usual segmentation, which is cached.
    """

    def __init__(self, pieces: PieceTable, rate: float) -> None:
        self._pieces = pieces
        self._rate = rate
        self._known: dict[str, _Undropped] = {}

    def __call__(self, word: str, generator: random.Random) -> list[int]:
        """Return the ids of a random segmentation of `word`.

        The time grows with the square of its length, so overlong words are merged in parts.
        """
        if len(word) > _LONGEST_CACHED_WORD:
            parts = (word[at : at + _LONGEST_MERGED] for at in range(0, len(word), _LONGEST_MERGED))
            return [piece for part in parts for piece in self._merge(list(part), generator)]
        usual = self._known.get(word) or self._keep(word)
        for step, best in enumerate(usual.places):
            if generator.random() < self._rate:
                symbols = list(word)
                for place in usual.places[:step]:
                    _join(symbols, place)
                return self._merge(symbols, generator, dropped=best)
        return [*usual.ids]

    def steps(self, word: str) -> set[str]:
        """Return every symbol that occurs while `word` is merged without dropping."""
        symbols = list(word)
        return {*symbols, *(_join(symbols, place) for place in self._best_merges(symbols))}

    def _keep(self, word: str) -> _Undropped:
        symbols, places = list(word), []
        for place in self._best_merges(symbols):
            _join(symbols, place)
            places.append(place)
        if len(self._known) >= _CACHED_WORDS:
            self._known.clear()
        self._known[word] = _Undropped(places, self._spell(symbols))
        return self._known[word]

    def _merge(
        self, symbols: list[str], generator: random.Random, dropped: int | None = None
    ) -> list[int]:
        """Merge `symbols` in place until no merge is left, and return the ids.

        The merge at `dropped` has already been dropped in the first step.
        """
        place = self._best_merge(symbols, generator, dropped)
        while place is not None:
            _join(symbols, place)
            place = self._best_merge(symbols, generator)
        return self._spell(symbols)

    def _best_merges(self, symbols: list[str]) -> Iterator[int]:
        """Yield the place of the best merge, which the caller makes, until none is left."""
        while (place := self._best_merge(symbols)) is not None:
            yield place

    def _best_merge(
        self,
        symbols: list[str],
        generator: random.Random | None = None,
        dropped: int | None = None,
    ) -> int | None:
        """Return the place of the best merge that is not dropped; the first among equals.

        No merge is dropped without a generator; `dropped` always is.
        """
        best, best_score = None, -math.inf
        known, scores, rate = self._pieces.ids, self._pieces.scores, self._rate
        for place in range(len(symbols) - 1):
            piece = known.get(symbols[place] + symbols[place + 1])
            if piece is None or place == dropped or (generator and generator.random() < rate):
                continue
            if scores[piece] > best_score:
                best, best_score = place, scores[piece]
        return best

    def _spell(self, symbols: list[str]) -> list[int]:
        ids = []
        for symbol in symbols:
            piece = self._pieces.ids.get(symbol)
            ids.extend(self._pieces.spell(symbol) if piece is None else [piece])
        return ids


def _join(symbols: list[str], place: int) -> str:
    """Merge the symbols at `place` and after it, in place, and return the result."""
    merged = symbols[place] + symbols[place + 1]
    symbols[place : place + 2] = [merged]
    return merged
