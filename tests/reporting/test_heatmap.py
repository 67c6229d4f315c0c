"""Attention as a picture."""

import logging
from itertools import pairwise

import pytest

pytest.importorskip("matplotlib")

from nmt.diagnostics.attention import AttentionMatrix, identity
from nmt.reporting.heatmap import draw_attention, heatmap


def test_pieces_are_named_and_weights_drawn_as_they_are(tmp_path):
    matrix = AttentionMatrix(
        ("▁a", "▁cat", "</s>"), ("▁un", "▁gatto"), ((0.8, 0.1, 0.1), (0, 1, 0))
    )
    (axes, colours) = heatmap(matrix).axes
    assert axes.images[0].get_array().tolist() == [list(row) for row in matrix.weights]
    assert axes.images[0].get_clim() == (0.0, 1.0)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(matrix.source)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(matrix.target)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("source piece", "target piece")
    assert colours.get_ylabel() == "attention weight"
    draw_attention(matrix, tmp_path / "a.svg")
    assert "▁gatto" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_the_names_of_sixty_pieces_do_not_overlap():
    names = tuple(f"▁piece{number}" for number in range(60))
    figure = heatmap(AttentionMatrix(names, names[:20], ((1 / 60,) * 60,) * 20))
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(lower.y1 <= upper.y0 + 1 for upper, lower in pairwise(boxes))
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 <= right.x0 + 1 for left, right in pairwise(boxes))


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_any_script_and_any_character_is_drawn_without_a_warning(kind, tmp_path, caplog):
    nasty = ["$x_1$", "\\alpha", "a\nb", "\x00", "<b>&", "_^", "%", "", "x" * 500]
    names = ["▁السلام", "▁שלום", "我", "日本語", "한국어", "हिन्दी", "🙂", "\ud800", *nasty]
    with caplog.at_level(logging.WARNING, logger="nmt"):
        draw_attention(identity(names).pieces, tmp_path / f"a.{kind}")
    assert (tmp_path / f"a.{kind}").stat().st_size > 1000
    if kind == "svg":
        text = (tmp_path / "a.svg").read_text(encoding="utf-8")
        assert all(name in text for name in ("السلام", "日本語", "$x_1$", "&lt;b&gt;&amp;"))
        assert not caplog.records
