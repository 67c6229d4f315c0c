"""`model.dropout`: what is dropped in training, and how often."""

from typing import Any

from pydantic import BeforeValidator, Field

from nmt.config.section import Section


class DropoutConfig(Section):
    """Dropout rates in training; a single number sets the first three."""

    embedding: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of the embeddings."""
    layers: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout between stacked layers and of the encoder's output."""
    readout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of the input of the output layer."""
    attention: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of the attention weights with which source states are summed (Vaswani et al., 2017;
    Chen et al., 2018: 0.3)."""
    recurrent: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of the hidden state in recurrent products; one mask per sentence (Gal and Ghahramani,
    2016). Uses the slower step-by-step path."""
    weights: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout of the recurrent weights; one mask for a whole batch (Merity et al., 2018: 0.5), so
    that the fast path stays."""
    zoneout_hidden: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Zoneout: probability with which a hidden unit keeps its previous value (Krueger et al., 2017:
    0.05). Uses the slower step-by-step path, also in translation."""
    zoneout_cell: float = Field(default=0.0, ge=0.0, lt=1.0)
    """The same for the cell state of an LSTM (Krueger et al., 2017: 0.5)."""
    variational: bool = False
    """One mask per sentence instead of one per position, for the first two."""
    source_words: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Rate of whole source pieces whose embedding is dropped (word dropout)."""
    target_words: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Rate of whole target pieces whose embedding is dropped (word dropout): noise in what the
    decoder reads, so that it does not rely on it (Bowman et al., 2016); a simpler remedy than
    training.scheduled_sampling against errors that follow from errors."""


def _one_rate(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"embedding": value, "layers": value, "readout": value}
    return value


ONE_RATE = BeforeValidator(_one_rate)
"""Allows a single rate for the table: `dropout = 0.3`."""
