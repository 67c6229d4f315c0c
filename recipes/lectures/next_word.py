"""Next-word distributions and generated text: a recurrent language model beside n-grams."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure

import nmt
from lectures.shelf import Report
from nmt.data.corpus import Corpus
from nmt.data.folder import TRAIN, VALID
from nmt.laboratory.n_gram import NGramModel
from nmt.text.vocabulary import BOS, EOS

CLAIM = (
    "A language model gives the probability of each next word, and writes text when its own "
    "output is fed back."
)
TOY = Path(__file__).parents[2] / "data" / "toy" / "train.en"
ORDERS = (1, 2, 3, 4, 5)
PREFIXES = 3
CONFIG = """
[data]
target = "xx"
train = "{text}"
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
    figures = _perplexities(model, run, text)
    report.table("perplexity", ["model", "perplexity per character"], [*figures.items()])
    report.draw("next-word", _draw(model, figures, text))
    for temperature in (0.5, 1.0):
        report.say(f"samples at temperature {temperature:g}:")
        for sample in nmt.generate(model, 3, search={"temperature": temperature}):
            report.say(f"    {sample.text}")
    report.say(
        "How to read it: a perplexity of 10 means that the model hesitates as if between 10 "
        "equally likely characters. An n-gram sees n - 1 characters back and stops improving when "
        "it no longer finds them in the text; the network reads the whole line"
        + (", but has hardly begun to learn here" if report.quick else "")
        + ". Below 1, a temperature makes samples safer and more alike."
    )


def _train(report: Report) -> Path:
    """Train a character language model on a text, of which some lines are held out."""
    report.folder.mkdir(parents=True, exist_ok=True)
    text = (report.text or TOY).resolve()
    if report.quick:
        lines = text.read_text(encoding="utf-8").splitlines(keepends=True)
        text = report.folder / "text"
        text.write_text("".join(lines[:600]), encoding="utf-8")
    sizes = {"units": 96, "tokens": 1024, "updates": 40}
    if not report.quick:
        sizes = {"units": 256, "tokens": 2048, "updates": 600}
    path = report.folder / "config.toml"
    path.write_text(
        CONFIG.format(text=text, threads=torch.get_num_threads(), **sizes), encoding="utf-8"
    )
    nmt.train(nmt.load_config(path), report.folder / "run")
    return report.folder / "run"


def _lines(run: Path, name: str) -> list[list[int]]:
    """Return the character ids of the lines trained on, or held out."""
    corpus = Corpus(run / "data", name)
    return [corpus.pair(index)[1].tolist() for index in range(len(corpus))]


def _perplexities(
    model: nmt.Translator, run: Path, text: Sequence[Sequence[int]]
) -> dict[str, float]:
    vocab = model.target.vocab_size
    trained_on = _lines(run, TRAIN)
    found = {"uniform": float(vocab)}
    for order in ORDERS:
        counted = NGramModel.count(trained_on, order, vocab=vocab, begin=BOS, end=EOS)
        found[f"{order}-gram"] = counted.perplexity(text)
    lines = [("", model.target.decode(ids)) for ids in text]
    scored = [*model.score(lines)]
    total = sum(pair.log_prob for pair in scored) / sum(len(pair.pieces) for pair in scored)
    return found | {"LSTM": float(torch.tensor(-total).exp())}


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
