"""Contact sheets of what an audit of labels has found."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from ..drawing.canvas import GRAY, INK, VERMILION, board, drawing_of, fitted, place_image
from ..drawing.picture import Picture
from .collection import Collection
from .label_findings import LabelAudit, Outlier, Suspect

_MOST = 100
_COLUMNS = 10
_SIZE, _EDGE = 1.05, 0.1  # inches
_LINE = 0.145
_LETTERS = 7.5


def label_pictures(found: LabelAudit, collection: Collection) -> list[Picture]:
    """The 100 most suspicious images of what may be corrected, and of the test part, and the 100
    farthest outliers; of what there is none, no picture."""
    test = [suspect for suspect in found.suspects if suspect.part == "test"]
    rest = [suspect for suspect in found.suspects if suspect.part != "test"]
    sheets: tuple[tuple[str, str, Sequence[Suspect | Outlier]], ...] = (
        ("suspects", "Labels that are likely wrong", rest),
        ("suspects_test", "Test labels that are likely wrong", test),
        ("outliers", "Images like no other", found.outliers),
    )
    return [_sheet(key, title, own, collection) for key, title, own in sheets if own]


def _sheet(
    key: str, title: str, own: Sequence[Suspect | Outlier], collection: Collection
) -> Picture:
    shown = own[:_MOST]
    columns = min(_COLUMNS, len(shown))
    across, down = _SIZE + _EDGE, _SIZE + 3 * _LINE + _EDGE
    sheet = board(columns * across + _EDGE, -(-len(shown) // columns) * down + _EDGE)
    for number, found in enumerate(shown):
        row, column = divmod(number, columns)
        x, y = _EDGE + column * across, _EDGE + row * down
        place_image(sheet, collection[found.position], x, y, _SIZE)
        words = [(found.given, INK)]
        if isinstance(found, Suspect):
            words.append((f"→ {found.suggested}", VERMILION))
        else:
            words.append((f"{found.distance:.1f} x as far", VERMILION))
        words.append((found.image, GRAY))
        for line, (text, color) in enumerate(words):
            _text(sheet, x, y + _SIZE + (line + 0.65) * _LINE, text, color)
    count = f"the first {len(shown)} of {len(own):,}" if len(shown) < len(own) else f"{len(own):,}"
    said = "Label, what it looks like, and which image it is"
    if key == "outliers":
        said = "Label, how many times as far from others as usual, and which image it is"
    return Picture(
        key,
        title,
        drawing_of(sheet),
        f"{title}: {count} images, the first labeled {shown[0].given}",
        f"{said}; {count}, in the order of suspicion.",
        photos=collection.shape[1] == 3,
    )


def _text(sheet: Axes, x: float, y: float, words: str, color: str) -> None:
    shown = fitted(words, _SIZE, _LETTERS)
    sheet.text(x, y, shown, va="center", fontsize=_LETTERS, color=color)
