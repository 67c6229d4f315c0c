"""Word vectors by skip-gram with negative sampling, from the toy corpus."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from lectures.shelf import Report
from nmt.laboratory.skip_gram import SkipGramOptions, nearest, train_vectors
from nmt.models.vectors import write_vectors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLAIM = "Words that occur in similar contexts get similar vectors (word2vec)."

TEXT = Path(__file__).parents[2] / "data" / "toy" / "train.en"
CLASSES = {
    "people": "doctor teacher nurse painter king queen writer thief student scientist",
    "animals": "cat mouse dog wolf fox monkey elephant bird horse squirrel",
    "food": "cake cheese tomato potato apple orange egg strawberry",
    "places": "city zoo hospital stadium hotel castle market park beach island",
    "past verbs": "arrived returned entered found watched loved remembered chose met broke",
    "numbers": "two three four five six seven eight nine ten eleven",
}
SHOWN = ("king", "mouse", "cheese", "city", "found", "seven")
MARKERS = "osv^xD"


def show(report: Report) -> None:
    lines = TEXT.read_text(encoding="utf-8").lower().splitlines()
    lines = lines[: 3000 if report.quick else None]
    sentences = [[word.strip(".,?!") for word in line.split()] for line in lines]
    options = SkipGramOptions(window=3, least=3, epochs=3 if report.quick else 10)
    words, vectors = train_vectors(sentences, options)

    neighbours = [(word, ", ".join(nearest(words, vectors, word, 5))) for word in SHOWN]
    report.table("neighbours", ("word", "nearest by cosine"), neighbours)

    chosen = {name: [w for w in text.split() if w in words] for name, text in CLASSES.items()}
    classes = [name for name, members in chosen.items() for _ in members]
    rows = [words.index(word) for members in chosen.values() for word in members]
    random = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(1))
    report.table(
        "agreement",
        ("vectors", "nearest of these words is of the same class, %"),
        [
            ("skip-gram", agreement(vectors[rows], classes)),
            ("random", agreement(random[rows], classes)),
        ],
    )
    report.draw("words", draw(vectors[rows], classes, [words[row] for row in rows]))
    report.say(
        "How to read it: each mark is a word, put where the first two principal components of its "
        "vector are; marks of one kind lie together although training saw neither classes nor "
        "grammar. The directions have no meaning of their own. The random vectors of the table "
        "show what chance would give."
    )
    path = report.folder / "words.vec"
    write_vectors(path, words, vectors)
    report.say(
        f"{len(words):,} vectors: {path}\n"
        "A model begins with them by:\n"
        f"    --set model.embedding.size={options.size} "
        f"--set model.embedding.source_vectors={path}"
    )


def agreement(vectors: Tensor, classes: list[str]) -> float:
    """Return how many vectors are nearest to one of their class, in per cent."""
    normed = F.normalize(vectors, dim=1)
    found = (normed @ normed.T).fill_diagonal_(-2.0).argmax(dim=1).tolist()
    same = sum(classes[i] == classes[j] for i, j in enumerate(found))
    return 100 * same / len(classes)


def draw(vectors: Tensor, classes: list[str], words: list[str]) -> "Figure":
    """Draw words by the first two principal components of their normed vectors."""
    from matplotlib.figure import Figure

    normed = F.normalize(vectors, dim=1)
    _, _, directions = torch.linalg.svd(normed - normed.mean(dim=0), full_matrices=False)
    places = ((normed - normed.mean(dim=0)) @ directions[:2].T).tolist()
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for marker, name in zip(MARKERS, dict.fromkeys(classes), strict=True):
        mine = [place for place, kind in zip(places, classes, strict=True) if kind == name]
        axes.scatter(*zip(*mine, strict=True), marker=marker, label=name)
    for word, (x, y) in zip(words, places, strict=True):
        if word in SHOWN:
            axes.annotate(word, (x, y), xytext=(4, 4), textcoords="offset points")
    axes.set_xlabel("first principal component (no unit)")
    axes.set_ylabel("second principal component (no unit)")
    axes.legend()
    return figure
