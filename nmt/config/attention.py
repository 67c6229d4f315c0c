"""Attention: to the source states, `model.decoder.attention`, and to the input of a layer."""

from typing import Annotated, Literal

from pydantic import Field

from nmt.config import limits
from nmt.config.section import SHORT_FORM, Section


class NoAttentionConfig(Section):
    """No attention."""

    kind: Literal["none"] = "none"
    """The decoder sees the source only through its initial state (Sutskever et al., 2014)."""


class DotAttentionConfig(Section):
    """Dot attention."""

    kind: Literal["dot"] = "dot"
    """Inner product of the states (Luong et al., 2015); both must have the same size."""
    temperature: float = Field(default=0.0, ge=0.0)
    """Divides the scores before the softmax: the larger, the flatter; 0 = automatic, the square
    root of the decoder's hidden_size, with heads of their share of it (Vaswani et al., 2017,
    sec. 3.2.1)."""
    heads: int = Field(default=1, ge=1, le=limits.MOST_HEADS)
    """Number of heads, each with weights of its own over its share of the units (Vaswani et al.,
    2017); must divide the decoder's hidden_size and the size of a source state."""


class GeneralAttentionConfig(Section):
    """General attention."""

    kind: Literal["general"] = "general"
    """Inner product after a linear map of the source states (Luong et al., 2015)."""
    temperature: float = Field(default=0.0, ge=0.0)
    """Divides the scores before the softmax: the larger, the flatter; 0 = automatic, the square
    root of the decoder's hidden_size, with heads of their share of it (Vaswani et al., 2017,
    sec. 3.2.1)."""
    heads: int = Field(default=1, ge=1, le=limits.MOST_HEADS)
    """Number of heads, each with weights of its own over its share of the units (Vaswani et al.,
    2017); must divide the decoder's hidden_size and the size of a source state."""


class AdditiveAttentionConfig(Section):
    """Additive attention."""

    kind: Literal["additive"] = "additive"
    """One-layer network over both states (Bahdanau et al., 2015)."""
    hidden_size: int = Field(default=256, ge=1, le=limits.MOST_UNITS)
    """Units of that network."""
    temperature: float = Field(default=1.0, gt=0.0)
    """Divides the scores before the softmax: above 1 flatter, below 1 sharper."""
    heads: int = Field(default=1, ge=1, le=limits.MOST_HEADS)
    """Number of heads, each with weights of its own over its share of the units (Chen et al.,
    2018); must divide the size of a source state."""


class LocalAttentionConfig(Section):
    """Local attention."""

    kind: Literal["local"] = "local"
    """"general" attention times a window around a predicted position (Luong et al., 2015, local-p).
    Its weights sum to less than 1."""
    sigma: float = Field(default=5.0, gt=0.0, le=limits.MOST_WEIGHT)
    """Standard deviation of the window, in pieces; 5 = D / 2 of the paper."""
    content: Literal["general", "none"] = "general"
    """"none": weigh by the position alone; the weights then sum to 1."""
    temperature: float = Field(default=0.0, ge=0.0)
    """Divides the scores of the content before the softmax; 0 = automatic, as for "general"."""


AttentionConfig = Annotated[
    Annotated[
        NoAttentionConfig
        | DotAttentionConfig
        | GeneralAttentionConfig
        | AdditiveAttentionConfig
        | LocalAttentionConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]


class NoInputAttentionConfig(Section):
    """No input attention."""

    kind: Literal["none"] = "none"
    """The first layer reads its input whole."""


class SoftmaxInputAttentionConfig(Section):
    """Input attention."""

    kind: Literal["softmax"] = "softmax"
    """The first layer reads its input times a softmax gate, which is computed at each step from the
    input and the previous state (Qin et al., 2017). Uses the slower step-by-step path."""
    sharpness: float = Field(default=1.0, ge=0.0, le=limits.MOST_WEIGHT)
    """Multiplies the scores before the softmax: 0 = all values alike, large = a single one."""
    rescale: bool = True
    """Multiply the gate by the number of values, so that an even gate changes nothing."""


InputAttentionConfig = Annotated[
    Annotated[NoInputAttentionConfig | SoftmaxInputAttentionConfig, Field(discriminator="kind")],
    SHORT_FORM,
]
