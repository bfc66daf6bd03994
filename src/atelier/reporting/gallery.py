"""Pictures of images: samples, augmented samples, predictions, errors and confusable pairs.

Images are (N, C, H, W) uint8 with one or three channels, in the order of the predictions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ..drawing.canvas import (
    BLUE,
    GRAY,
    PALE,
    RIGHT,
    WRONG,
    board,
    drawing_of,
    fitted,
    place_bar,
    place_image,
    plain,
    text_width,
    write,
)
from ..evaluation import evaluate_predictions
from ..predictions import Predictions

Images = npt.NDArray[np.uint8]

_MOST_CLASSES = 25
_EDGE = 0.1  # inches kept free around and between


def samples_per_class(
    images: Images,
    labels: npt.NDArray[np.int64],
    classes: Sequence[str],
    *,
    per_class: int = 10,
    seed: int = 0,
) -> Figure:
    """A row of random images for each class; of more than 25 classes the first 25."""
    shown = list(classes)[:_MOST_CLASSES]
    rng = np.random.default_rng(seed)
    size, left = 0.66, _label_width(shown)
    pitch = size + _EDGE
    sheet = board(left + per_class * pitch + _EDGE, len(shown) * pitch + _EDGE)
    for k, name in enumerate(shown):
        own = np.flatnonzero(labels == k)
        top = _EDGE + k * pitch
        write(sheet, left - 0.02, top + size / 2, plain(name), ha="right")
        for position, index in enumerate(
            rng.choice(own, size=min(per_class, len(own)), replace=False)
        ):
            place_image(sheet, images[index], left + _EDGE + position * pitch, top, size)
        if not len(own):
            write(sheet, left + _EDGE, top + size / 2, "no images", color=GRAY)
    return drawing_of(sheet)


def augmented_samples(original: Images, augmented: Images) -> Figure:
    """Each image as it is, and beside it what augmentation makes of it.

    Args:
        original: (N, C, H, W) uint8.
        augmented: (N, V, C, H, W) uint8, V draws for each image.
    """
    rows, draws = augmented.shape[:2]
    size, top, gap = 0.82, 0.32, 0.3
    pitch = size + _EDGE
    sheet = board(2 * _EDGE + pitch + gap + draws * pitch, top + rows * pitch)
    write(sheet, _EDGE, top / 2, "original")
    write(sheet, _EDGE + pitch + gap, top / 2, "as training sees it")
    for row, (image, variants) in enumerate(zip(original, augmented, strict=True)):
        y = top + row * pitch
        place_image(sheet, image, _EDGE, y, size)
        for position, variant in enumerate(variants):
            place_image(sheet, variant, _EDGE + gap + (position + 1) * pitch, y, size)
    return drawing_of(sheet)


def sample_predictions(
    images: Images, predictions: Predictions, *, count: int = 12, seed: int = 0
) -> Figure:
    """Random images with the three most probable classes; a tick or a cross says right or wrong."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(predictions))[:count])
    columns, size, bar = min(3, len(chosen)), 1.2, 1.65
    across, down = size + bar + 4 * _EDGE, size + 2 * _EDGE
    sheet = board(columns * across, -(-len(chosen) // columns) * down)
    probs, predicted = predictions.probs, predictions.predicted
    for position, index in enumerate(chosen):
        row, column = divmod(position, columns)
        x, y = _EDGE + column * across, _EDGE + row * down
        true = int(predictions.labels[index])
        right = bool(predicted[index] == true)
        color = RIGHT if right else WRONG
        place_image(sheet, images[index], x, y, size, frame=color, line=2, dashed=not right)
        x += size + 1.2 * _EDGE
        verdict = "✓ right" if right else f"✗ is {fitted(predictions.classes[true], bar - 0.45, 9)}"
        write(sheet, x, y + 0.08, verdict, color=color, weight="bold")
        for rank, k in enumerate(np.argsort(-probs[index], kind="stable")[:3]):
            level = y + 0.3 + 0.32 * rank
            write(sheet, x, level, fitted(predictions.classes[k], bar - 0.55, 8), size=8)
            write(sheet, x + bar, level, _sure(probs[index, k]), size=8, ha="right")
            place_bar(sheet, x, level + 0.08, bar, 0.1, PALE)
            length = bar * float(probs[index, k])
            place_bar(sheet, x, level + 0.08, length, 0.1, RIGHT if k == true else GRAY)
    return drawing_of(sheet)


def surest_errors(predictions: Predictions, count: int = 18) -> npt.NDArray[np.int64]:
    """The rows of the errors with the highest confidence, worst first."""
    wrong = np.flatnonzero(~predictions.correct)
    confidence = predictions.probs.max(axis=1)[wrong]
    surest: npt.NDArray[np.int64] = wrong[np.argsort(-confidence, kind="stable")][:count]
    return surest


def worst_errors(
    images: Images,
    predictions: Predictions,
    files: Sequence[str] | None = None,
    *,
    count: int = 18,
) -> Figure | None:
    """The errors with the highest confidence, worst first; None where there is no error.

    Args:
        images: (N, C, H, W) uint8, in the order of the predictions.
        predictions: of N images.
        files: the name of each image's file, where it has one.
        count: errors to show.
    """
    confidence, predicted = predictions.probs.max(axis=1), predictions.predicted
    wrong = surest_errors(predictions, count)
    if not len(wrong):
        return None
    columns, size, words = 6, 1.35, 0.36
    across, down = size + 1.5 * _EDGE, words + size + (0.36 if files is None else 0.5)
    sheet = board(_EDGE + columns * across, -(-len(wrong) // columns) * down)
    for position, index in enumerate(wrong):
        row, column = divmod(position, columns)
        x, y = _EDGE + column * across, row * down
        called = fitted(predictions.classes[predicted[index]], size - 0.1, 9)
        true = fitted(predictions.classes[predictions.labels[index]], size - 0.1, 9)
        middle = x + size / 2
        write(sheet, middle, y + 0.12, f"✗ {called}", ha="center", color=WRONG)
        write(sheet, middle, y + 0.27, f"{_sure(confidence[index])} sure", ha="center", size=8)
        place_image(sheet, images[index], x, y + words, size)
        write(sheet, middle, y + words + size + 0.12, f"is {true}", ha="center")
        if files is not None:
            name = fitted(files[index].rpartition("/")[2], size, 7)
            write(sheet, middle, y + words + size + 0.27, name, ha="center", size=7, color=GRAY)
    return drawing_of(sheet)


def confusable_pairs(
    images: Images, predictions: Predictions, *, pairs: int = 6, examples: int = 6
) -> Figure | None:
    """The most frequent confusions as bars, each with its surest examples; None without errors."""
    confusions = evaluate_predictions(predictions).top_confusions[:pairs]
    if not confusions:
        return None
    confidence, predicted = predictions.probs.max(axis=1), predictions.predicted
    size, bar, note, top = 0.8, 1.7, 1.15, 0.32
    pitch = size + _EDGE
    left = 0.2 + _label_width([name for c in confusions for name in (c.true, c.predicted)])
    start = left + bar + note
    sheet = board(start + examples * pitch + _EDGE, top + len(confusions) * pitch)
    write(sheet, left + _EDGE, top / 2, "images (share of the true class)", size=8, color=GRAY)
    write(sheet, start, top / 2, "examples, surest first", size=8, color=GRAY)
    for row, confusion in enumerate(confusions):
        y = top + row * pitch
        middle = y + size / 2
        write(sheet, left, middle - 0.08, plain(confusion.true), ha="right")
        write(sheet, left, middle + 0.1, f"→ {plain(confusion.predicted)}", ha="right")
        length = bar * confusion.count / confusions[0].count
        place_bar(sheet, left + _EDGE, middle - 0.15, length, 0.3, BLUE)
        words = f"{confusion.count:,} ({100 * confusion.share:.1f} %)"
        write(sheet, left + length + 1.6 * _EDGE, middle, words, size=8)
        true = predictions.classes.index(confusion.true)
        called = predictions.classes.index(confusion.predicted)
        own = np.flatnonzero((predictions.labels == true) & (predicted == called))
        own = own[np.argsort(-confidence[own], kind="stable")][:examples]
        for position, index in enumerate(own):
            place_image(sheet, images[index], start + position * pitch, y, size)
    return drawing_of(sheet)


def _label_width(names: Sequence[str]) -> float:
    return _EDGE + max(text_width(plain(name), 9) for name in names)


def _sure(confidence: float) -> str:
    """A probability that never rounds to certainty or to nothing."""
    if confidence > 0.999:
        return "> 99.9 %"
    return f"{100 * confidence:.1f} %" if confidence >= 0.001 else "< 0.1 %"
