"""A recurrent layer that processes whole sentences with compiled kernels, our own or torch's."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from nmt.fast.cells import Gates, unroll, unroll_int8
from nmt.fast.packing import Packing, pack, unpack
from nmt.layers.cells import Cell, GruCell, LstmCell, RnnCell, State
from nmt.layers.recurrent import RecurrentLayer


class FastRecurrentLayer(RecurrentLayer):
    """A recurrent layer that does not call its cell once per position.

    Our own kernels compute the gates, and skip padding if gradients are needed; torch's kernel
    computes a whole sequence, products included. Neither supports recurrent dropout or zoneout, or
    returns the last cell states of sentences of different lengths.
    """

    @property
    def is_undisturbed(self) -> bool:
        """Whether states pass to the next step without recurrent dropout or zoneout."""
        is_dropped = self.recurrent_dropout > 0.0 and self.training
        return not is_dropped and not self.zoneout.acts_on(self.cell.states)

    def unroll(self, inputs: Tensor, state: State, direction: int = 0) -> Tensor:
        """See `RecurrentLayer`."""
        cell = cast(Cell, self.cells[direction])
        if self.is_undisturbed:
            if (gates := Gates.of(cell, inputs)) is not None:
                return unroll_compiled(gates, cell, inputs, state)
            if inputs.shape[-1] > 0 and torch_kernel(cell) is not None:
                return unroll_torch(cell, inputs, state)
        return super().unroll(inputs, state, direction)

    def read(self, inputs: Tensor, mask: Tensor) -> list[Tensor]:
        """See `RecurrentLayer`; with gradients, padding is skipped.

        Without gradients, as in search, the shapes of products must not depend on the other
        sentences, so that results stay bit-identical.
        """
        gates = Gates.of(self.cell, inputs)
        is_packed = gates is not None and self.is_undisturbed and torch.is_grad_enabled()
        if not is_packed or gates is None or not mask[:, 0].all():
            return super().read(inputs, mask)
        packing, batch, real = Packing.of(mask), inputs.shape[0], mask.unsqueeze(-1)
        outputs = []
        for direction, places in enumerate((packing.forward, packing.backward)[: len(self.cells)]):
            cell = cast(Cell, self.cells[direction])
            state = self.start(batch, direction)  # the same for all sentences, in whatever order
            projected = cell.project(pack(inputs, places))  # [words, gates * hidden]
            words = unroll(gates, cell, projected, state, packing.counts)
            outputs.append(unpack(words, places, batch, inputs.shape[1]) * real)
        return outputs


def unroll_compiled(gates: Gates, cell: Cell, inputs: Tensor, state: State) -> Tensor:
    """Run our kernels over `inputs` [batch, length, input] -> [batch, length, hidden]."""
    batch, length = inputs.shape[:2]
    projected = cell.project(inputs.transpose(0, 1))  # [length, batch, gates * hidden]
    if (outputs := unroll_int8(gates, cell, projected, state)) is None:
        words = projected.flatten(0, 1)
        outputs = unroll(gates, cell, words, state, [batch] * length).view(length, batch, -1)
    return outputs.transpose(0, 1)


def torch_kernel(cell: Cell) -> Callable[..., Any] | None:
    """Return torch's function for a whole sequence of this cell; None if it has none."""
    if not isinstance(cell.recurrent, nn.Linear):
        return None
    if isinstance(cell, LstmCell):
        return torch.lstm if cell.forget_gate else None
    if isinstance(cell, GruCell):
        return torch.gru if cell.reset == "after" else None
    if isinstance(cell, RnnCell):
        return {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}.get(cell.activation)
    return None


def unroll_torch(cell: Cell, inputs: Tensor, state: State) -> Tensor:
    """Run torch's kernel over `inputs` [batch, length, input] -> [batch, length, hidden].

    It computes in the precision of the weights, even under autocast. On a GPU, autocast would pass
    float16 to cuDNN, whatever the requested precision, and in float16 small gradients underflow;
    on a CPU, oneDNN's LSTM fails in bfloat16 without AVX-512.

    Raises:
        ValueError: torch has no kernel for this cell.
    """
    if (kernel := torch_kernel(cell)) is None or cell.recurrent is None:
        raise ValueError(f"torch has no kernel for {cell}")
    device, own = inputs.device.type, cell.input.weight.dtype
    if torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return unroll_torch(cell, inputs.to(own), tuple(part.to(own) for part in state))
    bias = cell.input.bias
    weights = [cell.input.weight, cell.recurrent.weight, bias, torch.zeros_like(bias)]
    first = [part.unsqueeze(0).contiguous() for part in state]  # each [1, batch, hidden]
    has_biases, layers, dropout, bidirectional, batch_first = True, 1, 0.0, False, True
    outputs: Tensor = kernel(
        inputs,
        first if len(first) > 1 else first[0],
        weights,
        has_biases,
        layers,
        dropout,
        cell.training,
        bidirectional,
        batch_first,
    )[0]
    return outputs
