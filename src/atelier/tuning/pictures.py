"""The pictures of a study: how it went, what mattered, and where the good values lie."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from ..drawing.canvas import BLUE, GRAY, INK, PALE, VERMILION, figure, percent_axis, plain, tidy
from ..drawing.picture import Picture
from ..evaluation.tables import percent
from .result import Trial, Tuning, short

_COLUMNS = 3
_MOST_LINES = 200
_MOST_TICKS = 8
_BY_ACCURACY = LinearSegmentedColormap.from_list("accuracy", ["#D9E3EC", "#56B4E9", "#003E66"])


def tuning_pictures(result: Tuning) -> list[Picture]:
    """Every picture of a study, the most telling first; fewer where few trials are complete."""
    best = result.complete[0]
    pictures = [
        Picture(
            "history",
            "How the search went",
            history(result),
            f"{len(result.complete)} complete trials; the best, trial {best.number}, has a "
            f"validation accuracy of {percent(best.accuracy)}",
            "Each dot is a trial that was trained to its end, each cross one that was stopped "
            "early, at the last accuracy that was measured. The line is the best so far.",
        )
    ]
    if result.importance:
        pictures.append(
            Picture(
                "importance",
                "What the accuracy hangs on",
                importance(result),
                "; ".join(f"{path} {percent(s, 0)}" for path, s in result.importance.items()),
                "The share of the variance of the complete trials that each field explains "
                "(fANOVA, Hutter et al. 2014), within the ranges that were searched.",
            )
        )
    if len(result.complete) > 1:
        pictures += [
            Picture(
                "slices",
                "The accuracy by each setting",
                slices(result),
                "Validation accuracy of the complete trials against each searched field: "
                + ", ".join(result.space),
                "Each dot is a complete trial; the later, the darker; a triangle lies further "
                "down. The line is the value of the recipe that was saved.",
            ),
            Picture(
                "parallel",
                "The trials as lines through their settings",
                parallel(result),
                "Each complete trial as a line through its values, colored by its accuracy",
                "Each line is a complete trial, the darker the more accurate; the saved one is "
                "vermilion.",
            ),
        ]
    return pictures


def history(result: Tuning) -> Figure:
    """Accuracy of each trial, in their order, with the best so far."""
    drawing = figure(7.5, 3.6)
    axes = tidy(drawing.add_subplot())
    done = sorted(result.complete, key=lambda t: t.number)
    stopped = [t for t in result.trials if t.state == "pruned" and t.accuracy is not None]
    numbers = [t.number for t in done]
    accuracies = np.array([t.accuracy for t in done], float)
    so_far = np.maximum.accumulate(accuracies)
    axes.step(numbers, so_far, where="post", color=VERMILION, lw=1.5, label="best so far")
    axes.plot(numbers, accuracies, "o", color=BLUE, ms=5, label="complete")
    if stopped:
        lasts = np.array([t.accuracy for t in stopped], float)
        axes.plot([t.number for t in stopped], lasts, "x", color=GRAY, ms=5, label="stopped early")
    # One diverged or starved trial must not press all the others into a line.
    shown = [*accuracies.tolist(), *(t.accuracy for t in stopped)]
    low = min(float(np.quantile(shown, 0.1)), float(np.quantile(accuracies, 0.1)))
    low -= 0.15 * (float(accuracies.max()) - low) + 1e-3
    hidden = [t for t in (*done, *stopped) if t.accuracy is not None and t.accuracy < low]
    if hidden:
        xs = [t.number for t in hidden]
        axes.plot(xs, [low] * len(xs), "v", color=GRAY, ms=6, clip_on=False, label="further down")
    axes.set_ylim(low, None)
    axes.yaxis.set_major_formatter(percent_axis())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial", color=INK)
    axes.set_ylabel("validation accuracy", color=INK)
    drawing.legend(loc="outside upper right", ncols=4, frameon=False, fontsize=9)
    return drawing


def importance(result: Tuning) -> Figure:
    """A bar for each field."""
    names = list(result.importance)[::-1]
    drawing = figure(7.5, 0.8 + 0.36 * len(names))
    axes = tidy(drawing.add_subplot(), grid="x")
    shares = [result.importance[name] for name in names]
    axes.barh(range(len(names)), shares, color=BLUE, height=0.62)
    axes.set_yticks(range(len(names)), [plain(name, 34) for name in names])
    for place, share in enumerate(shares):
        axes.text(share + 0.01, place, percent(share, 0), va="center", color=INK, fontsize=9)
    axes.set_xlim(0, max(shares) * 1.12 + 0.02)
    axes.xaxis.set_major_formatter(percent_axis())
    return drawing


def slices(result: Tuning) -> Figure:
    """A panel for each field: its values against the accuracy."""
    paths = list(result.space)
    rows = math.ceil(len(paths) / _COLUMNS)
    drawing = figure(3.1 * min(_COLUMNS, len(paths)) + 0.6, 2.7 * rows)
    done = sorted(result.complete, key=lambda t: t.number)
    accuracies = np.array([t.accuracy for t in done], float)
    low = float(np.quantile(accuracies, 0.1))
    low -= 0.15 * (float(accuracies.max()) - low) + 1e-3
    chosen = _chosen(result)
    for index, path in enumerate(paths):
        axes = tidy(drawing.add_subplot(rows, min(_COLUMNS, len(paths)), index + 1), grid="both")
        axis = _Axis(path, result.space[path], done)
        places = [axis.place(t.values.get(path)) for t in done]
        colors = _BY_ACCURACY(np.linspace(0.15, 1, len(done)))
        far = accuracies < low  # of bad trials only that they are bad matters
        for marker, which in (("o", ~far), ("v", far)):
            heights = np.maximum(accuracies, low)[which]
            axes.scatter(
                np.array(places)[which],
                heights,
                c=colors[which],
                marker=marker,
                s=22,
                clip_on=False,
            )
        if chosen is not None and path in chosen.values:
            axes.axvline(axis.place(chosen.values[path]), color=VERMILION, lw=1)
        axis.dress(axes)
        axes.set_ylim(low, None)
        axes.set_xlabel(plain(path, 30), color=INK)
        axes.yaxis.set_major_formatter(percent_axis())
    return drawing


def parallel(result: Tuning) -> Figure:
    """Parallel coordinates: an upright axis for each field."""
    paths = list(result.space)
    drawing = figure(max(6.0, 1.5 * len(paths) + 1.2), 4.2)
    axes = drawing.add_subplot()
    done = result.complete[:_MOST_LINES][::-1]  # the best on top
    accuracies = np.array([t.accuracy for t in done], float)
    norm = Normalize(float(np.quantile(accuracies, 0.1)), float(accuracies.max()))
    scales = [_Axis(path, result.space[path], done) for path in paths]
    chosen = _chosen(result)
    for trial, accuracy in zip(done, accuracies, strict=True):
        heights = [scale.share(trial.values.get(scale.path)) for scale in scales]
        line = {"color": _BY_ACCURACY(norm(accuracy)), "lw": 1.1}
        if trial is chosen:
            line = {"color": VERMILION, "lw": 2.2}
        axes.plot(range(len(paths)), heights, **line, solid_joinstyle="round")
    for place, scale in enumerate(scales):
        axes.axvline(place, color=GRAY, lw=0.8, zorder=0)
        for height, label in scale.labels():
            axes.text(
                place + 0.03, height, label, fontsize=8, color=INK, va="center",
                bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.6},
            )  # fmt: skip
    axes.set(xlim=(-0.1, len(paths) - 0.6), ylim=(-0.06, 1.06))
    names = ["\n".join(plain(word, 20) for word in path.split(".")) for path in paths]
    axes.set_xticks(range(len(paths)), names)
    axes.tick_params(length=0, colors=INK, labelsize=9)
    axes.set_yticks([])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    colors = ScalarMappable(norm, _BY_ACCURACY)
    bar = drawing.colorbar(colors, ax=axes, pad=0.02, aspect=30, format=percent_axis())
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=INK, color=PALE)
    return drawing


class _Axis:
    """Where the values of a field lie: numbers on their scale, choices at whole places."""

    def __init__(self, path: str, spec: str, trials: Sequence[Trial]) -> None:
        self.path = path
        self.log = spec.endswith(":log")
        self.choices: list[Any] = []
        if ".." in spec:
            low, high = (float(x) for x in spec.partition(":")[0].split("..", 1))
        else:
            self.choices = json.loads(f"[{spec}]")
            low, high = 0.0, float(max(1, len(self.choices) - 1))
        self.low, self.high = low, high
        self.trials = trials

    def place(self, value: Any) -> float:
        """On an axis of matplotlib's."""
        if self.choices:
            return float(self.choices.index(value)) if value in self.choices else math.nan
        return math.nan if value is None else float(value)

    def share(self, value: Any) -> float:
        """From 0 at the bottom to 1 at the top."""
        place, low, high = self.place(value), self.low, self.high
        if self.log:
            place, low, high = math.log(place), math.log(low), math.log(high)
        return (place - low) / (high - low)

    def labels(self) -> list[tuple[float, str]]:
        """Heights with what to write there."""
        if self.choices:
            return [(self.share(c), plain(short(c), 16)) for c in self.choices]
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return [(self.share(v), plain(short(v))) for v in (self.low, middle, self.high)]

    def dress(self, axes: Axes) -> None:
        """Scale and ticks of a panel."""
        if self.choices:
            axes.set_xlim(-0.5, len(self.choices) - 0.5)
            if len(self.choices) <= _MOST_TICKS:
                names = [plain(short(c), 12) for c in self.choices]
                turned = 30 if sum(map(len, names)) > 24 else 0
                axes.set_xticks(range(len(names)), names, rotation=turned)
            else:
                axes.xaxis.set_major_locator(NullLocator())
        elif self.log:
            axes.set_xscale("log")
            axes.set_xlim(self.low / 1.15, self.high * 1.15)
        else:
            margin = 0.04 * (self.high - self.low)
            axes.set_xlim(self.low - margin, self.high + margin)


def _chosen(result: Tuning) -> Trial | None:
    """The trial whose settings were saved; None where the recipe itself won untried."""
    names = {f"trial {t.number}": t for t in result.complete}
    if result.chosen in names:
        return names[result.chosen]
    return next((t for t in result.complete if t.number == 0), None)
