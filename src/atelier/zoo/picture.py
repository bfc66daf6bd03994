"""A leaderboard as a picture: accuracy against cost, and who is nowhere beaten."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from ..drawing.canvas import BLUE, GRAY, ORANGE, figure, percent_axis, tidy
from ..drawing.labels import name_points
from .leaderboard import Leaderboard, counted, duration

_COSTS = {
    "multiply_adds": ("multiply-adds of one image", counted),
    "seconds": ("seconds of training", duration),
    "parameters": ("parameters", counted),
}
_TIMES = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 7200, 18000, 36000, 72000)


def leaderboard_figure(board: Leaderboard) -> Figure:
    """Accuracy against what an answer costs, what the training cost and what there is to store.

    Args:
        board: with at least one entry.
    """
    drawing = figure(10.5, 13.5)
    panels = drawing.subplots(len(_COSTS), 1)
    for axes, cost in zip(panels, _COSTS, strict=True):
        _draw(axes, board, cost)
    drawing.suptitle(
        f"{board.data}: accuracy on the {board.part} images against cost ({board.budget})",
        fontsize=11,
        x=0.01,
        ha="left",
    )
    for axes, cost in zip(panels, _COSTS, strict=True):  # once nothing moves any more
        front = {one.name for one in board.pareto(cost)}
        ranked = sorted(board.entries, key=lambda one: (one.name not in front, -one.accuracy))
        name_points(
            axes,
            [max(1, getattr(one, cost)) for one in ranked],
            [one.accuracy for one in ranked],
            [one.name for one in ranked],
            bars=[one.interval for one in ranked],
            bold=[one.name in front for one in ranked],
        )
    return drawing


def _draw(axes: Axes, board: Leaderboard, cost: str) -> None:
    label, said = _COSTS[cost]
    front = board.pareto(cost)
    axes.step(
        [max(1, getattr(one, cost)) for one in front],
        [one.accuracy for one in front],
        where="post",
        color=ORANGE,
        lw=1.5,
        zorder=1,
    )
    for one in board.entries:
        x, best = max(1, getattr(one, cost)), one in front
        axes.vlines(x, *one.interval, color=GRAY, lw=0.8, zorder=2)
        axes.plot(x, one.accuracy, "o", color=ORANGE if best else BLUE, ms=6, zorder=3)
    axes.set_xscale("log")
    times = FixedLocator(_TIMES)
    axes.xaxis.set_major_locator(times if cost == "seconds" else LogLocator(subs=(1, 3)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _round(said(value))))
    axes.yaxis.set_major_formatter(percent_axis())
    axes.margins(x=0.12, y=0.12)
    axes.set_title(
        f"Accuracy by {label}; orange: nobody is better for as little; bars: 95 % of other images",
        fontsize=9.5,
        loc="left",
    )
    tidy(axes, grid="both")


def _round(words: str) -> str:
    """``10 k`` of ``10.0 k``, for ticks."""
    return words.replace(".00 ", " ").replace(".0 ", " ")
