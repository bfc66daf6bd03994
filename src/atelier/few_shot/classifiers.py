"""What is made of a few labeled embeddings, so that others can be assigned."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Assign = Callable[[Vectors, Vectors], npt.NDArray[np.int64]]
"""From the support, (W, S, D) embeddings of S images of each of W classes, and (N, D) queries to
(N,) positions among the W classes."""


def nearest_centroid(support: Vectors, queries: Vectors) -> npt.NDArray[np.int64]:
    """The class whose mean embedding is nearest (Snell et al. 2017, arXiv:1703.05175)."""
    return _nearest(queries, support.mean(axis=1))


def unit_centroid(support: Vectors, queries: Vectors) -> npt.NDArray[np.int64]:
    """The class whose mean embedding of length 1 points nearest (Wang et al. 2019,
    arXiv:1911.04623, L2N), of the roots of embeddings that are nowhere negative, so that no channel
    decides alone (the power transform of Hu et al. 2021, arXiv:2006.03806, equation 3)."""
    support, queries = (np.sqrt(v) if v.min() >= 0 else v for v in (support, queries))
    centroids = _of_length_1(support.reshape(-1, support.shape[2])).reshape(support.shape).mean(1)
    return _nearest(_of_length_1(queries), centroids)


def nearest_neighbor(support: Vectors, queries: Vectors) -> npt.NDArray[np.int64]:
    """The class of the nearest image."""
    ways, shots, size = support.shape
    classes = np.arange(ways, dtype=np.int64).repeat(shots)
    return classes[_nearest(queries, support.reshape(ways * shots, size))]


def linear_probe(support: Vectors, queries: Vectors) -> npt.NDArray[np.int64]:
    """Logistic regression on embeddings of length 1 (Tian et al. 2020, arXiv:2003.11539)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    ways, shots, size = support.shape
    with warnings.catch_warnings():
        # Its last step assigns as the ones before it do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = LogisticRegression(max_iter=200).fit(
            _of_length_1(support.reshape(ways * shots, size)), np.arange(ways).repeat(shots)
        )
    assigned: npt.NDArray[np.int64] = probe.predict(_of_length_1(queries)).astype(np.int64)
    return assigned


CLASSIFIERS: dict[str, Assign] = {
    "nearest centroid": nearest_centroid,
    "of unit length": unit_centroid,
    "linear probe": linear_probe,
    "nearest neighbor": nearest_neighbor,
}


def _nearest(queries: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(N, D) and (M, D) to (N,) positions among the M by Euclidean distance."""
    between = queries[:, None].astype(np.float64) - others
    nearest: npt.NDArray[np.int64] = np.square(between).sum(axis=2).argmin(axis=1).astype(np.int64)
    return nearest


def _of_length_1(vectors: Vectors) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit: npt.NDArray[np.float64] = vectors / np.maximum(lengths, 1e-12)
    return unit
