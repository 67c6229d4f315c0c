"""`model.output`: what turns the states of the decoder into words or numbers."""

from typing import Annotated, Literal

from pydantic import Field

from nmt.config import limits
from nmt.config.section import SHORT_FORM, Section


class SoftmaxOutputConfig(Section):
    """Softmax over the vocabulary."""

    kind: Literal["softmax"] = "softmax"
    """Softmax of a linear layer over the vocabulary."""

    def describe(self) -> str:
        """Return a description, such as "softmax"."""
        return self.kind


class CopyOutputConfig(Section):
    """Generates a piece, or copies one of the source."""

    kind: Literal["copy"] = "copy"
    """Mixture of the softmax and of the attention to source pieces of the same spelling (Gulcehre
    et al., 2016; See et al., 2017): names and numbers are copied. Text that is unknown, as with
    tokenizer.kind "word" or without tokenizer.byte_fallback, is copied as well, but neither to
    complete a prefix nor while words are banned. Needs an attention."""

    def describe(self) -> str:
        """Return a description, such as "copy"."""
        return self.kind


class LexicalOutputConfig(Section):
    """Softmax over the vocabulary with a lexical model."""

    kind: Literal["lexical"] = "lexical"
    """Softmax that also sees the embeddings of the source pieces attended to, through a layer of
    its own (Nguyen and Chiang, 2018), so that rare words are translated by what they are, and not
    only by their context. Needs an attention."""
    dictionary: bool = False
    """Also add the log of the probability that a target piece translates the source pieces
    attended to, by the dictionary that `nmt prepare` learns (IBM model 1; Arthur et al., 2016). It
    helps most where there is little text; the more target pieces, the more memory a batch takes."""

    def describe(self) -> str:
        """Return a description, such as "lexical"."""
        return f"{self.kind}, with a dictionary" if self.dictionary else self.kind


class PointerOutputConfig(Section):
    """Points at a piece of the source."""

    kind: Literal["pointer"] = "pointer"
    """Only pieces of the source can be written (Vinyals et al., 2015), as in sorting; its end
    symbol ends the target. A word that occurs twice has the sum of both probabilities. Search with
    search.beam = 1: among so few words, a beam soon fills with targets that end too early."""
    hidden_size: int = Field(default=256, ge=1, le=limits.MOST_UNITS)
    """Units of the network that compares decoder and source states."""

    def describe(self) -> str:
        """Return a description, such as "pointer"."""
        return self.kind


class NumbersOutputConfig(Section):
    """Predicts numbers."""

    kind: Literal["numbers"] = "numbers"
    """Numbers instead of a label, trained by their squared error: target lines are numbers between
    commas, such as "0.53,1". Needs decoder.kind "label"."""
    values: int = Field(default=1, ge=1, le=limits.MOST_UNITS)
    """Numbers in each target line."""

    def describe(self) -> str:
        """Return a description, such as "2 numbers, squared error"."""
        return f"{self.values} number{'s' * (self.values > 1)}, squared error"


OutputConfig = Annotated[
    Annotated[
        SoftmaxOutputConfig
        | LexicalOutputConfig
        | CopyOutputConfig
        | PointerOutputConfig
        | NumbersOutputConfig,
        Field(discriminator="kind"),
    ],
    SHORT_FORM,
]
