"""`model.*.cell`: what the recurrent layers of encoder and decoder are made of."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nmt.config import limits
from nmt.config.section import SHORT_FORM, Section


class RnnCellConfig(Section):
    """Elman RNN."""

    kind: Literal["rnn"] = "rnn"
    """Elman RNN (Elman, 1990)."""
    activation: Literal["tanh", "relu", "sigmoid", "identity"] = "tanh"
    """Activation function of the new state."""


class GruCellConfig(Section):
    """Gated recurrent unit."""

    kind: Literal["gru"] = "gru"
    """Gated recurrent unit (Cho et al., 2014)."""
    reset: Literal["after", "before"] = "after"
    """Reset gate after the recurrent product (cuDNN, torch) or before it (Cho et al.)."""


class LstmCellConfig(Section):
    """Long short-term memory."""

    kind: Literal["lstm"] = "lstm"
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; Gers et al., 2000)."""
    forget_bias: float = Field(default=1.0, ge=-limits.MOST_WEIGHT, le=limits.MOST_WEIGHT)
    """Initial bias of the forget gate: above 0, the cell state is kept early in training."""
    forget_gate: bool = True
    """false: the cell state only ever adds up, as in the form of 1997; forget_bias then has no
    effect. Uses the slower step-by-step path."""


def _ascending(steps: tuple[int, ...]) -> tuple[int, ...]:
    if not steps or sorted({*steps}) != [*steps] or steps[0] < 1 or steps[-1] > limits.MOST_STEPS:
        raise ValueError(
            f"must be whole numbers of steps from 1 to {limits.MOST_STEPS:,}, each larger than the "
            f"one before, such as [1, 4], got {[*steps]}"
        )
    return steps


Steps = Annotated[tuple[int, ...], Field(strict=False), AfterValidator(_ascending)]
"""Different numbers of steps, in ascending order."""


class LayerNormLstmCellConfig(Section):
    """Long short-term memory with layer normalisation."""

    kind: Literal["lnlstm"] = "lnlstm"
    """Long short-term memory with layer normalisation (Ba et al., 2016)."""
    forget_bias: float = Field(default=1.0, ge=-limits.MOST_WEIGHT, le=limits.MOST_WEIGHT)
    """Initial shift of the forget gate: above 0, the cell state is kept early in training."""
    per_gate: bool = False
    """Normalise each gate by itself, as RNMT+ does (Chen et al., 2018), not all four together."""


class DelaysCellConfig(Section):
    """Elman RNN with delays."""

    kind: Literal["delays"] = "delays"
    """Elman RNN that reads its state of several earlier steps (Lin et al., 1996)."""
    delays: Steps = (1, 4)
    """How many steps back the states are that it reads, in ascending order."""
    activation: Literal["tanh", "relu", "sigmoid", "identity"] = "tanh"
    """Activation function of the new state."""


class ClockworkCellConfig(Section):
    """Clockwork RNN."""

    kind: Literal["clockwork"] = "clockwork"
    """Elman RNN whose groups of units move at different intervals (Koutník et al., 2014)."""
    periods: Steps = (1, 2, 4)
    """Steps between two updates of each group, in ascending order; units are divided evenly."""
    activation: Literal["tanh", "relu", "sigmoid", "identity"] = "tanh"
    """Activation function of the new state."""


class SsruCellConfig(Section):
    """Simpler simple recurrent unit."""

    kind: Literal["ssru"] = "ssru"
    """Simpler simple recurrent unit (Kim et al., 2019): its gate reads the input alone, so that all
    products span the whole sequence."""


class MinGruCellConfig(Section):
    """Minimal gated recurrent unit."""

    kind: Literal["mingru"] = "mingru"
    """Minimal gated recurrent unit (Feng et al., 2024): its gate reads the input alone, so that all
    products span the whole sequence."""


CellConfig = Annotated[
    Annotated[
        RnnCellConfig
        | GruCellConfig
        | LstmCellConfig
        | LayerNormLstmCellConfig
        | DelaysCellConfig
        | ClockworkCellConfig
        | SsruCellConfig
        | MinGruCellConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]
