"""Remarks on what validation found, for people: collapsed output, and the score of copying."""

from collections.abc import Sequence
from dataclasses import dataclass

from nmt.config.training import ValidationConfig
from nmt.evaluation.collapse import Collapse
from nmt.evaluation.metrics import score
from nmt.run_folder.journal import name_tokenizer
from nmt.training.state import BLEU_NOISE, Best


def explain_collapse(collapse: Collapse, learning_rate: float, *, has_ended: bool) -> str:
    """Return what many translations have in common, and what to do about it.

    Args:
        collapse: the most frequent fault of the translations of a validation.
        learning_rate: `training.learning_rate`.
        has_ended: whether training has ended; until then, a young model is excused.
    """
    remedy = (
        f"lower training.learning_rate (now {learning_rate:g}), or train longer if the loss falls"
    )
    if collapse.kind == "copies":
        remedy = (
            "look for copies in the training files by `nmt check`, and leave them out: "
            "data.drop_copies = true"
        )
    if has_ended:
        return f"at the last validation, {collapse}{collapse.quoted}: {remedy}"
    return f"{collapse}{collapse.quoted}, as of many young models; if this persists, {remedy}"


@dataclass(frozen=True)
class Copying:
    """What the source scores as a translation of itself."""

    bleu: float
    chrf: float
    tokenizer: str
    """As in sacrebleu's signature."""

    @classmethod
    def measure(cls, texts: Sequence[tuple[str, str]], tokenize: str) -> "Copying":
        """Score the sources of `texts`, pairs of source and reference."""
        sources, references = zip(*texts, strict=True)
        bleu, chrf = score(sources, references, ("bleu", "chrf"), tokenize=tokenize)
        return cls(bleu.value, chrf.value, bleu.tokenizer)

    def __str__(self) -> str:
        return f"BLEU {self.bleu:.1f}{name_tokenizer(self.tokenizer)}, chrF {self.chrf:.1f}"

    @property
    def is_remarkable(self) -> bool:
        """Whether the BLEU is more than chance."""
        return self.bleu >= BLEU_NOISE

    def beats(self, best: Best, config: ValidationConfig) -> bool:
        """Whether copying scores more than the best model."""
        own = {"bleu": self.bleu, "chrf": self.chrf}.get(config.metric)
        return self.is_remarkable and own is not None and own > best.value
