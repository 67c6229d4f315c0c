"""How good weights are: loss on held-out pairs, and scores of what they translate.

Translations go the whole way, from raw text through the translator to detokenized text, and are
held against the untouched references: the number that chooses the model is the one users see.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from nmt.config.experiment import Experiment
from nmt.config.search import SearchConfig
from nmt.config.training import TrainingConfig, ValidationConfig
from nmt.data.binary import Corpus
from nmt.data.loader import batches_once
from nmt.errors import explain_lack_of_memory
from nmt.evaluation.metrics import Score, score
from nmt.models.translation import TranslationModel
from nmt.native.ranking import ranking
from nmt.search.ranking import rank_plainly
from nmt.storage.files import write_text
from nmt.storage.folders import make_folder
from nmt.text.lines import BadLines, read_numbered_pairs
from nmt.text.normalize import Normalizer
from nmt.text.subword import Subword
from nmt.training.divergence import is_hopeless
from nmt.training.gradients import describe_batch
from nmt.training.run_folder import VALIDATIONS
from nmt.training.stopping import Metric
from nmt.translator import Translator


@dataclass(frozen=True)
class Scores:
    """What a validation found."""

    loss: float
    """Mean negative log-likelihood per target token, in nats."""
    bleu: float | None
    """Of detokenized text, 0 to 100; None if nothing was translated."""
    chrf: float | None
    """Likewise."""
    seconds: float
    """What it took."""

    def value(self, metric: Metric) -> float:
        """Return the value that chooses; NaN if it was not measured."""
        value = {"loss": self.loss, "bleu": self.bleu, "chrf": self.chrf}[metric]
        return float("nan") if value is None else value


@torch.inference_mode()
def mean_loss(
    model: TranslationModel, corpus: Corpus, *, batch_tokens: int, device: torch.device
) -> float:
    """Return the mean negative log-likelihood per target token over a corpus, in nats."""
    was_training = model.training
    model.eval()
    nll, tokens = 0.0, 0
    for batch in batches_once(corpus, batch_tokens=batch_tokens):
        with explain_lack_of_memory(partial(describe_batch, batch)):
            batch = batch.to(device)
            memory = model.encode(batch.source, batch.source_mask)
            features = model.decode(memory, batch.target_in)
            loss = model.output.loss(features, batch.target_out, batch.target_mask)
            nll, tokens = nll + loss.nll.item(), tokens + loss.tokens
    model.train(was_training)
    return nll / tokens if tokens else float("nan")


class Validator:
    """Scores weights on the validation files.

    With `metric = "loss"` nothing is translated. Every translation is kept in the run's folder
    `valid/`, a file each time, so that one can watch a model learn.

    Args:
        corpus: the prepared validation pairs, for the loss.
        subwords: pieces of source and target.
        experiment: for the files, the normalisation and the metric.
        run: the run folder.
        device: where the model is.
        bad_lines: what to do with pairs that are not UTF-8.

    Raises:
        DataError: the files cannot be read. They are read here, once: what happens to them later
            neither ends a run nor changes what its scores are of.
    """

    def __init__(
        self,
        corpus: Corpus,
        subwords: tuple[Subword, Subword],
        experiment: Experiment,
        run: Path,
        device: torch.device,
        *,
        bad_lines: BadLines = "error",
    ) -> None:
        self.corpus, self.run, self.device = corpus, run, device
        self.source, self.target = subwords
        self.config: ValidationConfig = experiment.validation
        self.search: SearchConfig = experiment.search.model_copy(
            update={"beam": self.config.beam, "n_best": 1, "sample": False, "shortlist": 0}
        )
        self.normalizer = Normalizer(
            unicode=experiment.normalization.unicode,
            whitespace=experiment.normalization.whitespace,
        )
        self.training: TrainingConfig = experiment.training
        self.pairs: list[tuple[str, str]] = []
        if self.config.metric != "loss":
            source, target = map(Path, experiment.data.valid)
            pairs = read_numbered_pairs(source, target, bad_lines=bad_lines)
            self.pairs = [pair for _, pair in islice(pairs, self.config.max_lines or None)]

    def score(self, model: TranslationModel, update: int) -> Scores:
        """Score the weights that `model` has now, after `update` updates."""
        begin = time.monotonic()
        batch_tokens = self.training.batch_tokens
        loss = mean_loss(model, self.corpus, batch_tokens=batch_tokens, device=self.device)
        if self.config.metric == "loss" or is_hopeless(loss):
            return Scores(loss, None, None, time.monotonic() - begin)
        bleu, chrf = self._translate_and_score(model, update)
        return Scores(loss, bleu.value, chrf.value, time.monotonic() - begin)

    def _translate_and_score(self, model: TranslationModel, update: int) -> Sequence[Score]:
        source, references = zip(*self.pairs, strict=True)
        translator = Translator(
            [model],
            source=self.source,
            target=self.target,
            normalizer=self.normalizer,
            search=self.search,
            device=self.device,
            rank=ranking(rank_plainly),
        )
        hypotheses = [translation.text for translation in translator.translate(source)]
        folder = make_folder(self.run / VALIDATIONS)
        write_text(folder / f"update-{update:06d}.hyp", "\n".join([*hypotheses, ""]))
        return score(hypotheses, references, ("bleu", "chrf"))
