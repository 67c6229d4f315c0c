"""An even sample of the pairs of a corpus whose number is not known before."""

_MOST = 2000
_LONGEST = 1000  # characters of a side, so that scores of the sample take seconds


class Sample:
    """About every n-th pair, up to 2,000 of them; all, of a smaller corpus.

    Pairs with an empty or overlong side are left out.
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str]] = []
        self._numbers: list[int] = []
        self._every = 1

    def add(self, number: int, source: str, target: str) -> None:
        """Take a pair, or leave it; pairs come in the order of their numbers, from 1."""
        if (number - 1) % self._every:
            return
        if len(self._pairs) == _MOST:
            del self._pairs[1::2], self._numbers[1::2]
            self._every *= 2
            if (number - 1) % self._every:
                return
        if 0 < len(source) <= _LONGEST and 0 < len(target) <= _LONGEST:
            self._pairs.append((source, target))
            self._numbers.append(number)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The sample, in the order of the corpus."""
        return tuple(self._pairs)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of each pair of the sample."""
        return tuple(self._numbers)
