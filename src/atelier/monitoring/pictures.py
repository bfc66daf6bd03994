"""The pictures of a report on drift: what was before in blue, what is now in vermilion."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from ..drawing.canvas import (
    BLUE,
    GRAY,
    INK,
    PALE,
    VERMILION,
    figure,
    percent_axis,
    plain,
    tidy,
)
from ..drawing.picture import Picture
from ..evaluation.significance import wilson_interval
from ..evaluation.tables import percent
from .facts import NAMES, THUMBNAIL_SIDE
from .findings import ALPHA, Drift
from .reference import Reference
from .traffic import Traffic

_MOST_CLASSES = 20
_MOST_POINTS = 1_500
_STRETCHES = 24
_FEWEST_IN_STRETCH = 20
_LEAST_P = 1e-6  # beyond it a dot is at the edge of the picture


def drift_pictures(result: Drift, reference: Reference, traffic: Traffic) -> list[Picture]:
    """Every picture of a report, the most telling first."""
    changed = [finding.name for finding in result.findings if finding.drifted]
    pictures = [
        Picture(
            "tests",
            "What the tests found",
            tests(result),
            f"Tests that found a change: {', '.join(changed) or 'none'}",
            "Each dot is a test, further to the right the less chance explains it; right of the "
            "line it is a change, at 5 % for all tests together. Hollow dots compare within each "
            "predicted class, so that other shares of the classes do not count.",
        ),
        Picture(
            "classes",
            "How often each class is answered",
            class_shares(result),
            "; ".join(
                f"{share.name} {percent(share.now, 1)}, was {percent(share.before, 1)}"
                for share in result.classes[:_MOST_CLASSES]
            ),
            "Bars: the shares of the answers. Lines: the estimated shares of the true classes now, "
            "with their 95 % intervals.",
        ),
        Picture(
            "confidence",
            "How sure the answers are",
            confidences(reference, traffic),
            f"Mean confidence {percent(float(traffic.confidence.mean()), 1)} now, "
            f"{percent(float(reference.confidence.mean()), 1)} before",
            "The share of the answers that are less sure than this.",
        ),
        Picture(
            "stats",
            "How the pictures look",
            statistics(result, reference, traffic),
            "Distributions of the statistics of images, before and now",
            "Of each image one number. A name in bold has changed.",
        ),
    ]
    if traffic.thumbnails is not None:
        pictures.append(
            Picture(
                "thumbnails",
                "All pictures laid over each other",
                thumbnails(reference, traffic),
                "Mean thumbnails before and now, and their difference",
                "The mean of all images in 8 x 8 fields: so coarsely the log keeps each.",
            )
        )
    if traffic.embedding is not None:
        pictures.append(
            Picture(
                "embedding",
                "What the network sees",
                embedding(reference, traffic),
                "Embeddings before and now in two directions",
                "Each dot is an image, in the two directions in which those of the reference vary "
                "most. What is new may lie in another direction: the test looks at all of them.",
            )
        )
    over_time = timeline(traffic)
    if over_time is not None:
        pictures.append(
            Picture(
                "timeline",
                "Over time",
                over_time,
                "Mean confidence, unknown answers and live accuracy in stretches of time",
                "Stretches with equally many predictions; accuracy where users named the class of "
                f"{_FEWEST_IN_STRETCH} or more, with its 95 % interval.",
            )
        )
    return pictures


def tests(result: Drift) -> Figure:
    """Corrected p-values, on a scale of their logarithm."""
    findings = result.findings[::-1]
    drawing = figure(8, 0.36 * len(findings) + 1.1)
    axes = tidy(drawing.add_subplot(), grid="x")
    place = np.arange(len(findings))
    right = -math.log10(_LEAST_P)
    for at, finding in zip(place, findings, strict=True):
        x = _evidence(finding.p_corrected)
        color = VERMILION if finding.drifted else BLUE
        axes.plot([0, x], [at, at], color=PALE, lw=2, zorder=1)
        axes.plot(x, at, "o", ms=8, color=color, clip_on=False, zorder=3)
        if finding.p_within is not None:
            axes.plot(
                _evidence(finding.p_within), at, "o", ms=12, mfc="none", mec=GRAY, clip_on=False
            )
    axes.axvline(-math.log10(ALPHA), color=INK, lw=1, ls="--")
    axes.set_yticks(place, [plain(finding.name) for finding in findings])
    axes.set_xlim(-0.1, right + 0.1)
    ticks = [1.0, 0.05, 0.001, 0.0001, 0.00001, _LEAST_P]
    axes.set_xticks(
        [-math.log10(tick) for tick in ticks],
        ["1", "0.05", "0.001", "0.0001", "0.00001", "less"],
    )
    axes.set_xlabel("p, corrected for the number of tests")
    return drawing


def class_shares(result: Drift) -> Figure:
    """Shares of the classes: of many those that have changed most."""
    shares = list(result.classes)
    if len(shares) > _MOST_CLASSES:
        shares = sorted(shares, key=lambda share: -abs(share.now - share.before))[:_MOST_CLASSES]
    drawing = figure(8, 0.42 * len(shares) + 1.1)
    axes = tidy(drawing.add_subplot(), grid="x")
    place = np.arange(len(shares))[::-1]
    axes.barh(place + 0.2, [s.before for s in shares], 0.38, color=BLUE, label="before")
    axes.barh(place - 0.2, [s.now for s in shares], 0.38, color=VERMILION, label="now")
    estimates = [share.true_now for share in shares]
    values = np.array([e.value for e in estimates])
    errors = np.array([[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]])
    axes.errorbar(
        values, place - 0.2, xerr=errors, fmt="|", color=INK, ms=7, lw=1.2, capsize=3,
        label="true now, estimated",
    )  # fmt: skip
    axes.set_yticks(place, [plain(share.name) for share in shares])
    axes.xaxis.set_major_formatter(percent_axis())
    axes.set_xlim(left=0)
    axes.set_ylim(-0.6, len(shares) - 0.4)
    _legend(axes)
    return drawing


def confidences(reference: Reference, traffic: Traffic) -> Figure:
    """Cumulative distributions of the confidence."""
    drawing = figure(8, 3.6)
    axes = tidy(drawing.add_subplot(), grid="both")
    for values, color, label in (
        (reference.confidence, BLUE, "before"),
        (traffic.confidence, VERMILION, "now"),
    ):
        axes.ecdf(values, color=color, lw=2, label=label)
    axes.xaxis.set_major_formatter(percent_axis())
    axes.yaxis.set_major_formatter(percent_axis())
    axes.set(xlabel="probability of the answered class", ylabel="answers below it")
    axes.set_xlim(min(reference.confidence.min(), traffic.confidence.min()), 1)
    _legend(axes)
    return drawing


def statistics(result: Drift, reference: Reference, traffic: Traffic) -> Figure:
    """A small histogram of each statistic that was tested."""
    drifted = {finding.key: finding.drifted for finding in result.findings}
    shown = [(column, name) for column, name in enumerate(NAMES) if name in drifted]
    rows = math.ceil(len(shown) / 4)
    drawing = figure(10, 2.0 * rows + 0.5)
    grid = drawing.subplots(rows, 4, squeeze=False)
    for axes, item in zip(grid.flat, [*shown, *[None] * (4 * rows - len(shown))], strict=True):
        if item is None:
            axes.axis("off")
            continue
        column, name = item
        own, other = reference.stats[:, column], traffic.stats[:, column]
        low, high = np.percentile(np.concatenate([own, other]), [0.2, 99.8])
        bins = np.linspace(low, max(high, low + 1e-3), 31)
        for values, color, label in ((own, BLUE, "before"), (other, VERMILION, "now")):
            weights = np.full(len(values), 1 / len(values))
            axes.hist(
                np.clip(values, bins[0], bins[-1]), bins, weights=weights, histtype="step",
                color=color, lw=1.6, label=label,
            )  # fmt: skip
        tidy(axes)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.locator_params(axis="x", nbins=4)
        axes.set_title(name, fontsize=9.5, fontweight="bold" if drifted[name] else "normal")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return drawing


def thumbnails(reference: Reference, traffic: Traffic) -> Figure:
    """The mean thumbnails, and by how much they differ."""
    assert traffic.thumbnails is not None
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    own, other = (
        part.mean(axis=0, dtype=np.float64).reshape(side)
        for part in (reference.thumbnails, traffic.thumbnails)
    )
    drawing = figure(8, 2.7)
    axes = drawing.subplots(1, 3)
    for place, image, title in ((axes[0], own, "before"), (axes[1], other, "now")):
        shown = place.imshow(image, cmap="gray", vmin=0, vmax=255)
        place.set_title(title, fontsize=10)
    drawing.colorbar(shown, ax=axes[1], shrink=0.85).ax.tick_params(labelsize=8)
    most = max(1.0, float(np.abs(other - own).max()))
    shown = axes[2].imshow(other - own, cmap="PuOr_r", vmin=-most, vmax=most)
    axes[2].set_title("now less before", fontsize=10)
    drawing.colorbar(shown, ax=axes[2], shrink=0.85).ax.tick_params(labelsize=8)
    for place in axes:
        place.set_xticks([])
        place.set_yticks([])
    return drawing


def embedding(reference: Reference, traffic: Traffic) -> Figure:
    """Embeddings in the reference's two first principal components."""
    assert traffic.embedding is not None
    rng = np.random.default_rng(0)
    own, other = (
        part[rng.permutation(len(part))[:_MOST_POINTS]].astype(np.float64)
        for part in (reference.embedding, traffic.embedding)
    )
    middle = own.mean(axis=0)
    _, _, directions = np.linalg.svd(own - middle, full_matrices=False)
    plane = directions[:2].T
    if plane.shape[1] < 2:
        plane = np.column_stack([plane, np.zeros(len(plane))])
    drawing = figure(8, 5)
    axes = tidy(drawing.add_subplot(), grid="both")
    for values, color, label, marker in (
        (own, BLUE, "before", "o"),
        (other, VERMILION, "now", "x"),
    ):
        x, y = ((values - middle) @ plane).T
        axes.scatter(x, y, s=9, c=color, alpha=0.45, marker=marker, lw=0.8, label=label)
    axes.set(xlabel="first direction", ylabel="second direction")
    _legend(axes, markerscale=2)
    return drawing


def timeline(traffic: Traffic) -> Figure | None:
    """Confidence, unknown answers and live accuracy in stretches of equally many predictions; None
    where all came at one moment, or too few for stretches."""
    count = min(_STRETCHES, len(traffic) // _FEWEST_IN_STRETCH)
    if count < 2 or np.ptp(traffic.times) <= 0:
        return None
    drawing = figure(8, 3.6)
    axes = tidy(drawing.add_subplot())
    parts = np.array_split(np.arange(len(traffic)), count)
    moments = np.array([1e6 * traffic.times[part].mean() for part in parts])
    days = moments.astype("datetime64[us]")
    sure = [float(traffic.confidence[part].mean()) for part in parts]
    unknown = [float(traffic.unknown[part].mean()) for part in parts]
    axes.plot(days, sure, "o-", color=BLUE, ms=4, label="mean confidence")
    axes.plot(days, unknown, "^-", color=GRAY, ms=4, label="unknown")
    judged = [part[traffic.labels[part] >= 0] for part in parts]
    found = [
        (day, int((traffic.labels[part] == traffic.predicted[part]).sum()), len(part))
        for day, part in zip(days, judged, strict=True)
        if len(part) >= _FEWEST_IN_STRETCH
    ]
    if found:
        at = np.array([right / n for _, right, n in found])
        limits = np.array([wilson_interval(right, n) for _, right, n in found])
        axes.errorbar(
            [day for day, _, _ in found], at,
            yerr=[np.maximum(at - limits[:, 0], 0), np.maximum(limits[:, 1] - at, 0)],
            fmt="s", color=VERMILION, ms=5, lw=1.2, capsize=3, label="live accuracy",
        )  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(percent_axis())
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    )
    axes.set_xlabel("time, UTC")
    _legend(axes)
    return drawing


def _legend(axes: Axes, markerscale: float = 1.0) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9,
        markerscale=markerscale,
    )  # fmt: skip


def _evidence(p: float) -> float:
    return -math.log10(max(p, _LEAST_P))
