"""Exposure to its own output: teacher forcing against scheduled sampling in both forms."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from lectures.shelf import Report
from nmt.config.load import load, resolve_paths
from nmt.config.training import LinearSamplingConfig
from nmt.data.batch import Batch
from nmt.data.corpus import Corpus
from nmt.data.folder import TRAIN, VALID
from nmt.data.loader import batches_once
from nmt.data.prepare import prepare
from nmt.diagnostics.exposure import Exposure, in_ranges, measure_exposure
from nmt.fast.accelerate import accelerate
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.likelihood import Likelihood
from nmt.reporting.diagnosis_pictures import draw_curve, large_text
from nmt.search.scorers import ModelScorer
from nmt.text.subword import load_subwords
from nmt.training.step import clip_gradients

CLAIM = "A model that only ever read references drifts once it reads its own output."

CONFIG = Path(__file__).parents[1] / "toy" / "config.toml"
_ENOUGH = 20
"""Pieces of references from which a range of positions is drawn."""
_LEARNED = 50.0
"""Per cent of right pieces after the reference's prefix below which a model drifts from nothing."""
LEAST = 0.5
"""Probability of the reference at the last update of scheduled sampling."""


@dataclass(frozen=True)
class Scale:
    """How much is trained and measured."""

    pairs: int
    units: int
    updates: int
    tokens: int
    lines: int


@dataclass(frozen=True)
class Trained:
    """A way of training, and what it led to."""

    name: str
    exposure: Exposure
    seconds: float
    """CPU time of an update: the shortest of all parts of ten updates."""


def show(report: Report) -> None:
    full = Scale(pairs=20_000, units=96, updates=600, tokens=512, lines=500)
    scale = Scale(pairs=400, units=24, updates=10, tokens=256, lines=16) if report.quick else full
    slope = (1.0 - LEAST) / scale.updates
    ways = {
        "teacher forcing": None,
        "sampled by steps": LinearSamplingConfig(c=slope, minimum=LEAST),
        "sampled in two passes": LinearSamplingConfig(c=slope, minimum=LEAST, form="two_pass"),
    }
    with tempfile.TemporaryDirectory() as folder:
        corpus = Prepared(Path(folder), scale)
        found = [corpus.train(name, sampling) for name, sampling in ways.items()]
    report.table(
        "exposure",
        [
            "trained by",
            "right %",
            "own prefix %",
            "gap",
            "nats gap",
            "exact",
            "endless or in circles",
            "s/update",
        ],
        [
            [
                way.name,
                *(100.0 * share for share in way.exposure.total.accuracy),
                100.0 * way.exposure.accuracy_gap,
                way.exposure.loss_gap,
                f"{way.exposure.exact} of {way.exposure.sentences}",
                way.exposure.stuck,
                way.seconds,
            ]
            for way in found
        ],
    )
    report.draw("exposure", _draw(found))
    _explain(report, found)


class Prepared:
    """A part of the toy corpus, ready for training.

    Args:
        folder: for the prepared data.
        scale: how much of it is used.
    """

    def __init__(self, folder: Path, scale: Scale) -> None:
        self.scale = scale
        experiment = resolve_paths(load(CONFIG, _settings(scale.units)), CONFIG.parent)
        files = []
        for number, file in enumerate((*experiment.data.train, *(experiment.data.valid or ()))):
            count = scale.pairs if number < 2 else scale.lines
            lines = Path(file).read_text(encoding="utf-8").splitlines(keepends=True)[:count]
            files.append(folder / f"{number}.txt")
            files[-1].write_text("".join(lines), encoding="utf-8")
        sides = [f'data.{part}=["{a}", "{b}"]' for part, (a, b) in _halves(files)]
        settings = [*_settings(scale.units), *sides]
        self.experiment = resolve_paths(load(CONFIG, settings), CONFIG.parent)
        prepare(self.experiment, folder, folder / "data")
        self.subwords = load_subwords(folder / "data")
        self.batches = list(batches_once(Corpus(folder / "data", TRAIN), batch_tokens=scale.tokens))
        self.held_out = list(batches_once(Corpus(folder / "data", VALID), batch_tokens=2000))

    def train(self, name: str, sampling: LinearSamplingConfig | None) -> Trained:
        """Train a model with the same weights and batches at the start, and examine it."""
        torch.manual_seed(1)
        source, target = self.subwords
        model = build_model(
            self.experiment.model, source_vocab=source.vocab_size, target_vocab=target.vocab_size
        )
        accelerate(model, "training")
        objective = Likelihood(sampling=sampling)
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        times, begun = [], time.process_time()
        for update, batch in enumerate(self._order()):
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * (1.0 - update / self.scale.updates)
            _update(model, objective, optimizer, batch, update)
            if update % 10 == 9:
                times.append((time.process_time() - begun) / 10)
                begun = time.process_time()
        exposure = measure_exposure(ModelScorer(model.eval()), self.held_out)
        return Trained(name, exposure, min(times))

    def _order(self) -> Iterator[Batch]:
        """Yield a batch per update, in random order."""
        drawn = torch.randint(len(self.batches), (self.scale.updates,)).tolist()
        yield from (self.batches[number] for number in drawn)


def _settings(units: int) -> list[str]:
    return [
        f"tokenizer.vocab_size={600 if units > 50 else 300}",
        f"model.embedding.size={units}",
        f"model.encoder.hidden_size={units // 2}",
        f"model.decoder.hidden_size={units}",
    ]


def _halves(files: list[Path]) -> list[tuple[str, list[Path]]]:
    return [("train", files[:2]), ("valid", files[2:])]


def _update(
    model: EncoderDecoder,
    objective: Likelihood,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    update: int,
) -> None:
    optimizer.zero_grad()
    loss = objective.loss(model, batch, updates=update)
    (loss.total / loss.tokens).backward()
    clip_gradients(model.parameters(), 1.0)
    optimizer.step()


def _explain(report: Report, found: list[Trained]) -> None:
    forced, *sampled = found
    early, *_, late = (part for part in in_ranges(forced.exposure) if part.pieces >= _ENOUGH)
    gaps = [100.0 * (part.accuracy[0] - part.accuracy[1]) for part in (early, late)]
    right, own = (100.0 * share for share in forced.exposure.total.accuracy)
    said = (
        f"Trained by teacher forcing, {right:.1f} % become {own:.1f} %: the gap is {gaps[0]:.1f} "
        f"points at position {early.first} and {gaps[1]:.1f} from position {late.first} on, since "
        "an error early on is read at every later step."
    )
    for way in sampled:
        said += (
            f" {way.name.capitalize()}, the gap is {100.0 * way.exposure.accuracy_gap:.1f} points "
            f"instead of {100.0 * forced.exposure.accuracy_gap:.1f}, with "
            f"{100.0 * way.exposure.total.accuracy[1]:.1f} % right after its own prefix; an update "
            f"takes {way.seconds / forced.seconds:.2f} times as long."
        )
    report.explain(
        "a solid line is what a model gets right after the reference's prefix, a dashed one after "
        "its own. A smaller gap is no gain if the dashed line does not rise: what counts is what "
        "the model gets right when it writes by itself.",
        said,
        shown=right > _LEARNED and right > own and gaps[0] < gaps[1],
    )


def _draw(found: list[Trained]):
    from matplotlib.figure import Figure

    with large_text():
        figure = Figure(figsize=(12, 4.4), layout="constrained")
        for axes, way in zip(figure.subplots(1, len(found), sharey=True), found, strict=True):
            parts = [part for part in in_ranges(way.exposure) if part.pieces >= _ENOUGH]
            places = [(part.first + part.last) / 2 for part in parts]
            for number, label in enumerate(("reference's prefix", "its own prefix")):
                values = [100.0 * part.accuracy[number] for part in parts]
                draw_curve(axes, number, places, values, label)
            axes.set_title(way.name)
            axes.set_xlabel("target position (pieces)")
            axes.set_ylim(0.0, 102.0)
            axes.grid(alpha=0.3)
            axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.4))
            if way is found[0]:
                axes.set_ylabel("right pieces (%)")
    return figure
