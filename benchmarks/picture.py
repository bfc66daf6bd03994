"""The measurements as a picture: test accuracy against seconds."""

from __future__ import annotations

import statistics
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from atelier.drawing.canvas import MARKERS, PALETTE, figure, percent_axis, plain, save_png, tidy

from .measurements import Measurements
from .peers import PEERS
from .performance import mean_accuracy, mean_seconds, peer_names, recipe_names

_FAINT = 0.35


def accuracy_against_seconds(measurements: Measurements) -> Figure:
    """A curve of epochs for each peer and a point for each recipe: seeds faint, their mean bold."""
    drawing = figure(10, 5.2)
    axes = drawing.subplots()
    # Each system keeps its look, whatever else was measured; the recipes share the first.
    looks = dict(zip(PEERS, zip(PALETTE[1:], MARKERS[1:], strict=True), strict=False))
    _draw_recipes(axes, measurements)
    for name in peer_names(measurements):
        _draw_peer(axes, measurements, name, *looks[name])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_major_formatter(percent_axis())
    axes.margins(x=0.12, y=0.08)  # room for the name beside the first recipe
    axes.set_xlabel("seconds since the process was started")
    axes.set_ylabel("test accuracy")
    axes.set_title("Seeds are faint, their means bold", fontsize=10, loc="left")
    tidy(axes, grid="both")
    drawing.legend(loc="outside right upper", frameon=False, fontsize=9)
    return drawing


def save_picture(measurements: Measurements, path: Path) -> Path:
    """Write it as PNG, whole or not at all."""
    return save_png(accuracy_against_seconds(measurements), path)


def _draw_peer(axes: Axes, measurements: Measurements, name: str, color: str, marker: str) -> None:
    runs = measurements.of_peer(name)
    if len(runs) > 1:
        for run in runs:
            points = [(epoch.seconds, epoch.test_accuracy) for epoch in run.epochs]
            axes.plot(*zip(*points, strict=True), color=color, lw=1, alpha=_FAINT)
    # Epoch by epoch, as far as every seed got.
    means = [
        (
            statistics.mean(epoch.seconds for epoch in epochs),
            statistics.mean(epoch.test_accuracy for epoch in epochs),
        )
        for epochs in zip(*(run.epochs for run in runs), strict=False)
    ]
    label = plain(PEERS[name].title)
    axes.plot(*zip(*means, strict=True), color=color, marker=marker, ms=7, lw=2, label=label)


def _draw_recipes(axes: Axes, measurements: Measurements) -> None:
    names = recipe_names(measurements)
    if not names:
        return
    color, marker = PALETTE[0], MARKERS[0]
    means = []
    for name in names:
        runs = measurements.of_recipe(name)
        means.append((mean_seconds(runs), mean_accuracy(runs)))
        for run in runs:
            axes.plot(run.seconds, run.test_accuracy, marker, color=color, ms=5, alpha=_FAINT)
        axes.annotate(
            plain(name),
            means[-1],
            xytext=(-9, 6),
            textcoords="offset points",
            ha="right",
            color=color,
            fontsize=10,
            fontweight="bold",
        )
    axes.plot(*zip(*sorted(means), strict=True), color=color, lw=1.2, ls="--")
    points = zip(*means, strict=True)
    axes.plot(*points, marker, color=color, ms=10, zorder=3, label="atelier's recipes")
