"""The steps of data preparation: clean the texts, learn the pieces, encode, write."""

import logging
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from nmt.config.experiment import Experiment
from nmt.data.cleaning import TrainingPairs
from nmt.data.corpus import Corpus
from nmt.data.encoding import Encoding
from nmt.data.exchange import are_exchanged
from nmt.data.folder import TRAIN, PreparedSummary
from nmt.data.lexicon import learn_lexicon
from nmt.data.pairs import PairReader, named
from nmt.data.pieces import PieceLearner
from nmt.data.shape import Shape
from nmt.errors import DataError
from nmt.text.filters import is_empty
from nmt.text.languages import why_wrong_code
from nmt.text.lines import BadLines
from nmt.text.scripts import count_scripts
from nmt.text.subword import Subword
from nmt.text.training_text import TrainingText

_FIRST_PAIRS = 1000  # by which the scripts of the sides are known

_logger = logging.getLogger(__name__)


class Preparation:
    """One preparation, inside a folder that is not published yet.

    Args:
        experiment: with absolute paths.
        folder: empty folder to fill.
        bad_lines: what to do with pairs that are not UTF-8.
        report: called with a line of text at each step.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        bad_lines: BadLines,
        report: Callable[[str], None],
    ) -> None:
        self._experiment, self._folder, self._report = experiment, folder, report
        self._reader = PairReader(experiment, bad_lines)

    def run(self) -> tuple[PreparedSummary, TrainingText | None]:
        """Fill the folder; return a summary, and figures of the kept training text."""
        data, shape = self._experiment.data, Shape.of(self._experiment.model)
        if data.valid is not None:
            self._require_text(data.valid)
        training = TrainingPairs(self._experiment, self._folder, self._reader, self._report)
        training.read()
        self._warn_of_codes(training)
        self._warn_of_exchange(training)
        if data.valid is None:
            training.hold_out()
        source, target = subwords = PieceLearner(
            self._experiment, self._folder, training, self._reader.symbols, self._report
        ).learn()
        encoding = Encoding(self._experiment, self._folder, self._reader, subwords, self._report)
        kept = encoding.write_train(training)
        if shape.source == "text" and shape.target == "text":
            self._learn_lexicon(source, target)
        valid_pairs, valid_kept = encoding.write_valid()
        summary = PreparedSummary(
            pairs=training.total,
            kept=kept,
            dropped=dict(training.dropped),
            valid_pairs=valid_pairs,
            valid_kept=valid_kept,
            is_valid_held_out=data.valid is None,
            joint=data.has_source and source is target,
            source_vocab=source.vocab_size if data.has_source else 0,
            target_vocab=target.vocab_size,
            unknown_percent=encoding.unknown_percent,
            too_long_percent=encoding.too_long_percent,
        )
        return summary, encoding.survey.result()

    def _require_text(self, files: tuple[str, str]) -> None:
        """Refuse validation files without text, before the work on the training files.

        Raises:
            DataError: no pair has text on both sides.
        """
        pairs = self._reader.read(files)
        if all(is_empty(*self._reader.sides(pair.source, pair.target)) for pair in pairs):
            raise DataError(
                f"{named(files)}: no validation pair has text on both sides; name other files in "
                "data.valid."
            )

    def _warn_of_codes(self, training: TrainingPairs) -> None:
        """Warn of language codes that disagree with the letters of the first pairs."""
        data = self._experiment.data
        pairs = [(pair.source, pair.target) for pair in islice(training.clean(), _FIRST_PAIRS)]
        for key, code, lines in zip(
            ("source", "target"), (data.source, data.target), zip(*pairs, strict=True), strict=True
        ):
            if why := why_wrong_code(code, count_scripts(lines)):
                _logger.warning("data.%s: %s", key, why)

    def _warn_of_exchange(self, training: TrainingPairs) -> None:
        """Warn if source and target of the validation files seem to be exchanged."""
        data = self._experiment.data
        if data.valid is None or not data.has_source:
            return
        first, valid = (
            [(pair.source, pair.target) for pair in islice(pairs, _FIRST_PAIRS)]
            for pairs in (training.clean(), self._reader.read(data.valid))
        )
        if are_exchanged(first, valid):
            _logger.warning(
                "data.valid: source and target seem to be exchanged, in comparison with data.train"
            )

    def _learn_lexicon(self, source: Subword, target: Subword) -> None:
        """Write which target pieces are frequent, and which are likely for each source piece."""
        self._report("learning which pieces translate which")
        corpus = Corpus(self._folder, TRAIN)
        lexicon = learn_lexicon(
            corpus, source_vocab=source.vocab_size, target_vocab=target.vocab_size
        )
        lexicon.save(self._folder)
        corpus.close()
