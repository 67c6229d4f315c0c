"""The quantities that are varied, the model around them, and the arithmetic at each point."""

from dataclasses import dataclass, replace
from typing import Literal

from nmt.benchmark.sizes import model_of
from nmt.benchmark.work import Sample, work_of
from nmt.config.model import ModelConfig

Task = Literal["train", "translate", "attention"]
Quantity = Literal["length", "hidden_size", "layers", "vocabulary", "beam"]
Side = Literal["source", "target", "both"]

RANGES: dict[Quantity, tuple[int, ...]] = {
    "length": (5, 10, 20, 40, 80),
    "hidden_size": (64, 128, 256, 512, 1024),
    "layers": (1, 2, 4),
    "vocabulary": (1_000, 2_000, 4_000, 8_000, 16_000, 32_000),
    "beam": (1, 2, 4, 8, 16),
}
"""Values of each quantity, ascending; meanwhile, the others keep their default in `Point`."""
VARIED: dict[Task, tuple[Quantity, ...]] = {
    "train": ("length", "hidden_size", "layers", "vocabulary"),
    "translate": ("length", "hidden_size", "layers", "vocabulary", "beam"),
}
"""Quantities that each task's time depends on."""
SIDES: dict[Side, tuple[tuple[int, int], ...]] = {
    "source": tuple((length, 80) for length in (40, 80, 160, 320)),
    "target": tuple((80, length) for length in (40, 80, 160, 320)),
    "both": tuple((length, length) for length in (40, 80, 160, 320)),
}
"""Source and target lengths of attention alone, by the side that is varied; products ascend."""
_ONCE = ("encoder", "keys")  # parts computed once per sentence, not once per hypothesis


@dataclass(frozen=True, kw_only=True)
class Point:
    """Values of all quantities; the defaults are close to the size "small" of `nmt bench`."""

    length: int = 20
    """Pieces in every source and target, end symbol included."""
    hidden_size: int = 512
    """Units per decoder layer; the encoder has half as many in each direction."""
    layers: int = 1
    """Layers in the encoder and in the decoder."""
    vocabulary: int = 8_000
    """Pieces on each side."""
    beam: int = 4
    """Beam size in decoding; 1 = greedy."""

    def at(self, varied: Quantity, value: int) -> "Point":
        """Return a copy of this point with another value of one quantity."""
        return replace(self, **{varied: value})

    @property
    def model(self) -> ModelConfig:
        """The size "small" with these numbers of units and layers; embeddings are unchanged."""
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
        """Return the operations in matrix products and attention per sentence, in 10^6."""
        sample = Sample(self.length, self.length, target_tokens=self.length)
        work = work_of(self.model, target_vocab=self.vocabulary, sample=sample)
        if task == "train":
            return work.training * self.length
        return self.length * sum(
            megaflop * (1 if station in _ONCE else self.beam)
            for station, megaflop in work.by_station().items()
        )
