"""A decoder that precomputes all work that does not depend on the previous step."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nmt.fast.attention import FastProductAttention
from nmt.fast.exchange import adopt
from nmt.fast.linear import linear
from nmt.fast.shared import SharedMatrix, share_gradients
from nmt.layers.linear import Linear
from nmt.layers.recurrent import ABOVE, NO_MASKS, StackMasks
from nmt.models.decoder import RecurrentDecoder, state_after
from nmt.models.state import DecodeOptions, DecoderState, Memory, Step

MOST_BYTES = 1 << 28
"""Size of the largest table that `tabulate` makes."""


class FastDecoder(RecurrentDecoder):
    """See `RecurrentDecoder`.

    The contribution of the previous pieces to the first layer's pre-activations, their share, is
    computed for all positions at once in training, and looked up in a table in search. In training,
    the gradient of each matrix is computed once for all steps.
    """

    table: Tensor | None
    """Embedding and share of each piece, [vocab, embedding + gates * hidden]; for search only."""
    pieces: nn.Module | None
    """Computes the share of the previous piece; for search without a table only."""
    extra: nn.Module | None
    """Computes the share of the first layer's other input; for search only."""
    _shared_extra: SharedMatrix | None

    @classmethod
    def of(cls, decoder: RecurrentDecoder) -> "FastDecoder":
        """Return a decoder with the parameters of `decoder`, for training and validation."""
        fast = adopt(cls, decoder)
        fast.table = fast.pieces = fast.extra = fast._shared_extra = None
        return fast

    @torch.no_grad()
    def tabulate(self, most_bytes: int = MOST_BYTES) -> None:
        """Prepare for search; weights must not change any more.

        There is no table if it would be larger than `most_bytes`.
        """
        first, size = self.stack.first.cell.input, self.pieces_size
        weight, vocab = first.weight, self.embedding.weight.shape[0]
        self.extra = _part(weight[:, size:], None)
        if vocab * (self.embedding.size + len(weight)) * weight.element_size() <= most_bytes:
            embedded = self.embedding.step(torch.arange(vocab, device=weight.device))
            self.table = torch.cat([embedded, self.share(embedded)], dim=1)
        else:
            self.pieces = _part(weight[:, :size], first.bias)

    @property
    def pieces_size(self) -> int:
        """Size of the part of the first layer's input that comes from the previous piece."""
        return self.embedding.size if self.shape.reads_previous else 0

    def share(self, embedded: Tensor) -> Tensor:
        """Return W x + b of the previous pieces alone, [..., gates * hidden].

        `embedded` is [..., embedding].
        """
        first = self.stack.first.cell.input
        if not self.shape.reads_previous:
            bias = first.weight.new_zeros(len(first.weight)) if first.bias is None else first.bias
            return bias.expand(*embedded.shape[:-1], -1)
        if self.pieces is not None:
            share: Tensor = self.pieces(embedded)
            return share
        weight = first.weight[:, : self.pieces_size]
        return linear(embedded, weight, first.bias)

    def extra_share(self, extra: Tensor) -> Tensor:
        """Return W x of the first layer's other input, such as context or features [rows, size]."""
        if self.extra is not None:
            share: Tensor = self.extra(extra)
            return share
        weight = self.stack.first.cell.input.weight[:, self.pieces_size :]
        if self._shared_extra is not None:
            return self._shared_extra.multiply(extra)
        return linear(extra, weight)

    def decode_stepwise(
        self,
        memory: Memory,
        target_in: Tensor,
        mask: Tensor | None,
        options: DecodeOptions,
    ) -> list[Step]:
        """See `RecurrentDecoder`."""
        with self._loop(memory):
            if options.choose is not None:
                return super().decode_stepwise(memory, target_in, mask, options)
            state = self.start(memory)
            masks = self.stack.draw_masks(self.embedding.weight, *target_in.shape)
            embedded = self.embedding(target_in, mask)  # [batch, tgt_len, embedding]
            shares = self.share(embedded.transpose(0, 1))  # [tgt_len, batch, gates * hidden]
            steps: list[Step] = []
            # Unbound, since the gradient of shares[t] would be as large as that of all shares.
            inputs = zip(embedded.unbind(dim=1), shares.unbind(dim=0), strict=True)
            for position, (read, share) in enumerate(inputs):
                at = masks.at(position)
                steps.append(self.advance_from(read, share, state, memory, at))
                state = state_after(steps, options.truncation)
            return steps

    @contextlib.contextmanager
    def _loop(self, memory: Memory) -> Iterator[None]:
        """Compute the gradient of each matrix once for all steps inside the block."""
        with contextlib.ExitStack() as loops:
            loops.enter_context(share_gradients(self))
            weight = self.stack.first.cell.input.weight[:, self.pieces_size :]
            if torch.is_grad_enabled() and weight.shape[1] > 0:
                self._shared_extra = SharedMatrix(weight.t())
            attention = self.attention
            if memory.keys is not None and isinstance(attention, FastProductAttention):
                loops.enter_context(attention.loop(memory.keys, memory.states))
            try:
                yield
            finally:
                self._shared_extra = None

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> Step:
        """See `RecurrentDecoder`."""
        if self.table is None:
            return super().step(tokens, state, memory)
        row, size = self.table.index_select(0, tokens), self.embedding.size
        return self.advance_from(row[:, :size], row[:, size:], state, memory, NO_MASKS)

    def advance(
        self, embedded: Tensor, state: DecoderState, memory: Memory, masks: StackMasks
    ) -> Step:
        """See `RecurrentDecoder`."""
        return self.advance_from(embedded, self.share(embedded), state, memory, masks)

    def advance_from(
        self,
        embedded: Tensor,
        share: Tensor,
        state: DecoderState,
        memory: Memory,
        masks: StackMasks,
    ) -> Step:
        """Advance one step, given the previous pieces and their `share` [rows, gates * hidden]."""
        context = attention = None
        read = embedded if self.shape.reads_previous else embedded[..., :0]
        if self.attends_before:
            context, attention = self.attend_rows(state.layers[-1][0], memory)
        summary = self.summary_rows(memory, embedded.shape[0])
        others = self.others(context, state, summary)
        if others:
            extra = others[0] if len(others) == 1 else torch.cat(others, dim=-1)
            share = share + self.extra_share(extra)
            if self.stack.residual:
                read = torch.cat([read, extra], dim=-1)
        hidden, layers = self.stack.step(read, share, state.layers, masks, layers=self.lower_layers)
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


def _part(weight: Tensor, bias: Tensor | None) -> Linear:
    """Return a linear layer with some columns of a weight matrix."""
    part = Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    part.weight = nn.Parameter(weight.detach().contiguous(), requires_grad=False)
    if bias is not None:
        part.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return part
