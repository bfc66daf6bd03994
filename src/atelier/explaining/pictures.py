"""Explanations side by side: a row for each image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ..drawing.canvas import (
    GRAY,
    INK,
    ORANGE,
    RIGHT,
    WRONG,
    board,
    drawing_of,
    fitted,
    place_image,
    write,
)
from ..drawing.picture import Picture
from .colors import diverging, overlaid, sequential
from .flips import Flip
from .result import Explanation, Explanations

_SIZE = 1.3  # inches
_EDGE = 0.1
_GAP = 0.22  # between the groups of a row
_TITLE, _WORDS, _FOOT = 0.3, 0.36, 0.4
_ACROSS = _SIZE + _EDGE
_DOWN = _WORDS + _SIZE + _FOOT
_SMALL = 7.5


def explanation_sheets(explanations: Explanations, *, rows: int = 8) -> list[Picture]:
    """Sheets of up to `rows` images each.

    In a row: the image with its answer, the map of each method, the nearest training images, and
    the image with few patches covered, and changed as a whole, so that the answer turns.
    """
    items = explanations.items
    sheets = [items[start : start + rows] for start in range(0, len(items), rows)]
    return [
        _sheet(explanations, sheet, f"explanations{f'-{number}' if len(sheets) > 1 else ''}")
        for number, sheet in enumerate(sheets, start=1)
    ]


def _sheet(explanations: Explanations, items: Sequence[Explanation], key: str) -> Picture:
    maps = [(found.title, found.signed) for found in items[0].maps]
    near = max(len(item.neighbors) for item in items)
    turned = [
        title
        for title, there in (
            ("covering turns it", any(item.cover for item in items)),
            ("change turns it", any(item.change for item in items)),
        )
        if there
    ]
    columns = 1 + len(maps) + near + len(turned)
    width = _EDGE + columns * _ACROSS + _GAP * (1 + bool(near) + bool(turned))
    height = _TITLE + len(items) * _DOWN + 0.42
    sheet = board(width, height)
    x = _EDGE + _ACROSS + _GAP
    for title, _ in maps:
        write(sheet, x + _SIZE / 2, _TITLE / 2 + 0.05, title, ha="center", weight="bold")
        x += _ACROSS
    if near:
        x += _GAP
        words = "nearest training images" if near > 1 else "nearest"
        write(sheet, x, _TITLE / 2 + 0.05, words, weight="bold")
        x += near * _ACROSS
    if turned:
        x += _GAP
        for title in turned:
            write(sheet, x + _SIZE / 2, _TITLE / 2 + 0.05, title, ha="center", weight="bold")
            x += _ACROSS
    for row, item in enumerate(items):
        _place_row(sheet, item, _TITLE + row * _DOWN, near, turned)
    _place_legend(sheet, height - 0.24, any(s for _, s in maps), not all(s for _, s in maps))
    photos = any(item.pixels.shape[0] == 3 for item in items)
    return Picture(
        key,
        "Why these answers",
        drawing_of(sheet),
        alt=" ".join(" ".join(str(item).split()) + "." for item in items),
        caption=_caption(explanations, items),
        photos=photos,
    )


def _place_row(
    sheet: Axes, item: Explanation, top: float, near: int, turned: Sequence[str]
) -> None:
    y = top + _WORDS
    right = item.true is None or item.true == item.predicted
    color = INK if item.true is None else RIGHT if right else WRONG
    mark = "" if item.true is None else "✓ " if right else "✗ "
    room = _SIZE + _GAP - 0.1
    called = fitted(item.predicted, room - 0.2, 9)
    write(sheet, _EDGE, y - 0.26, f"{mark}{called}", color=color, weight="bold")
    write(sheet, _EDGE, y - 0.1, _sure(item.probability), size=_SMALL)
    place_image(sheet, item.pixels, _EDGE, y, _SIZE, frame=color, line=2, dashed=not right)
    below = [] if right else [f"is {fitted(item.true or '', room - 0.15, _SMALL)}"]
    below.append(fitted(item.name.replace("\\", "/").rpartition("/")[2], room, _SMALL))
    for line, words in enumerate(below):
        write(sheet, _EDGE, y + _SIZE + 0.1 + 0.14 * line, words, size=_SMALL, color=GRAY)
    x = _EDGE + _ACROSS + _GAP
    if item.maps and (item.explained != item.predicted or item.against is not None):
        span = len(item.maps) * _ACROSS
        words = f"for {fitted(item.explained, span / 2 - 0.3, _SMALL)}"
        if item.against is not None:
            words += f" against {fitted(item.against, span / 2 - 0.6, _SMALL)}"
        write(sheet, x, y - 0.1, words, size=_SMALL)
    for found in item.maps:
        place_image(sheet, overlaid(item.pixels, found.values, signed=found.signed), x, y, _SIZE)
        x += _ACROSS
    if near:
        x += _GAP
        for neighbor in item.neighbors:
            same = neighbor.label == (item.true or item.predicted)
            frame = RIGHT if same else WRONG
            place_image(sheet, neighbor.pixels, x, y, _SIZE, frame=frame, line=1.5, dashed=not same)
            label = fitted(neighbor.label, _SIZE, _SMALL)
            write(sheet, x + _SIZE / 2, y + _SIZE + 0.1, label, ha="center", size=_SMALL)
            away = f"distance {neighbor.distance:.2f}"
            write(sheet, x + _SIZE / 2, y + _SIZE + 0.24, away, ha="center", size=7, color=GRAY)
            x += _ACROSS
        x += (near - len(item.neighbors)) * _ACROSS
    if turned:
        x += _GAP
    for title in turned:
        _place_flip(sheet, item.cover if "covering" in title else item.change, item, x, y)
        x += _ACROSS


def _place_flip(sheet: Axes, flip: Flip | None, item: Explanation, x: float, y: float) -> None:
    middle = x + _SIZE / 2
    if flip is None:
        words = "nothing tried\nturns it" if item.against is None else "nothing tried\ndoes it"
        sheet.text(middle, y + _SIZE / 2, words, ha="center", va="center", fontsize=8, color=GRAY)
        return
    place_image(sheet, flip.pixels, x, y, _SIZE)
    height, width = flip.pixels.shape[1:]
    scale = _SIZE / max(height, width)
    left, top = x + (_SIZE - width * scale) / 2, y + (_SIZE - height * scale) / 2
    for up, start, down, end in flip.covered:
        corner = (left + start * scale, top + up * scale)
        sheet.add_patch(
            Rectangle(
                corner,
                (end - start) * scale,
                (down - up) * scale,
                fill=False,
                ec=ORANGE,
                lw=1.2,
                hatch="///",
                zorder=4,
            )
        )
    became = fitted(flip.became, _SIZE - 0.5, 8)
    words = f"→ {became} {100 * flip.probability:.0f} %"
    write(sheet, middle, y + _SIZE + 0.1, words, ha="center", size=8, weight="bold")
    if not len(flip.covered):
        change = fitted(_short(flip.change), _SIZE + 0.05, 7)
    else:
        count = len(flip.covered)
        change = f"{count} patch{'es' if count > 1 else ''} covered"
    write(sheet, middle, y + _SIZE + 0.24, change, ha="center", size=7, color=GRAY)


def _short(change: str) -> str:
    words = change.replace(" it", "").replace(" pixels", " px").replace(" pixel", " px")
    return words.removeprefix("making ")


def _place_legend(sheet: Axes, y: float, signed: bool, positive: bool) -> None:
    x, length = _EDGE + _ACROSS + _GAP, 1.1
    bars = []
    if positive:
        bars.append(("little", "much", sequential()))
    if signed:
        bars.append(("against the class", "for it", diverging()))
    for low, high, colors in bars:
        label = sheet.text(x, y + 0.06, low, ha="left", va="center", fontsize=_SMALL, color=GRAY)
        x += _inches(label.get_text()) + 0.08
        extent = (x, x + length, y + 0.12, y)
        sheet.imshow(np.linspace(0, 1, 128)[None], cmap=colors, extent=extent, aspect="auto")
        x += length + 0.08
        write(sheet, x, y + 0.06, high, size=_SMALL, color=GRAY)
        x += _inches(high) + 0.35
    sheet.set(xlim=sheet.get_xlim(), ylim=sheet.get_ylim())


def _inches(words: str) -> float:
    from ..drawing.canvas import text_width

    return text_width(words, _SMALL)


def _caption(explanations: Explanations, items: Sequence[Explanation]) -> str:
    words = [f"By {explanations.run}. Each map is scaled to its own largest value."]
    if any(found.method == "rollout" for found in items[0].maps):
        words.append("Attention rollout shows what was attended to, for whatever class.")
    if any(item.neighbors for item in items):
        words.append(
            "Nearest training images: by the cosine of the embeddings that the head sees; a dashed "
            "frame is another class."
        )
    if any(item.cover for item in items):
        words.append("Covered patches (hatched) have the color of the background.")
    return " ".join(words)


def _sure(probability: float) -> str:
    return "> 99.9 % sure" if probability > 0.999 else f"{100 * probability:.1f} % sure"
