"""What `nmt show --plot` draws."""

import sys
from pathlib import Path

import pytest
from test_curves import write_run

from nmt.errors import UsageError
from nmt.reporting.curves import Curves
from nmt.reporting.picture import require_plottable
from nmt.reporting.plot import plot

pytest.importorskip("matplotlib")

NAN = float("nan")


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Return a function that plots curves: it returns each panel with its curves and markers."""
    from matplotlib.axes import Axes

    def draw(curves: Curves) -> list[tuple[str, dict[str, str]]]:
        found: list[Axes] = []
        original = Axes.set_ylabel

        def note(axes: Axes, *args: object, **options: object) -> object:
            found.append(axes)
            return original(axes, *args, **options)

        monkeypatch.setattr(Axes, "set_ylabel", note)
        plot({"run": curves}, tmp_path / "a.svg")
        return [
            (axes.get_ylabel(), {line.get_label(): line.get_marker() for line in axes.lines})
            for axes in found
        ]

    return draw


def update(number: int, **values: float | None) -> dict:
    keys = ("loss", "learning_rate", "gradient_norm", "clip_norm", "reference_probability")
    return {"update": number, **dict.fromkeys(keys), **values}


@pytest.mark.parametrize(
    ("name", "start"), [("a.svg", b"<?xml"), ("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")]
)
def test_the_picture_is_the_same_each_time(tmp_path, name, start):
    curves = Curves.of(write_run(tmp_path / "run"))
    pictures = set()
    for _ in range(2):
        plot({"run": curves}, tmp_path / name)
        pictures.add((tmp_path / name).read_bytes())
    assert len(pictures) == 1
    assert pictures.pop().startswith(start)


def test_a_panel_and_a_curve_are_drawn_only_if_they_have_values(tmp_path, drawn):
    panels = dict(drawn(Curves.of(write_run(tmp_path / "run"))))
    assert list(panels) == ["loss per token (nats)", "score", "learning rate", "gradient norm"]
    assert list(panels["score"]) == ["BLEU", "best update"]  # chrF was not measured
    assert list(panels["gradient norm"]) == ["before clipping", "clipped to"]


def test_the_probability_of_scheduled_sampling_has_a_panel(drawn):
    reports = [update(n, loss=1.0, reference_probability=1 - n / 10) for n in (1, 2)]
    assert "reference probability" in dict(drawn(Curves(reports, [])))


def test_runs_are_laid_over_one_another_in_colours_of_their_own(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn, original = [], Axes.plot

    def note(axes, *args, **options):
        drawn.append((options["label"], options["color"]))
        return original(axes, *args, **options)

    monkeypatch.setattr(Axes, "plot", note)
    one, two = Curves([update(1, loss=3.0)], []), Curves([update(1, loss=2.0)], [])
    plot({"a": one, "b": two}, tmp_path / "both.svg")
    assert drawn == [("a: training", "C0"), ("b: training", "C1")]


def test_the_best_update_of_several_runs_is_named_once(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    labels, original = [], Axes.legend
    monkeypatch.setattr(
        Axes,
        "legend",
        lambda axes: labels.append(axes.get_legend_handles_labels()[1]) or original(axes),
    )
    curves = Curves.of(write_run(tmp_path / "run"))
    plot({"a": curves, "b": curves}, tmp_path / "both.svg")
    assert labels[0] == [
        *("a: training", "a: validation", "best update", "b: training", "b: validation"),
    ]


def test_a_single_point_is_marked(drawn):
    (panel,) = drawn(Curves([update(50, learning_rate=50.0)], []))
    assert panel == ("learning rate", {"rate": "."})


def test_the_picture_says_where_training_diverged(drawn):
    reports = [update(1, loss=3.0), update(2, loss=NAN)]
    (panel,) = drawn(Curves(reports, [], diverged=2))
    assert panel[1] == {"training": ".", "diverged": "None"}


def test_a_loss_that_was_not_finite_is_marked_where_training_went_on(drawn):
    reports = [update(1, loss=3.0), update(2, loss=NAN), update(3, loss=2.0)]
    (panel,) = drawn(Curves(reports, []))
    assert panel[1] == {"training": ".", "loss not finite": "None"}


def test_a_run_without_values_is_not_drawn(tmp_path):
    with pytest.raises(UsageError, match="nothing to draw yet; train until the first log line"):
        plot({"run": Curves([update(1, loss=NAN)], [])}, tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.parametrize("name", ["a.txt", "a", "a.jpg"])
def test_an_unknown_picture_format_is_refused(name):
    with pytest.raises(
        UsageError, match=r"a.*: cannot draw this kind of file; .* \.svg, \.png, \.pdf\."
    ):
        require_plottable(Path(name))


def test_a_picture_in_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"none: no such folder; create it, .* place for a\.svg"):
        require_plottable(tmp_path / "none" / "a.svg")


def test_without_matplotlib_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"run: pip install matplotlib"):
        plot({"run": Curves([], [])}, tmp_path / "a.svg")
