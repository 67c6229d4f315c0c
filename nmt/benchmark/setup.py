"""A folder with all that is measured on: a corpus, prepared, and a model that nobody trained.

Speed depends on lengths and on which pieces occur, not on what they mean. So the text is drawn,
always the same, with the measures of Multi30k English-German in 8,000 joint BPE pieces.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nmt.config.dump import dump
from nmt.config.experiment import Experiment
from nmt.data.prepare import prepare
from nmt.models.build import build_model
from nmt.models.folder import ModelCard, save_model_folder
from nmt.storage.files import write_text
from nmt.text.subword import load_subwords
from nmt.text.vocabulary import SPECIAL_PIECES

CONFIG = "config.toml"
_SEED = 1
_MEAN_SOURCE, _MEAN_TARGET = 14.33, 14.84  # pieces of a sentence, without the end symbol
_SPREAD = 0.32  # standard deviation of the logarithm of a source's length
_SPREAD_OF_RATIO = 0.18  # of the logarithm of target over source
_SHORTEST, _LONGEST = 2, 50
_USED = 2 / 3  # share of the joint pieces that occur in one language


@dataclass(frozen=True)
class CorpusSize:
    """How many sentence pairs are drawn."""

    train: int = 29_000
    """Pairs to learn from; as many as Multi30k has."""
    valid: int = 1_000
    """Pairs whose sources are translated."""


def set_up(folder: Path, experiment: Experiment, size: CorpusSize | None = None) -> None:
    """Write text, prepared data, a model folder with untrained weights, and the configuration.

    Args:
        folder: exists; it then looks like a run folder, with the text files beside.
        experiment: its data are the files of `folder`; its vocabulary is joint and its embeddings
            are not, so that each side keeps the pieces that it uses.
        size: of the corpus; None = that of Multi30k.
    """
    size = size or CorpusSize()
    data = experiment.data
    generator = np.random.default_rng(_SEED)
    words = experiment.tokenizer.vocab_size - len(SPECIAL_PIECES)
    for pairs, files in ((size.train, data.train), (size.valid, data.valid)):
        for lengths, side, file in zip(draw_lengths(pairs, generator), (0, 1), files, strict=True):
            write_text(Path(file), draw_text(lengths, words, side, generator))
    write_text(folder / CONFIG, dump(experiment))
    prepared = folder / "data"
    prepare(experiment, folder, prepared)
    source, target = load_subwords(prepared)
    torch.manual_seed(experiment.training.seed)
    save_model_folder(
        folder / "model",
        build_model(
            experiment.model, source_vocab=source.vocab_size, target_vocab=target.vocab_size
        ),
        experiment=experiment,
        pieces=prepared,
        card=ModelCard(date="", train_pairs=size.train, valid_pairs=size.valid, updates=0),
    )


def draw_lengths(pairs: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return words of the source and the target of each pair, [2, pairs]."""
    source = _log_normal(_MEAN_SOURCE, _SPREAD, pairs, generator)
    target = source * _log_normal(_MEAN_TARGET / _MEAN_SOURCE, _SPREAD_OF_RATIO, pairs, generator)
    rounded: npt.NDArray[np.int64] = np.rint([source, target]).astype(np.int64)
    return rounded.clip(_SHORTEST, _LONGEST)


def _log_normal(
    mean: float, spread: float, count: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    return generator.lognormal(np.log(mean) - spread**2 / 2, spread, count)


def draw_text(
    lengths: npt.NDArray[np.int64], words: int, side: int, generator: np.random.Generator
) -> str:
    """Return a line of words for each length; the r-th word is as frequent as 1 / r (Zipf).

    Args:
        lengths: words of each line.
        words: how many there are in both languages together; each language has two thirds.
        side: 0 = source, has the first of them; 1 = target, has the last.
        generator: what decides.
    """
    used = round(words * _USED)
    first = 0 if side == 0 else words - used
    frequencies = 1.0 / np.arange(1, used + 1)
    total = int(lengths.sum())
    drawn = generator.choice(used, size=total, p=frequencies / frequencies.sum())
    # Each word occurs, so that the vocabulary has the size it is meant to have.
    every = generator.permutation(total)[:used]
    drawn[every] = np.arange(len(every))
    names = [f"w{first + word}" for word in range(used)]
    ends = np.cumsum(lengths)
    lines = np.split(drawn, ends[:-1])
    return "".join(" ".join([names[word] for word in line]) + "\n" for line in lines)
