"""Lines that a model reads as a whole, for kinds of models that do not translate.

A label is that of a line, and tags are those of its words: such a line is neither cut into
sentences, nor copied, nor spelled in another way.
"""

from collections.abc import Callable, Sequence

from nmt.text.normalize import Normalizer
from nmt.text.reading import Segment
from nmt.text.scripts import has_visible
from nmt.text.sentences import Span
from nmt.text.subword import Subword
from nmt.text.vocabulary import BOS, UNK


def encode_words(subword: Subword, text: str) -> list[int]:
    """Return one id for each word of a normalised line, UNK for those without a piece.

    `Subword.encode` has one UNK for several unknown words in a row.
    """
    found = (subword.id_of(f"▁{word}") for word in text.split())
    return [UNK if piece is None else piece for piece in found]


def encode_positions(text: str) -> list[int]:
    """Return one id for each position of a line of numbers; BOS stands for all."""
    return [BOS] * len(text.split())


class WholeLineReader:
    """Reads each line as one segment.

    Args:
        normalizer: applied to each line.
        encode: returns the ids of a normalised line.
    """

    def __init__(self, normalizer: Normalizer, encode: Callable[[str], Sequence[int]]) -> None:
        self._normalizer, self._encode = normalizer, encode

    def read(self, line: str, number: int) -> list[Segment]:
        """Return the line as a segment; none if nothing of it is visible."""
        if not has_visible(line):
            return []
        text = self._normalizer.normalize(line)
        begin = len(line) - len(line.lstrip())
        ids = self._encode(text)
        return [Segment(Span(begin, begin + len(line.strip())), ids, text, unknown=ids.count(UNK))]

    def report(self) -> None:
        """Do nothing: no line is cut."""
