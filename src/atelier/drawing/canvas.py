"""What every picture shares: colors, paper, text that means only itself, and PNG bytes.

Figures are `matplotlib.figure.Figure` objects drawn by Agg: no window, no pyplot, no global state.
Colors are those of Okabe and Ito 2008, which stay apart for color-blind eyes and in gray print.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
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
    """A name as matplotlib can show it: on one line, shortened, never read as math.

    Letters that the font lacks become boxes, where matplotlib would warn and draw the same.
    """
    known = _characters()
    text = "".join(c if ord(c) in known else "□" for c in " ".join(text.split()))
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    text = text.replace("$", r"\$")
    # matplotlib leaves labels with a leading underscore out of legends.
    return f" {text}" if text.startswith("_") else text


@functools.cache
def _characters() -> frozenset[int]:
    """The code points of the font that figures are written in."""
    return frozenset(get_font(findfont(FontProperties())).get_charmap())


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


def board(width: float, height: float) -> Axes:
    """A white sheet whose coordinates are inches from its top left corner.

    For pictures of many images: a hundred axes would take seconds to arrange.
    """
    drawing = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(drawing)
    axes = drawing.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return axes


def drawing_of(sheet: Axes) -> Figure:
    """The figure that a `board` fills."""
    drawing = sheet.get_figure(root=True)
    assert drawing is not None
    return drawing


def place_image(
    sheet: Axes,
    image: npt.NDArray[np.uint8],
    x: float,
    y: float,
    size: float,
    *,
    frame: str = PALE,
    line: float = 0.8,
    dashed: bool = False,
) -> None:
    """Put a (C, H, W) uint8 image, gray or color, into the square at (x, y), its shape kept."""
    height, width = (size * side / max(image.shape[1:]) for side in image.shape[1:])
    left, top = x + (size - width) / 2, y + (size - height) / 2
    extent = (left, left + width, top + height, top)
    if image.shape[0] == 3:
        sheet.imshow(image.transpose(1, 2, 0), extent=extent, aspect="auto")
    else:
        sheet.imshow(image[0], cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
    style = "--" if dashed else "-"
    sheet.add_patch(
        Rectangle((left, top), width, height, fill=False, ec=frame, lw=line, ls=style, zorder=3)
    )


def place_bar(sheet: Axes, x: float, y: float, width: float, height: float, color: str) -> None:
    """Put a filled bar with its top left corner at (x, y)."""
    sheet.add_patch(Rectangle((x, y), width, height, color=color, lw=0))


def write(
    sheet: Axes,
    x: float,
    y: float,
    words: str,
    *,
    ha: str = "left",
    size: float = 9,
    color: str = INK,
    weight: str = "normal",
) -> None:
    """Words at mid height `y` of a board."""
    sheet.text(x, y, words, ha=ha, va="center", fontsize=size, color=color, fontweight=weight)


def text_width(words: str, size: float) -> float:
    """The inches that words take at this size in points."""
    font = FontProperties(size=size)
    return float(text_to_path.get_text_width_height_descent(words, font, False)[0]) / 72


def fitted(name: str, inches: float, size: float) -> str:
    """A name as `plain` shows it, shortened until it takes no more than `inches`."""
    longest = _LONGEST_NAME
    text = plain(name)
    while longest > 2 and text_width(text, size) > inches:
        longest = min(longest, len(text)) - 1
        text = plain(name, longest)
    return text


def png_bytes(drawing: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def jpeg_bytes(drawing: Figure) -> bytes:
    """The figure as JPEG: for photos, which as PNG would be ten times as large."""
    buffer = io.BytesIO()
    # Without subsampling of colors, for thin colored letters and frames suffer from it.
    options = {"quality": 88, "subsampling": 0, "optimize": True}
    drawing.savefig(buffer, format="jpeg", pil_kwargs=options)
    return buffer.getvalue()


def save_png(drawing: Figure, path: str | Path) -> Path:
    """Write the figure as PNG, whole or not at all.

    Raises:
        StorageError: no space or no permission.
    """
    path = Path(path)
    write_bytes(path, png_bytes(drawing))
    return path


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`, whole or not at all.

    Raises:
        StorageError: no space or no permission.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
