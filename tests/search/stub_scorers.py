"""Scorers whose probabilities are known, so that a search can be checked by hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt.config.search import SearchConfig
from nmt.search.scorers import ScorerStep
from nmt.text.vocabulary import BOS, EOS


@dataclass(frozen=True)
class TableState:
    sentence: Tensor  # [rows]
    step: Tensor  # [rows]
    src_mask: Tensor  # [batch, src_len]

    def select(self, rows: Tensor) -> "TableState":
        return replace(self, sentence=self.sentence[rows], step=self.step[rows])

    def select_sentences(self, sentences: Tensor, rows: Tensor) -> "TableState":
        return TableState(self.sentence[rows], self.step[rows], self.src_mask[sentences])

    def concat(self, other: "TableState") -> "TableState":
        width = max(self.src_mask.shape[1], other.src_mask.shape[1])
        masks = [pad(each.src_mask, (0, width - each.src_mask.shape[1])) for each in (self, other)]
        return TableState(
            torch.cat([self.sentence, other.sentence]),
            torch.cat([self.step, other.step]),
            torch.cat(masks),
        )


class TableScorer:
    """log p(piece | sentence, position, previous piece); the sentence is its first source id."""

    def __init__(self, table: Tensor) -> None:
        self.table = table  # [sentences, positions, vocab, vocab]
        self.steps = 0
        self.rows: list[int] = []

    def start(self, source: Tensor, source_mask: Tensor, *, copies: int) -> TableState:
        sentence = source[:, 0].repeat_interleave(copies)
        return TableState(sentence, torch.zeros_like(sentence), source_mask)

    def step(self, tokens: Tensor, state: TableState) -> ScorerStep:
        self.steps += 1
        self.rows.append(len(tokens))
        position = state.step.clamp(max=self.table.shape[1] - 1)
        log_probs = self.table[state.sentence, position, tokens]
        return ScorerStep(
            log_probs,
            log_probs.new_zeros(len(log_probs)),
            self.attention(tokens, state),
            replace(state, step=state.step + 1),
        )

    def attention(self, tokens: Tensor, state: TableState) -> Tensor:
        """Some distribution over real positions that depends on piece and sentence."""
        copies = len(tokens) // len(state.src_mask)
        mask = state.src_mask.repeat_interleave(copies, dim=0)
        places = torch.arange(mask.shape[1])
        scores = torch.cos(1.7 * places * (tokens[:, None] + 1) + state.sentence[:, None])
        return (2.0 * scores).masked_fill(~mask, -torch.inf).softmax(dim=1)


def random_table(
    *, sentences: int, positions: int, vocab: int, seed: int = 0, sharpness: float = 2.0
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scores = sharpness * torch.randn(sentences, positions, vocab, vocab, generator=generator)
    return scores.log_softmax(dim=-1)


def changed(table: Tensor, change: Callable[[Tensor], None]) -> Tensor:
    table = table.clone()
    change(table)
    return table


def batch_of(sentences: list[int], lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Sources of given lengths that start with the sentence's number and end in EOS."""
    source = torch.zeros(len(sentences), max(lengths), dtype=torch.long)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    for row, (sentence, length) in enumerate(zip(sentences, lengths, strict=True)):
        source[row, 1:length] = EOS
        source[row, 0] = sentence
    return source, mask


def score_by_hand(scorer, source, mask, tokens, chosen: SearchConfig) -> tuple[float, float]:
    """Log-probability and score of one translation of one sentence."""
    state = scorer.start(source, mask, copies=1)
    total, previous = 0.0, BOS
    read = torch.zeros(mask.shape[1], dtype=torch.double)
    for piece in [*tokens, EOS]:
        scored = scorer.step(torch.tensor([previous]), state)
        total += scored.log_probs[0, piece].item()
        read += scored.attention[0]
        state, previous = scored.state, piece
    length = len(tokens) + 1
    score = total
    if chosen.length_penalty == "average":
        score = total / length
    elif chosen.length_penalty == "gnmt":
        score = total / ((5 + length) / 6) ** chosen.alpha
    unread = read.clamp(max=1.0)[mask[0]].log().sum().item()
    return total, score + chosen.coverage_penalty * unread
