"""Create the folder that is measured: a prepared corpus and an untrained model.

Speed depends on sentence lengths and piece frequencies, not on meaning. The text is therefore
generated, always the same, with the statistics of Multi30k English-German in 8,000 joint BPE
pieces.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nmt.config.dump import dump
from nmt.config.experiment import Experiment
from nmt.data.folder import valid_files
from nmt.data.prepare import prepare
from nmt.models.build import build_model
from nmt.models.folder import ModelCard, save_model_folder
from nmt.storage.files import write_text
from nmt.text.subword import load_subwords
from nmt.text.vocabulary import SPECIAL_PIECES

CONFIG = "config.toml"
_SEED = 1
_MEAN_SOURCE, _MEAN_TARGET = 14.33, 14.84  # pieces per sentence, without the end symbol
_SPREAD = 0.32  # standard deviation of log source length
_SPREAD_OF_RATIO = 0.18  # standard deviation of log (target length / source length)
_SHORTEST, _LONGEST = 2, 50
_USED = 2 / 3  # share of the joint pieces that occur in each language


@dataclass(frozen=True)
class CorpusSize:
    """Number of sentence pairs to generate."""

    train: int = 29_000
    """Training pairs, as many as in Multi30k."""
    valid: int = 1_000
    """Validation pairs, whose sources are translated."""


def set_up(folder: Path, experiment: Experiment, size: CorpusSize | None = None) -> None:
    """Write text, prepared data, a model folder with untrained weights, and the configuration.

    Args:
        folder: an existing folder; becomes a run folder that also holds the text files.
        experiment: its data files are in `folder`; the vocabulary is joint but the embeddings are
            not tied, so each side keeps only the pieces it uses.
        size: corpus size; None = that of Multi30k.
    """
    size = size or CorpusSize()
    data = experiment.data
    generator = np.random.default_rng(_SEED)
    words = experiment.tokenizer.vocab_size - len(SPECIAL_PIECES)
    prepared = folder / "data"
    named = ((size.train, data.train), (size.valid, valid_files(data, prepared)))
    for pairs, files in named:
        for lengths, side, file in zip(draw_lengths(pairs, generator), (0, 1), files, strict=True):
            write_text(Path(file), draw_text(lengths, words, side, generator))
    write_text(folder / CONFIG, dump(experiment))
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
    """Draw the number of source and target words of each pair, [2, pairs]."""
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
    """Draw a line of words for each length; the r-th word has frequency ~ 1 / r (Zipf).

    Args:
        lengths: number of words in each line.
        words: vocabulary size of both languages together; each language has two thirds of it.
        side: 0 = source, which has the first two thirds; 1 = target, which has the last.
        generator: source of randomness.
    """
    used = round(words * _USED)
    first = 0 if side == 0 else words - used
    frequencies = 1.0 / np.arange(1, used + 1)
    total = int(lengths.sum())
    drawn = generator.choice(used, size=total, p=frequencies / frequencies.sum())
    # Every word occurs at least once, so that the vocabulary has the intended size.
    every = generator.permutation(total)[:used]
    drawn[every] = np.arange(len(every))
    names = [_name(first + word) for word in range(used)]
    ends = np.cumsum(lengths)
    lines = np.split(drawn, ends[:-1])
    return "".join(" ".join([names[word] for word in line]) + "\n" for line in lines)


def _name(word: int) -> str:
    """Return the word of a number: 1905 is "wbjaf". Digits would be compared as numbers."""
    return "w" + "".join("abcdefghij"[int(digit)] for digit in str(word))
