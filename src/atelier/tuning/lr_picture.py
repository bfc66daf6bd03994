"""The curve of a learning-rate range test."""

from __future__ import annotations

from matplotlib.figure import Figure

from ..drawing.canvas import BLUE, GRAY, INK, SKY, VERMILION, figure, plain, tidy
from ..drawing.picture import Picture
from .lr_range import LearningRateRange


def lr_picture(result: LearningRateRange) -> Picture:
    """The loss against the learning rate."""
    return Picture(
        "lr-range",
        "At which learning rates the loss falls",
        curve(result),
        f"The loss falls fastest at a learning rate of {result.steepest:.2g} and is lowest at "
        f"{result.lowest:.2g}; suggested is {result.suggested:g}",
        "The pale line is the training loss of each step, while the learning rate rises; the dark "
        "one its smoothed course. Suggested is the middle, on this axis, between where it falls "
        "fastest and where it is lowest.",
    )


def curve(result: LearningRateRange) -> Figure:
    """The losses and their smoothed course on a logarithmic axis, with what is suggested."""
    drawing = figure(7.5, 3.8)
    axes = tidy(drawing.add_subplot())
    axes.plot(result.rates, result.losses, color=SKY, lw=1, alpha=0.6, label="each step")
    axes.plot(result.rates, result.smoothed, color=BLUE, lw=2, label="smoothed")
    axes.axvline(
        result.suggested, color=VERMILION, lw=1.5, label=f"suggested, {result.suggested:g}"
    )
    axes.axvline(
        result.steepest, color=GRAY, lw=1.2, ls="--", label=f"steepest, {result.steepest:.2g}"
    )
    axes.axvline(result.lowest, color=GRAY, lw=1.2, ls=":", label=f"lowest, {result.lowest:.2g}")
    axes.set_xscale("log")
    axes.set_xlim(result.rates[0], result.rates[-1])
    # The end, where it blows up, must not press the valley into a line.
    first, least = result.smoothed[0], min(result.smoothed)
    axes.set_ylim(least - 0.15 * (first - least), first + 0.35 * (first - least))
    axes.set_xlabel("learning rate (train.lr)", color=INK)
    axes.set_ylabel(f"training loss of {plain(result.recipe)}", color=INK)
    drawing.legend(loc="outside upper right", ncols=5, frameon=False, fontsize=9)
    return drawing
