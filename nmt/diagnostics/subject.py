"""What is examined: a model, trained or not, and some pairs of lines for it to read."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nmt.config.load import load, resolve_paths
from nmt.config.model import ModelConfig
from nmt.data.batch import Batch, Side, make_batch
from nmt.data.corpus import Corpus
from nmt.data.folder import VALID
from nmt.data.loader import pair_of
from nmt.data.prepare import prepare
from nmt.data.shape import Misfits, Shape
from nmt.errors import DataError, UsageError
from nmt.models.build import build_model
from nmt.models.checkpoints import run_of
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.folder import LoadedModel, load_model
from nmt.text.copied import CopyIds
from nmt.text.lines import read_lines, read_parallel
from nmt.text.normalize import Normalizer
from nmt.text.subword import Subword, load_subwords
from nmt.text.vectors import read_vectors
from nmt.text.vocabulary import EOS

_logger = logging.getLogger(__name__)

_DATA = "data"  # the folder of prepared data in a run folder
_ROWS = 32
"""Pairs that are computed at once."""
_MOST_PIECES = 400
"""Longer lines are left out: every step of a batch is kept in memory."""

Pair = tuple[Side, Side]
"""Source and target: ids ending in EOS, or numbers."""


@dataclass(frozen=True)
class Subject:
    """A model and what it reads."""

    model: EncoderDecoder
    """Of plain modules, in evaluation mode, on the CPU."""
    pairs: Sequence[Pair]
    """At least one."""
    shape: Shape
    """What its lines are."""
    is_trained: bool
    """False if the weights are new."""

    def batches(self) -> Iterator[Batch]:
        """Yield all pairs, those of similar length together."""
        order = sorted(self.pairs, key=lambda pair: (len(pair[0]), len(pair[1])))
        for first in range(0, len(order), _ROWS):
            rows = order[first : first + _ROWS]
            yield make_batch(rows, range(len(rows)))


def trained_subject(
    path: Path,
    *,
    checkpoint: str | None = None,
    files: tuple[Path | None, Path] | None = None,
    lines: int,
) -> Subject:
    """Load a trained model, and lines of its validation files or of others.

    Args:
        path: run, model or checkpoint folder.
        checkpoint: of the run, instead of its model.
        files: source and target text; None = what the run was validated on. A language model has
            no source.
        lines: number of pairs, spread evenly over the text; 0 = all.

    Raises:
        UsageError: the text does not suit the model, or there is none.
        DataError: no line is left.
    """
    loaded = load_model(path, checkpoint)
    reading = Reading.of(loaded.config.model, loaded.source, loaded.target)
    if files is None:
        pairs = _validation_pairs(run_of(path) or path, reading, lines)
    else:
        pairs = _read_pairs(path, loaded, files, lines, reading)
    return Subject(loaded.model, pairs, reading.shape, is_trained=True)


def untrained_subject(config: Path, overrides: Sequence[str] = (), *, lines: int) -> Subject:
    """Build the model of a configuration with new weights, and take lines of its validation files.

    The corpus is prepared in a temporary folder.

    Args:
        config: a configuration (TOML).
        overrides: keys to change, such as "model.encoder.cell=rnn".
        lines: see `trained_subject`.
    """
    experiment = resolve_paths(load(config, overrides), config.parent)
    with tempfile.TemporaryDirectory(prefix="nmt-") as folder:
        data = Path(folder, _DATA)
        prepare(experiment, config.parent, data)
        source, target = load_subwords(data)
        reading = Reading.of(experiment.model, source, target)
        pairs = _chosen_pairs(reading.open(data), lines, reading)
    torch.manual_seed(experiment.training.seed)
    model = build_model(
        experiment.model, source_vocab=source.vocab_size, target_vocab=target.vocab_size
    )
    return Subject(model.eval(), pairs, reading.shape, is_trained=False)


@dataclass(frozen=True)
class Reading:
    """How lines become what a model reads and writes."""

    shape: Shape
    source: Subword
    target: Subword
    copy_ids: CopyIds | None
    """None unless the model writes pieces of the source."""

    @classmethod
    def of(cls, model: ModelConfig, source: Subword, target: Subword) -> "Reading":
        """Return how a model reads, with its subword models."""
        copy_ids = CopyIds(source, target) if model.writes_source else None
        return cls(Shape.of(model), source, target, copy_ids)

    def open(self, data: Path) -> Corpus:
        """Open the validation pairs of prepared data."""
        return Corpus(data, VALID, features=self.shape.features, values=self.shape.values)

    def encode(self, source: str, target: str) -> Pair:
        """Return the ids of normalised lines, or their numbers."""
        (found,) = self.shape.encode([(source, target)], self.source, self.target)
        left, right = (np.array([*ids, EOS]) for ids in (found.source, found.target))
        if self.copy_ids is not None:
            return self.copy_ids.pair((left, right), (source, target))
        return (
            read_vectors(source, self.shape.features) if self.shape.features else left,
            read_vectors(target, self.shape.values) if self.shape.values else right,
        )


def _validation_pairs(run: Path, reading: Reading, lines: int) -> list[Pair]:
    data = run / _DATA
    if not (data / VALID).is_dir():
        raise UsageError(
            f"{run}: has no prepared data to read; name the files of a text, or a run folder."
        )
    corpus = reading.open(data)
    if corpus.fingerprints != (reading.source.fingerprint, reading.target.fingerprint):
        raise UsageError(
            f"{data}: was prepared with other pieces than those of the model; name the files of a "
            "text."
        )
    return _chosen_pairs(corpus, lines, reading)


def _chosen_pairs(corpus: Corpus, lines: int, reading: Reading) -> list[Pair]:
    chosen = _spread(len(corpus), lines)
    pairs = [pair_of(corpus, index, reading.copy_ids) for index in chosen]
    return _usable(pairs, str(corpus.folder))


def _spread(count: int, wanted: int) -> list[int]:
    """Return up to `wanted` numbers below `count`, evenly spread; all of them if `wanted` is 0."""
    wanted = min(wanted, count) or count
    return [number * count // wanted for number in range(wanted)]


def _read_pairs(
    path: Path,
    loaded: LoadedModel,
    files: tuple[Path | None, Path],
    lines: int,
    reading: Reading,
) -> list[Pair]:
    source, target = files
    reads_source = loaded.model.encoder.reads_source
    if reads_source != (source is not None):
        needed = "add --source FILE" if source is None else "leave --source out"
        kind = "translation" if reads_source else "language"
        raise UsageError(f"{path}: holds a {kind} model; {needed}.")
    if source is None:
        texts = [("", line) for line in read_lines(target)]
    else:
        texts = list(read_parallel(source, target))
    normalization = loaded.config.normalization
    normalizer = Normalizer(unicode=normalization.unicode, whitespace=normalization.whitespace)
    misfits = Misfits(reading.shape, (str(source), str(target)))
    pairs = []
    for index in _spread(len(texts), lines):
        given = [normalizer.normalize(text) for text in texts[index]]
        misfits.meet(index + 1, given[0], given[1])
        if not misfits.first:
            pairs.append(reading.encode(given[0], given[1]))
    misfits.refuse()
    return _usable(pairs, str(target))


def _usable(pairs: Sequence[Pair], name: str) -> list[Pair]:
    """Return the pairs whose target has text and that are not too long.

    Raises:
        DataError: there is none.
    """
    kept = [
        pair
        for pair in pairs
        if not _is_blank(pair[1]) and max(len(pair[0]), len(pair[1])) <= _MOST_PIECES
    ]
    if not kept:
        raise DataError(
            f"{name}: no line can be examined; name a text with lines of 1 to "
            f"{_MOST_PIECES - 1} pieces."
        )
    if len(kept) < len(pairs):
        _logger.info(
            "%s: %d of %d lines are empty or too long, and left out",
            name,
            len(pairs) - len(kept),
            len(pairs),
        )
    return kept


def _is_blank(target: Side) -> bool:
    """Whether a target has its end symbol alone."""
    return np.ndim(target) == 1 and len(target) <= 1
