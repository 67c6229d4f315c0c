"""Attention: where it looks, and what it saves long sentences from.

The task is to write letters in reverse. Each output needs one input and no other, and it is known
which one, so one can count how often attention finds it.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from lectures.shelf import Report
from nmt.config.model import ModelConfig
from nmt.config.search import SearchConfig
from nmt.data.batch import Batch, make_batch
from nmt.diagnostics.attention import AttentionMatrix
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.likelihood import Likelihood
from nmt.reporting.heatmap import heatmap
from nmt.search.hypothesis import Hypothesis
from nmt.search.scorers import ModelScorer
from nmt.search.search import search
from nmt.text.vocabulary import EOS, EOS_PIECE, SPECIAL_PIECES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLAIM = "Attention finds the source of each output, and long sentences need it."

LETTERS = "abcdefghijklmnop"
FIRST = len(SPECIAL_PIECES)
SHORTEST = 3

GERMAN = """\
The verb at the end. "A cat ate a mouse" is "Eine Katze hat eine Maus gefressen": "ate" becomes
"hat", in its place, and "gefressen", after everything else. In a heat map of such a pair, the
diagonal runs up to "mouse", and the last row jumps back to "ate". A model for it: make recipe
NAME=tatoeba-en-de, then nmt attention runs/tatoeba-en-de "A cat ate a mouse." -o cat.svg"""


def draw_letters(count: int, shortest: int, longest: int, seed: int) -> list[list[int]]:
    """Return the ids of `shortest` to `longest` random letters, `count` times."""
    chance = torch.Generator().manual_seed(seed)
    lengths = torch.randint(shortest, longest + 1, (count,), generator=chance).tolist()
    last = FIRST + len(LETTERS)
    return [torch.randint(FIRST, last, (each,), generator=chance).tolist() for each in lengths]


def reversal(sources: Sequence[list[int]]) -> Batch:
    """Return a batch in which each target is its source in reverse."""
    pairs = [([*ids, EOS], [*ids[::-1], EOS]) for ids in sources]
    return make_batch(pairs, range(len(pairs)))


@lru_cache
def train(attention: str, *, hidden: int, longest: int, updates: int) -> EncoderDecoder:
    """Train a small model to reverse 3 to `longest` letters."""
    torch.manual_seed(1)
    config = {
        "embedding": {"size": 32},
        "encoder": {"cell": "gru", "hidden_size": hidden // 2},
        "decoder": {"cell": "gru", "hidden_size": hidden, "attention": attention},
        "dropout": 0.0,
    }
    vocab = FIRST + len(LETTERS)
    model = build_model(ModelConfig.model_validate(config), source_vocab=vocab, target_vocab=vocab)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=updates)
    for update in range(updates):
        batch = reversal(draw_letters(64, SHORTEST, longest, seed=update))
        loss = Likelihood().loss(model, batch)
        optimizer.zero_grad()
        (loss.total / loss.tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def write(model: EncoderDecoder, sources: Sequence[list[int]]) -> list[Hypothesis]:
    """Return what the model writes for each source, by greedy search."""
    batch = reversal(sources)
    options = SearchConfig(beam=1, max_length_factor=1.0, max_length_offset=5)
    keep = model.decoder.attention is not None
    scorer = ModelScorer(model)
    found = search(scorer, batch.source, batch.source_mask, options, keep_attention=keep)
    return [best for best, *_ in found]


def share_exact(sources: Sequence[list[int]], found: Sequence[Hypothesis]) -> float:
    """Return the share of sources that are reversed without a mistake."""
    pairs = zip(sources, found, strict=True)
    return sum(list(best.tokens) == ids[::-1] for ids, best in pairs) / len(sources)


def share_on_the_antidiagonal(sources: Sequence[list[int]], found: Sequence[Hypothesis]) -> float:
    """Return the share of outputs that attend most to the input they have to repeat."""
    hits = total = 0
    for ids, best in zip(sources, found, strict=True):
        if best.attention is None:
            raise ValueError("these hypotheses have no attention")
        looked = best.attention[: len(ids)].argmax(dim=1).tolist()
        hits += sum(place == len(ids) - 1 - row for row, place in enumerate(looked))
        total += len(ids)
    return hits / total


def show(report: Report) -> None:
    """Train on reversal; say where attention looks and, in full, how accuracy falls with length."""
    size = {"hidden": 48, "longest": 6, "updates": 150}
    if not report.quick:
        size = {"hidden": 64, "longest": 12, "updates": 600}
    model = train("general", **size)
    sources = draw_letters(300, SHORTEST, size["longest"], seed=10_001)
    found = write(model, sources)
    report.table(
        "reversal",
        ("letters", "exact", "outputs that attend most to their input"),
        [
            (
                f"{SHORTEST} to {size['longest']}",
                f"{share_exact(sources, found):.1%}",
                f"{share_on_the_antidiagonal(sources, found):.1%}",
            )
        ],
    )
    (example,) = draw_letters(1, min(10, size["longest"]), min(10, size["longest"]), seed=10_002)
    report.draw("reversal", heatmap(matrix_of(example, write(model, [example])[0]), unit="letter"))
    report.say(
        "How to read it: each row is a letter that is written, each column one that was read, and "
        "a row sums to 1. The order is reversed, so the dark cells go up the other diagonal; for "
        "two languages of the same order, such as English and French, they go down. Nothing told "
        "the model where to look: it was only asked for the right letters. In real text, attention "
        "is no alignment: it may look beside a word, or ahead (Koehn and Knowles, 2017)."
    )
    if not report.quick:
        show_by_length(report, model, size)
    report.say(GERMAN)


def show_by_length(report: Report, attending: EncoderDecoder, size: dict[str, int]) -> None:
    """Compare models with and without attention on each length."""
    without = train("none", **size)
    lengths = range(SHORTEST, size["longest"] + 1)
    rows = []
    for length in lengths:
        sources = draw_letters(200, length, length, seed=10_003)
        rows.append([share_exact(sources, write(each, sources)) for each in (attending, without)])
    named = [(length, *row) for length, row in zip(lengths, rows, strict=True)]
    report.table("by-length", ("letters", "exact with attention", "exact without"), named)
    report.draw("by-length", curves(list(lengths), rows))
    report.say(
        "How to read it: without attention, everything that is read has to fit the one vector that "
        "the decoder starts from, and the longer the sentence, the less of it does. Both models "
        "have the same cells, sizes and updates."
    )


def matrix_of(source: list[int], written: Hypothesis) -> AttentionMatrix:
    """Return the attention of an example with the names of its letters."""
    if written.attention is None:
        raise ValueError("this hypothesis has no attention")
    weights = written.attention[:, : len(source) + 1].tolist()
    return AttentionMatrix(
        (*map(letter, source), EOS_PIECE),
        tuple(map(letter, written.tokens)),
        tuple(map(tuple, weights)),
    )


def letter(piece: int) -> str:
    """Return the letter of an id."""
    return LETTERS[piece - FIRST] if piece >= FIRST else SPECIAL_PIECES[piece]


def curves(lengths: list[int], rows: Sequence[Sequence[float]]) -> "Figure":
    """Draw the share of exact outputs over the length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, style, column in (("with attention", "o-", 0), ("without", "s--", 1)):
        axes.plot(lengths, [100 * row[column] for row in rows], style, label=name)
    axes.set_xlabel("length of the source (letters)")
    axes.set_ylabel("reversed exactly (%)")
    axes.set_ylim(-4, 104)
    axes.legend()
    return figure
