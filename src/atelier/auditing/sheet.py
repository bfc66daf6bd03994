"""The worst pairs side by side."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..drawing.canvas import (
    GRAY,
    INK,
    PALE,
    VERMILION,
    board,
    drawing_of,
    fitted,
    place_image,
)
from .collection import Collection
from .findings import Audit, PairFinding

_MOST = 24
_COLUMNS = 4
_SIZE = 1.15  # inches
_EDGE = 0.12
_HEAD, _FOOT = 0.26, 0.42
_ACROSS = 2 * _SIZE + 3 * _EDGE
_DOWN = _HEAD + _SIZE + _FOOT


def pair_sheet(audit: Audit, collection: Collection) -> Figure | None:
    """Up to 24 pairs with their kind, labels and parts; None where no pair was found."""
    pairs = audit.pairs[:_MOST]
    if not pairs:
        return None
    columns = min(_COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    sheet = board(columns * _ACROSS + _EDGE, rows * _DOWN + _EDGE)
    for position, pair in enumerate(pairs):
        row, column = divmod(position, columns)
        _place_pair(sheet, pair, collection, _EDGE + column * _ACROSS, _EDGE / 2 + row * _DOWN)
    return drawing_of(sheet)


def _place_pair(sheet: Axes, pair: PairFinding, collection: Collection, x: float, y: float) -> None:
    bad = pair.contradicts or pair.leaks
    head: str = pair.kind
    if pair.contradicts:
        head += ", labels differ"
    if pair.leaks:
        head += ", across parts"
    _text(sheet, x, y + _HEAD / 2, head, color=VERMILION if bad else INK, weight="bold")
    for side, (place, label, part) in enumerate(
        ((pair.first, pair.label_a, pair.part_a), (pair.second, pair.label_b, pair.part_b))
    ):
        left, top = x + side * (_SIZE + _EDGE / 2), y + _HEAD
        frame = VERMILION if bad else PALE
        place_image(sheet, collection[place], left, top, _SIZE, frame=frame, line=1.2)
        words = fitted(label, _SIZE, 8)
        color = VERMILION if pair.contradicts else INK
        _text(sheet, left, top + _SIZE + 0.12, words, color=color)
        _text(sheet, left, top + _SIZE + 0.27, part, color=VERMILION if pair.leaks else GRAY)


def _text(
    sheet: Axes, x: float, y: float, words: str, *, color: str, weight: str = "normal"
) -> None:
    sheet.text(x, y, words, va="center", fontsize=8, color=color, fontweight=weight)
