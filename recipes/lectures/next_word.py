"""Next-word distributions and generated text: a recurrent language model beside n-grams."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import torch
from matplotlib.figure import Figure

import nmt
from lectures.shelf import Report
from nmt.data.corpus import Corpus
from nmt.data.folder import TRAIN, VALID
from nmt.errors import DataError
from nmt.laboratory.n_gram import NGramModel
from nmt.text.lines import read_lines
from nmt.text.vocabulary import BOS, EOS

CLAIM = (
    "A language model gives the probability of each next word, and writes text when its own "
    "output is fed back."
)
TOY = Path(__file__).parents[2] / "data" / "toy" / "train.en"
ORDERS = (1, 2, 3, 4, 5)
PREFIXES = 3
FEWEST = 20
"""Different lines that a text must have, to learn from and to hold some out."""
LONGEST = 500
"""Characters of a line; longer ones are broken at a space."""
CONFIG = """
[data]
target = "xx"
train = "text"
max_length = 1000

[tokenizer]
kind = "char"
vocab_size = 1000
byte_fallback = false

[model]
encoder = "none"
dropout = 0.1

[model.embedding]
size = 64

[model.decoder]
hidden_size = {units}
attention = "none"
bridge = "zero"

[training]
batch_tokens = {tokens}
max_updates = {updates}
learning_rate = 5e-3
threads = {threads}
log_every = 100
schedule = {{ kind = "cosine", warmup = 20 }}

[validation]
every = {updates}
metric = "loss"
samples = 0
"""


def show(report: Report) -> None:
    run = _train(report)
    model = nmt.Translator.load(run)
    text = _lines(run, VALID)
    found = _measure(model, run, text)
    columns = ["model", "perplexity per character", "numbers stored"]
    report.table("perplexity", columns, [(name, *figures) for name, figures in found.items()])
    figures = {name: perplexity for name, (perplexity, _) in found.items()}
    report.draw("next-word", _draw(model, figures, text))
    for temperature in (0.5, 1.0):
        report.say(f"samples at temperature {temperature:g}:")
        for sample in nmt.generate(model, 3, search={"temperature": temperature}):
            report.say(f"    {sample.text}")
    best = min(ORDERS, key=lambda order: figures[f"{order}-gram"])
    report.say(
        "How to read it: a perplexity of 10 means that the model hesitates as if between 10 "
        "equally likely characters. An n-gram sees n - 1 characters back, and its tables grow with "
        "n; the network reads the whole line, with the same weights for every history. Here it has "
        f"a perplexity of {figures['LSTM']:.2f}, and the best n-gram, with n = {best}, one of "
        f"{figures[f'{best}-gram']:.2f}"
        + (
            "; but it has hardly begun to learn: run it without --quick (QUICK)"
            if report.quick
            else ""
        )
        + ". Below 1, a temperature makes samples safer and more alike."
    )


def _train(report: Report) -> Path:
    """Train a character language model on a text, of which some lines are held out."""
    lines = read_text(report.text or TOY)
    report.folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*(lines[:600] if report.quick else lines), ""])
    (report.folder / "text").write_text(text, encoding="utf-8")
    sizes = {"units": 96, "tokens": 1024, "updates": 40}
    if not report.quick:
        sizes = {"units": 256, "tokens": 2048, "updates": 600}
    path = report.folder / "config.toml"
    path.write_text(CONFIG.format(threads=torch.get_num_threads(), **sizes), encoding="utf-8")
    shutil.rmtree(report.folder / "run", ignore_errors=True)  # of another scale, or another text
    nmt.train(nmt.load_config(path), report.folder / "run")
    return report.folder / "run"


def read_text(path: Path) -> list[str]:
    """Return the different lines of a text, without blank ones; long ones are broken.

    Raises:
        DataError: the file cannot be read, is no text, or has too few lines.
    """
    parts = (part for line in read_lines(path) for part in wrap(line, LONGEST))
    lines = list(dict.fromkeys(parts))
    if len(lines) < FEWEST:
        raise DataError(
            f"{path}: has {len(lines)} different lines with text, and at least {FEWEST} are needed "
            "to learn from and to hold some out; give a longer text, a sentence or paragraph on "
            "each line."
        )
    return lines


def _lines(run: Path, name: str) -> list[list[int]]:
    """Return the character ids of the lines trained on, or held out."""
    corpus = Corpus(run / "data", name)
    return [corpus.pair(index)[1].tolist() for index in range(len(corpus))]


def _measure(
    model: nmt.Translator, run: Path, text: Sequence[Sequence[int]]
) -> dict[str, tuple[float, int]]:
    """Return perplexity and size of each model: counts in tables, or weights."""
    vocab = model.target.vocab_size
    trained_on = _lines(run, TRAIN)
    found = {"uniform": (float(vocab), 1)}
    for order in ORDERS:
        counted = NGramModel.count(trained_on, order, vocab=vocab, begin=BOS, end=EOS)
        found[f"{order}-gram"] = counted.perplexity(text), counted.entries
    lines = [("", model.target.decode(ids)) for ids in text]
    scored = [*model.score(lines)]
    total = sum(pair.log_prob for pair in scored) / sum(len(pair.pieces) for pair in scored)
    weights = sum(weight.numel() for weight in model.models[0].parameters())
    return found | {"LSTM": (float(torch.tensor(-total).exp()), weights)}


def _draw(
    model: nmt.Translator, figures: dict[str, float], text: Sequence[Sequence[int]]
) -> Figure:
    """Draw perplexities, and what the network expects after some beginnings of a held-out line."""
    line = model.target.decode(max(text, key=len))
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplot_mosaic([["all"] * PREFIXES, [*range(PREFIXES)]])
    axes["all"].bar(list(figures), list(figures.values()), color="0.6")
    axes["all"].set_ylabel("perplexity per character")
    axes["all"].set_yscale("log")
    for place in range(PREFIXES):
        prefix = line[: 3 + 5 * place]
        found = nmt.next_pieces(model, prefix, count=8)[::-1]
        chances = torch.tensor([each.log_prob for each in found]).exp().tolist()
        axes[place].barh([each.text.replace("</s>", "end") for each in found], chances, color="0.6")
        axes[place].set_title(f'after "{prefix}"')
        axes[place].set_xlabel("probability of the next character")
        axes[place].set_xlim(0, 1)
    return figure
