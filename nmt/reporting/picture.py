"""Writing a picture: which file names can be drawn, and the same bytes for the same picture."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import UsageError
from nmt.paths import require_folder_of
from nmt.storage.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FORMATS = ("svg", "png", "pdf")


def require_plottable(path: Path) -> str:
    """Return the format that a file name asks for.

    Raises:
        UsageError: it has another extension than .svg, .png or .pdf, its folder does not exist, or
            matplotlib is missing.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _FORMATS:
        endings = ", ".join(f".{name}" for name in _FORMATS)
        raise UsageError(
            f"{path}: cannot draw this kind of file; end its name in one of {endings}."
        )
    require_folder_of(path)
    if find_spec("matplotlib") is None:
        raise UsageError(
            "drawing needs matplotlib, which is not installed; run: pip install matplotlib"
        )
    return kind


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure to a file, .svg, .png or .pdf; text in an .svg remains text.

    Equal figures give equal bytes. The background is white, so a page's dark theme does not hide
    the axes.

    Raises:
        UsageError: the file cannot be drawn.
        ResourceError: writing failed.
    """
    kind = require_plottable(path)
    import matplotlib

    picture = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.hashsalt": "nmt", "svg.fonttype": "none"}):
        figure.savefig(picture, format=kind, metadata=metadata[kind], facecolor="white")
    write_bytes(path, picture.getvalue())
