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
from nmt.data.shape import Shape
from nmt.errors import DataError, UsageError
from nmt.models.build import build_model
from nmt.models.checkpoints import run_of
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.folder import LoadedModel, load_model
from nmt.run_folder.layout import DATA
from nmt.text.copied import CopyIds
from nmt.text.lines import read_lines, read_parallel
from nmt.text.normalize import Normalizer
from nmt.text.subword import load_subwords

_logger = logging.getLogger(__name__)

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
    is_trained: bool
    """False if the weights are new."""

    def batches(self) -> Iterator[Batch]:
        """Yield all pairs, those of similar length together."""
        order = sorted(self.pairs, key=lambda pair: (len(pair[0]), len(pair[1])))
        for first in range(0, len(order), _ROWS):
            rows = order[first : first + _ROWS]
            yield make_batch(rows, range(len(rows)), reverse=self.model.right_to_left)


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
    if files is None:
        pairs = _validation_pairs(run_of(path) or path, loaded, lines)
    else:
        pairs = _read_pairs(path, loaded, files, lines)
    return Subject(loaded.model, pairs, is_trained=True)


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
        data = Path(folder, DATA)
        prepare(experiment, config.parent, data)
        source, target = load_subwords(data)
        copy_ids = CopyIds(source, target) if experiment.model.writes_source else None
        pairs = _chosen_pairs(_open(data, experiment.model), lines, copy_ids)
    torch.manual_seed(experiment.training.seed)
    model = build_model(
        experiment.model, source_vocab=source.vocab_size, target_vocab=target.vocab_size
    )
    return Subject(model.eval(), pairs, is_trained=False)


def _validation_pairs(run: Path, loaded: LoadedModel, lines: int) -> list[Pair]:
    data = run / DATA
    if not (data / VALID).is_dir():
        raise UsageError(
            f"{run}: has no prepared data to read; name the files of a text, or a run folder."
        )
    corpus = _open(data, loaded.config.model)
    if corpus.fingerprints != (loaded.source.fingerprint, loaded.target.fingerprint):
        raise UsageError(
            f"{data}: was prepared with other pieces than those of the model; name the files of a "
            "text."
        )
    return _chosen_pairs(corpus, lines, _copy_ids(loaded))


def _copy_ids(loaded: LoadedModel) -> CopyIds | None:
    if not loaded.config.model.writes_source:
        return None
    return CopyIds(loaded.source, loaded.target)


def _open(data: Path, model: ModelConfig) -> Corpus:
    """Open the validation corpus in prepared `data` as a model reads it."""
    shape = Shape.of(model)
    return Corpus(data, VALID, features=shape.features, values=shape.values)


def _chosen_pairs(corpus: Corpus, lines: int, copy_ids: CopyIds | None) -> list[Pair]:
    chosen = _spread(len(corpus), lines)
    return _usable([pair_of(corpus, index, copy_ids) for index in chosen], str(corpus.folder))


def _spread(count: int, wanted: int) -> list[int]:
    """Return up to `wanted` numbers below `count`, evenly spread; all of them if `wanted` is 0."""
    wanted = min(wanted, count) or count
    return [number * count // wanted for number in range(wanted)]


def _read_pairs(
    path: Path, loaded: LoadedModel, files: tuple[Path | None, Path], lines: int
) -> list[Pair]:
    source, target = files
    if _reads_source(loaded) != (source is not None):
        needed = "add --source FILE" if source is None else "leave --source out"
        kind = "translation" if _reads_source(loaded) else "language"
        raise UsageError(f"{path}: holds a {kind} model; {needed}.")
    if source is None:
        texts = [("", line) for line in read_lines(target)]
    else:
        texts = list(read_parallel(source, target))
    normalizer = Normalizer(**loaded.config.normalization.model_dump())
    shape, copy_ids, pairs = Shape.of(loaded.config.model), _copy_ids(loaded), []
    for index in _spread(len(texts), lines):
        left, right = (normalizer.normalize(text) for text in texts[index])
        read = shape.read(left, right, (loaded.source, loaded.target))
        if copy_ids is not None:
            ids, written = (np.asarray(side, dtype=np.int64) for side in read)
            read = copy_ids.pair((ids, written), (left, right))
        pairs.append(read)
    return _usable(pairs, str(target))


def _usable(pairs: Sequence[Pair], name: str) -> list[Pair]:
    """Return the pairs whose target has text and that are not too long.

    Raises:
        DataError: there is none.
    """
    kept = [
        pair
        for pair in pairs
        if _has_content(pair[1]) and max(len(pair[0]), len(pair[1])) <= _MOST_PIECES
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


def _has_content(target: Side) -> bool:
    """Whether a target is more than an end symbol: text, or numbers."""
    return len(target) > 1 or np.ndim(target) == 2


def _reads_source(loaded: LoadedModel) -> bool:
    return loaded.model.encoder.reads_source
