"""Word vectors by skip-gram with negative sampling (Mikolov et al., 2013)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SkipGram(nn.Module):
    """Two vectors a word: v_w as the centre of a window, u_w as a word around it.

    With a centre w, a word c around it, and k words n_i drawn as noise, it minimises

        -log sigmoid(u_c . v_w) - sum_i log sigmoid(-u_{n_i} . v_w)        (eq. 4)

    Args:
        words: number of words.
        size: numbers of a vector.
    """

    def __init__(self, words: int, size: int) -> None:
        super().__init__()
        self.centre = nn.Parameter((torch.rand(words, size) - 0.5) / size)
        self.around = nn.Parameter(torch.zeros(words, size))

    def forward(self, centre: Tensor, around: Tensor, noise: Tensor) -> Tensor:
        """Return the loss of each pair of `centre` and `around` [pairs]; `noise` [pairs, k]."""
        vectors = F.embedding(centre, self.centre).unsqueeze(2)  # [pairs, size, 1]
        others = torch.cat([around.unsqueeze(1), noise], dim=1)  # [pairs, 1 + k]
        scores = (F.embedding(others, self.around) @ vectors).squeeze(2)  # [pairs, 1 + k]
        return -F.logsigmoid(scores[:, 0]) - F.logsigmoid(-scores[:, 1:]).sum(dim=1)


@dataclass(frozen=True)
class SkipGramOptions:
    """How vectors are trained; the defaults suit a text of some 100,000 words."""

    size: int = 50
    """Numbers of a vector."""
    window: int = 5
    """Most words on either side; each centre draws its own number from 1 to this."""
    noise: int = 5
    """Noise words of each pair."""
    least: int = 5
    """Occurrences of a word that is to have a vector; rarer ones are left out of the text."""
    frequent: float = 1e-3
    """Words that are a larger share of the text than this are left out at random, with probability
    1 - sqrt(frequent / share) (eq. 5); 0 = none are."""
    epochs: int = 5
    batch: int = 1024
    """Pairs of an update."""
    learning_rate: float = 0.01
    """Of Adam, at the start; it falls linearly to 0."""
    seed: int = 1


def train_vectors(
    sentences: Sequence[Sequence[str]], options: SkipGramOptions
) -> tuple[list[str], Tensor]:
    """Return the words of a text, the most frequent first, and their vectors [words, size]."""
    torch.manual_seed(options.seed)
    counts = Counter(word for sentence in sentences for word in sentence)
    words = [word for word, count in counts.most_common() if count >= options.least]
    ids = {word: i for i, word in enumerate(words)}
    text = [[ids[word] for word in sentence if word in ids] for sentence in sentences]
    occurrences = torch.tensor([counts[word] for word in words], dtype=torch.float64)
    model = SkipGram(len(words), options.size)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    noise = occurrences**0.75  # of which noise words are drawn
    for epoch in range(options.epochs):
        pairs = torch.cat(list(_pairs(text, occurrences, options)))
        batches = torch.split(pairs[torch.randperm(len(pairs))], options.batch)
        for place, batch in enumerate(batches):
            done = (epoch + place / len(batches)) / options.epochs
            optimizer.param_groups[0]["lr"] = options.learning_rate * (1 - done)
            drawn = torch.multinomial(noise, len(batch) * options.noise, replacement=True)
            optimizer.zero_grad()
            model(batch[:, 0], batch[:, 1], drawn.view(len(batch), -1)).mean().backward()
            optimizer.step()
    return words, model.centre.detach()


def _pairs(
    text: Sequence[Sequence[int]], occurrences: Tensor, options: SkipGramOptions
) -> Iterator[Tensor]:
    """Yield (centre, around) pairs [pairs, 2], by their distance, with new random choices."""
    sentence = torch.tensor([number for number, ids in enumerate(text) for _ in ids])
    word = torch.tensor([each for ids in text for each in ids])
    if options.frequent > 0:
        share = occurrences / occurrences.sum()
        stays = torch.rand(len(word)) < (options.frequent / share).sqrt()[word]
        sentence, word = sentence[stays], word[stays]
    reach = torch.randint(1, options.window + 1, word.shape)
    for distance in range(1, options.window + 1):
        is_one = sentence[distance:] == sentence[:-distance]
        left, right = word[:-distance], word[distance:]
        for centre, around, far in (
            (left, right, reach[:-distance]),
            (right, left, reach[distance:]),
        ):
            chosen = is_one & (far >= distance)
            yield torch.stack([centre[chosen], around[chosen]], dim=1)


def nearest(words: Sequence[str], vectors: Tensor, word: str, count: int) -> list[str]:
    """Return the words whose vectors have the largest cosine with that of `word`, best first."""
    normed = F.normalize(vectors, dim=1)
    cosines = normed @ normed[words.index(word)]
    return [words[i] for i in cosines.argsort(descending=True).tolist() if words[i] != word][:count]
