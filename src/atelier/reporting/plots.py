"""Pictures of numbers: curves, counts, scores and comparisons, from plain data to figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from ..drawing.canvas import (
    GRAY,
    INK,
    MARKERS,
    PALETTE,
    figure,
    percent_axis,
    plain,
    text_width,
    tidy,
)
from ..drawing.labels import name_points
from ..evaluation import Comparison, Evaluation

_MOST_ANNOTATED_CLASSES = 20
_DARK_FROM = 0.35  # a share whose cell is too dark for dark letters

History = Sequence[Mapping[str, Any]]


def training_curves(histories: Mapping[str, History]) -> Figure:
    """Loss and accuracy by epoch: validation as a line, training dashed.

    Args:
        histories: for each run's name, a row per epoch with `epoch` and, where they were measured,
            `train/loss`, `train/accuracy`, `validation/loss` and `validation/accuracy`.
    """
    drawing = figure(9, 3.8)
    loss, accuracy = drawing.subplots(1, 2)
    for index, rows in enumerate(histories.values()):
        color, marker = _look(index)
        for axes, what in ((loss, "loss"), (accuracy, "accuracy")):
            for part, dashes in (("train", "--"), ("validation", "-")):
                points = _points(rows, f"{part}/{what}")
                if not points:
                    continue
                axes.plot(
                    *zip(*points, strict=True),
                    color=color,
                    ls=dashes,
                    lw=1.3 if part == "train" else 2,
                    marker=marker if part == "validation" or len(points) == 1 else None,
                    markevery=max(1, len(points) // 12),
                    ms=4.5,
                )
        best = max(_points(rows, "validation/accuracy"), key=lambda point: point[1], default=None)
        if best is not None:
            accuracy.plot(*best, "o", ms=11, mfc="none", mec=color, mew=1.5)
    loss.set_ylabel("loss")
    accuracy.set_ylabel("accuracy")
    accuracy.yaxis.set_major_formatter(percent_axis())
    for axes in (loss, accuracy):
        tidy(axes).set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles = [
        Line2D([], [], color=_look(index)[0], marker=_look(index)[1], ms=5, lw=2, label=plain(name))
        for index, name in enumerate(histories)
    ]
    handles = handles if len(histories) > 1 else []
    color = INK if len(histories) > 1 else _look(0)[0]
    handles += [
        Line2D([], [], color=color, lw=2, label="validation"),
        Line2D([], [], color=color, lw=1.3, ls="--", label="training"),
        Line2D([], [], color=color, marker="o", ms=10, mfc="none", lw=0, label="best epoch"),
    ]
    drawing.legend(
        handles=handles, loc="outside lower center", ncols=_columns(histories, 9), frameon=False
    )
    return drawing


def class_balance(labels: Mapping[str, npt.NDArray[np.int64]], classes: Sequence[str]) -> Figure:
    """How many images each class has in each part, as bars.

    Args:
        labels: for each part's name, such as train and test, its (N,) labels.
        classes: the K class names.
    """
    drawing = figure(9, 1.3 + 0.32 * len(classes))
    panels = drawing.subplots(1, len(labels), sharey=True, squeeze=False)[0]
    for axes, (part, own), color in zip(panels, labels.items(), PALETTE, strict=False):
        counts = np.bincount(own, minlength=len(classes))
        bars = axes.barh(range(len(classes)), counts, color=color, height=0.7)
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=3, fontsize=8)
        axes.set_title(f"{plain(part)}: {len(own):,} images", fontsize=10, loc="left")
        axes.margins(x=0.2, y=0.02)
        tidy(axes, grid="x").xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panels[0].set_yticks(range(len(classes)), [plain(name) for name in classes])
    panels[0].invert_yaxis()
    return drawing


def confusion_matrix(confusion: npt.NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """True classes down, predicted ones across: the percentage of the row, and the count below.

    Colors grow with the square root of the share, so that rare confusions can be seen.

    Args:
        confusion: (K, K) counts, rows are true classes.
        classes: the K class names.
    """
    k = len(classes)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(3 + 0.62 * k, 14)
    drawing = figure(side + 0.6, side - 0.4)
    axes = drawing.subplots()
    names = [plain(name, 16) for name in classes]
    annotated = k <= _MOST_ANNOTATED_CLASSES
    mesh = axes.pcolormesh(
        shares,
        cmap="Blues",
        norm=PowerNorm(0.5, 0, 1),
        edgecolors="white" if annotated else "none",
        linewidth=0.6 if annotated else 0,
    )
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(k) + 0.5, names)
    axes.set_yticks(np.arange(k) + 0.5, names)
    if annotated:
        for (row, column), count in np.ndenumerate(confusion):
            share = float(shares[row, column])
            axes.text(
                column + 0.5,
                row + 0.5,
                _cell(share, int(count)),
                ha="center",
                va="center",
                fontsize=8,
                linespacing=1.1,
                color="white" if share > _DARK_FROM else INK,
            )
    drawing.colorbar(
        mesh,
        ax=axes,
        label="share of the true class",
        format=percent_axis(),
        shrink=0.7,
        ticks=[0, 0.05, 0.2, 0.5, 1],
    ).outline.set_visible(False)
    axes.set_xlabel("predicted class", fontsize=10)
    axes.set_ylabel("true class", fontsize=10)
    axes.tick_params(axis="x", rotation=40, labelsize=9)
    axes.tick_params(axis="y", rotation=0, labelsize=9)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    return drawing


def per_class_f1(evaluations: Mapping[str, Evaluation]) -> Figure:
    """The F1 of every class for one or several runs, the hardest class on top."""
    first = next(iter(evaluations.values()))
    names = [row.name for row in first.per_class]
    scores = np.array([[row.f1 for row in result.per_class] for result in evaluations.values()])
    order = np.argsort(np.nan_to_num(scores, nan=2.0).mean(axis=0), kind="stable")
    drawing = figure(8, 1.4 + 0.3 * len(names) + 0.2 * (len(evaluations) > 1))
    axes = drawing.subplots()
    height = np.arange(len(names))
    lowest, highest = np.nanmin(scores, axis=0)[order], np.nanmax(scores, axis=0)[order]
    if len(evaluations) == 1:
        for y, x in zip(height, highest, strict=True):
            axes.annotate(
                f"{100 * x:.1f} %",
                (x, y),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    else:
        axes.hlines(height, lowest, highest, color=GRAY, lw=1)
    for index, (name, row) in enumerate(zip(evaluations, scores, strict=True)):
        color, marker = _look(index)
        axes.plot(row[order], height, marker, color=color, ms=7, alpha=0.9, label=plain(name))
    axes.set_yticks(height, [plain(names[k]) for k in order])
    axes.invert_yaxis()
    axes.set_xlabel(f"F1 on the {first.images}")
    axes.set_xlim(max(0.0, float(np.nanmin(scores)) - 0.08), 1.02)
    axes.xaxis.set_major_formatter(percent_axis())
    axes.margins(y=0.05)
    tidy(axes, grid="both")
    if len(evaluations) > 1:
        drawing.legend(loc="outside upper center", ncols=_columns(evaluations, 8), frameon=False)
    return drawing


def model_comparison(comparison: Comparison) -> Figure:
    """Accuracy with its intervals, and what it costs in training time where that is known."""
    rows = comparison.rows
    timed = [row for row in rows if row.train_seconds is not None]
    drawing = figure(9, max(3.2, 1.8 + 0.5 * len(rows)))
    panels = drawing.subplots(1, 2 if timed else 1, squeeze=False)[0]
    # One color for all: the names stand beside the dots, and rows are in the order of accuracy,
    # so that a color of each would not be the one that the run has in other pictures.
    color, marker = _look(0)
    for y, row in enumerate(rows):
        panels[0].hlines(y, *row.image_interval, color=color, lw=1.4)
        if row.seed_interval is not None:
            panels[0].hlines(y, *row.seed_interval, color=color, lw=7, alpha=0.3)
            panels[0].plot(row.accuracies, [y] * len(row.accuracies), "|", color=INK, ms=9)
        panels[0].plot(row.accuracy, y, marker, color=color, ms=8)
        panels[0].annotate(
            f"{100 * row.accuracy:.2f} %",
            (row.accuracy, y),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    panels[0].set_yticks(range(len(rows)), [plain(row.name) for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.7)
    panels[0].set_xlabel(f"accuracy on the {comparison.images}")
    handles = [Line2D([], [], color=GRAY, lw=1.4, label="95 % over images (Wilson)")]
    if any(row.seed_interval for row in rows):
        handles += [
            Line2D([], [], color=GRAY, lw=7, alpha=0.4, label="95 % over seeds (t)"),
            Line2D([], [], color=INK, lw=0, marker="|", ms=9, label="one seed"),
        ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    panels[0].xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    tidy(panels[0], grid="x").xaxis.set_major_formatter(percent_axis())
    if timed:
        axes = panels[1]
        for row in timed:
            axes.vlines(row.train_seconds, *row.image_interval, color=color, lw=1.4)
            axes.plot(row.train_seconds, row.accuracy, marker, color=color, ms=8)
        axes.set_xlabel("training time in seconds")
        axes.set_ylabel("accuracy")
        axes.margins(x=0.25, y=0.12)
        axes.set_xlim(left=0)
        tidy(axes, grid="both").yaxis.set_major_formatter(percent_axis())
        name_points(
            axes,
            [row.train_seconds or 0 for row in timed],
            [row.accuracy for row in timed],
            [row.name for row in timed],
            bars=[row.image_interval for row in timed],
            longest=22,  # half of the picture holds no more
            size=9,
        )
    return drawing


def _look(index: int) -> tuple[str, str]:
    """The color and the marker of the run at `index`; after seven, colors meet other markers."""
    return PALETTE[index % len(PALETTE)], MARKERS[(index + index // len(PALETTE)) % len(MARKERS)]


def _columns(names: Iterable[str], width: float) -> int:
    """How many columns of a legend fit into `width` inches."""
    widest = max(text_width(plain(name), 10) for name in [*names, "best epoch"])
    return max(1, min(5, int(width / (widest + 0.7))))


def _points(rows: History, key: str) -> list[tuple[float, float]]:
    """(epoch, value) of the epochs that measured `key`."""
    pairs = ((row["epoch"], row.get(key)) for row in rows)
    return [(epoch, value) for epoch, value in pairs if value is not None and np.isfinite(value)]


def _cell(share: float, count: int) -> str:
    """The text in one cell of the confusion matrix; empty cells stay empty."""
    return f"{100 * share:.1f}\n({count:,})" if count else ""
