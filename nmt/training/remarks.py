"""Remarks on what validation found, for people: collapsed output, and what needs no model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nmt.config.training import ValidationConfig
from nmt.data.corpus import Corpus
from nmt.evaluation.collapse import Collapse
from nmt.evaluation.metrics import score
from nmt.run_folder.journal import name_tokenizer
from nmt.training.state import BLEU_NOISE, Best

_PAIRS_TO_COUNT = 100_000


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
        return f"last validation: {collapse}{collapse.quoted}; {remedy}"
    return (
        f"{collapse}{collapse.quoted}, as is common early in training; if this persists, {remedy}"
    )


@dataclass(frozen=True)
class Baseline:
    """What a model must beat: the score of outputs that need no model."""

    name: str
    """Such as "copying the source"."""
    bleu: float
    chrf: float
    tokenizer: str
    """As in sacrebleu's signature."""

    @classmethod
    def measure(
        cls, name: str, outputs: Sequence[str], references: Sequence[str], tokenize: str
    ) -> "Baseline":
        """Score outputs against one reference each."""
        bleu, chrf = score(outputs, references, ("bleu", "chrf"), tokenize=tokenize)
        return cls(name, bleu.value, chrf.value, bleu.tokenizer)

    def __str__(self) -> str:
        return f"BLEU {self.bleu:.1f}{name_tokenizer(self.tokenizer)}, chrF {self.chrf:.1f}"

    @property
    def is_remarkable(self) -> bool:
        """Whether the BLEU is more than chance."""
        return self.bleu >= BLEU_NOISE

    def beats(self, best: Best, config: ValidationConfig) -> bool:
        """Whether it scores more than the best model."""
        own = {"bleu": self.bleu, "chrf": self.chrf}.get(config.metric)
        return self.is_remarkable and own is not None and own > best.value


def most_frequent_target(corpus: Corpus) -> str:
    """Return the target that most pairs have, among 100,000 pairs spread over the corpus."""
    step = -(-len(corpus) // _PAIRS_TO_COUNT)
    targets = Counter(corpus.texts(index)[1] for index in range(0, len(corpus), step))
    [(target, _)] = targets.most_common(1)
    return target
