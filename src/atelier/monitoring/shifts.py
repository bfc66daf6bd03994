"""Tests of whether two groups of images could have come from one source.

- Counts of classes: Pearson's chi-square (1900), rare classes together.
- One number for each image: Kolmogorov and Smirnov (1933, 1948).
- Many numbers for each image, as an embedding or a thumbnail: the distance between the two means in
  a space of features, against what permuting the images gives. With features of a Gaussian kernel
  this is the maximum mean discrepancy (Gretton et al. 2012, JMLR 13; random features of Rahimi &
  Recht 2007), which in the end sees any difference; with whitened coordinates it is Hotelling's T²
  (1931), which sees a small shift of the means best.

Permuting within classes alone asks another question: whether images of one class look different,
whatever the classes' shares are. What is shifted by those shares alone then no longer stands out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

PERMUTATIONS = 1999
_AT_ONCE = 2**21  # cells of the table of permutations in memory at one time
_LEAST_EXPECTED = 5.0  # in a cell, for the chi-square distribution to hold
_KERNEL_FEATURES = 128
_BANDWIDTH_IMAGES = 500
_IMAGES_PER_DIRECTION = 10


@dataclass(frozen=True)
class Shift:
    """What a test found.

    Attributes:
        effect: how large the difference is, of the kind that the test measures.
        p: how often so large a difference, or a larger, arises by chance where there is none.
    """

    effect: float
    p: float


def class_shift(reference: npt.NDArray[np.int64], traffic: npt.NDArray[np.int64], k: int) -> Shift:
    """Whether K classes have other shares.

    Args:
        reference: (M,) classes, in 0..K-1.
        traffic: (N,) classes.
        k: the number of classes.

    Returns:
        The effect is the total variation: the share of the images that would have to be of another
        class for the shares to be the same.
    """
    from scipy.stats import chi2_contingency

    counts = np.array([np.bincount(part, minlength=k) for part in (reference, traffic)], float)
    shares = counts / counts.sum(axis=1, keepdims=True)
    effect = float(np.abs(shares[0] - shares[1]).sum() / 2)
    expected = counts.sum(axis=0) * counts.sum(axis=1, keepdims=True) / counts.sum()
    rare = expected.min(axis=0) < _LEAST_EXPECTED
    cells = counts[:, ~rare]
    if rare.any():
        cells = np.column_stack([cells, counts[:, rare].sum(axis=1)])
    cells = cells[:, cells.sum(axis=0) > 0]
    if cells.shape[1] < 2:
        return Shift(effect, 1.0)
    return Shift(effect, float(chi2_contingency(cells, correction=False).pvalue))


def number_shift(reference: Floats, traffic: Floats) -> Shift:
    """Whether one number for each image is distributed otherwise.

    Args:
        reference: (M,) numbers.
        traffic: (N,) numbers.

    Returns:
        The effect is the largest distance between the two cumulative distributions, in 0..1.
    """
    from scipy.stats import ks_2samp

    # In single precision, for the log keeps no more: equal numbers must stay equal.
    found = ks_2samp(np.asarray(reference, np.float32), np.asarray(traffic, np.float32))
    return Shift(float(found.statistic), float(found.pvalue))


@dataclass
class Permuted:
    """Differences between two groups, and those of the same images dealt out at random again.

    All differences are judged by the same permutations.

    Args:
        is_traffic: (N,) which images are of the traffic; the others are of the reference.
        strata: (N,) integers: images change places only with those of the same number.
        permutations: how many; the least p-value is 1 / (permutations + 1).
        seed: of the permutations.
    """

    is_traffic: npt.NDArray[np.bool_]
    strata: npt.NDArray[np.int64] | None = None
    permutations: int = PERMUTATIONS
    seed: int = 0
    _means: dict[str, Floats] = field(default_factory=dict)
    _orders: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]] = field(
        default_factory=dict
    )

    def add_features(self, name: str, features: Floats) -> None:
        """Compare the means of (N, D) features."""
        features = np.asarray(features, np.float32)
        self._means[name] = features - features.mean(axis=0)

    def add_number(self, name: str, numbers: Floats) -> None:
        """Compare the distributions of (N,) numbers."""
        numbers = np.asarray(numbers, np.float32)
        order = np.argsort(numbers, kind="stable")
        ranked = numbers[order]
        self._orders[name] = (order, np.append(ranked[1:] != ranked[:-1], True))

    def shifts(self) -> dict[str, Shift]:
        """For each name the difference and its p-value."""
        observed = self._differences(self.is_traffic[None].astype(np.float32))
        reached = dict.fromkeys(observed, 0)
        for dealt in self._dealt():
            for name, found in self._differences(dealt).items():
                # Sums in another order differ in their last bits.
                reached[name] += int((found >= observed[name] * (1 - 1e-6)).sum())
        return {
            name: Shift(float(value[0]), (reached[name] + 1) / (self.permutations + 1))
            for name, value in observed.items()
        }

    def _differences(self, dealt: npt.NDArray[np.float32]) -> dict[str, Floats]:
        n = int(self.is_traffic.sum())
        m = len(self.is_traffic) - n
        result: dict[str, Floats] = {}
        for name, features in self._means.items():
            # The features have the mean 0, so the sum over one group tells that of the other.
            difference = (dealt @ features) * (1 / n + 1 / m)
            result[name] = np.sqrt(np.square(difference).sum(axis=1))
        for name, (order, last_of_equals) in self._orders.items():
            ahead = np.cumsum(dealt[:, order], axis=1)[:, last_of_equals]
            place = np.flatnonzero(last_of_equals).astype(np.float32) + 1
            result[name] = np.abs(ahead / n - (place - ahead) / m).max(axis=1)
        return result

    def _dealt(self) -> Iterator[npt.NDArray[np.float32]]:
        """(B, N) tables of 1 for an image that is dealt to the traffic, and 0 for the others."""
        rng = np.random.default_rng(self.seed)
        strata = np.zeros(len(self.is_traffic), int) if self.strata is None else self.strata
        groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
        counts = [int(self.is_traffic[group].sum()) for group in groups]
        at_once = max(1, _AT_ONCE // len(self.is_traffic))
        for start in range(0, self.permutations, at_once):
            b = min(at_once, self.permutations - start)
            dealt = np.zeros((b, len(self.is_traffic)), np.float32)
            for group, count in zip(groups, counts, strict=True):
                if count == len(group):
                    dealt[:, group] = 1
                elif count:
                    draws = rng.random((b, len(group)), dtype=np.float32)
                    chosen = np.argpartition(draws, count - 1, axis=1)[:, :count]
                    np.put_along_axis(dealt, group[chosen], 1, axis=1)
            yield dealt


def kernel_features(embeddings: Floats, is_traffic: npt.NDArray[np.bool_]) -> Floats:
    """Features whose means differ by the maximum mean discrepancy of a Gaussian kernel.

    The kernel's width is the median distance of images of the reference (the usual choice, Gretton
    et al. 2012), its random features are always the same.

    Args:
        embeddings: (N, D).
        is_traffic: (N,) which images are not of the reference.

    Returns:
        (N, 256) float32.
    """
    rng = np.random.default_rng(0)
    points = np.asarray(embeddings, np.float32)
    own = points[~is_traffic]
    own = own[rng.permutation(len(own))[:_BANDWIDTH_IMAGES]]
    norms = np.square(own).sum(axis=1)
    distances = norms[:, None] + norms[None] - 2 * own @ own.T
    near = distances[np.triu_indices(len(own), 1)]
    width = float(np.sqrt(max(np.median(near), 1e-12))) if len(near) else 1.0
    directions = rng.normal(0, 1 / width, (points.shape[1], _KERNEL_FEATURES)).astype(np.float32)
    angles = points @ directions
    features: Floats = np.hstack([np.cos(angles), np.sin(angles)])
    features /= np.float32(np.sqrt(_KERNEL_FEATURES))
    return features


def whitened(values: Floats) -> Floats:
    """(N, D) values in coordinates of variance 1 that do not depend on each other, as far as they
    vary: the distance between two means in them is that of Mahalanobis.

    So many directions are kept, those of the largest variance, that each has ten images.
    """
    values = np.asarray(values, np.float64)
    values = values - values.mean(axis=0)
    variances, directions = np.linalg.eigh(values.T @ values / max(1, len(values)))
    most = max(1, len(values) // _IMAGES_PER_DIRECTION)
    kept = np.flatnonzero(variances > 1e-6 * max(variances[-1], 1e-12))[-most:]
    result: Floats = values @ (directions[:, kept] / np.sqrt(variances[kept]))
    return result


def joined(parts: Sequence[npt.NDArray[Any]]) -> Floats:
    """The reference's rows and then the traffic's."""
    result: Floats = np.concatenate([np.asarray(part, np.float32) for part in parts])
    return result
