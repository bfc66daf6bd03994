"""Pictures of images: samples, augmented samples, predictions, errors and confusable pairs.

Images are (N, C, H, W) uint8 with one or three channels, in the order of the predictions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation import evaluate_predictions
from ..predictions import Predictions
from .canvas import BLUE, GRAY, INK, PALE, RIGHT, WRONG, figure, plain, show_image, tidy

Images = npt.NDArray[np.uint8]

_MOST_CLASSES = 25


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
    drawing = figure(9, 0.3 + 0.68 * len(shown))
    grid = drawing.subplots(len(shown), per_class, squeeze=False)
    for k, (name, row) in enumerate(zip(shown, grid, strict=True)):
        own = np.flatnonzero(labels == k)
        chosen = rng.choice(own, size=min(per_class, len(own)), replace=False)
        for position, axes in enumerate(row):
            axes.axis("off")
            if position < len(chosen):
                axes.axis("on")
                show_image(axes, images[chosen[position]])
        _left_label(row[0], plain(name) if len(own) else f"{plain(name)} (none)")
    return drawing


def augmented_samples(original: Images, augmented: Images) -> Figure:
    """Each image as it is, and beside it what augmentation makes of it.

    Args:
        original: (N, C, H, W) uint8.
        augmented: (N, V, C, H, W) uint8, V draws for each image.
    """
    rows, draws = augmented.shape[:2]
    drawing = figure(9, 0.4 + 0.95 * rows)
    grid = drawing.subplots(rows, draws + 2, squeeze=False, width_ratios=[1, 0.15, *[1] * draws])
    for image, variants, axes in zip(original, augmented, grid, strict=True):
        show_image(axes[0], image)
        axes[1].axis("off")
        for variant, cell in zip(variants, axes[2:], strict=True):
            show_image(cell, variant)
    grid[0, 0].set_title("original", fontsize=9)
    grid[0, 2].set_title("as training sees it", fontsize=9, loc="left")
    return drawing


def sample_predictions(
    images: Images, predictions: Predictions, *, count: int = 12, seed: int = 0
) -> Figure:
    """Random images with the three most probable classes; a tick or a cross says right or wrong."""
    chosen = np.random.default_rng(seed).permutation(len(predictions))[:count]
    chosen.sort()
    columns = 3
    rows = -(-len(chosen) // columns)
    drawing = figure(10, 1.45 * rows)
    grid = drawing.subplots(rows, 2 * columns, squeeze=False, width_ratios=[1, 1.15] * columns)
    probs, predicted = predictions.probs, predictions.predicted
    for axes in grid.flat:
        axes.axis("off")
    for position, index in enumerate(chosen):
        row, column = divmod(position, columns)
        picture, bars = grid[row, 2 * column], grid[row, 2 * column + 1]
        picture.axis("on")
        show_image(picture, images[index])
        true = int(predictions.labels[index])
        right = predicted[index] == true
        _frame(picture, right=right)
        word = "✓ right" if right else f"✗ is {plain(predictions.classes[true], 14)}"
        bars.set_title(
            word, loc="left", fontsize=9, fontweight="bold", color=RIGHT if right else WRONG, pad=2
        )
        _probability_bars(bars, probs[index], predictions.classes, true)
    return drawing


def worst_errors(images: Images, predictions: Predictions, *, count: int = 18) -> Figure | None:
    """The errors with the highest confidence, worst first; None where there is no error."""
    probs, predicted = predictions.probs, predictions.predicted
    confidence = probs.max(axis=1)
    wrong = np.flatnonzero(~predictions.correct)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    if not len(wrong):
        return None
    columns = 6
    rows = -(-len(wrong) // columns)
    drawing = figure(9, 2.1 * rows)
    grid = drawing.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, index in zip(grid.flat, wrong, strict=False):
        axes.axis("on")
        show_image(axes, images[index])
        called = plain(predictions.classes[predicted[index]], 14)
        true = plain(predictions.classes[predictions.labels[index]], 14)
        axes.set_title(
            f"✗ {called}\n{_sure(confidence[index])} sure", fontsize=9, color=WRONG, pad=3
        )
        axes.set_xlabel(f"is {true}", fontsize=9, color=INK, labelpad=3)
    return drawing


def confusable_pairs(
    images: Images, predictions: Predictions, *, pairs: int = 6, examples: int = 6
) -> Figure | None:
    """The most frequent confusions as bars, each with its surest examples; None without errors."""
    confusions = evaluate_predictions(predictions).top_confusions[:pairs]
    if not confusions:
        return None
    confidence, predicted = predictions.probs.max(axis=1), predictions.predicted
    drawing = figure(10, 0.6 + 0.8 * len(confusions))
    # One grid for both, so that each bar stands at the height of its examples.
    grid = drawing.add_gridspec(len(confusions), examples + 1, width_ratios=[4, *[1] * examples])
    axes = drawing.add_subplot(grid[:, 0])
    height = range(len(confusions))
    bars = axes.barh(height, [confusion.count for confusion in confusions], color=BLUE, height=0.5)
    notes = [f"{confusion.count:,}  ({100 * confusion.share:.1f} %)" for confusion in confusions]
    axes.bar_label(bars, labels=notes, padding=3, fontsize=8)
    axes.set_yticks(
        height, [f"{plain(c.true, 14)}\n→ {plain(c.predicted, 14)}" for c in confusions]
    )
    axes.set_ylim(len(confusions) - 0.5, -0.5)
    axes.margins(x=0.35)
    axes.set_xlabel("images (share of the true class)", fontsize=9)
    tidy(axes, grid="x")
    for row, confusion in enumerate(confusions):
        true = predictions.classes.index(confusion.true)
        called = predictions.classes.index(confusion.predicted)
        own = np.flatnonzero((predictions.labels == true) & (predicted == called))
        own = own[np.argsort(-confidence[own], kind="stable")]
        for position, index in enumerate(own[:examples]):
            show_image(drawing.add_subplot(grid[row, position + 1]), images[index])
    return drawing


def _left_label(axes: Axes, text: str) -> None:
    axes.annotate(
        text,
        (0, 0.5),
        xytext=(-6, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=9,
        color=INK,
    )


def _frame(axes: Axes, *, right: bool) -> None:
    axes.spines[:].set(
        color=RIGHT if right else WRONG, linewidth=2, linestyle="-" if right else "--"
    )


def _probability_bars(
    axes: Axes, probs: npt.NDArray[np.float64], classes: Sequence[str], true: int
) -> None:
    """The three most probable classes; the true one is filled, the others hatched."""
    top = np.argsort(-probs, kind="stable")[:3]
    axes.axis("on")
    axes.set_xlim(0, 1)
    axes.set_ylim(len(top) - 0.4, -0.75)
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    axes.set_xticks([])
    for y, k in enumerate(top):
        is_true = k == true
        axes.barh(y, 1, height=0.32, color=PALE)
        axes.barh(y, probs[k], height=0.32, color=RIGHT if is_true else GRAY)
        axes.text(0, y - 0.24, plain(classes[k], 14), fontsize=8, va="bottom", color=INK)
        axes.text(1, y - 0.24, _sure(probs[k]), fontsize=8, va="bottom", ha="right", color=INK)


def _sure(confidence: float) -> str:
    """A probability that never rounds to certainty or to nothing."""
    if confidence > 0.999:
        return "> 99.9 %"
    return f"{100 * confidence:.1f} %" if confidence >= 0.001 else "< 0.1 %"
