"""Scorers answer the question of a search: how likely is each next piece, given those so far?

Scorers nest: an ensemble of models, fused with a language model, is itself a scorer.

A search works on rows: `copies` adjacent rows per sentence (row b x copies + k belongs to
sentence b). The encoded source, which a sentence's rows share, is kept once per sentence.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import torch
from torch import Tensor

from nmt.layers.output import OutputLayer
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.shortlist import Choice
from nmt.models.state import DecoderState, Memory
from nmt.search.hypothesis import IntArray


class ScorerState(Protocol):
    """State of a scorer between steps; never changed in place."""

    def select(self, rows: Tensor) -> Self:
        """Return the state in which row i is what was row `rows[i]`.

        Args:
            rows: [rows]; a row may only be replaced by one of the same sentence.
        """
        ...

    def select_sentences(self, sentences: Tensor, rows: Tensor) -> Self:
        """Return the state of some sentences only, with their rows reordered.

        Args:
            sentences: indices of those that stay, ascending, [kept].
            rows: earlier index of each remaining row, [kept x copies].
        """
        ...

    def concat(self, other: Self) -> Self:
        """Append the sentences and rows of `other`."""
        ...


@dataclass(frozen=True)
class ScorerStep:
    """Scores of the next piece."""

    scores: Tensor
    """Log-probabilities up to a constant per row, [rows, vocab]. The caller owns them and may
    overwrite them."""
    log_mass: Tensor
    """That constant: log_probs = scores - log_mass; float32 or wider, [rows]."""
    attention: Tensor | None
    """Attention of each row, [rows, src_len]."""
    state: ScorerState
    """State after this step."""
    pieces: Tensor | None = None
    """Piece id of each column of `scores`, ascending, the special ones first, [vocab]; None =
    column j is piece j."""

    @cached_property
    def log_probs(self) -> Tensor:
        """Natural log-probabilities, [rows, vocab]; normalised except with a language model."""
        return self.scores.to(self.log_mass.dtype) - self.log_mass.unsqueeze(1)

    def columns(self, pieces: IntArray) -> Tensor:
        """Return the columns of `pieces` in `scores`, with the same shape."""
        wanted = torch.from_numpy(pieces).to(self.scores.device)
        return wanted if self.pieces is None else torch.searchsorted(self.pieces, wanted)

    def pieces_at(self, columns: IntArray) -> IntArray:
        """Return the piece ids of `columns`, with the same shape."""
        return columns if self.pieces is None else self.pieces.cpu().numpy()[columns]


class Scorer(Protocol):
    """Assigns log-probabilities to the next piece."""

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


@dataclass(frozen=True)
class NarrowOutput:
    """An output layer restricted to the pieces of a shortlist."""

    whole: OutputLayer
    """Output layer over all pieces."""
    choice: Choice
    """Shortlist of the batch."""
    layer: OutputLayer
    """Output layer over the shortlist."""
    barred: Tensor
    """-inf where a sentence does not need a piece, else 0, [batch, kept]."""

    @classmethod
    def of(cls, whole: OutputLayer, choice: Choice) -> "NarrowOutput":
        """Restrict an output layer to the pieces that a batch needs."""
        return cls(whole, choice, whole.narrow(choice.pieces), choice.barred())

    def scores(self, features: Tensor) -> Tensor:
        """Return logits [rows, kept] of `features` [rows, size], -inf where a piece is excluded."""
        scores = self.layer.scores(features)
        per_sentence = scores.view(len(self.barred), -1, scores.shape[1])
        return (per_sentence + self.barred.unsqueeze(1)).view_as(scores)

    def select(self, sentences: Tensor) -> "NarrowOutput":
        """Keep the sentences with these indices, [kept]."""
        choice = self.choice.select(sentences)
        return replace(self, choice=choice, barred=self.barred.index_select(0, sentences))

    def concat(self, other: "NarrowOutput") -> "NarrowOutput":
        """Return the layer for the pieces of both batches."""
        return NarrowOutput.of(self.whole, self.choice.concat(other.choice))


@dataclass(frozen=True)
class ModelState:
    """State of one model: the source once per sentence, the decoder once per row."""

    memory: Memory
    """[batch, ...]."""
    decoder: DecoderState
    """[rows, ...]."""
    narrow: NarrowOutput | None
    """Output layer of the shortlist; None = that of the model."""

    def select(self, rows: Tensor) -> "ModelState":
        """See `ScorerState`."""
        return ModelState(self.memory, self.decoder.select(rows), self.narrow)

    def select_sentences(self, sentences: Tensor, rows: Tensor) -> "ModelState":
        """See `ScorerState`."""
        narrow = None if self.narrow is None else self.narrow.select(sentences)
        return ModelState(self.memory.select(sentences), self.decoder.select(rows), narrow)

    def concat(self, other: "ModelState") -> "ModelState":
        """See `ScorerState`."""
        narrow = None
        if self.narrow is not None and other.narrow is not None:
            narrow = self.narrow.concat(other.narrow)
        memory, decoder = self.memory.concat(other.memory), self.decoder.concat(other.decoder)
        return ModelState(memory, decoder, narrow)


class ModelScorer:
    """One translation model as a scorer.

    Args:
        model: the model.
        choose: returns the pieces allowed in translations of given sources [batch, src_len], such
            as `Shortlist.choose`; None = all pieces.
    """

    def __init__(
        self, model: EncoderDecoder, choose: Callable[[Tensor], Choice] | None = None
    ) -> None:
        self.model, self.choose = model, choose

    def start(self, source: Tensor, source_mask: Tensor, *, copies: int) -> ModelState:
        """See `Scorer`."""
        memory = self.model.encode(source, source_mask)
        narrow = None
        if self.choose is not None:
            if not isinstance(self.model.output, OutputLayer):
                raise TypeError("a shortlist needs a softmax over the vocabulary")
            narrow = NarrowOutput.of(self.model.output, self.choose(source))
        return ModelState(memory, self.model.start(memory, copies=copies), narrow)

    def step(self, tokens: Tensor, state: ScorerState) -> ScorerStep:
        """See `Scorer`."""
        if not isinstance(state, ModelState):
            raise TypeError(f"expected the state of a model, got {type(state).__name__}")
        step = self.model.step(tokens, state.decoder, state.memory)
        narrow = state.narrow
        if narrow is None:
            scores = self.model.scores(step, state.memory)
        else:
            scores = narrow.scores(step.features)
        return ScorerStep(
            scores=scores,
            log_mass=self.model.output.log_mass(scores),
            attention=step.attention,
            state=ModelState(state.memory, step.state, narrow),
            pieces=None if narrow is None else narrow.choice.pieces,
        )


@dataclass(frozen=True)
class JointState:
    """States of several scorers that are used together."""

    members: tuple[ScorerState, ...]
    """In the order of the scorers."""

    def select(self, rows: Tensor) -> "JointState":
        """See `ScorerState`."""
        return JointState(tuple(state.select(rows) for state in self.members))

    def select_sentences(self, sentences: Tensor, rows: Tensor) -> "JointState":
        """See `ScorerState`."""
        return JointState(tuple(state.select_sentences(sentences, rows) for state in self.members))

    def concat(self, other: "JointState") -> "JointState":
        """See `ScorerState`."""
        pairs = zip(self.members, other.members, strict=True)
        return JointState(tuple(one.concat(two) for one, two in pairs))


class JointScorers:
    """Several scorers that read the same pieces.

    Args:
        scorers: at least one; all with the same target pieces and, if any, the same shortlist.
    """

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        self.scorers = tuple(scorers)

    def start(self, source: Tensor, source_mask: Tensor, *, copies: int) -> JointState:
        """See `Scorer`."""
        return JointState(
            tuple(scorer.start(source, source_mask, copies=copies) for scorer in self.scorers)
        )

    def each_step(self, tokens: Tensor, state: ScorerState) -> list[ScorerStep]:
        """Return each scorer's scores of the next piece."""
        if not isinstance(state, JointState):
            raise TypeError(f"expected the state of several scorers, got {type(state).__name__}")
        return [
            scorer.step(tokens, member)
            for scorer, member in zip(self.scorers, state.members, strict=True)
        ]


class EnsembleScorer(JointScorers):
    """Ensemble: the weighted mean of several scorers' probabilities, and of their attention.

    Args:
        scorers: at least one.
        weights: one for each scorer, above 0; only their ratios count. None given = equal ones.
    """

    def __init__(self, scorers: Sequence[Scorer], weights: Sequence[float] = ()) -> None:
        super().__init__(scorers)
        if not self.scorers:
            raise ValueError("an ensemble needs at least one scorer")
        self.weights = tuple(weights) or (1.0,) * len(self.scorers)
        if len(self.weights) != len(self.scorers):
            raise ValueError("an ensemble needs one weight for each scorer")

    def step(self, tokens: Tensor, state: ScorerState) -> ScorerStep:
        """See `Scorer`."""
        steps = self.each_step(tokens, state)
        parts = [
            step.log_probs + math.log(weight)
            for step, weight in zip(steps, self.weights, strict=True)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = torch.logaddexp(total, part)
        # Rounding may leave slightly more than 0, which would break the bound that ends a search.
        log_probs = (total - math.log(sum(self.weights))).clamp(max=0.0)
        return ScorerStep(
            scores=log_probs,
            log_mass=log_probs.new_zeros(log_probs.shape[0]),
            attention=self._mean_attention(steps),
            state=JointState(tuple(step.state for step in steps)),
            pieces=steps[0].pieces,
        )

    def _mean_attention(self, steps: Sequence[ScorerStep]) -> Tensor | None:
        """Return the mean of those that have any, [rows, src_len]."""
        pairs = zip(steps, self.weights, strict=True)
        looks = [(step.attention, weight) for step, weight in pairs if step.attention is not None]
        if not looks:
            return None
        total = sum(weight for _, weight in looks)
        return torch.stack([look * (weight / total) for look, weight in looks]).sum(dim=0)


class FusionScorer(JointScorers):
    """Shallow fusion with a language model: log p + weight x log p_lm (Gulcehre et al., 2015).

    The sum is not a log-probability, but like one it never increases when a piece is added.

    Args:
        scorer: scores the translation and provides the attention.
        language_model: scores the target alone; covers all target pieces.
        weight: above 0.
    """

    def __init__(self, scorer: Scorer, language_model: Scorer, weight: float) -> None:
        super().__init__((scorer, language_model))
        self.weight = weight

    def step(self, tokens: Tensor, state: ScorerState) -> ScorerStep:
        """See `Scorer`."""
        translation, language = self.each_step(tokens, state)
        fluency = language.log_probs
        if translation.pieces is not None:
            fluency = fluency.index_select(1, translation.pieces)
        log_probs = torch.add(translation.log_probs, fluency, alpha=self.weight)
        return ScorerStep(
            scores=log_probs,
            log_mass=log_probs.new_zeros(log_probs.shape[0]),
            attention=translation.attention,
            state=JointState((translation.state, language.state)),
            pieces=translation.pieces,
        )
