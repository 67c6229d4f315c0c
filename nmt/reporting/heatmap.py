"""Attention as a picture: a row for each target piece, a column for each source piece."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.diagnostics.attention import AttentionMatrix
from nmt.reporting.picture import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = 0.3  # inches: room for a line of 11 points
_FONT_SIZE = 11
_MOST_INCHES = 120.0
_LONGEST_NAME = 24  # characters
_FONTS = (
    *("DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR"),
    *("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAGothic", "Unifont"),
    *("Arial Unicode MS", "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Malgun Gothic"),
)
"""Fonts that are asked for a letter in turn, as far as they are installed."""

_logger = logging.getLogger(__name__)


def heatmap(matrix: AttentionMatrix, *, unit: str = "piece") -> "Figure":
    """Return attention weights as a figure, dark where they are high.

    Args:
        matrix: at least one row and column.
        unit: what rows and columns are, for the names of the axes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    rows, columns = len(matrix.target), len(matrix.source)
    longest = [max(map(len, map(_shown, side))) for side in (matrix.target, matrix.source)]
    width = min(2.4 + 0.1 * longest[0] + _CELL * columns, _MOST_INCHES)
    height = min(1.0 + 0.1 * longest[1] + _CELL * max(rows, 6), _MOST_INCHES)
    with matplotlib.rc_context({"font.family": _installed(), "font.size": _FONT_SIZE}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(matrix.weights, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal")
        figure.colorbar(
            image, ax=axes, label="attention weight", shrink=0.9, aspect=max(10, 3 * height)
        )
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        source, target = (
            [_shown(name) for name in side] for side in (matrix.source, matrix.target)
        )
        axes.set_xticks(range(columns), source, rotation=90, parse_math=False)
        axes.set_yticks(range(rows), target, parse_math=False)
        axes.tick_params(length=0)
        axes.set_xlabel(f"source {unit}")
        axes.set_ylabel(f"target {unit}")
        axes.set_xticks([column - 0.5 for column in range(1, columns)], minor=True)
        axes.set_yticks([row - 0.5 for row in range(1, rows)], minor=True)
        axes.grid(which="minor", color="0.85", linewidth=0.5)
        axes.tick_params(which="minor", length=0)
    return figure


def draw_attention(matrix: AttentionMatrix, path: Path, *, unit: str = "piece") -> None:
    """Write attention weights as a picture, .svg, .png or .pdf.

    Letters that no installed font has are left to the viewer in an .svg, and are boxes elsewhere.

    Args:
        matrix: at least one row and column.
        path: file to write.
        unit: what rows and columns are.

    Raises:
        UsageError: the file cannot be drawn.
        ResourceError: writing failed.
    """
    figure = heatmap(matrix, unit=unit)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save_figure(figure, path)
    lacking = [each for each in caught if "missing from" in str(each.message)]
    for warning in caught:
        if warning not in lacking:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if lacking and path.suffix.lower() != ".svg":
        _logger.warning(
            "%s: no installed font has all letters of this text; write an .svg, which the viewer's "
            "fonts complete, or install fonts such as Noto",
            path,
        )


def _shown(name: str) -> str:
    """Return the name of a row or column: one line, not too long."""
    name = "".join(character if character.isprintable() else "�" for character in name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _installed() -> list[str]:
    """Return the fonts of `_FONTS` that are installed; the first comes with matplotlib."""
    from matplotlib.font_manager import fontManager

    known = set(fontManager.get_font_names())
    return [name for name in _FONTS if name in known]
