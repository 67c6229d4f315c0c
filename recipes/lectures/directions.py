"""One direction or both: what a translation gains if the encoder also reads from the end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

import nmt
from lectures.shelf import Report
from lectures.tasks import Pair, train

CLAIM = "To read in both directions is almost always better, particularly for translation."

TOY = Path(__file__).parents[2] / "data" / "toy"
ENCODERS = {
    "forward": "model.encoder={{cell='lstm', hidden_size={units}, bidirectional=false}}",
    "both directions": "model.encoder={{cell='lstm', hidden_size={half}}}",
}
"""States of the same size; both directions have fewer weights."""
ARTICLES = frozenset(("il", "lo", "la", "i", "gli", "le", "un", "uno", "una"))
"""Italian articles agree with a noun that comes later, in English as well."""
LEARNED = 20.0
"""BLEU with attention below which a model has not learned enough to compare."""
COMMON = (
    "tokenizer.kind=bpe",
    "tokenizer.joint=false",
    "tokenizer.byte_fallback=false",
    "training.learning_rate=0.003",
    "training.schedule=cosine",
    "training.batch_tokens=512",
)


@dataclass(frozen=True)
class Scale:
    """How much is trained and measured."""

    pairs: int
    vocab: int
    units: int
    updates: int
    tested: int


@dataclass(frozen=True)
class Result:
    """An encoder, and what a model with it does on test lines."""

    encoder: str
    attention: str
    article: float
    """Mean nats of an article."""
    other: float
    """Mean nats of any other word."""
    exact: float
    """Lines translated as the reference, in per cent."""
    bleu: float


def show(report: Report) -> None:
    """Train both encoders on the toy corpus; say and draw how well each translates."""
    scale = Scale(pairs=20_000, vocab=800, units=128, updates=900, tested=500)
    if report.quick:
        scale = Scale(pairs=200, vocab=200, units=32, updates=8, tested=20)
    tested = pairs("test", scale.tested)
    results = []
    for attention in ("general",) if report.quick else ("general", "none"):
        for encoder in ENCODERS:
            folder = report.folder / "runs" / f"{encoder.split()[0]}-{attention}"
            model = train(
                folder,
                pairs("train", scale.pairs),
                settings(encoder, attention, scale),
                updates=scale.updates,
            )
            results.append(measure(encoder, attention, model, tested))
    report.table(
        "directions",
        ("attention", "encoder reads", "nats/article", "nats/other word", "exact %", "BLEU"),
        [
            (each.attention, each.encoder, each.article, each.other, each.exact, each.bleu)
            for each in results
        ],
    )
    report.draw("directions", draw(results))
    report.explain(
        "fewer nats are better, more exact lines and BLEU are. All encoders have "
        f"{scale.units} units at each position; those that read both ways have two halves, and "
        "fewer weights.",
        "Read forwards, the state at a word knows the words before it alone, so an "
        'article does not know its noun: "the" is "il", "lo", "la", "i", "gli", "le" or a letter '
        "of the next word, and which one, only the noun says. A decoder that attends can look at "
        "the noun instead, whose state knows the article. Without attention, the decoder starts "
        "from the last state of each direction: backwards, that is the one that has just read the "
        "first words.",
        shown=results[0].bleu > LEARNED
        and results[1].article < results[0].article
        and all(
            both.bleu > forward.bleu
            for forward, both in zip(results[::2], results[1::2], strict=True)
        ),
    )


def pairs(part: str, count: int) -> list[Pair]:
    """Return the first pairs of a part of the toy corpus."""
    english, italian = (
        (TOY / f"{part}.{language}").read_text(encoding="utf-8").splitlines()[:count]
        for language in ("en", "it")
    )
    return list(zip(english, italian, strict=True))


def settings(encoder: str, attention: str, scale: Scale) -> list[str]:
    """Return the changes of the configuration of `lectures.tasks`."""
    return [
        *COMMON,
        ENCODERS[encoder].format(units=scale.units, half=scale.units // 2),
        f"model.decoder={{cell='lstm', hidden_size={scale.units}, attention='{attention}'}}",
        f"model.embedding.size={scale.units}",
        f"tokenizer.vocab_size={scale.vocab}",
    ]


def measure(encoder: str, attention: str, model: nmt.Translator, tested: Sequence[Pair]) -> Result:
    """Return what a model does on test pairs."""
    nats: dict[bool, list[float]] = {True: [], False: []}
    for scored in model.score(tested, score_words=True):
        for word in scored.word_scores or ():
            nats[word.text.lower() in ARTICLES].append(-word.log_prob)
    written = [each.text for each in model.translate([source for source, _ in tested])]
    exact, bleu = nmt.evaluate(written, [target for _, target in tested], ["exact", "bleu"])
    article, other = (math.fsum(each) / len(each) for each in (nats[True], nats[False]))
    return Result(encoder, attention, article, other, exact.value, bleu.value)


def draw(results: Sequence[Result]) -> Figure:
    """Draw nats per word and exact lines, a pair of bars for each model with and without
    attention."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels = figure.subplots(1, 3)
    figures = (
        ("nats per article", [each.article for each in results]),
        ("nats per other word", [each.other for each in results]),
        ("lines translated exactly (%)", [each.exact for each in results]),
    )
    attentions = list(dict.fromkeys(each.attention for each in results))
    for axes, (name, values) in zip(panels, figures, strict=True):
        for number, (encoder, hatch) in enumerate(zip(ENCODERS, ("", "//"), strict=True)):
            heights = values[number :: len(ENCODERS)]
            left = [place + 0.4 * number for place in range(len(heights))]
            bars = axes.bar(left, heights, 0.36, label=encoder, hatch=hatch, edgecolor="0.2")
            axes.bar_label(bars, fmt="%.3g")
        axes.set_xticks([place + 0.2 for place in range(len(attentions))], attentions)
        axes.set_xlabel("attention")
        axes.set_ylabel(name)
        axes.margins(y=0.15)
    names = panels[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside upper center", ncols=2, title="the encoder reads")
    return figure
