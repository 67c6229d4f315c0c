"""`nmt diagnose`: look inside a model."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.command import Command
from nmt.cli.options import AsJson, Checkpoint, Run
from nmt.cli.output_file import require_output
from nmt.errors import ModelError, UsageError
from nmt.paths import holds_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from nmt.data.batch import Batch
    from nmt.diagnostics.subject import Subject
    from nmt.models.encoder_decoder import EncoderDecoder

log = logging.getLogger(__name__)

diagnose = typer.Typer(
    help="Look inside a model: gradients through time, spectra, exposure to its own output.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RunOrConfig = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Run, model or checkpoint folder; or a configuration (.toml): a model of new weights.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="With a configuration: override a key, see `train`."
    ),
]
Source = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Source text to read; omit for a language model."),
]
Target = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Target text, or a .tsv of both; default: the run's validation files."
    ),
]
Lines = Annotated[
    int, typer.Option(metavar="N", min=0, help="Lines to read, spread over the text; 0 = all.")
]
Picture = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Also draw it, as an .svg, .png or .pdf file."
    ),
]


@diagnose.command(cls=Command, short_help="How far gradients reach back through time.")
def gradients(
    run: RunOrConfig,
    overrides: Overrides = None,
    checkpoint: Checkpoint = None,
    source: Source = None,
    target: Target = None,
    lines: Lines = 64,
    output: Picture = None,
    as_json: AsJson = False,
) -> None:
    """Measure how far gradients reach in each direction of each recurrent layer.

    The first table has what is left of a gradient after it was carried back over some steps of a
    layer, relative to where it began; the second the gradient of the loss that arrives at a state,
    by its distance from the last one that the layer computes; both are means of norms over
    sentences. The third has the gradient by the recurrent weights of each gate. All is computed in
    float64, without dropout.

    With a configuration instead of a run, the weights are new: `nmt diagnose gradients
    recipes/toy/config.toml --set model.encoder.cell=rnn --set model.decoder.attention=none`.
    """
    from nmt.diagnostics.gradients import (
        as_record,
        as_table,
        explain,
        gate_table,
        gradient_flow,
    )
    from nmt.reporting.diagnosis_pictures import draw_gradients
    from nmt.reporting.picture import require_plottable, save_figure

    if output is not None:
        require_plottable(output)
    subject = _subject(run, overrides, checkpoint, (source, target), lines, output)
    model = subject.model.double()
    flows = gradient_flow(model, subject.batches(), total_loss)
    require_recurrence(run, flows)
    if output is not None:
        save_figure(draw_gradients(flows), output)
    said = explain(flows, attends=getattr(model.decoder, "attention", None) is not None)
    if as_json:
        _print_record(subject, [as_record(flow) for flow in flows], said)
        return
    blocks = (
        "carried back through the steps of a layer: norm relative to lag 0",
        as_table(flows, "carried"),
        "\narriving from the loss, by distance from the last state: mean norm, nats per unit",
        as_table(flows, "arriving"),
        "\nby gate: norm of the gradient by its recurrent weights, nats, summed over the lines",
        gate_table(flows),
        f"\n{said}",
    )
    typer.echo("\n".join(blocks))


@diagnose.command(cls=Command, short_help="Spectra of recurrent weights, and what they prove.")
def spectrum(
    run: RunOrConfig,
    overrides: Overrides = None,
    checkpoint: Checkpoint = None,
    source: Source = None,
    target: Target = None,
    lines: Lines = 16,
    output: Picture = None,
    as_json: AsJson = False,
) -> None:
    """Print the spectrum of each gate's recurrent weights, and what a step does to a gradient.

    gamma is the largest slope of the gate's activation, rho the largest absolute eigenvalue and
    sigma the largest singular value of its weights. In an Elman layer, gamma*sigma < 1 is
    sufficient for gradients to vanish, and gamma*sigma >= 1 necessary for them to explode; rho
    proves neither. "slope" is the mean slope on the text, in percent of gamma, and "saturated" the
    share of units and steps where it is below a tenth of gamma.

    The second table has the Jacobian of a whole step, the mean of a few, and what a step did to
    gradients on average.
    """
    from nmt.diagnostics.spectrum import as_record, as_table, explain, spectra
    from nmt.reporting.diagnosis_pictures import draw_spectra
    from nmt.reporting.picture import require_plottable, save_figure

    if output is not None:
        require_plottable(output)
    subject = _subject(run, overrides, checkpoint, (source, target), lines, output)
    found = spectra(subject.model.double(), list(subject.batches()), total_loss)
    require_recurrence(run, found)
    if output is not None:
        save_figure(draw_spectra(found), output)
    if as_json:
        _print_record(subject, [as_record(each) for each in found], explain(found))
    else:
        typer.echo(f"{as_table(found)}\n\n{explain(found)}")


@diagnose.command(cls=Command, short_help="What a model loses by reading its own output.")
def exposure(
    run: Run,
    source: Annotated[
        Path | None,
        typer.Argument(metavar="SRC", help="Source text, or a .tsv of both sides."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Argument(
            metavar="REF",
            help="Its translation, line by line. Default of both: the run's validation files.",
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    lines: Lines = 500,
    output: Picture = None,
    as_json: AsJson = False,
) -> None:
    """Compare a model that reads the reference with one that reads what it wrote (exposure bias).

    Both ways, the most likely piece at each position is compared with the reference's piece, and
    -log p of that piece is measured: once after the reference's prefix, as in training, and once
    after the prefix that the model wrote itself, its most likely piece each time. After the end of
    its own output, a piece counts as wrong and is left out of both losses. A translation in other
    words disagrees with the reference from its first difference on, so the gap is drift from the
    reference, and an upper bound of what errors cost.
    """
    from nmt.cli.pairs import both_sides
    from nmt.diagnostics.exposure import as_record, as_table, explain, measure_exposure
    from nmt.diagnostics.subject import trained_subject
    from nmt.reporting.diagnosis_pictures import draw_exposure
    from nmt.reporting.picture import require_plottable, save_figure
    from nmt.search.scorers import ModelScorer

    if output is not None:
        require_plottable(output)
    require_output(output, source, reference)
    files = None if source is None else (source, both_sides(source, reference))
    subject = trained_subject(run, checkpoint=checkpoint, files=files, lines=lines)
    if not subject.model.encoder.reads_source:
        raise UsageError(
            f"{run}: is a language model, whose own text has no reference; measure it by `nmt "
            "score`, or name a translation model."
        )
    if subject.model.target_lines != "text":
        raise UsageError(
            f"{run}: does not read what it writes, so there is nothing to compare; measure it by "
            "`nmt evaluate`, or name a translation model."
        )
    found = measure_exposure(ModelScorer(subject.model), subject.batches())
    if output is not None:
        save_figure(draw_exposure(found), output)
    if as_json:
        record = as_record(found) | {"explanation": explain(found)}
        typer.echo(json.dumps(record, ensure_ascii=False, indent=2))
    else:
        typer.echo(f"{as_table(found)}\n\n{explain(found)}")


@diagnose.command(cls=Command, short_help="Where gradient and curvature explode together.")
def surface(output: Picture = None, as_json: AsJson = False) -> None:
    """Measure the error of one recurrent unit over its two parameters: a plain with a cliff.

    The unit is x <- w sigmoid(x) + b, 50 times, and its error (sigmoid(x) - 0.7)^2 (Pascanu et al.,
    2013, figure 6). It needs no model. At the cliff, gradient and curvature explode together, and
    the gradient points along the direction of the largest curvature, so that a step against it,
    clipped to a length, leads across.
    """
    from nmt.laboratory.surface import measure_surface
    from nmt.reporting.diagnosis_pictures import draw_surface
    from nmt.reporting.picture import require_plottable, save_figure

    if output is not None:
        require_plottable(output)
    found = measure_surface()
    slope, curvature = found.slope, found.curvature
    record: dict[str, float] = {
        "points": slope.numel(),
        "rank_correlation": found.rank_correlation(),
        "alignment": found.alignment(_STEEPEST),
        "largest_gradient": float(slope.max()),
        "median_gradient": float(slope.median()),
        "largest_curvature": float(curvature.max()),
        "median_curvature": float(curvature.median()),
    }
    if output is not None:
        axes = found.w.tolist(), found.b.tolist()
        save_figure(draw_surface(*axes, slope.tolist(), curvature.tolist()), output)
    if as_json:
        typer.echo(json.dumps(record, indent=2))
        return
    rows = [f"{name.replace('_', ' '):<18}{value:.4g}" for name, value in record.items()]
    said = (
        f"How to read it: the largest gradient is "
        f"{record['largest_gradient'] / record['median_gradient']:.0f} times the median, and where "
        "gradients are large, curvature is, too: their ranks correlate by "
        f"{record['rank_correlation']:.2f}. At the {_STEEPEST} steepest points, the cosine between "
        "the gradient and the direction of the largest curvature is "
        f"{record['alignment']:.2f} on average: the cliff is a wall, and its gradient points "
        "across it."
    )
    typer.echo("\n".join([*rows, "", said]))


_STEEPEST = 20
"""Points at which the direction of the gradient is compared with that of the curvature."""


def require_recurrence(run: Path, found: "Sequence[object]") -> None:
    """Refuse a model in which nothing was found.

    Raises:
        UsageError: it has no recurrent layer.
    """
    if not found:
        raise UsageError(
            f"{run}: has no recurrent layer, so nothing is carried through time; name a model "
            "with one."
        )


def _print_record(subject: "Subject", layers: list[dict[str, object]], said: str) -> None:
    """Print what `--json` says of layers."""
    record = {
        "lines": len(subject.pairs),
        "trained": subject.is_trained,
        "layers": layers,
        "explanation": said,
    }
    typer.echo(json.dumps(record, ensure_ascii=False, indent=2))


def total_loss(model: "EncoderDecoder", batch: "Batch") -> "Tensor":
    """Return the negative log-likelihood of a batch, summed over its tokens, in nats."""
    from nmt.objectives.likelihood import Likelihood

    return Likelihood().loss(model, batch).total


def _subject(
    run: Path,
    overrides: list[str] | None,
    checkpoint: str | None,
    texts: tuple[Path | None, Path | None],
    lines: int,
    output: Path | None,
) -> "Subject":
    """Return the model and what it reads, and say so in the log."""
    from nmt.diagnostics.subject import trained_subject, untrained_subject

    source, target = texts
    require_output(output, source, target)
    if run.suffix == ".toml":
        given = {"--checkpoint": checkpoint, "--source": source, "--target": target}
        for option, value in given.items():
            if value is not None:
                raise UsageError(
                    f"{option} {value}: is for a trained model, but {run} is a configuration; "
                    "name a run folder, or leave the option out."
                )
        subject = untrained_subject(run, overrides or [], lines=lines)
    elif run.is_file():
        raise ModelError(
            f"{run}: is a file; name a run folder, a model folder or a configuration (.toml)."
        )
    else:
        if overrides:
            raise UsageError(
                f"--set {overrides[0]}: is for a configuration, and {run} is not a .toml file; "
                "leave --set out."
            )
        subject = trained_subject(
            run, checkpoint=checkpoint, files=_files(source, target), lines=lines
        )
    weights = "trained" if subject.is_trained else "new"
    log.info("%s: %s weights, %s lines", run, weights, f"{len(subject.pairs):,}")
    return subject


def _files(source: Path | None, target: Path | None) -> tuple[Path | None, Path] | None:
    """Return the text to read; None for the run's validation files."""
    if target is None:
        if source is not None:
            raise UsageError(f"--source {source}: needs the other side as well; add --target FILE.")
        return None
    return (target if source is None and holds_pairs(target) else source), target
