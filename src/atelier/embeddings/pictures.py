"""The maps as pictures: by class, and where the errors lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..drawing.canvas import GRAY, INK, MARKERS, PALETTE, figure, plain
from ..drawing.picture import Picture
from ..evaluation.tables import percent
from .result import EmbeddingMaps, Layout

# Wine, olive and brown (after Tol 2021), so that ten classes need no second marker.
_COLORS = (*PALETTE, "#882255", "#999933", "#8B5A2B")
_MOST_IN_LEGEND = 40
_ROWS_OF_LEGEND = 20
_CAPTIONS = {
    "pca": "Distances are kept as well as a plane can.",
    "tsne": "Neighbors are kept; sizes of clusters and distances between them mean nothing.",
    "umap": "Neighbors are kept; sizes of clusters and distances between them mean nothing.",
}


def style(k: int) -> tuple[str, str]:
    """Color and marker of class k: 70 pairs, then they come again."""
    return _COLORS[k % len(_COLORS)], MARKERS[k // len(_COLORS) % len(MARKERS)]


def embedding_pictures(maps: EmbeddingMaps) -> list[Picture]:
    """One picture for each map."""
    wrong = int(maps.wrong.sum())
    many = len(np.unique(maps.labels)) > _MOST_IN_LEGEND
    legend = " So many classes have no legend; the page names each point." if many else ""
    return [
        Picture(
            f"embedding_map_{layout.method}",
            f"Embeddings by {layout.name}",
            embedding_map(maps, layout),
            f"{layout.name} of the embeddings of {len(maps.ids):,} {maps.images} in "
            f"{len(maps.classes)} classes; {wrong:,} are errors. Most of an image's neighbors on "
            f"the map have its class for {percent(layout.quality.neighbor_accuracy, 1)} of them, "
            f"in the embedding for {percent(maps.embedding.neighbor_accuracy, 1)}",
            f"{_CAPTIONS[layout.method]} Trustworthiness {layout.quality.trustworthiness:.3f} "
            f"(at best 1). The neighbors on the map know the class of "
            f"{percent(layout.quality.neighbor_accuracy, 1)} of the images, those in the "
            f"{maps.dimensions:,} dimensions of the embedding that of "
            f"{percent(maps.embedding.neighbor_accuracy, 1)}. {len(maps.ids):,} of "
            f"{maps.total:,} {maps.images}.{legend}",
        )
        for layout in maps.layouts
    ]


def embedding_map(maps: EmbeddingMaps, layout: Layout) -> Figure:
    """Two views of one map: the true classes, and the errors in the class that they were called."""
    shown = [k for k in range(len(maps.classes)) if (maps.labels == k).any()]
    columns = 0 if len(shown) > _MOST_IN_LEGEND else -(-len(shown) // _ROWS_OF_LEGEND)
    drawing = figure(10.2 + 1.7 * columns, 5.0)
    by_class, by_error = drawing.subplots(1, 2, sharex=True, sharey=True)
    size = 14 if len(maps.ids) <= 2_500 else 6
    wrong = maps.wrong
    x, y = layout.points.T
    by_error.scatter(x[~wrong], y[~wrong], s=size / 2, c=GRAY, alpha=0.25, lw=0, rasterized=True)
    for k in range(len(maps.classes)):
        color, marker = style(k)
        own, called = maps.labels == k, wrong & (maps.predicted == k)
        by_class.scatter(
            x[own], y[own], s=size, c=color, marker=marker, alpha=0.6, lw=0, rasterized=True
        )
        by_error.scatter(
            x[called], y[called], s=size, c=color, marker=marker, lw=0, rasterized=True
        )
    ring: dict[str, Any] = {"s": size * 2.4, "facecolors": "none", "edgecolors": INK, "lw": 0.6}
    by_class.scatter(x[wrong], y[wrong], alpha=0.75, **ring)
    _frame(by_class, "true class; errors have a ring")
    _frame(by_error, f"{int(wrong.sum()):,} errors, in the class that they were called")
    if columns:
        handles = [
            Line2D([], [], color=style(k)[0], marker=style(k)[1], ls="", ms=6) for k in shown
        ]
        names = [plain(maps.classes[k]) for k in shown]
        drawing.legend(
            handles,
            names,
            loc="outside right center",
            frameon=False,
            fontsize=9,
            ncols=columns,
            handletextpad=0.2,
        )
    return drawing


def _frame(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set(xticks=[], yticks=[])  # the units of a map mean nothing
    axes.spines[:].set_color("#BBBBBB")
    axes.margins(0.03)
