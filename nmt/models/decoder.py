"""The decoder: from a target prefix and the encoded source to features for the output layer.

There are three arrangements of attention:

    attend "after"  (Luong et al., 2015)      s_t = cell(y_{t-1} [, f_{t-1}], s_{t-1})
                                              c_t = attend(s_t),  f_t = tanh(W [s_t; c_t])
    attend "before" (Bahdanau et al., 2015)   c_t = attend(s_{t-1}),  s_t = cell([y_{t-1}; c_t])
                                              f_t = tanh(W [s_t; c_t])
    attend "between" (Chen et al., 2018)      s1_t = cell_1(y_{t-1}, s1_{t-1}), c_t = attend(s1_t)
                                              s_t = cell_2([s1_t; c_t], s_{t-1}), and so on upwards
                                              f_t = tanh(W [s_t; c_t])

A deep readout also passes y_{t-1} to W. Feeding f_{t-1} back into the cell is input feeding. A
summary of the source either only starts the decoder (Sutskever et al., 2014), or is also read at
each step, by the cell and by W (Cho et al., 2014).
"between" lets recurrent layers read the context of their own step, without recurrence through the
attention. RNMT+ also gives its first layer the previous context, which has that recurrence.
If the cell's own state is all that one step passes to the next, the whole target is decoded at
once; otherwise step by step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from nmt.layers.attention import Attention
from nmt.layers.cells import first_state
from nmt.layers.dropout import drop
from nmt.layers.embedding import Embedding
from nmt.layers.recurrent import ABOVE, FIRST, NO_MASKS, RecurrentStack, StackMasks
from nmt.models.state import (
    TEACHER_FORCING,
    Decoded,
    DecodeOptions,
    DecoderState,
    Memory,
    Step,
    stack_steps,
)


@dataclass(frozen=True)
class DecoderShape:
    """How the parts of a decoder are connected."""

    reads_previous: bool = True
    """Whether the cell reads the previous piece."""
    attend: Literal["after", "before", "between"] = "after"
    """Attend with the new state; or with the previous one, so that the cell reads the context; or
    with the new state of the first layer, so that the layers above read the context."""
    input_feeding: bool = False
    """Whether the cell reads the previous features; needs attend "after" and an attention."""
    deep_readout: bool = False
    """Whether the readout sees the previous piece."""
    bridge: Literal["zero", "learned", "last", "mean", "copy"] = "last"
    """Initial state: zeros, weights, a layer over the summary of the source, or the last states of
    the encoder."""
    reads_summary: bool = False
    """Whether the summary of the source is read at each step."""


def cell_input_size(
    shape: DecoderShape, *, embedding: int, memory: int, readout: int, attends: bool
) -> int:
    """Return the input size of a decoder's first layer; see `RecurrentDecoder.others`."""
    size = embedding if shape.reads_previous else 0
    if attends and shape.attend == "before":
        size += memory
    if shape.input_feeding:
        size += readout
    return size + (memory if shape.reads_summary else 0)


def state_after(steps: Sequence[Step], truncation: int) -> DecoderState:
    """Return the state after the last step, cut from the gradient every `truncation` steps."""
    state = steps[-1].state
    return state.detach() if truncation and len(steps) % truncation == 0 else state


class RecurrentDecoder(nn.Module):
    """Stacked recurrent layers with attention over the source and a readout.

    Args:
        embedding: embeddings of the target pieces.
        stack: the layers, with input size `cell_input_size`; to attend "between", with the context
            size `memory_size`.
        attention: attention over the source; None = the source is seen only through the initial
            state.
        memory_size: size of a source state.
        readout_size: size of a feature vector.
        shape: how the parts are connected.
        dropout: dropout rate of the features.
    """

    target_lines = "text"

    def __init__(
        self,
        embedding: Embedding,
        stack: RecurrentStack,
        attention: Attention | None,
        *,
        memory_size: int,
        readout_size: int,
        shape: DecoderShape,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding, self.stack, self.attention = embedding, stack, attention
        self.shape, self.dropout, self.readout_size = shape, dropout, readout_size
        self.attends_before = attention is not None and shape.attend == "before"
        self.attends_between = attention is not None and shape.attend == "between"
        context = 0 if attention is None else memory_size
        context += memory_size if shape.reads_summary else 0
        deep = embedding.size if shape.deep_readout and shape.reads_previous else 0
        self.readout = nn.Linear(stack.output_size + context + deep, readout_size)
        cells = [layer.cell for layer in stack.each_layer()]
        self.state_sizes = [cell.hidden_size for cell in cells for _ in range(cell.states)]
        states = sum(self.state_sizes)
        self.bridge = nn.Linear(memory_size, states) if shape.bridge in ("last", "mean") else None
        self.initial_state = (
            nn.Parameter(torch.zeros(states)) if shape.bridge == "learned" else None
        )

    @property
    def reads_mean(self) -> bool:
        """Whether the initial state is made from the mean of the source states."""
        return self.shape.bridge == "mean"

    @property
    def copies_states(self) -> bool:
        """Whether the initial state is that of the encoder itself."""
        return self.shape.bridge == "copy"

    @property
    def lower_layers(self) -> slice:
        """The layers that run before the attention, unless it comes before all of them."""
        return FIRST if self.attends_between else slice(None)

    @property
    def decodes_at_once(self) -> bool:
        """Whether the whole target can be decoded without a loop over its positions."""
        return not (self.shape.input_feeding or self.attends_before)

    def start(self, memory: Memory, *, copies: int = 1) -> DecoderState:
        """Return the state before the first target position.

        Args:
            memory: the source sentences.
            copies: rows per sentence; row b * copies + k belongs to sentence b.
        """
        batch = memory.batch
        flat = self._first_states(memory)  # [batch, all states]
        flat = flat.to(self.readout.bias)  # even under autocast: cell states accumulate
        flat = flat.repeat_interleave(copies, dim=0) if copies > 1 else flat
        parts = iter(torch.split(flat, self.state_sizes, dim=-1))
        layers = tuple(
            first_state(layer.cell, tuple(next(parts) for _ in range(layer.cell.states)))
            for layer in self.stack.each_layer()
        )
        feed = None
        if self.shape.input_feeding:
            feed = memory.states.new_zeros(batch * copies, self.readout_size)
        return DecoderState(layers, feed)

    def _first_states(self, memory: Memory) -> Tensor:
        """Return the first states of all layers, side by side, [batch, all states]."""
        if self.bridge is not None:
            return torch.tanh(self.bridge(memory.summary))
        if self.initial_state is not None:
            return self.initial_state.expand(memory.batch, -1)
        if self.shape.bridge == "copy" and memory.last_states is not None:
            return memory.last_states
        return self.readout.bias.new_zeros(memory.batch, sum(self.state_sizes))

    def forward(
        self, memory: Memory, target_in: Tensor, options: DecodeOptions = TEACHER_FORCING
    ) -> Decoded:
        """Decode `target_in` [batch, tgt_len].

        Args:
            memory: the source sentences.
            target_in: input ids of each step, [batch, tgt_len].
            options: scheduled sampling, attention, truncation.
        """
        mask = self.embedding.draw_mask(target_in)
        with self.stack.dropped_weights():
            if self.decodes_at_once and options.choose is None and not options.truncation:
                decoded = self.decode_at_once(memory, target_in, mask)
            else:
                steps = self.decode_stepwise(memory, target_in, mask, options)
                decoded = stack_steps(steps, keep_attention=options.keep_attention)
        features = drop(decoded.features, self.dropout, training=self.training)
        return Decoded(features, decoded.attention if options.keep_attention else None)

    def decode_at_once(self, memory: Memory, target_in: Tensor, mask: Tensor | None) -> Decoded:
        """Decode all positions at once; no step may depend on the features of the previous one.

        Args:
            memory: the source sentences.
            target_in: [batch, tgt_len].
            mask: dropout mask of the embeddings, [batch, tgt_len, embedding].
        """
        embedded = self.embedding(target_in, mask)  # [batch, tgt_len, embedding]
        inputs = embedded if self.shape.reads_previous else embedded[..., :0]
        summary = None
        if self.shape.reads_summary:
            summary = memory.summary.unsqueeze(1).expand(-1, target_in.shape[1], -1)
            inputs = torch.cat([inputs, summary], dim=-1)
        start = self.start(memory).layers
        hidden = self.stack.unroll(inputs, start, layers=self.lower_layers)
        context = weights = None
        if self.attention is not None and memory.keys is not None:
            states, real = memory.states, memory.mask
            context, weights = self.attention.attend(hidden, memory.keys, states, real)
        if self.attends_between:
            hidden = self.stack.unroll(hidden, start, context, layers=ABOVE)
        return Decoded(self.read_out(hidden, context, summary, embedded), weights)

    def decode_stepwise(
        self,
        memory: Memory,
        target_in: Tensor,
        mask: Tensor | None,
        options: DecodeOptions,
    ) -> list[Step]:
        """Decode one position after the other; see `forward`. `mask` as in `decode_at_once`."""
        state = self.start(memory)
        masks = self.stack.draw_masks(self.embedding.weight, *target_in.shape)
        steps: list[Step] = []
        for position, tokens in enumerate(target_in.unbind(dim=1)):
            if options.choose is not None and steps:
                tokens = options.choose(steps[-1].features, tokens)
            embedded = self.embedding.step(tokens)  # [batch, embedding]
            if mask is not None:
                embedded = embedded * mask[:, position]
            steps.append(self.advance(embedded, state, memory, masks.at(position)))
            state = state_after(steps, options.truncation)
        return steps

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> Step:
        """Read one more piece per row.

        Args:
            tokens: previous pieces, [rows]; each sentence has the same number of adjacent rows.
            state: decoder state of the rows.
            memory: the source sentences.
        """
        return self.advance(self.embedding.step(tokens), state, memory, NO_MASKS)

    def advance(
        self, embedded: Tensor, state: DecoderState, memory: Memory, masks: StackMasks
    ) -> Step:
        """Read the previous pieces `embedded` [rows, embedding]; see the module's equations."""
        context = attention = None
        if self.attends_before:
            context, attention = self.attend_rows(state.layers[-1][0], memory)
        summary = self.summary_rows(memory, len(embedded))
        first = embedded if self.shape.reads_previous else embedded[..., :0]
        read = torch.cat([first, *self.others(context, state, summary)], dim=-1)
        projected = self.stack.first.cell.project(read)
        hidden, layers = self.stack.step(
            read, projected, state.layers, masks, layers=self.lower_layers
        )
        if self.attention is not None and not self.attends_before:
            context, attention = self.attend_rows(hidden, memory)
        if self.attends_between:
            hidden, above = self.stack.step(
                hidden, None, state.layers, masks, context, layers=ABOVE
            )
            layers += above
        features = self.read_out(hidden, context, summary, embedded)
        feed = features if self.shape.input_feeding else None
        return Step(features, attention, DecoderState(layers, feed))

    def summary_rows(self, memory: Memory, rows: int) -> Tensor | None:
        """Return the summary of each row's sentence, [rows, enc]; None if steps read none."""
        if not self.shape.reads_summary:
            return None
        return memory.summary.repeat_interleave(rows // memory.batch, dim=0)

    def others(
        self, context: Tensor | None, state: DecoderState, summary: Tensor | None
    ) -> list[Tensor]:
        """Return what the first layer reads beside the previous piece, in this order.

        Args:
            context: what was attended to with the previous state, [rows, enc], or None.
            state: its `feed` are the previous features, [rows, readout], or None.
            summary: summary of the source, [rows, enc], or None.
        """
        return [part for part in (context, state.feed, summary) if part is not None]

    def read_out(
        self, hidden: Tensor, context: Tensor | None, summary: Tensor | None, embedded: Tensor
    ) -> Tensor:
        """Return f = tanh(W [s; c; m; y]) [..., readout], for the output layer.

        Args:
            hidden: state s, [..., hidden].
            context: c, [..., enc]; None without attention.
            summary: summary of the source m, [..., enc]; None if steps read none.
            embedded: previous piece y, [..., embedding]; used if the readout is deep.
        """
        parts = [part for part in (hidden, context, summary) if part is not None]
        if self.shape.deep_readout and self.shape.reads_previous:
            parts.append(embedded)
        return torch.tanh(self.readout(torch.cat(parts, dim=-1)))

    def attend_rows(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attend with `query` [rows, hidden] -> context [rows, enc], weights [rows, src_len]."""
        if self.attention is None or memory.keys is None:
            raise ValueError("this decoder has no attention")
        rows = query.shape[0]
        queries = query.view(memory.batch, -1, query.shape[-1])  # [batch, copies, hidden]
        context, weights = self.attention.attend(queries, memory.keys, memory.states, memory.mask)
        return context.reshape(rows, -1), weights.reshape(rows, -1)
