"""Names beside points, so that none lies on another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from .canvas import GRAY, INK, drawing_of, plain

Floats = npt.NDArray[np.float64]
_DISTANCES = (7, 16, 28, 42)  # points, the nearest first
_DIRECTIONS = tuple(
    (float(np.cos(angle)), float(np.sin(angle)))
    for angle in np.deg2rad((0, 180, 45, 315, 135, 225, 90, 270))
)


def name_points(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    names: Sequence[str],
    *,
    bars: Sequence[tuple[float, float]] = (),
    longest: int = 40,
    size: float = 8,
    bold: Sequence[bool] = (),
) -> None:
    """Write each point's name next to it: where there is room, and with a line to it where it had
    to move away.

    Args:
        axes: with its final limits and place, points drawn already.
        x, y: of the points, in data.
        names: one for each point; those that come first choose first.
        bars: from where to where each point's vertical interval goes, in data, which names leave
            legible too; none by default.
        longest: letters of a name before it is shortened.
        size: of the letters.
        bold: which are written so; none by default.
    """
    drawing = drawing_of(axes)
    drawing.draw_without_rendering()  # only then is it known where things lie
    drawing.set_layout_engine("none")
    scale = drawing.dpi / 72
    centers: Floats = axes.transData.transform(np.column_stack([x, y]))
    room = axes.get_window_extent()
    taken = [Bbox.from_extents(*(c - 4 * scale), *(c + 4 * scale)) for c in centers]
    for place, bar in zip(x if bars else (), bars, strict=True):
        low, high = axes.transData.transform([(place, end) for end in bar])
        taken.append(Bbox.from_extents(*(low - scale), *(high + scale)))
    for k, (center, name) in enumerate(zip(centers, names, strict=True)):
        text = axes.text(
            x[k],
            y[k],
            plain(name, longest),
            fontsize=size,
            color=INK,
            fontweight="bold" if bold and bold[k] else "normal",
            va="center",
        )
        width, height = text.get_window_extent().size
        box = min(
            (_beside(center, width, height, d, scale) for d in _places()),
            key=lambda box: _cost(box, taken, room, center),
        )
        taken.append(box)
        away = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
        text.set_horizontalalignment("center")
        text.set_position(tuple(axes.transData.inverted().transform(away)))
        gap = np.array([np.clip(center[i], box.min[i], box.max[i]) for i in (0, 1)])
        if np.hypot(*(gap - center)) > 12 * scale:
            ends = axes.transData.inverted().transform([center, gap])
            axes.plot(*ends.T, color=GRAY, lw=0.5, zorder=1)


def _places() -> list[tuple[float, float]]:
    return [(r * dx, r * dy) for r in _DISTANCES for dx, dy in _DIRECTIONS]


def _beside(
    center: Floats, width: float, height: float, offset: tuple[float, float], scale: float
) -> Bbox:
    """A box of that size whose nearest edge or corner lies `offset` points from the center."""
    dx, dy = offset
    left = center[0] + dx * scale + (width * (np.sign(round(dx, 6)) - 1) / 2)
    bottom = center[1] + dy * scale + (height * (np.sign(round(dy, 6)) - 1) / 2)
    return Bbox.from_bounds(float(left), float(bottom), float(width), float(height))


def _cost(box: Bbox, taken: list[Bbox], room: Bbox, center: Floats) -> tuple[float, float]:
    """What of the box lies on others or outside, then how far it is from its point."""
    covered = box.width * box.height - _shared(box, room)
    covered += sum(_shared(box, other) for other in taken)
    nearest = [np.clip(center[i], box.min[i], box.max[i]) - center[i] for i in (0, 1)]
    return round(covered, 3), float(np.hypot(*nearest))


def _shared(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, width) * max(0.0, height))
