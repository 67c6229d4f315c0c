"""The cost curves: their points, how they are measured, and the output of a run."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "recipes"))

from curves.attention import attending  # noqa: E402
from curves.curve import Curve, fit_slope  # noqa: E402
from curves.measure import draw_batch, draw_model, fixed_length, updating  # noqa: E402
from curves.options import Options, parse  # noqa: E402
from curves.points import RANGES, SIDES, VARIED, Point, Quantity, Task  # noqa: E402
from curves.run import measure_attention, measure_curves, slope_table  # noqa: E402

from nmt.benchmark.sizes import model_of  # noqa: E402
from nmt.models.weights import weights_of  # noqa: E402
from nmt.search.scorers import ModelScorer  # noqa: E402
from nmt.search.search import search  # noqa: E402

TINY = Point(length=3, hidden_size=8, vocabulary=20, beam=2)
FEW: dict[Quantity, tuple[int, ...]] = {
    "length": (2, 3, 4),
    "hidden_size": (4, 8),
    "layers": (1, 2),
    "vocabulary": (10, 20),
    "beam": (1, 2),
}


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(
        varied=[*RANGES],
        precision="fp32",
        sentences=2,
        windows=1,
        seconds=1e-9,
        threads=torch.get_num_threads(),
        svg=tmp_path / "curves.svg",
    )


def quadratic_at_last() -> Curve:
    """Return a curve of time ~ length that becomes time ~ length^2."""
    return Curve("train", "length", (5, 10, 20), (1.0, 2.0, 8.0), (3.0, 6.0, 12.0))


# Slopes


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 1.0, 2.0])
def test_the_slope_of_a_power_is_its_exponent(exponent: float) -> None:
    at = (5, 10, 20, 40, 80)
    assert fit_slope(at, [3.0 * x**exponent for x in at]) == pytest.approx(exponent)


def test_slopes_are_reported_for_the_whole_curve_and_its_end() -> None:
    whole, last = quadratic_at_last().slopes
    assert (whole.smallest, whole.largest, last.smallest, last.largest) == (5, 20, 10, 20)
    assert whole.measured == pytest.approx(1.5)
    assert last.measured == pytest.approx(2.0)
    assert (whole.predicted, last.predicted) == pytest.approx((1.0, 1.0))


def test_the_table_has_a_row_for_each_curve() -> None:
    *_, row = slope_table([quadratic_at_last()])
    assert row == "| train | length | 5 to 20 | 1.50 | 1.00 | 2.00 | 1.00 |"


# Points


def test_the_common_point_is_the_size_small_and_lies_on_every_curve() -> None:
    assert Point().model == model_of("small")
    for varied, values in RANGES.items():
        assert getattr(Point(), varied) in values
        assert list(values) == sorted(values)


def test_operations_grow_with_length_a_little_more_than_in_proportion() -> None:
    for task in VARIED:
        once, twice = (Point(length=length).megaflop(task) for length in (40, 80))
        assert 2.0 < twice / once < 2.05  # attention alone is quadratic


def test_the_encoder_runs_once_for_all_hypotheses() -> None:
    one, two, three = (Point(beam=beam).megaflop("translate") for beam in (1, 2, 3))
    assert three - two == pytest.approx(two - one)
    assert 2 * one - two > 0  # what does not depend on the beam
    assert Point().megaflop("train") == Point(beam=1).megaflop("train")
    assert Point().megaflop("train") == pytest.approx(3 * one)


# Measuring


def test_sentences_have_the_requested_length_and_vocabulary() -> None:
    batch = draw_batch(TINY, 50)
    assert batch.source.shape == batch.target_out.shape == (50, 3)
    assert batch.source_mask.all()
    assert batch.target_mask.all()
    assert batch.source.max() == TINY.vocabulary - 1


@pytest.mark.parametrize("beam", [1, 2])
def test_every_translation_has_the_length_of_its_source(beam: int) -> None:
    point, model = TINY.at("beam", beam), draw_model(TINY)
    batch = draw_batch(point, 5)
    with torch.inference_mode():
        found = search(ModelScorer(model), batch.source, batch.source_mask, fixed_length(point))
    for (best, *_), source in zip(found, batch.source, strict=True):
        assert len(best.tokens) + best.finished == len(source)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_update_changes_every_matrix(precision: str) -> None:
    model = draw_model(TINY)
    before = {name: weight.clone() for name, weight in weights_of(model).items()}
    assert updating(model, draw_batch(TINY, 5), precision)() == 1
    for name, weight in weights_of(model).items():
        assert not torch.equal(weight, before[name])


def test_attention_alone_costs_the_product_of_both_lengths(options: Options) -> None:
    """Counted by torch: scores and weighted sums, one multiplication and addition per unit each."""
    for lengths in SIDES.values():
        for source, target in lengths:
            work = attending(source, target, TINY, options)
            with FlopCounterMode(display=False) as counter:
                assert work() == 1
            per_unit = 2 * 2 * source * target * options.sentences
            assert counter.get_total_flops() == per_unit * TINY.hidden_size


# A run


def test_each_figure_and_slope_is_one_json_line(
    options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    curves = list(measure_curves(options, TINY, FEW))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    figures = [line for line in lines if line["figure"].endswith("_seconds")]
    slopes = [line for line in lines if line["figure"].endswith("_slope")]
    assert [(curve.task, curve.varied) for curve in curves] == [
        (task, varied) for task, quantities in VARIED.items() for varied in quantities
    ]
    assert len(figures) == sum(len(curve.at) for curve in curves)
    assert len(slopes) == 2 * len(curves)
    about: dict[str, object] = {
        "system": "nmt", "varied": "length", "precision": "fp32", "threads": options.threads,
    }  # fmt: skip
    value = figures[0].pop("value")
    assert value > 0
    assert figures[0] == {"figure": "train_seconds", "at": 2, **about}
    assert isinstance(slopes[0].pop("value"), float)
    assert slopes[1].pop("from") == 3
    about |= {"predicted": pytest.approx(1.0, abs=0.01)}
    assert slopes[0] == {"figure": "train_slope", "from": 2, "to": 4, **about}


def test_attention_is_measured_over_the_product_of_both_lengths(
    options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not list(measure_attention(options, TINY))
    curves = list(measure_attention(replace(options, varied=["attention"]), TINY))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [curve.varied for curve in curves] == [*SIDES]
    for curve in curves:
        assert list(curve.at) == [source * target for source, target in SIDES[curve.varied]]
        assert list(curve.at) == sorted(curve.at)
        assert curve.slopes[0].predicted == pytest.approx(1.0)
    figures = [line for line in lines if line["figure"] == "attention_seconds"]
    assert [line["source"] * line["target"] for line in figures] == [
        at for curve in curves for at in curve.at
    ]


def test_a_point_of_several_curves_is_measured_once(
    options: Options, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[object] = []

    def measure(task: Task, point: Point, _: Options) -> float:
        measured.append((task, point))
        return float(len(measured))

    monkeypatch.setattr("curves.run.measure_seconds", measure)
    curves = list(measure_curves(options, TINY, FEW))
    common = {curve.seconds[curve.at.index(getattr(TINY, curve.varied))] for curve in curves}
    assert len(common) == 2  # training and decoding
    assert len(measured) == len(set(measured))
    capsys.readouterr()


def test_the_picture_has_all_panels_and_every_curve_and_is_the_same_each_time(
    options: Options,
) -> None:
    pytest.importorskip("matplotlib")
    from curves.drawing import draw

    curves = [
        Curve(task, varied, FEW[varied], [1.0 * at for at in FEW[varied]], FEW[varied])
        for task, quantities in VARIED.items()
        for varied in quantities
    ]
    curves.append(Curve("attention", "both", (400, 1600), (1.0, 4.0), (400, 1600)))
    draw(curves, TINY, options)
    first = options.svg.read_bytes()
    draw(curves, TINY, options)
    assert options.svg.read_bytes() == first
    words = [element.text or "" for element in ElementTree.fromstring(first).iter()]
    assert "training: seconds of an update" in words
    assert "decoding: seconds of a sentence" in words
    assert "attention alone: seconds of a batch" in words
    assert "source length x target length (positions)" in words
    assert "both 400 to 1,600: slope 1.00, at the end 1.00" in words
    assert words.count("length 2 to 4: slope 1.00, at the end 1.00") == 2
    assert words.count("beam 1 to 2: slope 1.00, at the end 1.00") == 1


def test_curves_can_be_distinguished_without_colours() -> None:
    pytest.importorskip("matplotlib")
    from curves.drawing import STYLES

    assert set(STYLES) == {*RANGES, *SIDES}
    for panel in (RANGES, SIDES):
        assert len({STYLES[varied][0] for varied in panel}) == len(panel)


def test_a_run_prints_lines_for_programs_and_a_table_and_draws(
    options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    from curves.run import run

    run(options, base=TINY, ranges=FEW)
    told = capsys.readouterr()
    assert all(json.loads(line) for line in told.out.splitlines())
    assert "| translate | beam | 1 to 2 |" in told.err
    assert f"drawn: {options.svg}" in told.err
    assert ElementTree.parse(options.svg).getroot().tag.endswith("svg")


# Options


def test_without_options_everything_is_measured() -> None:
    pytest.importorskip("matplotlib")
    given, full = parse(["--varied", "beam", "length"]), parse([])
    assert given.varied == ["beam", "length"]
    assert full.varied == [*RANGES, "attention"]
    assert full.threads >= 1
    assert full.svg == ROOT / "recipes" / "curves" / "curves.svg"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("--windows 0", "--windows: 0 is too small; at least 1"),
        ("--sentences 0", "--sentences: 0 is too small; at least 1"),
        ("--threads -1", "--threads: -1 is too small; at least 1"),
        ("--threads 1000000", "--threads: 1000000 is too large; at most "),
        ("--seconds 0", "--seconds: 0.0 must be above 0; try 1.0"),
        ("--seconds nan", "--seconds: nan must be above 0; try 1.0"),
        ("--precision int8", "invalid choice: 'int8'"),
        ("--varied length width", "invalid choice: 'width'"),
        ("--svg a.png", "--svg: a.png is not an SVG file; choose a name that ends in .svg"),
        ("--svg no/a.svg", "--svg: there is no folder no; create it first"),
    ],
)
def test_impossible_options_are_refused(
    arguments: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(arguments.split())
    assert error in capsys.readouterr().err


def test_without_matplotlib_nothing_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match="2"):
        parse([])
    assert "run: pip install matplotlib" in capsys.readouterr().err


def test_make_passes_its_variables_on() -> None:
    done = subprocess.run(
        ["make", "-n", "-f", "recipes/curves/Makefile", "PYTHON=python", "VARIED=length beam",
         "WINDOWS=7", "SVG=a.svg"],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "MAKEFLAGS": ""},
    )  # fmt: skip
    command = f'python -m curves --varied length beam --windows 7 --svg "{ROOT / "a.svg"}"'
    assert command in " ".join(done.stdout.replace("\\\n", " ").split())
