"""Ids of source pieces that say how they are written in the target; see `nmt.layers.copying`."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS, SPECIAL_PIECES, UNK

Ids = npt.NDArray[np.int64]

_NOWHERE = -1


class CopyIds:
    """Maps the pieces of source sentences to target ids by their spelling.

    A piece that the target vocabulary lacks, or text that is unknown, gets an id of its own. With
    byte fallback no text is unknown, and with a joint vocabulary the target lacks no piece: then
    ids are as they were.

    Args:
        source: subword model of the source side.
        target: subword model of the target side.
    """

    def __init__(self, source: Subword, target: Subword) -> None:
        self.source, self.target = source.parting_unknown(), target.parting_unknown()
        names = source.pieces(range(source.vocab_size))
        found = [target.id_of(name) for name in names]
        found[: len(SPECIAL_PIECES)] = range(len(SPECIAL_PIECES))
        self._values = np.array(
            [
                _NOWHERE if there is None or here == UNK else self._value(here, there)
                for here, there in enumerate(found)
            ],
            dtype=np.int64,
        )

    def _value(self, here: int, there: int) -> int:
        return here if here == there else here + self.source.vocab_size * (there + 1)

    def read(self, ids: Sequence[int] | Ids, text: str) -> tuple[Ids, tuple[str, ...]]:
        """Return the ids of a source sentence with their target ids.

        Args:
            ids: of `text`, or of its beginning, as `self.source` encodes it; EOS may follow.
            text: one normalised line.

        Returns:
            The ids, and the spelling of each text that the target vocabulary lacks, in the order
            of their target ids.
        """
        plain = np.asarray(ids, dtype=np.int64)
        values = self._values[plain]
        places = np.flatnonzero(values == _NOWHERE).tolist()
        if not places:
            return values, ()
        spelled = self.source.spell(text)
        beyond: dict[str, int] = {}
        for place in places:
            name = spelled[place]
            there = self.target.id_of(name)
            if there is None:
                there = beyond.setdefault(name, self.target.vocab_size + len(beyond))
            values[place] = plain[place] + self.source.vocab_size * (there + 1)
        return values, tuple(beyond)

    def write(self, ids: Sequence[int] | Ids, text: str, beyond: Sequence[str]) -> Ids:
        """Return the ids of a target sentence, with unknown text by its number in the source.

        Args:
            ids: of `text`, or of its beginning, as `self.target` encodes it; EOS may follow.
            text: one normalised line.
            beyond: what `read` returned of the source.
        """
        values = np.array(ids, dtype=np.int64)
        places = np.flatnonzero(values == UNK).tolist() if beyond else []
        if places:
            spelled = self.target.spell(text)
            for place in places:
                if spelled[place] in beyond:
                    values[place] = self.target.vocab_size + beyond.index(spelled[place])
        return values

    def pair(self, pair: tuple[Ids, Ids], texts: tuple[str, str]) -> tuple[Ids, Ids]:
        """Return the ids of a training pair with EOS; see `read` and `write`."""
        source, target = (
            np.array([*subword.encode(text), EOS], dtype=np.int64) if UNK in ids else ids
            for subword, ids, text in zip((self.source, self.target), pair, texts, strict=True)
        )
        read, beyond = self.read(source, texts[0])
        return read, self.write(target, texts[1], beyond)

    def lacking(self, pair: tuple[Ids, Ids], texts: tuple[str, str]) -> str:
        """Return the first piece of a target that its source does not hold; "" if it holds all."""
        read, written = self.pair(pair, texts)
        size = self.source.vocab_size
        held = np.where(read < size, read, read // size - 1)
        places = np.flatnonzero(~np.isin(written, held))
        return self.target.spell(texts[1])[places[0]] if len(places) else ""
