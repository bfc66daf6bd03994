"""What every picture shares: colors, paper, text that means only itself, and PNG bytes.

Figures are `matplotlib.figure.Figure` objects drawn by Agg: no window, no pyplot, no global state.
Colors are those of Okabe and Ito 2008, which stay apart for color-blind eyes and in gray print.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..storage import atomic_path

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, INK = "#CC79A7", "#56B4E9", "#222222"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RIGHT, WRONG = BLUE, VERMILION
GRAY, PALE = "#666666", "#E3E3E3"

_DPI = 130
_LONGEST_NAME = 22


def figure(width: float, height: float) -> Figure:
    """An empty white figure of this size in inches, which arranges its parts so none is cut."""
    result = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(result)
    return result


def plain(text: str, longest: int = _LONGEST_NAME) -> str:
    """A name as matplotlib shows it unchanged: on one line, shortened, never read as math."""
    text = " ".join(text.split())
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    text = text.replace("$", r"\$")
    # matplotlib leaves labels with a leading underscore out of legends.
    return f" {text}" if text.startswith("_") else text


def tidy(axes: Axes, *, grid: str = "y") -> Axes:
    """Leave only what carries meaning: two spines, and pale lines across the `grid` axis."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="both" if grid == "both" else "x" if grid == "x" else "y", color=PALE, lw=0.8)
    axes.set_axisbelow(True)
    return axes


def percent_axis() -> PercentFormatter:
    """Ticks of an axis of shares, written as in the text: 92.5 %."""
    return PercentFormatter(1, symbol=" %")


def show_image(axes: Axes, image: npt.NDArray[np.uint8]) -> None:
    """Draw one (C, H, W) uint8 image, of one channel in gray or of three in color, with a frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(PALE)
    if image.shape[0] == 3:
        axes.imshow(image.transpose(1, 2, 0))
    else:
        axes.imshow(image[0], cmap="gray", vmin=0, vmax=255)


def png_bytes(drawing: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A class name in a script that the font lacks shows boxes; the report's text has it whole.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        drawing.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save_png(drawing: Figure, path: str | Path) -> Path:
    """Write the figure as PNG, whole or not at all.

    Raises:
        StorageError: no space or no permission.
    """
    path = Path(path)
    data = png_bytes(drawing)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return path
