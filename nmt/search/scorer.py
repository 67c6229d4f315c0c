"""Who a search asks: "given these pieces so far, how likely is each next piece?"

A search works on rows: `copies` rows per sentence, those of one sentence side by side (row
b x copies + k belongs to sentence b). What a sentence's rows have in common, the encoded source,
is kept once per sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from nmt.models.shortlist import Choice
from nmt.models.state import DecoderState, Memory
from nmt.models.translation import TranslationModel


class ScorerState(Protocol):
    """What a scorer knows after the pieces so far; never changed in place."""

    def select(self, rows: Tensor) -> "ScorerState":
        """Return the state in which row i is what row `rows[i]` was.

        Args:
            rows: [rows]; a row may only be replaced by one of the same sentence.
        """
        ...

    def select_sentences(self, sentences: Tensor, rows: Tensor) -> "ScorerState":
        """Return the state of some sentences only, their rows reordered in the same go.

        Args:
            sentences: which stay, ascending, [kept].
            rows: which row each remaining row was, [kept x copies].
        """
        ...


@dataclass(frozen=True)
class ScorerStep:
    """What a scorer says about the next piece."""

    scores: Tensor
    """Log-probabilities but for a constant of each row, [rows, vocab]."""
    log_mass: Tensor
    """That constant, natural logarithm, float32 or wider, [rows]."""
    attention: Tensor | None
    """Where each row looked, [rows, src_len]."""
    state: ScorerState
    """After this step."""

    @cached_property
    def log_probs(self) -> Tensor:
        """Normalised, natural logarithm, [rows, vocab]."""
        return self.scores.to(self.log_mass.dtype) - self.log_mass.unsqueeze(1)


class Scorer(Protocol):
    """Anything that gives probabilities to the next piece: a model, or several."""

    def start(self, source: Tensor, source_mask: Tensor, *, copies: int) -> ScorerState:
        """Read the source and return the state before the first piece.

        Args:
            source: ids ending in EOS, [batch, src_len].
            source_mask: [batch, src_len].
            copies: rows per sentence.
        """
        ...

    def step(self, tokens: Tensor, state: ScorerState) -> ScorerStep:
        """Read the last piece of each row, [rows] (BOS at first), and score the next."""
        ...

    def narrow(self, choice: Choice) -> "Scorer":
        """Return a scorer of these pieces alone, by their local ids, for one batch."""
        ...


@dataclass(frozen=True)
class ModelState:
    """State of one model: the source once per sentence, the decoder once per row."""

    memory: Memory
    """[batch, ...]."""
    decoder: DecoderState
    """[rows, ...]."""
    barred: Tensor | None
    """-inf where a sentence does not need a piece, see `Choice`, else 0, [batch, vocab]."""

    def select(self, rows: Tensor) -> "ModelState":
        """See `ScorerState`."""
        return ModelState(self.memory, self.decoder.select(rows), self.barred)

    def select_sentences(self, sentences: Tensor, rows: Tensor) -> "ModelState":
        """See `ScorerState`."""
        barred = None if self.barred is None else self.barred.index_select(0, sentences)
        return ModelState(self.memory.select(sentences), self.decoder.select(rows), barred)


class ModelScorer:
    """One translation model as a scorer.

    Args:
        model: gives the probabilities.
        choice: the pieces of the one batch that is translated; None = all, in any batch.
    """

    def __init__(self, model: TranslationModel, choice: Choice | None = None) -> None:
        self.model, self.choice = model, choice
        self.output = model.output if choice is None else model.output.narrow(choice.pieces)

    def narrow(self, choice: Choice) -> "ModelScorer":
        """See `Scorer`."""
        return ModelScorer(self.model, choice)

    def start(self, source: Tensor, source_mask: Tensor, *, copies: int) -> ModelState:
        """See `Scorer`."""
        memory = self.model.encode(source, source_mask)
        barred = None if self.choice is None else self.choice.barred()
        return ModelState(memory, self.model.start(memory, copies=copies), barred)

    def step(self, tokens: Tensor, state: ScorerState) -> ScorerStep:
        """See `Scorer`."""
        if not isinstance(state, ModelState):
            raise TypeError(f"expected the state of a model, got {type(state).__name__}")
        if self.choice is not None:
            tokens = self.choice.pieces[tokens]
        step = self.model.step(tokens, state.decoder, state.memory)
        scores = self.output.scores(step.features)
        if state.barred is not None:
            per_sentence = scores.view(len(state.barred), -1, scores.shape[1])
            scores = (per_sentence + state.barred.unsqueeze(1)).view_as(scores)
        return ScorerStep(
            scores=scores,
            log_mass=self.output.log_mass(scores),
            attention=step.attention,
            state=ModelState(state.memory, step.state, state.barred),
        )


@dataclass(frozen=True)
class EnsembleState:
    """States of several scorers."""

    members: tuple[ScorerState, ...]
    """In the order of the scorers."""

    def select(self, rows: Tensor) -> "EnsembleState":
        """See `ScorerState`."""
        return EnsembleState(tuple(state.select(rows) for state in self.members))

    def select_sentences(self, sentences: Tensor, rows: Tensor) -> "EnsembleState":
        """See `ScorerState`."""
        return EnsembleState(
            tuple(state.select_sentences(sentences, rows) for state in self.members)
        )


class EnsembleScorer:
    """Several scorers as one: the mean of their probabilities, and of their attention."""

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        if not scorers:
            raise ValueError("an ensemble needs at least one scorer")
        self.scorers = tuple(scorers)

    def narrow(self, choice: Choice) -> "EnsembleScorer":
        """See `Scorer`."""
        return EnsembleScorer([scorer.narrow(choice) for scorer in self.scorers])

    def start(self, source: Tensor, source_mask: Tensor, *, copies: int) -> EnsembleState:
        """See `Scorer`."""
        return EnsembleState(
            tuple(scorer.start(source, source_mask, copies=copies) for scorer in self.scorers)
        )

    def step(self, tokens: Tensor, state: ScorerState) -> ScorerStep:
        """See `Scorer`."""
        if not isinstance(state, EnsembleState):
            raise TypeError(f"expected the state of an ensemble, got {type(state).__name__}")
        steps = [
            scorer.step(tokens, member)
            for scorer, member in zip(self.scorers, state.members, strict=True)
        ]
        total = steps[0].log_probs
        for step in steps[1:]:
            total = torch.logaddexp(total, step.log_probs)
        # Rounding may leave a hair above 0, which would break the bound that ends a search.
        log_probs = (total - math.log(len(steps))).clamp(max=0.0)
        looks = [step.attention for step in steps if step.attention is not None]
        return ScorerStep(
            scores=log_probs,
            log_mass=log_probs.new_zeros(log_probs.shape[0]),
            attention=torch.stack(looks).mean(dim=0) if looks else None,
            state=EnsembleState(tuple(step.state for step in steps)),
        )
