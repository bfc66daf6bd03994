"""Embeddings laid out in the plane, and how much of their neighborhoods the plane keeps.

PCA (Pearson 1901) keeps distances as well as a linear map can. t-SNE (van der Maaten & Hinton 2008,
JMLR 9) and UMAP (McInnes et al. 2018, arXiv 1802.03426) keep neighbors: in their maps sizes of
clusters and distances between them mean nothing. Both start from the first two principal
components, which keeps more of the whole than a random start (Kobak & Linderman 2021, Nature
Biotechnology 39), and see the first 50 components.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from ..extras import require

Method = Literal["pca", "tsne", "umap"]
METHODS: tuple[Method, ...] = ("pca", "tsne", "umap")
NAMES: dict[Method, str] = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
NEIGHBORS = 10
FEWEST = 5
_COMPONENTS = 50
# Trustworthiness and silhouette compare all with all: 3,000 images take 70 MB and a second.
_MOST_MEASURED = 3_000

Floats = npt.NDArray[np.float64]


def lay_out(vectors: npt.NDArray[np.float32], method: Method, *, seed: int = 0) -> Floats:
    """(N, 2) positions of (N, D) vectors; the same seed gives the same map.

    Args:
        vectors: N of them, at least `FEWEST`, not all the same.
        method: ``pca``, ``tsne`` or ``umap``.
        seed: of what is drawn at random.

    Raises:
        ExtraError: UMAP is not installed.
    """
    components = principal_components(vectors)
    start = components[:, :2]
    if method == "pca":
        return start
    # Both want a small start, so that the first steps can still turn everything.
    start = start / start[:, 0].std() * 1e-4
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(vectors) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init=start, random_state=seed)
        return np.asarray(tsne.fit_transform(components), float)
    # numba, which UMAP computes with, tells OpenMP how many threads it wants, and so tells torch:
    # a training later in this process would sum in another order.
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        # That Tensorflow is missing, which nothing here would use.
        warnings.simplefilter("ignore", ImportWarning)
        library = require("umap")
    umap = library.UMAP(
        n_neighbors=min(15, len(vectors) - 1),
        init=start * 1e5,  # UMAP's own scale: about 10
        random_state=seed,
        n_jobs=1,  # what a seed asks for
    )
    try:
        return np.asarray(umap.fit_transform(components), float)
    finally:
        torch.set_num_threads(threads)


def principal_components(vectors: npt.NDArray[np.float32]) -> Floats:
    """(N, C) coordinates along the first principal components, at least 2 and at most 50."""
    from sklearn.decomposition import PCA

    number = min(_COMPONENTS, *vectors.shape)
    # Of large arrays only the first components are computed, from a random start.
    components = PCA(number, random_state=0).fit_transform(vectors.astype(np.float64))
    if components.shape[1] < 2:
        components = np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
    return np.asarray(components, float)


def nearest(vectors: npt.NDArray[Any], k: int) -> npt.NDArray[np.int64]:
    """(N, k) positions of the nearest other vectors of each, the nearest first."""
    from sklearn.neighbors import NearestNeighbors

    # Without a query the point itself is left out.
    found = NearestNeighbors(n_neighbors=k).fit(vectors).kneighbors(return_distance=False)
    return np.asarray(found, np.int64)


def neighbor_accuracy(vectors: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> float:
    """The share of images whose class most of their 10 nearest others have, in 0..1.

    A tie goes to the lower class. Fewer than 21 images have fewer neighbors asked.
    """
    votes = labels[nearest(vectors, _asked(len(vectors)))]
    counts = np.stack([(votes == k).sum(axis=1) for k in range(int(labels.max()) + 1)], axis=1)
    return float((counts.argmax(axis=1) == labels).mean())


def trustworthiness(vectors: npt.NDArray[Any], points: Floats, *, seed: int = 0) -> float:
    """How few of the map's neighbors are none in the embedding (Venna & Kaski 2006, Neural
    Networks 19), 1 being none; near 0.5 the map says nothing. Over at most 3,000 images."""
    from sklearn.manifold import trustworthiness

    chosen = _measured(len(vectors), seed)
    k = _asked(len(chosen))
    return float(trustworthiness(vectors[chosen], points[chosen], n_neighbors=k))


def silhouette(
    vectors: npt.NDArray[Any], labels: npt.NDArray[np.int64], *, seed: int = 0
) -> float | None:
    """How well classes keep apart (Rousseeuw 1987, J. Comp. Appl. Math. 20), from -1 to 1; None
    where there are fewer than two classes, or none with two images. Over at most 3,000 images."""
    from sklearn.metrics import silhouette_score

    chosen = _measured(len(vectors), seed)
    present = len(np.unique(labels[chosen]))
    if not 2 <= present < len(chosen):
        return None
    return float(silhouette_score(vectors[chosen], labels[chosen]))


def _asked(n: int) -> int:
    """Neighbors to ask among n images: trustworthiness is defined for fewer than half."""
    return max(1, min(NEIGHBORS, (n - 1) // 2))


def _measured(n: int, seed: int) -> npt.NDArray[np.int64]:
    if n <= _MOST_MEASURED:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, _MOST_MEASURED, replace=False))
