"""`model.initialization`: how the weights are drawn."""

from typing import Annotated, Literal

from pydantic import Field

from nmt.config import limits
from nmt.config.section import SHORT_FORM, Section


class UniformInitConfig(Section):
    """Uniform."""

    kind: Literal["uniform"] = "uniform"
    """Every weight uniform in [-scale, scale]."""
    scale: float = Field(default=0.1, gt=0.0, le=limits.MOST_WEIGHT)
    """Half the width of the interval."""


class XavierInitConfig(Section):
    """Glorot."""

    kind: Literal["xavier"] = "xavier"
    """Uniform by fan-in and fan-out (Glorot and Bengio, 2010), gate by gate."""


class OrthogonalInitConfig(Section):
    """Orthogonal recurrent weights."""

    kind: Literal["orthogonal"] = "orthogonal"
    """As "xavier", but recurrent weights are orthogonal, gate by gate (Saxe et al., 2014)."""


class SpectralInitConfig(Section):
    """Recurrent weights of a given spectral radius."""

    kind: Literal["spectral"] = "spectral"
    """As "xavier", but each recurrent block is scaled to spectral radius c / gamma, gamma being
    the largest slope of its activation (Pascanu et al., 2013)."""
    c: float = Field(default=1.1, gt=0.0, le=limits.MOST_WEIGHT)
    """Radius times gamma. Only in a linear layer does c decide that gradients vanish (below 1) or
    grow (above 1); with other activations it is a start that guarantees neither."""


class SparseInitConfig(Section):
    """Few recurrent weights per unit."""

    kind: Literal["sparse"] = "sparse"
    """As "xavier", but each unit has few incoming recurrent weights, gate by gate (Martens, 2010;
    Martens and Sutskever, 2011; "smart tanh" of Pascanu et al., 2013)."""
    nonzeros: int = Field(default=15, ge=1)
    """Number of non-zero recurrent weights per unit and gate; at most all of them."""
    radius: float = Field(default=0.95, gt=0.0, le=limits.MOST_WEIGHT)
    """Spectral radius of each recurrent block (Sutskever et al., 2013: 1.1)."""


InitConfig = Annotated[
    Annotated[
        UniformInitConfig
        | XavierInitConfig
        | OrthogonalInitConfig
        | SpectralInitConfig
        | SparseInitConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]
