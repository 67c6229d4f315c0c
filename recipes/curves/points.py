"""What is varied, around which model, and how much arithmetic each point of a curve takes."""

from dataclasses import dataclass, replace
from typing import Literal

from nmt.benchmark.sizes import model_of
from nmt.benchmark.work import Sample, work_of
from nmt.config.model import ModelConfig

Task = Literal["train", "translate"]
Quantity = Literal["length", "hidden_size", "layers", "vocabulary", "beam"]

RANGES: dict[Quantity, tuple[int, ...]] = {
    "length": (5, 10, 20, 40, 80),
    "hidden_size": (64, 128, 256, 512, 1024),
    "layers": (1, 2, 4),
    "vocabulary": (1_000, 2_000, 4_000, 8_000, 16_000, 32_000),
    "beam": (1, 2, 4, 8, 16),
}
"""The values of each quantity, ascending; all others are as `Point` has them meanwhile."""
VARIED: dict[Task, tuple[Quantity, ...]] = {
    "train": ("length", "hidden_size", "layers", "vocabulary"),
    "translate": ("length", "hidden_size", "layers", "vocabulary", "beam"),
}
"""What the time of each task depends on."""
_ONCE = ("encoder", "keys")  # stations that a decoder passes for each sentence, not for each beam


@dataclass(frozen=True, kw_only=True)
class Point:
    """A setting of all quantities; by default about the size "small" of `nmt bench`."""

    length: int = 20
    """Pieces of every source and of every target, end symbol included."""
    hidden_size: int = 512
    """Units of a decoder's layer; the encoder has half of them in each direction."""
    layers: int = 1
    """Of the encoder and of the decoder."""
    vocabulary: int = 8_000
    """Pieces of each side."""
    beam: int = 4
    """Hypotheses kept in decoding; 1 = greedy."""

    def at(self, varied: Quantity, value: int) -> "Point":
        """Return the point where one quantity has another value."""
        return replace(self, **{varied: value})

    @property
    def model(self) -> ModelConfig:
        """The size "small" with these units and layers; its embeddings stay as they are."""
        small = model_of("small")
        encoder = {"hidden_size": self.hidden_size // 2, "layers": self.layers}
        decoder = {"hidden_size": self.hidden_size, "layers": self.layers}
        return small.model_copy(
            update={
                "encoder": small.encoder.model_copy(update=encoder),
                "decoder": small.decoder.model_copy(update=decoder),
            }
        )

    def megaflop(self, task: Task) -> float:
        """Return the matrix products and attention of one sentence, in 10^6 operations."""
        sample = Sample(self.length, self.length, target_tokens=self.length)
        work = work_of(self.model, target_vocab=self.vocabulary, sample=sample)
        if task == "train":
            return work.training * self.length
        return self.length * sum(
            megaflop * (1 if station in _ONCE else self.beam)
            for station, megaflop in work.by_station().items()
        )
