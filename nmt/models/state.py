"""What passes between encoder, decoder and search. All of it is values: nothing is kept on self."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt.layers.cells import State


@dataclass(frozen=True)
class Memory:
    """A batch of source sentences, read and ready to be attended to."""

    states: Tensor
    """Encoder outputs, zeros at padding, [batch, src_len, enc]."""
    keys: Tensor | None
    """Their projection for attention, made once, [batch, src_len, key]; None without attention."""
    mask: Tensor
    """True at real tokens, [batch, src_len]."""
    summary: Tensor
    """Each sentence as one vector, from which the decoder starts, [batch, enc]."""

    @property
    def batch(self) -> int:
        """Number of sentences."""
        return self.mask.shape[0]

    def select(self, sentences: Tensor) -> "Memory":
        """Keep, reorder or repeat sentences by index [new_batch]."""
        return Memory(
            self.states.index_select(0, sentences),
            None if self.keys is None else self.keys.index_select(0, sentences),
            self.mask.index_select(0, sentences),
            self.summary.index_select(0, sentences),
        )

    def concat(self, other: "Memory") -> "Memory":
        """Put the sentences of `other` below these, padded to the longer src_len."""
        width = max(self.mask.shape[1], other.mask.shape[1])
        keys = None
        if self.keys is not None and other.keys is not None:
            keys = _concat_positions(self.keys, other.keys, width)
        return Memory(
            states=_concat_positions(self.states, other.states, width),
            keys=keys,
            mask=_concat_positions(self.mask, other.mask, width),
            summary=torch.cat([self.summary, other.summary]),
        )


def _concat_positions(one: Tensor, two: Tensor, width: int) -> Tensor:
    """Return two batches [batch, src_len, ...] below each other, with zeros up to `width`."""
    parts = [
        pad(part, (*(0, 0) * (part.dim() - 2), 0, width - part.shape[1])) for part in (one, two)
    ]
    return torch.cat(parts)


@dataclass(frozen=True)
class DecoderState:
    """Where each row of the decoder stands."""

    layers: tuple[State, ...]
    """One state per layer, tensors [rows, hidden]."""
    feed: Tensor | None
    """The last attentional vector, [rows, readout]; None without input feeding."""

    def select(self, rows: Tensor) -> "DecoderState":
        """Keep, reorder or repeat rows by index [new_rows]."""
        layers = tuple(tuple(p.index_select(0, rows) for p in state) for state in self.layers)
        return DecoderState(layers, None if self.feed is None else self.feed.index_select(0, rows))

    def concat(self, other: "DecoderState") -> "DecoderState":
        """Put the rows of `other` below these."""
        layers = tuple(
            tuple(torch.cat(parts) for parts in zip(one, two, strict=True))
            for one, two in zip(self.layers, other.layers, strict=True)
        )
        feed = None
        if self.feed is not None and other.feed is not None:
            feed = torch.cat([self.feed, other.feed])
        return DecoderState(layers, feed)


@dataclass(frozen=True)
class Decoded:
    """What a decoder makes of a whole target."""

    features: Tensor
    """What the output layer reads, [batch, tgt_len, readout]."""
    attention: Tensor | None
    """Weights over source positions, [batch, tgt_len, src_len]; None unless an output reads them,
    or without attention."""


def stack_steps(steps: Sequence["Step"], *, keep_attention: bool) -> Decoded:
    """Return what one step after the other has yielded."""
    features = torch.stack([step.features for step in steps], dim=1)
    looks = [step.attention for step in steps if step.attention is not None]
    return Decoded(features, torch.stack(looks, dim=1) if keep_attention and looks else None)


@dataclass(frozen=True)
class Step:
    """What one step of the decoder yields."""

    features: Tensor
    """What the output layer reads, [rows, readout]."""
    attention: Tensor | None
    """Weights over source positions, [rows, src_len]; None without attention."""
    state: DecoderState
    """The state after the step."""
