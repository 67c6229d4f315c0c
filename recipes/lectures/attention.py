"""Attention: where it looks, and what it saves long sentences from.

Letters are written in another order: all in reverse, or the second one, the "verb", last. Each
output needs one input and no other, and it is known which one, so one can count how often attention
finds it. In full, a model of the toy corpus shows the same for words.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import torch

from lectures.directions import Scale, pairs
from lectures.directions import settings as translation_settings
from lectures.shelf import Report
from lectures.tasks import train as train_on_lines
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

Order = Literal["reversed", "verb last"]
"""How the output is ordered; the verb is the second letter."""

SENTENCE = (
    "Our father stole his red apples two weeks ago.",
    "Due settimane fa nostro padre ha rubato le sue mele rosse.",
)
"""A test pair of the toy corpus: in Italian, when comes first, and the colour after the fruit."""
PARTS = ("sentence", "its translation, which is drawn", "what the model writes")
WORDS = Scale(pairs=20_000, vocab=800, units=128, updates=1500, tested=0)
"""How the model of words is trained."""

GERMAN = """\
German puts the verb last, too. "A cat ate a mouse" is "Eine Katze hat eine Maus gefressen": "ate"
becomes "hat", in its place, and "gefressen", after everything else. A model for it: make recipe
NAME=tatoeba-en-de, then nmt attention runs/tatoeba-en-de "A cat ate a mouse." -o cat.svg"""


def places(length: int, order: Order) -> list[int]:
    """Return the place in the source of each letter that is written."""
    if order == "reversed":
        return [*range(length)][::-1]
    return [0, *range(2, length), 1]


def draw_letters(count: int, shortest: int, longest: int, seed: int) -> list[list[int]]:
    """Return the ids of `shortest` to `longest` random letters, `count` times."""
    chance = torch.Generator().manual_seed(seed)
    lengths = torch.randint(shortest, longest + 1, (count,), generator=chance).tolist()
    last = FIRST + len(LETTERS)
    return [torch.randint(FIRST, last, (each,), generator=chance).tolist() for each in lengths]


def ordered(ids: list[int], order: Order) -> list[int]:
    """Return the letters that are to be written for a source."""
    return [ids[place] for place in places(len(ids), order)]


def batch_of(sources: Sequence[list[int]], order: Order) -> Batch:
    """Return sources with what is to be written."""
    pairs = [([*ids, EOS], [*ordered(ids, order), EOS]) for ids in sources]
    return make_batch(pairs, range(len(pairs)))


@lru_cache
def train(
    attention: str, *, hidden: int, longest: int, updates: int, order: Order = "reversed"
) -> EncoderDecoder:
    """Train a small model to write 3 to `longest` letters in another order."""
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
        batch = batch_of(draw_letters(64, SHORTEST, longest, seed=update), order)
        loss = Likelihood().loss(model, batch)
        optimizer.zero_grad()
        (loss.total / loss.tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def write(model: EncoderDecoder, sources: Sequence[list[int]]) -> list[Hypothesis]:
    """Return what the model writes for each source, by greedy search."""
    batch = batch_of(sources, "reversed")  # of which only the sources are read
    options = SearchConfig(beam=1, max_length_factor=1.0, max_length_offset=5)
    keep = model.decoder.attention is not None
    scorer = ModelScorer(model)
    found = search(scorer, batch.source, batch.source_mask, options, keep_attention=keep)
    return [best for best, *_ in found]


def share_exact(
    sources: Sequence[list[int]], found: Sequence[Hypothesis], order: Order = "reversed"
) -> float:
    """Return the share of sources that are written without a mistake."""
    pairs = zip(sources, found, strict=True)
    return sum(list(best.tokens) == ordered(ids, order) for ids, best in pairs) / len(sources)


def share_attended(
    sources: Sequence[list[int]], found: Sequence[Hypothesis], order: Order = "reversed"
) -> float:
    """Return the share of outputs that attend most to the input they have to repeat."""
    hits = total = 0
    for ids, best in zip(sources, found, strict=True):
        if best.attention is None:
            raise ValueError("these hypotheses have no attention")
        looked = best.attention[: len(ids)].argmax(dim=1).tolist()
        hits += sum(map(int.__eq__, looked, places(len(ids), order)))
        total += len(ids)
    return hits / total


def size_of(order: Order, *, quick: bool) -> dict[str, int]:
    """Return how large a model is, and how long it is trained, on lines of up to which length."""
    if quick and order == "reversed":
        return {"hidden": 48, "longest": 6, "updates": 150}
    if quick:
        return {"hidden": 64, "longest": 6, "updates": 300}
    return {"hidden": 64, "longest": 12, "updates": 600}


def show(report: Report) -> None:
    """Train on both orders; say where attention looks and, in full, how accuracy falls with length
    without it, and what attention does in sentences."""
    size = size_of("reversed", quick=report.quick)
    models = {
        order: train("general", order=order, **size_of(order, quick=report.quick))
        for order in get_args(Order)
    }
    rows = []
    for order, model in models.items():
        sources = draw_letters(300, SHORTEST, size["longest"], seed=10_001)
        found = write(model, sources)
        shares = share_exact(sources, found, order), share_attended(sources, found, order)
        rows.append(
            (order, f"{SHORTEST} to {size['longest']}", *(f"{each:.1%}" for each in shares))
        )
    columns = ("order", "letters", "exact", "outputs that attend most to their input")
    report.table("orders", columns, rows)
    longest = min(10, size["longest"])
    (example,) = draw_letters(1, longest, longest, seed=10_002)
    for order, model in models.items():
        (written,) = write(model, [example])
        name = order.replace(" ", "-")
        report.draw(name, heatmap(matrix_of(example, written, order), unit="letter"))
    report.say(
        "How to read it: each row is a letter that is written, each column one that was read, and "
        "a row sums to 1. Where the order is reversed, the dark cells go up the other diagonal; "
        "for two languages of the same order they go down. With the verb last, in capitals, they "
        "go down one column to the right, and the last row jumps back. Nothing told the model "
        "where to look: it was only asked for the right letters. In real text, attention is no "
        "alignment: it may look beside a word, or ahead (Koehn and Knowles, 2017)."
    )
    if not report.quick:
        show_by_length(report, models["reversed"], size)
        show_words(report)
    report.say(GERMAN)


def show_words(report: Report) -> None:
    """Train on the toy corpus, and draw the attention of a sentence whose words change places."""
    settings = translation_settings("both directions", "general", WORDS)
    known = pairs("train", WORDS.pairs)
    model = train_on_lines(report.folder / "runs", known, settings, updates=WORDS.updates)
    (found,) = model.score([SENTENCE], attention=True)
    if found.attention is None:
        raise ValueError("this translation has no attention")
    (written,) = model.translate([SENTENCE[0]])
    report.table("words", ("", "text"), list(zip(PARTS, (*SENTENCE, written.text), strict=True)))
    report.draw("words", heatmap(found.attention.words, unit="word"))
    report.say(
        'How to read it: in Italian, "two weeks ago" comes first, "due settimane fa", and "red" '
        'after its noun, "mele rosse". Where dark cells leave the diagonal, words have changed '
        "places. A word may also look at the neighbours that decide its form: an article at its "
        "noun."
    )


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


def matrix_of(source: list[int], written: Hypothesis, order: Order) -> AttentionMatrix:
    """Return the attention of an example with the names of its letters, the verb in capitals."""
    if written.attention is None:
        raise ValueError("this hypothesis has no attention")
    weights = written.attention[:, : len(source) + 1].tolist()
    read, said = [*map(letter, source)], [*map(letter, written.tokens)]
    if order == "verb last":
        read[1], said[-1] = read[1].upper(), said[-1].upper()
    return AttentionMatrix((*read, EOS_PIECE), tuple(said), tuple(map(tuple, weights)))


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
