"""Artificial tasks with long lags, as tensors and as pairs of lines that `nmt train` can read.

Each task draws as many examples as wanted, from a generator of its own. A symbol is a letter in a
line and a one-hot vector in a tensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from nmt.storage.files import write_bytes


@dataclass(frozen=True)
class Examples:
    """Sequences with their answers."""

    inputs: Tensor
    """[batch, length, features]."""
    targets: Tensor
    """Classes [batch], numbers [batch], or one class per position [batch, length]."""


class Task(Protocol):
    """What examples are drawn from."""

    @property
    def features(self) -> int:
        """Size of an input vector."""

    @property
    def outputs(self) -> int:
        """Number of classes, or 1 for a number."""

    def draw(self, count: int, generator: Generator) -> Examples:
        """Return `count` examples."""

    def lines(self, examples: Examples) -> list[tuple[str, str]]:
        """Return the examples as a source line and a target line each."""


@dataclass(frozen=True)
class TemporalOrder:
    """In which order two symbols A or B come, far apart and among distractors.

    One of them stands in the second tenth of the sequence, the other in the sixth; all other
    symbols are c, d, e or f. The class is one of AA, BA, AB, BB in this order. This is what the
    program of Pascanu et al. (2013) draws.

    Args:
        length: number of symbols, at least 10.
    """

    length: int
    features = 6
    outputs = 4

    def __post_init__(self) -> None:
        if self.length < 10:
            raise ValueError(f"length {self.length}: temporal order needs at least 10 symbols.")

    def draw(self, count: int, generator: Generator) -> Examples:
        """Return `count` examples; the targets are classes, [count]."""
        tenth, half, rows = self.length // 10, self.length // 2, torch.arange(count)
        symbols = torch.randint(2, 6, (count, self.length), generator=generator)
        relevant = torch.randint(0, 2, (count, 2), generator=generator)
        for column, start in enumerate((tenth, half)):
            places = start + torch.randint(0, tenth, (count,), generator=generator)
            symbols[rows, places] = relevant[:, column]
        return Examples(one_hot(symbols, 6).float(), relevant[:, 0] + 2 * relevant[:, 1])

    def lines(self, examples: Examples) -> list[tuple[str, str]]:
        """Return pairs such as "c d A f e B c d e c" and "AB"."""
        answers = ("AA", "BA", "AB", "BB")
        sources = _spelled(examples.inputs.argmax(dim=-1), "ABcdef")
        return [(s, answers[t]) for s, t in zip(sources, examples.targets.tolist(), strict=True)]


@dataclass(frozen=True)
class Adding:
    """The sum of the two marked numbers among many (Hochreiter and Schmidhuber, 1997).

    Each input is a number from [0, 1) and a mark, 0 or 1. One mark is in the first half, one in the
    second. Answering 1 always has a mean squared error of 1/6.

    Args:
        length: number of inputs, at least 2.
    """

    length: int
    features = 2
    outputs = 1

    def draw(self, count: int, generator: Generator) -> Examples:
        """Return `count` examples; the targets are numbers, [count]."""
        half, rows = self.length // 2, torch.arange(count)
        numbers = torch.rand(count, self.length, generator=generator)
        marks = torch.zeros(count, self.length)
        for first, last in ((0, half), (half, self.length)):
            marks[rows, torch.randint(first, last, (count,), generator=generator)] = 1.0
        return Examples(torch.stack([numbers, marks], dim=-1), (numbers * marks).sum(dim=1))

    def lines(self, examples: Examples) -> list[tuple[str, str]]:
        """Return pairs such as "0.31,0 0.87,1 0.05,0 0.42,1" and "1.29".

        Numbers have two digits, and the sum is that of the numbers as written.
        """
        pairs = []
        for row in examples.inputs:
            hundredths = (row[:, 0] * 100).floor().int().tolist()
            marks = row[:, 1].int().tolist()
            words = [f"{n / 100:.2f},{mark}" for n, mark in zip(hundredths, marks, strict=True)]
            total = sum(n for n, mark in zip(hundredths, marks, strict=True) if mark)
            pairs.append((" ".join(words), f"{total / 100:.2f}"))
        return pairs


@dataclass(frozen=True)
class Recall:
    """The first symbol, after `lag` others that mean nothing.

    Args:
        lag: number of distractors between the symbol and the end; 0 asks for it at once.
        symbols: how many symbols there are to remember.
        alike: distractors are the same symbols, so that only its place tells the first from them;
            by default, they are as many others.
    """

    lag: int
    symbols: int = 2
    alike: bool = False

    @property
    def features(self) -> int:
        """Size of an input vector."""
        return self.symbols if self.alike else 2 * self.symbols

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.symbols

    def draw(self, count: int, generator: Generator) -> Examples:
        """Return `count` examples; the targets are classes, [count]."""
        n = self.symbols
        symbols = torch.randint(0, n, (count, 1 + self.lag), generator=generator)
        if not self.alike:
            symbols[:, 1:] += n
        return Examples(one_hot(symbols, self.features).float(), symbols[:, 0].clone())

    def lines(self, examples: Examples) -> list[tuple[str, str]]:
        """Return pairs such as "B c d d c" and "B"."""
        n = self.symbols
        alphabet = "ABCDEFGHIJKLM"[:n] + "abcdefghijklmnopqrstuvwxyz"[n : 2 * n]
        sources = _spelled(examples.inputs.argmax(dim=-1), alphabet)
        targets = _spelled(examples.targets.unsqueeze(1), alphabet)
        return list(zip(sources, targets, strict=True))


@dataclass(frozen=True)
class Copy:
    """All symbols again, in their order or reversed, once the sequence is complete.

    As tensors, the sequence is followed by as many blanks, and the answer is due at these.

    Args:
        length: number of symbols.
        symbols: how many different symbols there are.
        is_reversed: ask for the last symbol first.
    """

    length: int
    symbols: int = 8
    is_reversed: bool = False

    @property
    def features(self) -> int:
        """Size of an input vector; the last component marks a blank."""
        return self.symbols + 1

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.symbols

    def draw(self, count: int, generator: Generator) -> Examples:
        """Return `count` examples of 2 * length inputs; targets are classes, [count, length]."""
        symbols = torch.randint(0, self.symbols, (count, self.length), generator=generator)
        blanks = torch.full_like(symbols, self.symbols)
        inputs = one_hot(torch.cat([symbols, blanks], dim=1), self.features).float()
        return Examples(inputs, symbols.flip(1) if self.is_reversed else symbols)

    def lines(self, examples: Examples) -> list[tuple[str, str]]:
        """Return pairs such as "b a c" and "b a c"."""
        alphabet = "abcdefghijklmnopqrstuvwxyz"[: self.symbols]
        symbols = examples.inputs[:, : self.length].argmax(dim=-1)
        sources, targets = _spelled(symbols, alphabet), _spelled(examples.targets, alphabet)
        return list(zip(sources, targets, strict=True))


def _spelled(symbols: Tensor, alphabet: str) -> list[str]:
    """Return [batch, length] symbols as lines of letters with spaces between them."""
    return [" ".join(alphabet[symbol] for symbol in row) for row in symbols.tolist()]


def write_pairs(task: Task, folder: Path, parts: Sequence[tuple[str, int]], seed: int = 1) -> None:
    """Write examples as text that `nmt train` can read: NAME.source and NAME.target for each part.

    Args:
        task: what they are drawn from.
        folder: where the files are written.
        parts: names of the parts and their numbers of examples, such as ("train", 10000).
        seed: examples are the same for the same seed and the same parts.
    """
    generator = Generator().manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in parts:
        pairs = task.lines(task.draw(count, generator))
        for suffix, lines in zip(("source", "target"), zip(*pairs, strict=True), strict=True):
            text = "".join(f"{line}\n" for line in lines)
            write_bytes(folder / f"{name}.{suffix}", text.encode())
