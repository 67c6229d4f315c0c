"""Pieces that would complete a banned word.

A banned word may be the beginning of a longer, allowed word. So its own last piece is allowed; what
would end the word there is not: the next word, punctuation or the end symbol. A character may also
be spelled by several byte pieces; it ends a word when its last byte is written.
"""

import codecs
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nmt.search.hypothesis import BoolArray
from nmt.text.vocabulary import EOS, SPECIAL_PIECES

_SPACE = "▁"  # how sentencepiece writes a space
_BYTE = re.compile("<0x([0-9A-F]{2})>")  # how it writes a byte piece


@dataclass(frozen=True)
class BannedPieces:
    """Which pieces complete a banned word, by the text before them."""

    words: frozenset[str]
    """The banned words and phrases."""
    spelled: tuple[bytes, ...]
    """What each piece adds to the text, UTF-8, [vocab]."""
    bytes_of: tuple[int | None, ...]
    """The byte of each byte piece above 127, None for all others, [vocab]."""
    always: BoolArray
    """True for pieces that contain a complete banned word, [vocab]."""
    after: dict[str, BoolArray]
    """Beginning of a banned word, at the end of the text -> pieces that complete it, [vocab]."""
    longest: int
    """Length of the longest banned word, in characters."""

    @property
    def most_pieces(self) -> int:
        """Number of last pieces that `closed` needs: four bytes per character, with a margin."""
        return 4 * (self.longest + 2)

    def closed(self, pieces: list[int]) -> BoolArray | None:
        """Return the pieces that must not follow `pieces`; None if there are none.

        Args:
            pieces: the last `most_pieces` of a hypothesis, or all of them if it has fewer.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = " " + decoder.decode(b"".join([self.spelled[piece] for piece in pieces]))
        text, (unfinished, _) = text[-self.longest - 2 :], decoder.getstate()
        if not unfinished:
            return self._closed_after(text)
        if any(part in self.words for part in _last_parts(text)):
            return self._ending_a_word(unfinished)
        return self._closed_after(text + "\N{REPLACEMENT CHARACTER}")

    def _closed_after(self, text: str) -> BoolArray | None:
        found = None
        for part in _last_parts(text):
            if (more := self.after.get(part)) is not None:
                found = more if found is None else found | more
        return found

    def _ending_a_word(self, unfinished: bytes) -> BoolArray:
        """Return the pieces after which `unfinished` is not the beginning of a word character."""
        goes_on = [
            byte is not None and _may_be_word(unfinished + bytes([byte])) for byte in self.bytes_of
        ]
        return ~np.array(goes_on, dtype=np.bool_)


@lru_cache(maxsize=4)
def find_banned_pieces(words: tuple[str, ...], pieces: tuple[str, ...]) -> BannedPieces:
    """Return which pieces complete one of `words`, however it is segmented.

    Args:
        words: words or phrases.
        pieces: target pieces by id, as sentencepiece spells them.
    """
    banned = frozenset(" ".join(word.split()) for word in words) - {""}
    spelled = [
        b"" if piece < len(SPECIAL_PIECES) else spell(text) for piece, text in enumerate(pieces)
    ]
    bytes_of = [text[0] if len(text) == 1 and text[0] > 127 else None for text in spelled]
    always = np.zeros(len(pieces), dtype=np.bool_)
    ending: dict[str, BoolArray] = defaultdict(lambda: np.zeros(len(pieces), dtype=np.bool_))
    for piece, text in enumerate(spelled):
        if bytes_of[piece] is not None and _may_be_word(text):
            continue  # may become any character
        for start, part in _ended_parts(text.decode("utf-8", "replace")):
            if start == 0:
                ending[part][piece] = True
            elif part in banned:
                always[piece] = True
    ending[""][EOS] = True
    after: dict[str, BoolArray] = {}
    for word in banned:
        for length in range(len(word) + 1):
            if (rest := word[length:]) in ending:
                previous = after.get(word[:length])
                after[word[:length]] = ending[rest] if previous is None else previous | ending[rest]
    longest = max(map(len, banned), default=0)
    return BannedPieces(banned, tuple(spelled), tuple(bytes_of), always, after, longest)


def spell(piece: str) -> bytes:
    """Return the UTF-8 bytes that a piece adds to the text."""
    if found := _BYTE.fullmatch(piece):
        return bytes.fromhex(found[1])
    return piece.replace(_SPACE, " ").encode()


def _last_parts(text: str) -> Iterator[str]:
    """Yield each suffix of `text` that begins right after a non-word character."""
    for start in range(1, len(text) + 1):
        if not _is_word(text[start - 1]):
            yield text[start:]


def _ended_parts(text: str) -> Iterator[tuple[int, str]]:
    """Yield (start, part) for each part of `text` that ends right before a non-word character.

    A part starts at the beginning of the text or right after a non-word character.
    """
    edges = [place for place, character in enumerate(text) if not _is_word(character)]
    for end in edges:
        yield 0, text[:end]
        for start in edges:
            if start + 1 <= end:
                yield start + 1, text[start + 1 : end]


def _is_word(character: str) -> bool:
    """Whether a character is part of a word: a letter, mark or number, or an underscore."""
    return character == "_" or unicodedata.category(character)[0] in "LMN"


def _may_be_word(begun: bytes) -> bool:
    """Whether these bytes are a word character in UTF-8, or may become one."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        text = decoder.decode(begun)
    except UnicodeDecodeError:
        return False
    return not text or _is_word(text)
