"""From clean pairs to corpora on disk: encoded, filtered by their length, and counted."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from nmt.config.experiment import Experiment
from nmt.data.cleaning import LONGEST_VALID, TrainingPairs
from nmt.data.corpus import EncodedPair, write_corpus
from nmt.data.folder import DROPPED, TRAIN, VALID, valid_files
from nmt.data.pairs import PairReader, TextPair, chunks, named
from nmt.data.shape import Misfits, Shape
from nmt.data.stream import join_lines
from nmt.errors import DataError
from nmt.text.copied import CopyIds
from nmt.text.filters import LengthFilter, is_empty
from nmt.text.subword import SPACE, Subword
from nmt.text.training_text import TrainingTextSurvey
from nmt.text.vocabulary import EOS, UNK

_MUCH_TEXT = 5.0  # per cent of the text in overlong pairs that is worth a warning

_logger = logging.getLogger(__name__)


class Encoding:
    """Writes the corpora of a preparation.

    Args:
        experiment: with absolute paths.
        folder: the corpora are in it.
        reader: reads the text files.
        subwords: subword models of source and target.
        report: called with a line of text at each step.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        reader: PairReader,
        subwords: tuple[Subword, Subword],
        report: Callable[[str], None],
    ) -> None:
        self._data = experiment.data
        self._shape = Shape.of(experiment.model)
        self._points = experiment.model.output.kind == "pointer"
        self._folder, self._reader = folder, reader
        self._source, self._target = subwords
        self._report = report
        self._pieces = self._unknown = self._too_long = 0
        self._seen_symbols: set[int] = set()
        self.survey = TrainingTextSurvey(self._data.source)
        """What the kept training pairs look like; empty without a source."""

    @property
    def unknown_percent(self) -> float:
        """Share of <unk> among the pieces of the training pairs."""
        return 100 * self._unknown / self._pieces

    @property
    def too_long_percent(self) -> float:
        """Share of the pieces that are in overlong pairs."""
        return 100 * self._too_long / (self._pieces + self._too_long)

    def write_train(self, training: TrainingPairs) -> int:
        """Write the kept pairs as a corpus, list the others, and return the number kept.

        Raises:
            DataError: no pair is left.
        """
        self._report(f"encoding {training.kept:,} {'pairs' if self._data.has_source else 'lines'}")
        max_ratio = self._data.max_ratio if self._shape.is_parallel else 0.0
        length_filter = LengthFilter(self._data.max_length, max_ratio)
        require_held = self._require_held(self._data.train)

        def kept() -> Iterator[EncodedPair]:
            for chunk in chunks(iter(training)):
                encoded = self._encode([p for p in chunk if p.reason is None])
                for texts in chunk:
                    reason = texts.reason
                    if reason is None:
                        pair = next(encoded)
                        lengths = self._reader.sides(len(pair.source), len(pair.target))
                        reason = length_filter.reason(*lengths)
                        if reason is None:
                            require_held(texts.number, pair)
                            self._count(pair)
                            yield pair
                            continue
                        training.dropped[reason] += 1
                        if reason == "too long":
                            self._too_long += len(pair.source) + len(pair.target)
                    left, right = (text.replace("\t", " ") for text in (texts.source, texts.target))
                    dropped.write(f"{texts.number}\t{reason}\t{left}\t{right}\n")

        with (self._folder / DROPPED).open("x", encoding="utf-8", newline="\n") as dropped:
            dropped.write("line\treason\tsource\ttarget\n")
            lines = kept()
            if self._data.join_lines:
                lines = join_lines(lines, self._data.join_lines)
            written = self._write(TRAIN, lines)
        training.remove()
        training.require_some(written)
        self._warn_of_lost_text(training.dropped["too long"])
        self._warn_of_unseen_symbols()
        return written

    def _count(self, pair: EncodedPair) -> None:
        if self._data.has_source:
            pieces = len(pair.source), len(pair.target)
            self.survey.add(pair.source_text, pair.target_text, pieces=pieces)
        ids = [*pair.source, *pair.target]
        self._pieces += len(ids)
        self._unknown += ids.count(UNK)
        if self._reader.symbols:
            self._seen_symbols.update(ids)

    def _warn_of_lost_text(self, pairs: int) -> None:
        if self.too_long_percent > _MUCH_TEXT:
            _logger.warning(
                f"data.max_length = {self._data.max_length:,} leaves out "
                f"{self.too_long_percent:.1f} % of the training text, in "
                f"{pairs:,} long pairs; raise it, or split them"
            )

    def _warn_of_unseen_symbols(self) -> None:
        """Log symbols that no training pair has; they have the same id on both sides."""
        ids = {text: self._source.symbols.ids[text] for text in self._reader.symbols}
        unseen = [text for text, piece in ids.items() if piece not in self._seen_symbols]
        if unseen:
            _logger.warning(
                f"tokenizer.symbols: no training pair has {', '.join(unseen)}, so the model cannot "
                "learn to use it; compare the spelling with the text"
            )

    def write_valid(self) -> tuple[int, int]:
        """Write the validation pairs as a corpus; return their number and the number written.

        Pairs with an empty or overlong side are skipped.
        """
        files = valid_files(self._data, self._folder)
        longest = max(LONGEST_VALID, self._data.max_length)
        length_filter = LengthFilter(longest)
        flaws, misfits = Counter[str](), Misfits(self._shape, files)
        require_held = self._require_held(files)

        def kept() -> Iterator[EncodedPair]:
            for chunk in chunks(self._reader.read(files)):
                filled = [p for p in chunk if not is_empty(*self._reader.sides(p.source, p.target))]
                flaws["an empty side"] += len(chunk) - len(filled)
                for texts in filled:
                    misfits.meet(texts.number, texts.source, texts.target)
                misfits.refuse()
                encoded = self._encode(filled)
                for texts, pair in zip(filled, encoded, strict=True):
                    lengths = self._reader.sides(len(pair.source), len(pair.target))
                    if length_filter.reason(*lengths) is None:
                        require_held(texts.number, pair)
                        yield pair
                    else:
                        flaws[f"more than {longest:,} pieces on a side"] += 1

        written = self._write(VALID, kept())
        if not written:
            raise DataError(
                f"{named(files)}: no validation pair has text on both sides, of "
                f"at most {longest:,} pieces; name other files in data.valid."
            )
        everything = written + flaws.total()
        for flaw, count in flaws.items():
            if count:
                _logger.warning(
                    f"{named(files)}: {count:,} of {everything:,} validation "
                    f"pairs have {flaw} and do not count in the loss"
                )
        return everything, written

    def _require_held(self, files: tuple[str, str]) -> Callable[[int, EncodedPair], None]:
        """Return a function that refuses a pair, by its line number, that a pointer cannot write.

        Raises:
            DataError: the target has a piece that is not in the source.
        """
        if not self._points:
            return lambda number, pair: None
        copies = CopyIds(self._source, self._target)

        def require(number: int, pair: EncodedPair) -> None:
            ids = np.array([*pair.source, EOS]), np.array([*pair.target, EOS])
            if piece := copies.lacking(ids, (pair.source_text, pair.target_text)):
                raise DataError(
                    f'{files[1]}:{number}: "{piece.replace(SPACE, " ").strip()}" is not in the '
                    'source line, and model.output "pointer" writes pieces of the source alone; '
                    'remove the pair, or use "copy".'
                )

        return require

    def _encode(self, pairs: list[TextPair]) -> Iterator[EncodedPair]:
        texts = [(pair.source, pair.target) for pair in pairs]
        return self._shape.encode(texts, self._source, self._target)

    def _write(self, name: str, pairs: Iterable[EncodedPair]) -> int:
        return write_corpus(
            self._folder,
            name,
            pairs,
            vocab_size=max(self._source.vocab_size, self._target.vocab_size),
            fingerprints=(self._source.fingerprint, self._target.fingerprint),
        )
