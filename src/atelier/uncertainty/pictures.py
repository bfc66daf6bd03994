"""The pictures of a run's uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..drawing.canvas import (
    BLUE,
    GRAY,
    INK,
    MARKERS,
    PALETTE,
    SKY,
    VERMILION,
    board,
    drawing_of,
    figure,
    fitted,
    percent_axis,
    place_image,
    plain,
    text_width,
    tidy,
)
from ..drawing.picture import Picture
from ..evaluation.conformal import MOST_SHOWN, ClassSets, Coverage
from ..evaluation.tables import percent
from .result import ProbabilityScores, Uncertainty
from .separation import Example

_MOST_CLASSES = 30
_EDGE = 0.1
# Of sets with no class, with 1, 2, 3, and more: the larger, the paler.
_SIZES = (VERMILION, BLUE, "#4C9CCB", "#94C4E2", "#D3E6F2")
_TITLES = {
    "as trained": "as trained",
    "temperature": "with the temperature (served)",
    "isotonic": "with the isotonic curve",
}

Floats = npt.NDArray[np.float64]


def uncertainty_pictures(result: Uncertainty, examples: Sequence[Example] = ()) -> list[Picture]:
    """Every picture of what `uncertainty` has found.

    Args:
        result: as found now, or kept with the run.
        examples: images of the unknown sets, which are not kept.
    """
    served = result.served
    curve, best = result.selective[0], result.best_score
    pictures = [
        Picture(
            "uncertainty-reliability",
            "Do the probabilities mean what they say?",
            reliability(result.probabilities),
            "; ".join(
                f"{row.method}: ECE {percent(row.ece.value)}" for row in result.probabilities
            ),
            "Each dot is the images of similar confidence: on the line, they are right as often as "
            "the model is sure. Bars through dots are 95 % intervals; bars below are the images.",
        ),
        Picture(
            "uncertainty-selective",
            "How good are the surest answers?",
            risk_coverage_curve(result),
            f"Error {percent(curve.risk[-1])} of all images, {percent(curve.risk[49])} of the "
            f"surer half; area {percent(curve.aurc)}, {percent(curve.excess)} above the least",
            "The error among the surest images, by their share. The best possible order has every "
            "error last; an order that knows nothing errs alike everywhere.",
        ),
        Picture(
            "uncertainty-detection",
            "Are unknown images noticed?",
            detection(result),
            "Mean AUROC: "
            + "; ".join(f"{row.score} {percent(row.mean_auroc)}" for row in result.detectors),
            "Left: how often a known image has a higher score than an unknown one, with 95 % "
            f"intervals; a coin has 50 %. Right: the ROC curves of {best}, the best on average.",
        ),
        Picture(
            "uncertainty-scores",
            "Where known and unknown images lie",
            score_histograms(result),
            f"Histograms of the score {best} of known images and of each set of unknown ones",
            f"The score {best}, the best on average. Dashed: the threshold that 95 % of "
            f"{'the validation' if result.held_out else 'the known'} images reach.",
        ),
    ]
    if result.sets is not None:
        pictures.append(
            Picture(
                "uncertainty-sets",
                "Which classes are possible?",
                set_sizes(result.sets, result.conformal[-1]),
                f"Sets hold the true class of {percent(result.sets.share)} of the images, promised "
                f"{percent(result.level, 0)}; {result.sets.mean_size:.2f} classes on average",
                f"Sets by {result.sets.method}. Left: how many classes those of each class have. "
                "Right: how often they hold it, with 95 % intervals. The promise, dashed, is for "
                f"all images together; that of {result.conformal[-1].method} is for each class.",
            )
        )
    if examples:
        colored = any(example.images.shape[1] == 3 for example in examples)
        pictures.append(
            Picture(
                "uncertainty-unknowns",
                "What the model says of unknown images",
                unknown_examples(examples),
                "Images of each unknown set with the answer and its probability",
                f"None of them is of any class. Served are calibrated probabilities: ECE on the "
                f"{result.part} images {percent(served.ece.value)}.",
                photos=colored,
            )
        )
    return pictures


def reliability(rows: Sequence[ProbabilityScores]) -> Figure:
    """A reliability diagram for each calibration, the counts of its images below."""
    drawing = figure(3.5 * len(rows) + 0.5, 4.6)
    grid = drawing.subplots(
        2, len(rows), sharex=True, sharey="row", squeeze=False, height_ratios=(3.2, 1)
    )
    least = min(row.bins[0].confidence for row in rows)
    left = max(0.0, np.floor(least * 10) / 10)
    for column, row in enumerate(rows):
        axes, below = grid[:, column]
        axes.plot([0, 1], [0, 1], color=GRAY, lw=1, ls="--")
        sure = [point.confidence for point in row.bins]
        right = np.array([point.accuracy for point in row.bins])
        errors = [
            right - [point.low for point in row.bins],
            [point.high for point in row.bins] - right,
        ]
        axes.vlines(
            sure, np.minimum(sure, right), np.maximum(sure, right), color=SKY, lw=5, alpha=0.6
        )
        axes.errorbar(sure, right, yerr=errors, fmt="o", color=BLUE, ms=5, lw=1.2, capsize=2.5)
        axes.set_title(_TITLES.get(row.method, row.method), fontsize=10, loc="left")
        axes.text(
            0.03, 0.97,
            f"ECE {percent(row.ece.value)}\n"
            f"{100 * row.ece.low:.2f} to {100 * row.ece.high:.2f} %\n"
            f"by chance {percent(row.ece.by_chance)}",
            transform=axes.transAxes, va="top", fontsize=8.5, color=INK,
        )  # fmt: skip
        images = [point.images for point in row.bins]
        below.bar(sure, images, width=(1 - left) / 28, color=BLUE)
        below.set_yscale("log")
        below.set_ylim(bottom=0.7)
        below.set_xlabel("probability of the answer")
        for place in (axes, below):
            tidy(place).set_xlim(left, 1.01)
            place.xaxis.set_major_formatter(percent_axis())
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(percent_axis())
    grid[0, 0].set_ylabel("right")
    grid[1, 0].set_ylabel("images")
    return drawing


def risk_coverage_curve(result: Uncertainty) -> Figure:
    """The error by coverage, between the best order and none."""
    drawing = figure(8, 4)
    axes = tidy(drawing.add_subplot(), grid="both")
    coverage = np.arange(1, 101) / 100
    n, error = result.images, result.selective[0].risk[-1]
    best = np.maximum(0, 1 - (1 - error) / coverage)
    for index, row in enumerate(result.selective):
        risk = np.array(row.risk)
        axes.plot(
            coverage, risk, color=PALETTE[index], lw=2.2 - 0.4 * index, zorder=4 - index,
            label=f"{row.score}: AURC {percent(row.aurc)}, {percent(row.excess)} above the least",
        )  # fmt: skip
        if index == 0:
            # Wilson's interval, for all coverages at once.
            z2, images = 1.96**2, coverage * n
            middle = (risk + z2 / (2 * images)) / (1 + z2 / images)
            half = (
                np.sqrt(z2)
                / (1 + z2 / images)
                * np.sqrt(risk * (1 - risk) / images + z2 / (4 * images**2))
            )
            axes.fill_between(
                coverage, np.maximum(0, middle - half), middle + half, color=SKY, alpha=0.3, lw=0
            )
    axes.plot(coverage, best, color=GRAY, lw=1.4, ls="--", label="best possible order")
    axes.axhline(error, color=GRAY, lw=1, ls=":", label="an order that knows nothing")
    axes.set(xlabel="share of the images that is answered", ylabel="error among the answers")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(1.8 * error, 0.01))
    axes.xaxis.set_major_formatter(percent_axis())
    axes.yaxis.set_major_formatter(percent_axis())
    axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    return drawing


def detection(result: Uncertainty) -> Figure:
    """Areas of all scores on all sets, and the ROC curves of the best score."""
    names = result.unknowns
    drawing = figure(10, max(4.0, 0.62 * len(names) + 1.2))
    areas, curves = drawing.subplots(1, 2, width_ratios=(1.25, 1))
    place = np.arange(len(names))[::-1]
    for index, row in enumerate(result.detectors):
        found = [result.detection(row.score, name).auroc for name in names]
        values = np.array([share.value for share in found])
        errors = [
            values - [share.low for share in found],
            [share.high for share in found] - values,
        ]
        axes = areas
        axes.errorbar(
            values, place + 0.24 - 0.16 * index, xerr=errors, fmt=MARKERS[index], ms=5.5,
            color=PALETTE[index], lw=1.3, label=f"{row.score}, mean {percent(row.mean_auroc, 1)}",
        )  # fmt: skip
    areas.axvline(0.5, color=GRAY, lw=1, ls=":")
    areas.set_yticks(place, [plain(name) for name in names])
    areas.set_xlabel("AUROC")
    areas.set_xlim(right=1.01)
    tidy(areas, grid="x").xaxis.set_major_formatter(percent_axis())
    areas.legend(frameon=False, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    for index, name in enumerate(names):
        row_of = result.detection(result.best_score, name)
        x, y = zip(*row_of.roc, strict=True)
        curves.plot(
            x, y, color=PALETTE[index % len(PALETTE)], lw=1.8, label=plain(name), clip_on=False
        )
    curves.plot([0, 1], [0, 1], color=GRAY, lw=1, ls=":")
    curves.set(xlim=(0, 1), ylim=(0, 1), xlabel="unknown images that pass",
               ylabel="known images that pass")  # fmt: skip
    curves.set_title(f"by {result.best_score}", fontsize=10, loc="left")
    for axis in (tidy(curves, grid="both").xaxis, curves.yaxis):
        axis.set_major_formatter(percent_axis())
    curves.legend(frameon=False, fontsize=8.5, loc="lower right")
    return drawing


def score_histograms(result: Uncertainty) -> Figure:
    """The best score of known images and of each unknown set."""
    names, best = result.unknowns, result.best_score
    detector = next(row for row in result.detectors if row.score == best)
    drawing = figure(8, 0.95 * len(names) + 0.9)
    panels = drawing.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        row = result.detection(best, name)
        axes.stairs(detector.histogram, detector.edges, color=BLUE, fill=True, alpha=0.35)
        axes.stairs(row.histogram, detector.edges, color=VERMILION, lw=1.6)
        axes.axvline(detector.threshold, color=INK, lw=1, ls="--")
        tidy(axes).set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_title(
            f"{plain(name)}: {percent(row.passing.value, 1)} pass", fontsize=9, loc="left", pad=2
        )
    panels[-1].set_xlabel(f"{best} (blue: known images; red: unknown)")
    return drawing


def set_sizes(row: Coverage, by_class: Coverage | None = None) -> Figure:
    """Shares of the sizes of sets, and how often they hold the class, for each class: the least
    covered first, and of many classes those alone.

    Args:
        row: of the sets that are given.
        by_class: of those whose promise is for each class, to be shown beside them.
    """
    present = sorted(
        (own for own in row.per_class if own.images),
        key=lambda own: (own.covered / own.images, own.name),
    )
    classes = present[:_MOST_CLASSES]
    drawing = figure(9.5, 0.34 * len(classes) + 1.7)
    sizes, held = drawing.subplots(1, 2, sharey=True)
    place = np.arange(len(classes), dtype=np.float64)[::-1]
    left = np.zeros(len(classes))
    for size, color in enumerate(_SIZES):
        shares = np.array([own.sizes[size] / own.images for own in classes])
        label = "none" if size == 0 else f"{size}" if size < MOST_SHOWN else f"{size} or more"
        if size == 1 or any(own.sizes[size] for own in present):
            sizes.barh(place, shares, 0.7, left=left, color=color, label=label)
        left += shares
    sizes.set_xlim(0, 1)
    sizes.set_xlabel("sets with so many classes")
    sizes.legend(
        frameon=False, fontsize=8.5, ncols=5, loc="lower left", bbox_to_anchor=(0, 1),
        handlelength=1, columnspacing=1, borderaxespad=0.2,
    )  # fmt: skip
    _held(held, classes, place, row.method, BLUE, "o")
    if by_class is not None:
        own = {found.name: found for found in by_class.per_class}
        rows = [own[found.name] for found in classes]
        _held(held, rows, place - 0.25, f"{by_class.method}", VERMILION, "s")
    held.axvline(row.level, color=INK, lw=1, ls="--")
    held.set_xlabel("sets that hold the true class")
    held.xaxis.set_major_locator(MaxNLocator(5))
    held.legend(
        frameon=False, fontsize=8.5, ncols=2, loc="lower left", bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
    )  # fmt: skip
    for axes in (sizes, held):
        tidy(axes, grid="x").xaxis.set_major_formatter(percent_axis())
    sizes.set_yticks(place, [plain(own.name) for own in classes])
    sizes.set_ylim(-0.6, len(classes) - 0.4)
    if len(classes) < len(present):
        sizes.set_ylabel(f"the {len(classes)} classes of {len(present)} that are covered least")
    return drawing


def _held(
    axes: Axes, rows: Sequence[ClassSets], place: Floats, label: str, color: str, marker: str
) -> None:
    shares = np.array([own.covered / own.images for own in rows])
    errors = [shares - [own.low for own in rows], [own.high for own in rows] - shares]
    axes.errorbar(
        shares, place, xerr=errors, fmt=marker, color=color, ms=5, lw=1.2, capsize=2, label=label
    )


def unknown_examples(examples: Sequence[Example]) -> Figure:
    """A row for each set: images, and below each the answer with its probability."""
    size, pitch, line = 0.92, 1.0, 0.34
    left = max(text_width(plain(example.name), 9) for example in examples) + 0.3
    most = max(len(example.images) for example in examples)
    height = pitch + line
    sheet = board(left + most * pitch + _EDGE, len(examples) * height + _EDGE)
    for row, example in enumerate(examples):
        top = _EDGE + row * height
        _text(sheet, left - 0.12, top + size / 2, plain(example.name), ha="right", size=9)
        for column, image in enumerate(example.images):
            x = left + column * pitch
            place_image(sheet, image, x, top, size)
            answer = fitted(example.answers[column], size, 7.5)
            _text(sheet, x + size / 2, top + size + 0.09, answer)
            _text(sheet, x + size / 2, top + size + 0.22, f"{example.probabilities[column]:.0%}")
    return drawing_of(sheet)


def _text(
    sheet: Axes, x: float, y: float, words: str, *, ha: str = "center", size: float = 7.5
) -> None:
    sheet.text(x, y, words, ha=ha, va="center", fontsize=size, color=INK)
