"""`[model.embedding]`: vectors of the pieces, learned or read from a file."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from nmt.config import limits
from nmt.config.section import Section


class VectorsConfig(Section):
    """Pretrained embeddings of one side; a single text names the file."""

    file: str = ""
    """Vectors in the text format of word2vec or GloVe, one word and its numbers a line, plain or
    packed; "" = none. It is read once, when a run begins; pieces it lacks are drawn at random.
    A piece that begins a word has the vector of that word."""
    freeze: bool = False
    """Keep these vectors as they are; pieces that the file lacks still learn."""


def _file_only(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


class EmbeddingConfig(Section):
    """Embeddings of the pieces."""

    size: int = Field(default=512, ge=1, le=limits.MOST_UNITS)
    """Embedding size, on both sides."""
    tied: Literal["none", "target", "all"] = "none"
    """Share weights: "target" = target embedding and output layer (Press and Wolf, 2017),
    "all" = source embedding too (needs a joint vocabulary). Needs decoder.hidden_size or
    decoder.readout_size equal to the embedding size."""
    source_vectors: Annotated[VectorsConfig, BeforeValidator(_file_only)] = VectorsConfig()
    """A file of pretrained vectors of the source side, or a table."""
    target_vectors: Annotated[VectorsConfig, BeforeValidator(_file_only)] = VectorsConfig()
    """A file of pretrained vectors of the target side, or a table. With tied weights, they are
    those of all sides that share them."""

    @property
    def vectors(self) -> dict[str, VectorsConfig]:
        """Pretrained vectors by side, where a file is named."""
        sides = {"source": self.source_vectors, "target": self.target_vectors}
        return {side: vectors for side, vectors in sides.items() if vectors.file}

    @property
    def shares_vocabulary(self) -> bool:
        """Whether both sides have the same pieces, since they share one embedding matrix."""
        return self.tied == "all"
