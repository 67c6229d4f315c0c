"""Values passed between encoder, decoder and search. All are immutable; modules keep no state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt.layers.cells import State


@dataclass(frozen=True)
class Memory:
    """A batch of encoded source sentences, ready for attention."""

    states: Tensor
    """Encoder outputs, zeros at padding, [batch, src_len, enc]."""
    keys: Tensor | None
    """Attention keys, projected once, [batch, src_len, key]; None without attention."""
    mask: Tensor
    """True at real tokens, [batch, src_len]."""
    summary: Tensor
    """One vector per sentence, from which the decoder starts, [batch, enc]."""
    last_states: Tensor | None = None
    """Last state of every encoder layer, side by side, [batch, all states]; None unless the decoder
    starts from it."""
    copyable: "Copyable | None" = None
    """What an output needs that writes pieces of the source; None for all others."""
    embedded: Tensor | None = None
    """Embeddings of the source, [batch, src_len, embedding]; None unless the output sees them."""
    source: Tensor | None = None
    """Ids of the source, [batch, src_len]; None unless the output sees them."""

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
            None if self.last_states is None else self.last_states.index_select(0, sentences),
            None if self.copyable is None else self.copyable.select(sentences),
            None if self.embedded is None else self.embedded.index_select(0, sentences),
            None if self.source is None else self.source.index_select(0, sentences),
        )

    def concat(self, other: "Memory") -> "Memory":
        """Append the sentences of `other`, padded to the longer src_len."""
        keys = None
        if self.keys is not None and other.keys is not None:
            keys = concat_padded(self.keys, other.keys)
        last_states = None
        if self.last_states is not None and other.last_states is not None:
            last_states = torch.cat([self.last_states, other.last_states])
        copyable = None
        if self.copyable is not None and other.copyable is not None:
            copyable = self.copyable.concat(other.copyable)
        embedded = None
        if self.embedded is not None and other.embedded is not None:
            embedded = concat_padded(self.embedded, other.embedded)
        source = None
        if self.source is not None and other.source is not None:
            source = concat_padded(self.source, other.source)
        return Memory(
            states=concat_padded(self.states, other.states),
            keys=keys,
            mask=concat_padded(self.mask, other.mask),
            summary=torch.cat([self.summary, other.summary]),
            last_states=last_states,
            copyable=copyable,
            embedded=embedded,
            source=source,
        )


@dataclass(frozen=True)
class Copyable:
    """What an output needs to write pieces of the source; see `nmt.layers.copying`."""

    ids: Tensor
    """Target id at each source position, [batch, src_len]."""
    keys: Tensor | None
    """Source states as a pointer compares them, [batch, src_len, key]; None for other outputs."""

    def select(self, sentences: Tensor) -> "Copyable":
        """Keep, reorder or repeat sentences by index [new_batch]."""
        keys = None if self.keys is None else self.keys.index_select(0, sentences)
        return Copyable(self.ids.index_select(0, sentences), keys)

    def concat(self, other: "Copyable") -> "Copyable":
        """Append the sentences of `other`, padded to the longer src_len."""
        keys = None
        if self.keys is not None and other.keys is not None:
            keys = concat_padded(self.keys, other.keys)
        return Copyable(concat_padded(self.ids, other.ids), keys)


def concat_padded(*parts: Tensor) -> Tensor:
    """Concatenate batches [rows, length, ...], zero-padded to the longest."""
    width = max(part.shape[1] for part in parts)
    return torch.cat(
        [pad(part, (*(0, 0) * (part.dim() - 2), 0, width - part.shape[1])) for part in parts]
    )


@dataclass(frozen=True)
class DecoderState:
    """State of the decoder in each row."""

    layers: tuple[State, ...]
    """One state per layer, tensors [rows, hidden]."""
    feed: Tensor | None
    """The last attentional vector, [rows, readout]; None without input feeding."""

    def select(self, rows: Tensor) -> "DecoderState":
        """Keep, reorder or repeat rows by index [new_rows]."""
        layers = tuple(tuple(p.index_select(0, rows) for p in state) for state in self.layers)
        return DecoderState(layers, None if self.feed is None else self.feed.index_select(0, rows))

    def detach(self) -> "DecoderState":
        """Return the same state, through which no gradient flows."""
        layers = tuple(tuple(part.detach() for part in state) for state in self.layers)
        return DecoderState(layers, None if self.feed is None else self.feed.detach())

    def concat(self, other: "DecoderState") -> "DecoderState":
        """Append the rows of `other`."""
        layers = tuple(
            tuple(torch.cat(parts) for parts in zip(one, two, strict=True))
            for one, two in zip(self.layers, other.layers, strict=True)
        )
        feed = None
        if self.feed is not None and other.feed is not None:
            feed = torch.cat([self.feed, other.feed])
        return DecoderState(layers, feed)


ChooseInput: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Chooses what the decoder reads next in scheduled sampling: returns input ids [rows], from the
features of the previous step [rows, readout] and the reference ids [rows]."""


@dataclass(frozen=True)
class DecodeOptions:
    """How a whole target is decoded; a decoder without a recurrent state ignores all of it."""

    choose: ChooseInput | None = None
    """What to read instead of the reference; None = always read the reference."""
    keep_attention: bool = False
    """Whether to return the attention as well."""
    truncation: int = 0
    """Steps after which no gradient flows back through the state; 0 = it always flows."""


TEACHER_FORCING = DecodeOptions()
"""Always read the reference, through all of which gradients flow; return no attention."""


@dataclass(frozen=True)
class Decoded:
    """Output of a decoder for a whole target."""

    features: Tensor
    """Input of the output layer, [batch, tgt_len, readout]."""
    attention: Tensor | None
    """Weights over source positions, [batch, tgt_len, src_len]; None without attention, or if
    not kept."""


def stack_steps(steps: Sequence["Step"], *, keep_attention: bool) -> Decoded:
    """Stack the outputs of consecutive steps along the target length."""
    features = torch.stack([step.features for step in steps], dim=1)
    looks = [step.attention for step in steps if step.attention is not None]
    return Decoded(features, torch.stack(looks, dim=1) if keep_attention and looks else None)


@dataclass(frozen=True)
class Step:
    """Output of one step of the decoder."""

    features: Tensor
    """Input of the output layer, [rows, readout]."""
    attention: Tensor | None
    """Weights over source positions, [rows, src_len]; None without attention."""
    state: DecoderState
    """The state after the step."""
