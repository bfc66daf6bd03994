"""The pictures of robustness: one color and one marker for each run, in all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..data import ImageSplit
from ..drawing.canvas import (
    BLUE,
    GRAY,
    INK,
    MARKERS,
    PALETTE,
    VERMILION,
    board,
    drawing_of,
    figure,
    fitted,
    percent_axis,
    place_image,
    plain,
    tidy,
)
from ..drawing.picture import Picture
from ..errors import StorageError
from ..evaluation.tables import percent
from ..storage import refuse_existing
from .corruptions import corrupt, corruptions_of
from .groups import Group, worst_of
from .result import AttackScore, CorruptionScore, Robustness, RunRobustness
from .words import group_words

KEYS = (
    "robustness-corruptions",
    "robustness-attacks",
    "robustness-groups",
    "robustness-mirror",
    "robustness-examples",
)
_ACROSS = 4
_MOST_GROUPS = 30
_SAMPLES = 6  # columns of the sheet: the image as it is, and five severities

Sheet = tuple[ImageSplit, int]
"""Images, and the byte of their background."""


def robustness_pictures(result: Robustness, *, sheet: Sheet | None = None) -> list[Picture]:
    """Every picture that the result has something for.

    Args:
        result: of one or several runs.
        sheet: images for examples of the corruptions, with their background; None leaves them out.
    """
    runs = result.runs
    pictures = []
    if any(run.corruptions for run in runs):
        pictures.append(_corruptions(runs))
    if any(run.attacks for run in runs):
        pictures.append(_attacks(runs))
    for number, run in enumerate(runs, start=1):
        mark = f"-{number}" if len(runs) > 1 else ""
        if run.groups:
            pictures.append(_groups(run, mark))
        # Of a network that judges by both, nothing can be seen.
        if any(one.mirrored != one.upright for one in run.mirrored):
            pictures.append(_mirror(run, mark))
    if sheet is not None and runs[0].corruptions:
        pictures.append(_examples(runs[0], *sheet))
    return pictures


def refuse_pictures(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that has pictures of an earlier time.

    Raises:
        StorageError: it has, and they may not be replaced; or `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"{folder} is a file", fix="Name a folder with --out")
    for key in KEYS:
        for there in sorted(folder.glob(f"{key}*")):
            refuse_existing(there, overwrite=overwrite)


def severity_curves(runs: Sequence[RunRobustness]) -> Figure:
    """Accuracy by severity, a small picture for each corruption; severity 0 is the image as it
    is."""
    names = list(dict.fromkeys(score.name for run in runs for score in run.corruptions))
    across = min(_ACROSS, len(names))
    rows = math.ceil(len(names) / across)
    drawing = figure(max(4.2, 2.5 * across), 1.9 * rows + 0.7 + 0.2 * _legend_rows(runs))
    grid = drawing.subplots(rows, across, sharex=True, sharey=True, squeeze=False)
    for place, name in zip(grid.flat, names, strict=False):
        axes = tidy(place)
        axes.set_title(name, fontsize=10, color=INK)
        for number, run in enumerate(runs):
            score = next((one for one in run.corruptions if one.name == name), None)
            if score is not None:
                _severity_curve(axes, run, score, number)
        axes.set_ylim(0, 1.02)
        axes.set_xticks(range(6))
        axes.yaxis.set_major_formatter(percent_axis())
    for place in grid.flat[len(names) :]:
        place.axis("off")
    for column in range(across):
        lowest = max(k for k in range(rows) if k * across + column < len(names))
        grid[lowest, column].tick_params(labelbottom=True)
        grid[lowest, column].set_xlabel("severity", fontsize=9)
    _legend(drawing, grid.flat[0], runs)
    return drawing


def attack_curves(runs: Sequence[RunRobustness]) -> Figure:
    """Accuracy by the radius, a picture for each attack."""
    names = list(dict.fromkeys(attack.name for run in runs for attack in run.attacks))
    drawing = figure(max(4.2, 4.1 * len(names)), 3.4 + 0.2 * _legend_rows(runs))
    grid = drawing.subplots(1, len(names), sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=True):
        tidy(axes)
        axes.set_title(name.upper(), fontsize=10, color=INK)
        for number, run in enumerate(runs):
            attack = next((one for one in run.attacks if one.name == name), None)
            if attack is not None:
                _attack_curve(axes, run, attack, number)
        radii = sorted({r for run in runs for one in run.attacks for r in one.radii})
        # Radii are doubled as a rule; steps that are alike stand equally far apart.
        axes.set_xscale("function", functions=(_to_log, _from_log))
        axes.set_xticks([0, *radii], ["0", *map(str, radii)])
        axes.minorticks_off()
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(percent_axis())
        axes.set_xlabel("levels of 255 that a pixel may change", fontsize=9)
    _legend(drawing, grid.flat[0], runs)
    return drawing


def group_dots(run: RunRobustness) -> Figure:
    """Accuracy of each subgroup with its interval; of many those that differ most."""
    groups = _shown_groups(run)
    kinds = [group.kind for group in groups]
    # A gap between kinds.
    gaps = np.cumsum([0, *(0.6 * (a != b) for a, b in pairwise(kinds))])
    place = np.arange(len(groups)) + gaps
    drawing = figure(8, 0.25 * float(place[-1] + 1) + 1.1)
    axes = tidy(drawing.add_subplot(), grid="x")
    worst = worst_of(run.groups)
    for y, group in zip(place, groups, strict=True):
        color = VERMILION if group == worst else BLUE if group.differs else GRAY
        low, high = group.interval
        axes.plot([low, high], [y, y], color=color, lw=1.6, solid_capstyle="butt")
        face = color if group.differs else "white"
        axes.plot(group.accuracy, y, "o", ms=6.5, mfc=face, mec=color, mew=1.4, clip_on=False)
    axes.axvline(run.accuracy, color=INK, lw=1, ls="--")
    axes.set_yticks(place, [_group_label(group) for group in groups])
    axes.set_ylim(place[-1] + 0.7, -0.7)
    axes.set_xlim(right=1)
    axes.xaxis.set_major_formatter(percent_axis())
    axes.set_xlabel("read rightly, with 95 % intervals")
    return drawing


def mirror_slopes(run: RunRobustness) -> Figure:
    """Each class upright and mirrored; of many those that change most."""
    classes = list(run.mirrored)
    if len(classes) > _MOST_GROUPS:
        classes.sort(key=lambda one: -abs(one.mirrored - one.upright) / one.n)
        classes = classes[:_MOST_GROUPS]
    drawing = figure(8, 0.3 * len(classes) + 1.2)
    axes = tidy(drawing.add_subplot(), grid="x")
    for y, one in enumerate(classes):
        color = VERMILION if one.suffers else GRAY
        upright, mirrored = one.upright / one.n, one.mirrored / one.n
        axes.plot([upright, mirrored], [y, y], color=color, lw=2)
        axes.plot(upright, y, "o", ms=9, mfc="white", mec=color, mew=1.5, clip_on=False)
        axes.plot(mirrored, y, "o", ms=5.5, color=color, clip_on=False)
    axes.plot([], [], "o", ms=9, mfc="white", mec=GRAY, mew=1.5, label="upright")
    axes.plot([], [], "o", ms=5.5, color=GRAY, label="mirrored")
    axes.set_yticks(range(len(classes)), [plain(one.name) for one in classes])
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.set_xlim(right=1)
    axes.xaxis.set_major_formatter(percent_axis())
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=9)
    return drawing


def corruption_sheet(run: RunRobustness, split: ImageSplit, background: int) -> Figure:
    """One image in every corruption at every severity; each row takes the next class."""
    chosen = corruptions_of([score.name for score in run.corruptions])
    size, top, left, edge = 0.78, 0.34, 0.95, 0.1
    pitch = size + edge
    sheet = board(left + _SAMPLES * pitch + edge, top + len(chosen) * pitch + edge)
    for column in range(_SAMPLES):
        middle = left + column * pitch + size / 2
        words = str(column) if column else "as it is"
        sheet.text(middle, top / 2, words, fontsize=9, color=INK, ha="center", va="center")
    labels = np.unique(split.labels)
    for row, one in enumerate(chosen):
        y = top + row * pitch
        name = fitted(one.name, left - edge, 9)
        sheet.text(edge, y + size / 2, name, fontsize=9, color=INK, va="center")
        at = int(np.flatnonzero(split.labels == labels[row % len(labels)])[0])
        image, ids = split.images[at : at + 1], split.ids[at : at + 1]
        for severity in (0, *one.severities):
            changed = corrupt(
                image, one.name, severity, ids=ids, seed=run.seed, background=background
            )
            place_image(sheet, _shown(changed[0]), left + severity * pitch, y, size)
    return drawing_of(sheet)


def _corruptions(runs: Sequence[RunRobustness]) -> Picture:
    told = []
    for run in runs:
        worst = run.worst_corruption
        if run.corrupted is not None and worst is not None:
            told.append(
                f"{run.name}: {percent(run.accuracy, 1)} as they are, "
                f"{percent(run.corrupted.value, 1)} corrupted, "
                f"least with {worst.name}, {percent(worst.mean, 1)}"
            )
    return Picture(
        KEYS[0],
        "How accuracy falls when pictures get worse",
        severity_curves(runs),
        "; ".join(told),
        f"Accuracy by severity, 0 being the pictures as they are, on {_images(runs)}; bars are "
        "95 % intervals. A mirror has no degrees.",
    )


def _attacks(runs: Sequence[RunRobustness]) -> Picture:
    told = [
        f"{run.name}, {attack.name}: "
        + ", ".join(
            f"{percent(accuracy, 1)} within {radius}"
            for radius, accuracy in zip(attack.radii, attack.accuracies, strict=True)
        )
        for run in runs
        for attack in run.attacks
    ]
    attacks = [attack for run in runs for attack in run.attacks]
    ways = "; ".join(dict.fromkeys(f"{one.name.upper()}: {one.settings}" for one in attacks))
    n = ", ".join(dict.fromkeys(f"{one.n:,}" for one in attacks))
    return Picture(
        KEYS[1],
        "How accuracy falls under attack",
        attack_curves(runs),
        "; ".join(told),
        f"Each picture is changed so as to be misread, no pixel by more than the radius. "
        f"{n} images; {ways}. Bars are 95 % intervals.",
    )


def _groups(run: RunRobustness, mark: str) -> Picture:
    worst = worst_of(run.groups)
    said = "no subgroup is below the others beyond chance"
    if worst is not None:
        said = f"the worst subgroup is {group_words(worst)}, {percent(worst.accuracy, 1)}"
    left_out = len(run.groups) - len(_shown_groups(run))
    more = f" {left_out} more groups are not shown." if left_out else ""
    return Picture(
        f"{KEYS[2]}{mark}",
        f"For which pictures {run.name} fails",
        group_dots(run),
        f"Accuracy of {len(run.groups)} subgroups, all {percent(run.accuracy, 1)}; {said}",
        f"{run.images}; the dashed line is all of them. Filled dots differ from the others beyond "
        f"chance, corrected for {len(run.groups)} groups; the worst is vermilion. Quarters are of "
        "each class, so that all have the same mixture of classes; size is the share of pixels "
        f"that are not background, side how far to the left or right they lie.{more}",
    )


def _mirror(run: RunRobustness, mark: str) -> Picture:
    return Picture(
        f"{KEYS[3]}{mark}",
        f"What a mirror does to {run.name}",
        mirror_slopes(run),
        "; ".join(
            f"{one.name} {percent(one.upright / one.n, 1)} upright, "
            f"{percent(one.mirrored / one.n, 1)} mirrored"
            for one in run.mirrored[:_MOST_GROUPS]
        ),
        "The share of each class that is read rightly. In vermilion, more than chance is lost "
        "(exact McNemar test, corrected for the number of classes).",
    )


def _examples(run: RunRobustness, split: ImageSplit, background: int) -> Picture:
    chosen = corruptions_of([score.name for score in run.corruptions])
    return Picture(
        KEYS[4],
        "What the corruptions look like",
        corruption_sheet(run, split, background),
        f"Sample images with {', '.join(one.name for one in chosen)}, from as they are to the "
        "last severity",
        "; ".join(
            f"{one.name}: {one.what} {_levels(one.levels)}" for one in chosen if len(one.levels) > 1
        )
        + ".",
        photos=split.images.shape[1] == 3,
    )


def _severity_curve(axes: Axes, run: RunRobustness, score: CorruptionScore, number: int) -> None:
    x = range(len(score.right) + 1)
    limits = [run.interval, *score.intervals]
    _curve(axes, x, [run.accuracy, *score.accuracies], limits, run.name, number)


def _attack_curve(axes: Axes, run: RunRobustness, attack: AttackScore, number: int) -> None:
    from ..evaluation.significance import wilson_interval

    limits = [wilson_interval(run.attacked_right, attack.n), *attack.intervals]
    values = [run.attacked_right / attack.n, *attack.accuracies]
    _curve(axes, [0, *attack.radii], values, limits, run.name, number)


def _curve(
    axes: Axes,
    x: Sequence[int],
    values: Sequence[float],
    limits: Sequence[tuple[float, float]],
    name: str,
    number: int,
) -> None:
    y = np.array(values)
    bars = np.abs(np.array(limits).T - y)
    axes.errorbar(
        x, y, yerr=bars, color=PALETTE[number % len(PALETTE)], ms=4, lw=1.5, elinewidth=1,
        marker=MARKERS[number % len(MARKERS)], label=plain(name), clip_on=False,
    )  # fmt: skip


def _legend(drawing: Figure, axes: Axes, runs: Sequence[RunRobustness]) -> None:
    if len(runs) > 1:
        handles, labels = axes.get_legend_handles_labels()
        drawing.legend(
            handles, labels, loc="outside upper left", ncols=min(4, len(runs)), frameon=False,
            fontsize=9,
        )  # fmt: skip


def _legend_rows(runs: Sequence[RunRobustness]) -> int:
    return math.ceil(len(runs) / 4) if len(runs) > 1 else 0


def _shown_groups(run: RunRobustness) -> list[Group]:
    """Of many groups those that are most surely different, in their order."""
    groups = list(run.groups)
    if len(groups) > _MOST_GROUPS:
        chosen = sorted(groups, key=lambda group: (group.p, -group.n))[:_MOST_GROUPS]
        groups = [group for group in groups if group in chosen]
    return groups


def _group_label(group: Group) -> str:
    name = plain(group.name)
    before = "" if group.kind in ("class", "folder") else f"{plain(group.kind)}: "
    return f"{before}{name}  ({group.n:,})"


def _shown(image: np.typing.NDArray[np.uint8]) -> np.typing.NDArray[np.uint8]:
    """Of images that are neither gray nor RGB the first channel."""
    return image if len(image) == 3 else image[:1]


def _levels(levels: Sequence[float]) -> str:
    return ", ".join(f"{level:g}" if level > 1 else f"{level:.0%}" for level in levels)


def _images(runs: Sequence[RunRobustness]) -> str:
    return ", ".join(dict.fromkeys(run.images for run in runs))


def _to_log(radius: np.typing.ArrayLike) -> np.typing.NDArray[np.float64]:
    place: np.typing.NDArray[np.float64] = np.log2(
        1 + np.maximum(np.asarray(radius, np.float64), 0)
    )
    return place


def _from_log(place: np.typing.ArrayLike) -> np.typing.NDArray[np.float64]:
    radius: np.typing.NDArray[np.float64] = np.exp2(np.asarray(place, np.float64)) - 1
    return radius
