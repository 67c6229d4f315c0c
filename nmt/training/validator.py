"""The validator: loss on held-out pairs, and scores of their translations.

Translations go through the public translator, from raw text to detokenized text, and are compared
with the original references: the score that selects the model is the one users see.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import torch

from nmt.config.experiment import Experiment
from nmt.config.search import SearchConfig
from nmt.config.training import ValidationConfig
from nmt.data.batch import explain_large_batch
from nmt.data.corpus import Corpus
from nmt.data.folder import VALID, PreparationRecord, valid_files
from nmt.data.loader import batches_once
from nmt.data.shape import Shape
from nmt.evaluation.collapse import Collapse, find_collapse
from nmt.evaluation.metrics import Score, score
from nmt.evaluation.suspicions import missing_spaces
from nmt.evaluation.tokenizers import choose_tokenizer, require_available
from nmt.objectives.likelihood import Likelihood, Model
from nmt.run_folder.layout import DATA
from nmt.run_folder.samples import Sample, choose_samples, keep_text, keep_translations
from nmt.search.ranking import Rank, rank_plainly
from nmt.text.copied import CopyIds
from nmt.text.lines import read_numbered_pairs
from nmt.text.normalize import Normalizer
from nmt.text.subword import Subword
from nmt.text.units import Unit, Units
from nmt.training.in_progress import has_diverged
from nmt.training.remarks import Baseline, explain_collapse, most_frequent_target
from nmt.training.state import Best, Metric
from nmt.translator import Translator

logger = logging.getLogger("nmt.training")


@dataclass(frozen=True)
class Scores:
    """The result of a validation."""

    loss: float
    """Mean negative log-likelihood per target token, in nats; or mean squared error."""
    bleu: float | None
    """BLEU of detokenized text, 0 to 100; None if nothing was translated."""
    chrf: float | None
    """chrF of detokenized text, 0 to 100; None if nothing was translated."""
    loss_per_word: float
    """Mean negative log-likelihood per target word, in nats: comparable between segmentations.
    Words are separated by spaces, or are characters, see `unit`; the end of the line counts as one
    more."""
    tokenizer: str
    """How BLEU split the text, as in sacrebleu's signature; "" if nothing was translated."""
    collapse: tuple[str, ...]
    """What many translations have in common and few references do, such as "37 % of the lines are
    the same sentence"; the most frequent first."""
    seconds: float
    """Duration."""
    loss_name: str = "nll"
    """What the loss is: "nll" or "squared error"."""
    unit: Unit = "word"
    """What `loss_per_word` is per: "character" if the target's script has no spaces."""

    @property
    def has_diverged(self) -> bool:
        """Whether the loss, or its perplexity, is not finite."""
        return has_diverged(self.loss, self.loss_name)

    def as_best(self, metric: Metric, update: int) -> Best:
        """Return what early stopping compares."""
        return Best(update, self.value(metric), self.loss, self.chrf or 0.0)

    def value(self, metric: Metric) -> float:
        """Return the value of `metric`; NaN if it was not measured."""
        value = {"loss": self.loss, "bleu": self.bleu, "chrf": self.chrf}[metric]
        return float("nan") if value is None else value


@torch.inference_mode()
def mean_loss(
    model: Model,
    corpus: Corpus,
    *,
    batch_tokens: int,
    device: torch.device,
    copy_ids: CopyIds | None = None,
) -> float:
    """Return the mean negative log-likelihood per target token over a corpus, in nats; of a model
    that predicts numbers, the mean squared error."""
    was_training = model.training
    model.eval()
    objective, nll, tokens = Likelihood(), 0.0, 0
    batches = batches_once(
        corpus, batch_tokens=batch_tokens, copy_ids=copy_ids, reverse=model.right_to_left
    )
    for batch in batches:
        with explain_large_batch(batch):
            loss = objective.loss(model, batch.to(device))
            nll, tokens = nll + loss.nll.item(), tokens + loss.tokens
    model.train(was_training)
    return nll / tokens if tokens else float("nan")


def measure_of(experiment: Experiment) -> str:
    """Return everything that the value of a validation depends on besides weights and files."""
    config, search = experiment.validation, validation_search(experiment)
    if config.metric == "loss":
        return config.metric
    lines = f"{config.max_lines} lines" if config.max_lines else "all lines"
    options = search.model_dump_json(exclude_defaults=True)
    return f"{config.metric}, tokenizer {config.tokenize}, {lines}, search {options}"


def validation_search(experiment: Experiment) -> SearchConfig:
    """Return the options of search in validation."""
    plain = {"n_best": 1, "sample": False, "shortlist": 0, "groups": 1, "mbr": "none"}
    return experiment.search.model_copy(update=plain | {"beam": experiment.validation.beam})


class Validator:
    """Scores weights on the validation files.

    All translations are kept in the folder `valid/` of the run, which shows how a model learns;
    see `nmt.run_folder.samples`.

    Args:
        experiment: names the files, the normalisation and the metric; with `metric = "loss"` only
            the samples are translated, without a score.
        run: the run folder, with prepared data.
        subwords: subword models of source and target.
        device: device of the model.
        trained_on: training corpus, whose most frequent line is scored.

    Raises:
        DataError: the files cannot be read. They are read here, once: later changes to them
            neither end a run nor change its scores.
    """

    def __init__(
        self,
        experiment: Experiment,
        run: Path,
        subwords: tuple[Subword, Subword],
        device: torch.device,
        *,
        trained_on: Corpus,
    ) -> None:
        shape = Shape.of(experiment.model)
        self.corpus = Corpus(run / DATA, VALID, features=shape.features, values=shape.values)
        self.is_translation = shape.is_text
        self.run, self.device, self.trained_on = run, device, trained_on
        self.source, self.target = subwords
        self.copy_ids = CopyIds(*subwords) if experiment.model.writes_source else None
        self.batch_tokens = experiment.training.batch_tokens
        self.search = validation_search(experiment)
        self.normalizer = Normalizer(**experiment.normalization.model_dump())
        targets = (self.corpus.texts(index)[1] for index in range(len(self.corpus)))
        self.units = Units(targets)
        """What the loss is also given per."""
        self.rank: Rank = rank_plainly
        if experiment.training.fast:
            from nmt.fast.accelerate import ranking

            self.rank = ranking(rank_plainly)
        record = PreparationRecord.load(run / DATA)
        self.training_text = record.training_text
        self.languages = experiment.data.source, experiment.data.target
        files = valid_files(experiment.data, run / DATA)
        self.files = [*dict.fromkeys(str(file) for file in files if file)]
        texts = _texts_to_translate(experiment, run / DATA)
        self.samples = choose_samples(texts, experiment.validation.samples)
        self.texts = texts if experiment.validation.metric != "loss" else []
        """Sources and references to score; none if only the loss is needed."""
        if not self.texts:  # the samples are all that is translated, and numbered accordingly
            self.samples = choose_samples(_sides(self.samples), len(self.samples))
        self.is_first = True
        self.hypotheses: list[str] = []
        """The last translations: of the texts to score, or else of the samples."""
        self.learning_rate = experiment.training.learning_rate
        self.tokenize = choose_tokenizer(
            [reference for _, reference in self.texts], experiment.validation.tokenize
        )
        require_available(self.tokenize)
        self.collapse: list[Collapse] = []
        self.is_collapse_explained = False

    def score(self, model: Model, update: int | None) -> Scores:
        """Score the current weights of `model`.

        Args:
            model: the model.
            update: number of updates made, by which translations are kept; None = do not keep them.
        """
        begin = time.monotonic()
        if self.is_first:
            count = len(self.corpus)
            unit = ("pair" if self.languages[0] else "line") + "s" * (count != 1)
            logger.info("validating on %s %s of %s", f"{count:,}", unit, " and ".join(self.files))
            self.is_first = False
        loss = mean_loss(
            model,
            self.corpus,
            batch_tokens=self.batch_tokens,
            device=self.device,
            copy_ids=self.copy_ids,
        )
        bleu = chrf = None
        loss_name = model.output.loss_name
        can_translate = not has_diverged(loss, loss_name)
        self.collapse, self.hypotheses = [], []
        if self.texts and can_translate:
            bleu, chrf = self._translate_and_score(model, update)
        elif self.samples and can_translate:
            self._translate(model, _sides(self.samples), update)
            self._find_collapse(_sides(self.samples))
        return Scores(
            loss=loss,
            bleu=bleu.value if bleu else None,
            chrf=chrf.value if chrf else None,
            loss_per_word=self._per_unit(loss) if loss_name == "nll" else math.nan,
            tokenizer=bleu.tokenizer if bleu else "",
            collapse=tuple(map(str, self.collapse)),
            seconds=time.monotonic() - begin,
            loss_name=loss_name,
            unit=self.units.name,
        )

    def _per_unit(self, loss: float) -> float:
        """Return the loss per word or character, from that per piece."""
        return loss * float(self.corpus.target_lengths.sum()) / self.units.count

    @cached_property
    def baselines(self) -> list[Baseline]:
        """What outputs score that need no model; none if nothing is translated."""
        if not self.texts:
            return []
        sources, references = zip(*self.texts, strict=True)
        line = most_frequent_target(self.trained_on)
        return [
            Baseline.measure(name, outputs, references, self.tokenize)
            for name, outputs in (
                ("copying the source", sources),
                ("the most frequent line of the training text", [line] * len(references)),
            )
        ]

    def tell_baselines(self) -> None:
        """Log what outputs score that need no model, if that is more than chance."""
        for baseline in self.baselines:
            if baseline.is_remarkable:
                logger.info("%s: %s", baseline.name, baseline)

    def tell_tokenizer(self) -> None:
        """Log how BLEU splits the references, and warn if it finds no words."""
        references = [reference for _, reference in self.texts]
        if self.texts and self.tokenize != "13a":
            logger.info("BLEU on the validation files: tokenizer %s", self.tokenize)
        for warning in missing_spaces(references, ("bleu",), self.tokenize):
            logger.warning("%s", warning)

    def tell_end(self, best: Best, config: ValidationConfig) -> None:
        """Warn if the last translations had collapsed, or if a baseline is better."""
        if self.collapse:
            logger.warning(
                "%s", explain_collapse(self.collapse[0], self.learning_rate, has_ended=True)
            )
        for baseline in self.baselines:
            if baseline.beats(best, config):
                logger.warning(
                    "%s scores more than the model: %s; it needs more training or more text",
                    baseline.name,
                    baseline,
                )

    def tell_samples(self) -> None:
        """Log the last translations of the samples."""
        if self.hypotheses:
            for sample in self.samples:
                for line in sample.lines(self.hypotheses[sample.line - 1]):
                    logger.info("%s", line)

    def _translate_and_score(self, model: Model, update: int | None) -> Sequence[Score]:
        hypotheses = self._translate(model, self.texts, update)
        self._find_collapse(self.texts)
        references = [reference for _, reference in self.texts]
        return score(hypotheses, references, ("bleu", "chrf"), tokenize=self.tokenize)

    def _find_collapse(self, texts: Sequence[tuple[str, str]]) -> None:
        """Look for what many translations of `texts` have in common, and warn of it once."""
        sources, references = zip(*texts, strict=True)
        if self.is_translation:  # tags may well repeat themselves
            self.collapse = find_collapse(self.hypotheses, references, sources)
        if self.collapse and not self.is_collapse_explained:
            self.is_collapse_explained = True  # once: later lines of the log name it in short
            logger.warning(
                "%s", explain_collapse(self.collapse[0], self.learning_rate, has_ended=False)
            )

    def _translate(
        self, model: Model, texts: Sequence[tuple[str, str]], update: int | None
    ) -> list[str]:
        """Translate the sources of `texts`, and keep translations and texts in the run."""
        translator = Translator(
            [model],
            source=self.source,
            target=self.target,
            normalizer=self.normalizer,
            search=self.search,
            device=self.device,
            rank=self.rank,
            training_text=self.training_text,
            languages=self.languages,
        )
        translations = translator.translate([source for source, _ in texts])
        self.hypotheses = [translation.text for translation in translations]
        if update is not None:
            keep_text(self.run, texts)
            keep_translations(self.run, update, self.hypotheses)
        return self.hypotheses


def _sides(samples: Sequence[Sample]) -> list[tuple[str, str]]:
    return [(sample.source, sample.reference) for sample in samples]


def _texts_to_translate(experiment: Experiment, prepared: Path) -> list[tuple[str, str]]:
    """Return sources and references; none for a language model."""
    if not experiment.data.has_source:
        return []
    source, target = map(Path, valid_files(experiment.data, prepared))
    bad_lines = PreparationRecord.load(prepared).bad_lines
    pairs = read_numbered_pairs(source, target, bad_lines=bad_lines)
    return [pair for _, pair in islice(pairs, experiment.validation.max_lines or None)]
