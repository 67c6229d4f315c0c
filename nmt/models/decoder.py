"""Target prefix and source memory to features for the output layer.

Two arrangements of attention are known by their papers:

    attend "after"  (Luong et al., 2015)      s_t = cell(y_{t-1} [, f_{t-1}], s_{t-1})
                                              c_t = attend(s_t),  f_t = tanh(W [s_t; c_t])
    attend "before" (Bahdanau et al., 2015)   c_t = attend(s_{t-1}),  s_t = cell([y_{t-1}; c_t])
                                              f_t = tanh(W [s_t; c_t])

A deep readout also shows y_{t-1} to W. Feeding f_{t-1} back into the cell is input feeding.
Where nothing of a step flows back into the next but the cell's own state, the whole target is
decoded at once; otherwise step by step.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from nmt.layers.attention import Attention
from nmt.layers.dropout import drop
from nmt.layers.embedding import Embedding
from nmt.layers.products import Multiply, multiply_plainly
from nmt.layers.recurrent import RecurrentStack, StepMasks
from nmt.layers.shared_products import shared_products
from nmt.models.state import DecoderState, Memory, Step


class Picker(Protocol):
    """Chooses what the decoder reads next in scheduled sampling (`ScheduledSampling`, tests)."""

    def __call__(self, features: Tensor, gold: Tensor) -> Tensor:
        """Return the next input ids [rows], from features [rows, readout] and `gold` [rows]."""
        ...


@dataclass(frozen=True)
class DecoderShape:
    """How a decoder's parts are put together."""

    reads_previous: bool = True
    """The cell reads the previous piece."""
    attend: Literal["after", "before"] = "after"
    """Attend with the new state, or with the one before and let the cell read the context."""
    input_feeding: bool = False
    """The cell reads the previous features; only with attend "after" and an attention."""
    deep_readout: bool = False
    """The readout sees the previous piece."""
    bridge: Literal["zero", "last", "mean"] = "last"
    """First state: zeros, or a layer over the memory's summary."""


def cell_input_size(
    shape: DecoderShape, *, embedding: int, memory: int, readout: int, attends: bool
) -> int:
    """Return how many values a decoder's first layer reads at each step."""
    size = embedding if shape.reads_previous else 0
    if attends and shape.attend == "before":
        size += memory
    if shape.input_feeding:
        size += readout
    return size


class RecurrentDecoder(nn.Module):
    """Stacked recurrent layers with attention over the source and a readout.

    Args:
        embedding: vectors of the target pieces.
        stack: the layers, reading `cell_input_size` values.
        attention: how the source is weighed; None = it is seen only through the first state.
        memory_size: values of a source state.
        readout_size: values of a feature vector.
        shape: how the parts are put together.
        dropout: rate of feature values dropped in training.
    """

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
        self.multiply: Multiply = multiply_plainly
        self.embedding, self.stack, self.attention = embedding, stack, attention
        self.shape, self.dropout, self.readout_size = shape, dropout, readout_size
        hidden = stack.output_size
        context = 0 if attention is None else memory_size
        deep = embedding.size if shape.deep_readout and shape.reads_previous else 0
        self.readout = nn.Linear(hidden + context + deep, readout_size)
        self._table: Tensor | None = None
        self._extra_weight: Tensor | None = None
        cells = [layer.cell for layer in stack.each_layer()]
        self.state_sizes = [cell.hidden_size for cell in cells for _ in range(cell.states)]
        self.bridge = (
            None if shape.bridge == "zero" else nn.Linear(memory_size, sum(self.state_sizes))
        )

    @property
    def decodes_at_once(self) -> bool:
        """Whether the whole target can be decoded without a loop over its positions."""
        feeds_back = self.shape.input_feeding or (
            self.attention is not None and self.shape.attend == "before"
        )
        return not feeds_back

    def start(self, memory: Memory, *, copies: int = 1) -> DecoderState:
        """Return the state before the first target position.

        Args:
            memory: the source sentences.
            copies: rows per sentence; row b * copies + k belongs to sentence b.
        """
        batch = memory.batch
        if self.bridge is None:
            flat = memory.summary.new_zeros(batch, sum(self.state_sizes))
        else:
            flat = torch.tanh(self.bridge(memory.summary))  # [batch, all states]
        flat = flat.repeat_interleave(copies, dim=0) if copies > 1 else flat
        parts = iter(torch.split(flat, self.state_sizes, dim=-1))
        layers = tuple(
            tuple(next(parts) for _ in range(layer.cell.states))
            for layer in self.stack.each_layer()
        )
        feed = None
        if self.shape.input_feeding:
            feed = memory.states.new_zeros(batch * copies, self.readout_size)
        return DecoderState(layers, feed)

    def forward(self, memory: Memory, target_in: Tensor, picker: Picker | None = None) -> Tensor:
        """Return features [batch, tgt_len, readout] of `target_in` [batch, tgt_len].

        With a `picker` the gold inputs after the first are only proposals: what each step reads
        is what the picker returns for the features of the step before.
        """
        dropped = self.embedding.draw_mask(target_in)
        embedded = self.embedding(target_in, dropped)  # [batch, tgt_len, embedding]
        if picker is not None:
            features = self._decode_own(memory, target_in, dropped, picker)
        elif self.decodes_at_once:
            features = self._decode_at_once(memory, embedded)
        else:
            features = self._decode_stepwise(memory, embedded)
        return drop(features, self.dropout, training=self.training)

    def _decode_at_once(self, memory: Memory, embedded: Tensor) -> Tensor:
        inputs = embedded if self.shape.reads_previous else embedded[..., :0]
        hidden = self.stack.unroll(inputs, self.start(memory).layers)  # [batch, tgt_len, hidden]
        parts = [hidden]
        if self.attention is not None:
            parts.append(self._attend(hidden, memory)[0])
        return self._read_out(parts, embedded)

    def _decode_stepwise(self, memory: Memory, embedded: Tensor) -> Tensor:
        state = self.start(memory)
        masks = self.stack.draw_masks(embedded, *embedded.shape[:2])
        own = self._project_embedded(embedded.transpose(0, 1))  # [tgt_len, batch, gates * hidden]
        features = []
        with shared_products():
            each = zip(embedded.unbind(dim=1), own.unbind(dim=0), strict=True)
            for position, (inputs, share) in enumerate(each):
                step = self._advance(inputs, share, state, memory, masks.at(position))
                state = step.state
                features.append(step.features)
        return torch.stack(features, dim=1)

    def _decode_own(
        self, memory: Memory, target_in: Tensor, dropped: Tensor | None, picker: Picker
    ) -> Tensor:
        """As `_decode_stepwise`, but what each step reads is known only after the one before."""
        state = self.start(memory)
        masks = self.stack.draw_masks(memory.states, *target_in.shape)
        tokens = target_in[:, 0]
        features: list[Tensor] = []
        with shared_products():
            for position in range(target_in.shape[1]):
                if position > 0:
                    tokens = picker(features[-1], target_in[:, position])
                embedded = self.embedding.step(tokens)  # [batch, embedding]
                if dropped is not None:
                    embedded = embedded * dropped[:, position]
                own = self._project_embedded(embedded)
                step = self._advance(embedded, own, state, memory, masks.at(position))
                state = step.state
                features.append(step.features)
        return torch.stack(features, dim=1)

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> Step:
        """Read one more piece per row.

        Args:
            tokens: previous pieces, [rows]; rows are a multiple of the memory's sentences, those
                of one sentence next to each other.
            state: where the rows stand.
            memory: the source sentences.
        """
        if self._table is None:
            embedded = self.embedding.step(tokens)
            own = self._project_embedded(embedded)
        else:
            row, size = self._table.index_select(0, tokens), self.embedding.size
            embedded, own = row[:, :size], row[:, size:]
        return self._advance(embedded, own, state, memory, StepMasks())

    @torch.no_grad()
    def tabulate(self, most_bytes: int = 1 << 28) -> None:
        """Let `step` look up what the first layer makes of a piece, instead of multiplying.

        The weights are final then. Does nothing if the table would be larger than `most_bytes`.
        """
        weight = self.stack.first.cell.weight_input
        self._extra_weight = weight[
            :, self.embedding.size if self.shape.reads_previous else 0 :
        ].contiguous()
        vocab, size = self.embedding.weight.shape
        if vocab * (size + weight.shape[0]) * weight.element_size() <= most_bytes:
            embedded = self.embedding.step(torch.arange(vocab, device=weight.device))
            self._table = torch.cat([embedded, self._project_embedded(embedded)], dim=1)

    def _project_embedded(self, embedded: Tensor) -> Tensor:
        """The embedding's share of the first layer's product, [..., gates * hidden]."""
        cell = self.stack.first.cell
        if not self.shape.reads_previous:
            return cell.bias.expand(*embedded.shape[:-1], -1)
        return self.multiply(embedded, cell.weight_input[:, : embedded.shape[-1]], cell.bias)

    def _advance(
        self, embedded: Tensor, own: Tensor, state: DecoderState, memory: Memory, masks: StepMasks
    ) -> Step:
        """One step from `embedded` [rows, embedding], whose product is `own` [rows, gates]."""
        extra = state.feed
        context = attention = None
        if self.attention is not None and self.shape.attend == "before":
            context, attention = self._attend_rows(state.layers[-1][0], memory)
            extra = context
        inputs = embedded if self.shape.reads_previous else embedded[..., :0]
        if extra is not None:
            weight = self._extra_weight
            if weight is None:
                weight = self.stack.first.cell.weight_input[:, inputs.shape[-1] :]
            own = own + self.multiply(extra, weight)
            if self.stack.residual:
                inputs = torch.cat([inputs, extra], dim=-1)
        hidden, layers = self.stack.step(inputs, own, state.layers, masks)
        if self.attention is not None and self.shape.attend == "after":
            context, attention = self._attend_rows(hidden, memory)
        features = self._read_out([hidden] if context is None else [hidden, context], embedded)
        feed = features if self.shape.input_feeding else None
        return Step(features, attention, DecoderState(layers, feed))

    def _read_out(self, parts: list[Tensor], embedded: Tensor) -> Tensor:
        if self.shape.deep_readout and self.shape.reads_previous:
            parts = [*parts, embedded]
        seen = torch.cat(parts, dim=-1)  # [..., hidden + enc + embedding]
        return torch.tanh(self.multiply(seen, self.readout.weight, self.readout.bias))

    def _attend(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """`query` [batch, queries, hidden] -> context [batch, queries, enc] and weights."""
        assert self.attention is not None
        assert memory.keys is not None
        return self.attention.attend(query, memory.keys, memory.states, memory.mask)

    def _attend_rows(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attend with `query` [rows, hidden] -> context [rows, enc], weights [rows, src_len]."""
        rows = query.shape[0]
        context, weights = self._attend(query.view(memory.batch, -1, query.shape[-1]), memory)
        return context.reshape(rows, -1), weights.reshape(rows, -1)
