"""A subword model without the pieces that a text never uses.

Many pieces learned from both languages together occur on one side only. English pieces would waste
space in the output layer of a model that generates German. So each side gets a model of the pieces
that its training text uses; `nmt prepare` prints their number.

The segmentation of that text does not change. New text is segmented into pieces seen in training,
where the whole model might have chosen an unseen one.
"""

from collections.abc import Iterable
from pathlib import Path

from nmt.text.protobuf import fields
from nmt.text.segmentation import SPACE, BpeDropout
from nmt.text.subword import Subword
from nmt.text.vocabulary import SPECIAL_PIECES

_PIECES = 1  # the field of a sentencepiece model that holds a piece; it is repeated


class UsedPieces:
    """Collects the pieces of a model that a text uses.

    Args:
        model: the whole model.
    """

    def __init__(self, model: Subword) -> None:
        self._model = model
        self._ids: set[int] = set()
        self._characters: set[str] = {SPACE}

    def add(self, ids: Iterable[Iterable[int]], texts: Iterable[str]) -> None:
        """Add lines: their ids and their texts."""
        self._ids.update(*ids)
        self._characters.update(*texts)

    def needed(self) -> set[int]:
        """Return the ids that segment the text as the whole model does.

        Besides the pieces of the text, these are the special pieces, the symbols, the bytes, the
        characters of the text, and for "bpe" all intermediate merges.
        """
        table = self._model.piece_table
        symbols = self._model.symbols.ids.values()
        needed = {*range(len(SPECIAL_PIECES)), *symbols, *table.bytes, *self._ids}
        needed.update(table.ids[c] for c in self._characters if c in table.ids)
        if self._model.kind == "bpe":
            merge = BpeDropout(table, rate=0.0)
            for piece in self._model.pieces(self._ids):
                steps = merge.steps(piece)
                needed.update(table.ids[step] for step in steps if step in table.ids)
        return needed


def prune(whole: Path, needed: set[int], path: Path) -> Subword:
    """Write the model in the file `whole` without the pieces that are not `needed`, and load it.

    The others keep their order; their ids move up.

    Args:
        whole: a model file.
        needed: ids of the pieces that stay, see `UsedPieces`.
        path: the model file to write.
    """
    kept: list[bytes] = []
    piece_id = 0
    for field in fields(whole.read_bytes()):
        if field.number == _PIECES:
            if piece_id in needed:
                kept.append(field.raw)
            piece_id += 1
        else:
            kept.append(field.raw)
    path.write_bytes(b"".join(kept))
    return Subword.load(path)
