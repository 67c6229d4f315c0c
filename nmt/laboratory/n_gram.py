"""n-gram language models: the Markov assumption, counted and smoothed.

p(w | all words before) is taken for p(w | the n - 1 words before), h. As a ratio of counts,
c(h w) / c(h), it is 0 for whatever the text does not contain; interpolated Kneser-Ney smoothing
(Kneser and Ney, 1995; Chen and Goodman, 1999, sec. 3) takes a discount D from each count and gives
it to the model of one word less:

    p_n(w | h) = max(c(h w) - D, 0) / c(h)  +  D N(h) / c(h)  p_{n-1}(w | h without its first word)

N(h) is the number of different words after h. Below the highest order, c counts not occurrences but
the different words that stand before. p_0 is uniform. With D = 0, p_n is the ratio of counts where
h was seen.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

Words = tuple[int, ...]


class NGramModel:
    """An n-gram model of lines, which begin with n - 1 begin symbols and end with an end symbol.

    Args:
        order: n; 1 = unigrams, which know no history.
        vocab: number of words that may come next, the end symbol included.
        begin: number of the begin symbol, which is never predicted.
        end: number of the end symbol.
        discount: D, from 0 to 1.
    """

    def __init__(
        self, order: int, *, vocab: int, begin: int, end: int, discount: float = 0.75
    ) -> None:
        if order < 1 or not 0.0 <= discount <= 1.0:
            raise ValueError(f"order {order}, discount {discount}: need n >= 1 and 0 <= D <= 1")
        self.order, self.vocab, self.begin, self.end = order, vocab, begin, end
        self.discount = discount
        self._counts: list[dict[Words, Counter[int]]] = [{} for _ in range(order)]
        """For each length of history, how often each word follows each history."""
        self._totals: list[dict[Words, int]] = [{} for _ in range(order)]

    @classmethod
    def count(
        cls,
        lines: Iterable[Sequence[int]],
        order: int,
        *,
        vocab: int,
        begin: int,
        end: int,
        discount: float = 0.75,
    ) -> "NGramModel":
        """Return the model of a text; each line without begin and end symbols."""
        model = cls(order, vocab=vocab, begin=begin, end=end, discount=discount)
        for line in lines:
            words = [*[begin] * (order - 1), *line, end]
            for place in range(order - 1, len(words)):
                model._add(tuple(words[place - order + 1 : place + 1]))
        model._totals = [{h: c.total() for h, c in table.items()} for table in model._counts]
        return model

    def _add(self, gram: Words) -> None:
        """Count an n-gram; where it is new, also its end, as one more word before that."""
        for start in range(self.order):
            history, word = gram[start:-1], gram[-1]
            table = self._counts[len(history)].setdefault(history, Counter())
            table[word] += 1
            if table[word] > 1:
                return

    @property
    def entries(self) -> int:
        """Number of counts in the tables of all lengths of history."""
        return sum(len(after) for table in self._counts for after in table.values())

    def probability(self, history: Sequence[int], word: int) -> float:
        """Return p(word | history), of which the last n - 1 words count."""
        padded = [*[self.begin] * (self.order - 1), *history]
        return self._interpolated(tuple(padded[len(padded) - self.order + 1 :]), word)

    def _interpolated(self, history: Words, word: int) -> float:
        """Return p(word | history) by the model of order len(history) + 1."""
        lower = self._interpolated(history[1:], word) if history else 1.0 / self.vocab
        after = self._counts[len(history)].get(history)
        if after is None:
            return lower
        total = self._totals[len(history)][history]
        seen = max(after[word] - self.discount, 0.0)
        return (seen + self.discount * len(after) * lower) / total

    def log_prob(self, line: Sequence[int]) -> float:
        """Return the natural log-probability of a line and its end; -inf if it is impossible."""
        total = 0.0
        for place, word in enumerate([*line, self.end]):
            probability = self.probability(line[:place], word)
            if probability == 0.0:
                return -math.inf
            total += math.log(probability)
        return total

    def perplexity(self, lines: Iterable[Sequence[int]]) -> float:
        """Return exp of the mean negative log-probability per word; ends of lines are words."""
        total, words = 0.0, 0
        for line in lines:
            total, words = total + self.log_prob(line), words + len(line) + 1
        return math.exp(-total / words) if math.isfinite(total) else math.inf
