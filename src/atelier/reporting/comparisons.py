"""Pictures of a comparison: intervals, differences, ranks and agreement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..drawing.canvas import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    PALE,
    VERMILION,
    figure,
    fitted,
    percent_axis,
    plain,
    text_width,
    tidy,
)
from ..drawing.picture import Picture
from ..evaluation.tables import percent
from ..storage import refuse_existing, write_text

if TYPE_CHECKING:
    from ..evaluation import Agreement, Comparison, Pair, Ranking

_MOST_PAIRS = 30
_MOST_CELLS = 16  # recipes whose cells still hold a number


def save_comparison(
    comparison: Comparison, folder: str | Path, *, overwrite: bool = False
) -> list[Path]:
    """Write a comparison into a folder: ``comparison.json`` and a PNG of each picture.

    Args:
        comparison: as `compare` gives it.
        folder: made if it is not there. Of a folder that is, only files of the same names are
            replaced.
        overwrite: whether they may be.

    Raises:
        StorageError: the folder holds something already, no space, or no permission.
    """
    folder = Path(folder)
    refuse_existing(folder, overwrite=overwrite)
    written = [picture.save(folder) for picture in comparison_pictures(comparison)]
    facts = json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / "comparison.json", facts + "\n")
    return [folder / "comparison.json", *written]


def comparison_pictures(comparison: Comparison) -> list[Picture]:
    """The pictures of a comparison; none but the first for a single recipe."""
    from .plots import model_comparison

    measured = "balanced accuracy" if comparison.uneven else "accuracy"
    pictures = [
        Picture(
            "model_comparison",
            "Accuracy with its intervals",
            model_comparison(comparison),
            "Dots with error bars: "
            + "; ".join(f"{row.name} {percent(row.accuracy)}" for row in comparison.rows),
            "Overlapping intervals do not settle whether two models differ: they saw the same "
            "images, and the paired test is the sharper one."
            + f" The order is by {measured}."
            * comparison.uneven,
        )
    ]
    if not comparison.pairs:
        return pictures
    shown = comparison.pairs[:_MOST_PAIRS]
    left_out = len(comparison.pairs) - len(shown)
    pictures.append(
        Picture(
            "paired_differences",
            "Differences of each two",
            paired_differences(shown, uneven=comparison.uneven),
            "Differences in accuracy with 95 % intervals: "
            + "; ".join(
                f"{pair.a} minus {pair.b} {100 * pair.primary.effect.difference:+.2f} points"
                for pair in shown
            ),
            "An interval on one side of zero speaks for the recipe named on that side. Intervals "
            "are of one pair each; the filled dots differ after Holm's correction for all pairs."
            + f" {left_out} more pairs are in the table."
            * (left_out > 0),
        )
    )
    pictures += [
        Picture(
            f"critical_difference_{ranking.blocks}",
            f"Ranks over {ranking.blocks}",
            critical_difference_diagram(ranking),
            f"Mean ranks over {ranking.n} {ranking.blocks}: "
            + ", ".join(
                f"{name} {rank:.2f}"
                for name, rank in zip(ranking.names, ranking.ranks, strict=True)
            ),
            f"Mean rank by {ranking.score} over {ranking.n} {ranking.blocks}, 1 is best; recipes "
            "under one bar are not told apart (Nemenyi, 5 %). "
            + _ABOUT_BLOCKS.get(ranking.blocks, ""),
        )
        for ranking in comparison.rankings
        if len(ranking.names) > 2
    ]
    if comparison.agreement is not None:
        pictures.append(
            Picture(
                "agreement",
                "How alike they answer",
                agreement_matrix(comparison.agreement),
                f"Shares of equal answers and of shared errors of "
                f"{', '.join(comparison.agreement.names)}; comparison.json holds the figures",
                "On the diagonal two seeds of one recipe, where there are two: what training again "
                "changes by itself. Recipes that share few errors gain most from being averaged.",
            )
        )
    return pictures


_ABOUT_BLOCKS = {
    "classes": "Classes are blocks of one training on one set of images: this says how evenly a "
    "recipe is ahead, and nothing of other data sets.",
    "seeds": "Seeds are blocks on the same images: this speaks for new seeds, and not for other "
    "images or data sets.",
}


def paired_differences(pairs: Sequence[Pair], *, uneven: bool = False) -> Figure:
    """The difference in accuracy of each pair with its interval, and that over seeds where known.

    Args:
        pairs: at least one.
        uneven: show the difference in balanced accuracy as well.
    """
    drawing = figure(9, 1.7 + (0.5 + 0.16 * uneven) * len(pairs))
    axes = drawing.subplots()
    axes.axvline(0, color=INK, lw=1)
    over_seeds = False
    for y, pair in enumerate(pairs):
        effect = pair.primary.effect
        axes.hlines(y, *effect.interval, color=BLUE, lw=1.6)
        filled = BLUE if pair.primary.verdict else "white"
        axes.plot(effect.difference, y, "o", color=BLUE, mfc=filled, ms=8, zorder=3)
        if pair.difference is not None and len(pair.tests) > 2:
            # Of two seeds the interval is 13 standard errors wide, and would hide all others.
            mean, low, high = pair.difference
            over_seeds = True
            axes.hlines(y + 0.2, low, high, color=ORANGE, lw=5, alpha=0.5)
            axes.plot(mean, y + 0.2, "D", color=ORANGE, ms=5)
        if uneven:
            balanced = pair.balanced
            axes.hlines(y - 0.2, balanced.low, balanced.high, color=VERMILION, lw=1.6)
            filled = VERMILION if balanced.sign else "white"
            axes.plot(balanced.difference, y - 0.2, "s", color=VERMILION, mfc=filled, ms=6)
    axes.set_yticks(range(len(pairs)), [plain(pair.b) for pair in pairs])
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(pairs)), [plain(pair.a) for pair in pairs])
    right.tick_params(colors=INK, labelsize=9, length=0)
    right.spines["right"].set_visible(False)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    low, high = axes.get_xlim()
    reach = max(-low, high)
    axes.set_xlim(-reach, reach)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(_points))
    axes.set_xlabel("difference in points: the right one is better →")
    tidy(axes, grid="x")
    handles = [
        Line2D([], [], color=BLUE, marker="o", lw=1.6, label="accuracy, 95 % over images (Tango)")
    ]
    if uneven:
        handles.append(
            Line2D([], [], color=VERMILION, marker="s", lw=1.6, label="balanced accuracy")
        )
    if over_seeds:
        handles.append(
            Line2D([], [], color=ORANGE, marker="D", lw=5, alpha=0.6, label="95 % over seeds (t)")
        )
    drawing.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawing


def _points(share: float, _: int) -> str:
    """A tick in points, with its sign; zero has none."""
    return f"{100 * share:+.3g}" if abs(share) > 1e-9 else "0"


def critical_difference_diagram(ranking: Ranking) -> Figure:
    """Mean ranks on a line, with bars over models that are not told apart (Demsar 2006, figure 1).

    Args:
        ranking: of two models or more.
    """
    m = len(ranking.names)
    half = (m + 1) // 2
    names = [plain(name) for name in ranking.names]
    margin = max(text_width(f"{name}  0.00", 10) for name in names) + 0.35
    across, step = 5.0, 0.3
    bars = 0.28 + 0.16 * len(ranking.groups)
    height = 0.95 + bars + step * half + 0.15
    drawing = figure(across + 2 * margin, height)
    drawing.set_layout_engine("none")
    axes = drawing.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-margin, across + margin), ylim=(height, 0))
    axes.axis("off")

    def place(rank: float) -> float:
        return across * (rank - 1) / (m - 1)

    line = 0.95
    axes.plot([0, across], [line, line], color=INK, lw=1.4)
    for tick in range(1, m + 1):
        axes.plot([place(tick)] * 2, [line - 0.08, line], color=INK, lw=1.2)
        axes.text(place(tick), line - 0.12, str(tick), ha="center", va="bottom", fontsize=9)
    _draw_distance(axes, ranking, place(2) - place(1), across)
    for level, (first, last) in enumerate(ranking.groups):
        y = line + 0.2 + 0.16 * level
        ends = place(ranking.ranks[first]) - 0.05, place(ranking.ranks[last]) + 0.05
        axes.plot(ends, [y, y], color=VERMILION, lw=4, solid_capstyle="butt")
    for k, (name, rank) in enumerate(zip(names, ranking.ranks, strict=True)):
        left = k < half
        row = k if left else m - 1 - k
        y = line + bars + step * (row + 0.5)
        x = -0.1 if left else across + 0.1
        axes.plot([place(rank), place(rank), x], [line, y, y], color=GRAY, lw=1)
        axes.plot(place(rank), line, "o", color=BLUE, ms=5, zorder=3)
        label = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        side = -0.06 if left else 0.06
        axes.text(x + side, y, label, ha="right" if left else "left", va="center", fontsize=10)
    return drawing


def _draw_distance(axes: Axes, ranking: Ranking, inches: float, across: float) -> None:
    """The critical difference as a ruler, or as words where it is longer than the line."""
    words = f"critical difference {ranking.critical_difference:.2f}"
    length = ranking.critical_difference * inches
    if length > across:
        words += ", more than ranks can differ: too few " + ranking.blocks
        axes.text(0, 0.3, words, va="center", fontsize=9, color=GRAY)
        return
    axes.plot([0, length], [0.42, 0.42], color=INK, lw=1.4)
    for x in (0, length):
        axes.plot([x, x], [0.36, 0.48], color=INK, lw=1.4)
    axes.text(0, 0.27, words, va="bottom", fontsize=9)


def agreement_matrix(agreement: Agreement) -> Figure:
    """Two matrices: shares of equal answers, with Cohen's kappa, and shares of errors in common."""
    m = len(agreement.names)
    side = min(1.4 + 0.62 * max(m, 3), 9.0)
    names = [fitted(name, 1.6, 9) for name in agreement.names]
    drawing = figure(2 * side + 1.6, side + 0.7)
    panels = drawing.subplots(1, 2)
    both = (
        ("same answer", agreement.same, agreement.kappa),
        ("errors in common", agreement.shared_errors, None),
    )
    for number, (axes, (title, values, below)) in enumerate(zip(panels, both, strict=True)):
        shares = np.array(
            [[np.nan if value is None else value for value in row] for row in values], float
        )
        lowest = float(np.nanmin(shares))
        # From well below the lowest, so that small differences are not painted as large ones.
        image = axes.imshow(shares, cmap="Blues", vmin=max(0.0, lowest - 0.15), vmax=1)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xticks(range(m), names, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(m), names if number == 0 else [""] * m)
        axes.tick_params(length=0, labelsize=9)
        axes.spines[:].set_visible(False)
        bar = drawing.colorbar(image, ax=axes, shrink=0.7, format=percent_axis())
        bar.outline.set_visible(False)
        bar.locator = MaxNLocator(4)
        if m > _MOST_CELLS:
            continue
        for i in range(m):
            for j in range(m):
                if np.isnan(shares[i, j]):
                    axes.fill(*_square(j, i), color=PALE)
                    continue
                text = f"{100 * shares[i, j]:.1f}"
                if below is not None and (kappa := below[i][j]) is not None:
                    text += f"\nκ {kappa:.3f}"
                dark = image.norm(shares[i, j]) > 0.6
                color = "white" if dark else INK
                axes.text(j, i, text, ha="center", va="center", fontsize=8, color=color)
    return drawing


def _square(x: float, y: float) -> tuple[list[float], list[float]]:
    return [x - 0.5, x + 0.5, x + 0.5, x - 0.5], [y - 0.5, y - 0.5, y + 0.5, y + 0.5]
