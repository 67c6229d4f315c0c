"""Pretrained embeddings from text files of word2vec and GloVe, and rows that stay as they are.

A line is a word and its numbers, separated by single spaces; word2vec's files begin with a line
that says how many there are. A file whose words begin with "▁" names pieces as sentencepiece does;
in any other, a word is the piece that begins with a space and spells it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nmt.errors import DataError
from nmt.layers.embedding import Embedding
from nmt.text.lines import read_lines
from nmt.text.subword import SPACE
from nmt.text.vocabulary import SPECIAL_PIECES


@dataclass(frozen=True)
class Vectors:
    """The vectors of a file for some pieces."""

    rows: Tensor
    """Ids of the pieces that the file has, ascending, [found]."""
    values: Tensor
    """Their vectors, [found, size]."""
    pieces: int
    """Number of pieces it could have: all but the special ones."""

    @property
    def coverage(self) -> str:
        """How many pieces have a vector, such as "7,212 of 7,996 pieces (90.2 %)"."""
        share = 100 * len(self.rows) / max(1, self.pieces)
        return f"{len(self.rows):,} of {self.pieces:,} pieces ({share:.1f} %)"

    @torch.no_grad()
    def copy_into(self, embedding: Embedding) -> None:
        """Let `embedding` return these vectors for their pieces; the others stay as they were."""
        weight = embedding.weight
        scaled = self.values / embedding.size**0.5  # which the embedding multiplies by
        weight[self.rows.to(weight.device)] = scaled.to(weight)


def read_vectors(path: Path, pieces: Sequence[str], size: int) -> Vectors:
    """Read the vectors of some pieces.

    Args:
        path: the file, plain or packed.
        pieces: name of each piece by id, special ones first.
        size: numbers of a vector.

    Raises:
        DataError: the file is missing, has vectors of another size, a wrong line, or none of the
            pieces.
    """
    ids = {name: i for i, name in enumerate(pieces) if i >= len(SPECIAL_PIECES)}
    words = {name.removeprefix(SPACE): i for name, i in ids.items() if name.startswith(SPACE)}
    exact: dict[int, Tensor] = {}
    by_word: dict[int, Tensor] = {}
    names_pieces = False
    for number, line in enumerate(read_lines(path, bad_lines="replace"), start=1):
        word, *numbers = line.rstrip(" ").rsplit(" ", size)
        if number == 1 and _is_head(line):
            _require_size(path, int(line.split()[1]), size)
            continue
        if len(numbers) != size or (number == 1 and _is_number(word)):
            if line.strip():
                _require_size(path, len(line.split()) - 1, size)
            raise DataError(
                f"{path}:{number}: is not a word and {size:,} numbers; repair the file."
            )
        names_pieces = names_pieces or word.startswith(SPACE)
        for known, found in ((ids, exact), (words, by_word)):
            if word in known and known[word] not in found:
                found[known[word]] = _parse(path, number, numbers)
    chosen = exact if names_pieces else by_word
    if not chosen:
        raise DataError(
            f"{path}: has a vector for none of {len(ids):,} pieces; is it of this language, and "
            "written in the same case? Else leave it out."
        )
    rows = sorted(chosen)
    return Vectors(torch.tensor(rows), torch.stack([chosen[row] for row in rows]), len(ids))


def write_vectors(path: Path, words: Sequence[str], values: Tensor) -> None:
    """Write vectors [words, size] in word2vec's text format, to full precision."""
    lines = [f"{len(words)} {values.shape[1]}\n"]
    for word, vector in zip(words, values.tolist(), strict=True):
        lines.append(" ".join([word, *(f"{value:.9g}" for value in vector)]) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def _is_head(line: str) -> bool:
    fields = line.split()
    return len(fields) == 2 and all(field.isdecimal() for field in fields)


def _is_number(text: str) -> bool:
    """Whether a text ends in numbers, as where more of them stand in a line than were expected."""
    try:
        float(text.split(" ")[-1])
    except ValueError:
        return False
    return " " in text


def _require_size(path: Path, found: int, size: int) -> None:
    if found != size:
        raise DataError(
            f"{path}: has vectors of {found:,} numbers, but model.embedding.size is {size:,}; "
            f"set model.embedding.size = {found}, or name another file."
        )


def _parse(path: Path, number: int, numbers: Sequence[str]) -> Tensor:
    try:
        vector = torch.tensor([float(text) for text in numbers])
    except ValueError as error:
        raise DataError(f"{path}:{number}: {error}; repair the file.") from None
    if not bool(vector.isfinite().all()):
        raise DataError(f"{path}:{number}: has a number that is not finite; repair the file.")
    return vector


class FrozenRows:
    """Rows of a matrix that an optimizer leaves as they are, bit for bit.

    Their gradient is zero, so that it counts neither for the norm that is clipped nor for the
    optimizer's averages, and weight decay is undone after each step.

    Args:
        weight: the matrix, [rows, size].
        rows: indices of the frozen rows, [frozen].
        optimizer: updates the matrix, among others.
    """

    def __init__(self, weight: nn.Parameter, rows: Tensor, optimizer: Optimizer) -> None:
        self.weight, self.rows = weight, rows.to(weight.device)
        self._kept = weight.detach()[:0]
        weight.register_hook(self._without_gradient)  # type: ignore[no-untyped-call]
        optimizer.register_step_pre_hook(self._keep)
        optimizer.register_step_post_hook(self._restore)

    def _without_gradient(self, grad: Tensor) -> Tensor:
        return grad.index_fill(0, self.rows, 0.0)

    def _keep(self, *_: object) -> None:
        self._kept = self.weight.detach()[self.rows]

    @torch.no_grad()
    def _restore(self, *_: object) -> None:
        self.weight[self.rows] = self._kept
