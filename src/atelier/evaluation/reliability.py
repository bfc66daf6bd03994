"""How far probabilities are from the truth, and how surely that is known.

Sources: Guo et al. 2017, arXiv 1706.04599 (expected calibration error, reliability diagram); Nixon
et al. 2019, arXiv 1904.01685 (bins of equal mass); Brier 1950, Monthly Weather Review 78(1);
Davison & Hinkley 1997, Bootstrap Methods, 5.2 (the basic interval, which takes the estimate's own
bias off); Bröcker & Smith 2007, Weather and Forecasting 22(3) (what chance alone shows).

The basic interval alone fails where the true error is near zero: of 60 samples of 1,000 images with
confidences that are exactly right, its lower end was above zero in 29. The lower end is
therefore by how much the measured gaps exceed what their own noise can add up to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .significance import wilson_interval

BINS = 15
_RESAMPLES = 500
_CHANCES = 200
_DRAWN_AT_ONCE = 500_000

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CalibrationError:
    """An expected calibration error, in 0..1.

    Attributes:
        value: as measured. It is never zero: chance alone makes gaps.
        low, high: the ends of its 95 % bootstrap interval, for which that bias is no error.
        by_chance: the mean of what a model would show whose every confidence is exactly right.
    """

    value: float
    low: float
    high: float
    by_chance: float

    @property
    def interval(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high


@dataclass(frozen=True)
class ReliabilityBin:
    """The images of similar confidence: how sure the model is of them, and how often it is right.

    Attributes:
        images: at least one.
        confidence: their mean probability of the predicted class, in 0..1.
        accuracy: the share of them that is right.
        low, high: the ends of the 95 % Wilson interval of `accuracy`.
    """

    images: int
    confidence: float
    accuracy: float
    low: float
    high: float


def brier(probs: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]) -> float:
    """The mean squared distance from the truth, over all classes: 0 to 2 (Brier 1950).

    Args:
        probs: (N, K), N at least 1.
        labels: (N,) true classes.
    """
    return float(brier_terms(probs, labels).mean())


def brier_terms(
    probs: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]
) -> Floats:
    """(N,) what each image adds to `brier`."""
    true = probs[np.arange(len(labels)), labels].astype(np.float64)
    terms: Floats = np.square(probs, dtype=np.float64).sum(axis=1) - 2 * true + 1
    return terms


def calibration_error(
    confidence: Floats,
    correct: Flags,
    *,
    bins: int = BINS,
    equal_mass: bool = False,
    seed: int = 0,
) -> CalibrationError:
    """The expected calibration error with its interval, over bins that are kept while resampling.

    Args:
        confidence: (N,) the probability of the predicted class, N at least 1.
        correct: (N,) whether it is the true one.
        bins: their number; of equal mass there are fewer where many images have one confidence.
        equal_mass: as many images in each bin, instead of equal widths.
        seed: of the resampling.
    """
    index = _bin_of(confidence, bins, equal_mass=equal_mass)
    n, gap = len(confidence), correct - confidence
    rng = np.random.default_rng(seed)

    def gaps(which: npt.NDArray[np.int64], values: Floats) -> Floats:
        """(R, bins) the gaps of R samples, each times its share of the images."""
        rows = which + bins * np.arange(len(which))[:, None]
        sums = np.bincount(rows.ravel(), weights=values.ravel(), minlength=bins * len(which))
        result: Floats = sums.reshape(len(which), bins) / n
        return result

    (measured,) = gaps(index[None], gap[None])
    value = float(np.abs(measured).sum())
    totals, noise = [], []
    for rows in _rows(_RESAMPLES, n):
        drawn = rng.integers(n, size=(rows, n))
        resampled = gaps(index[drawn], gap[drawn])
        totals.append(np.abs(resampled).sum(axis=1))
        noise.append(np.abs(resampled - measured).sum(axis=1))
    chances = []
    for rows in _rows(_CHANCES, n):
        right = rng.random((rows, n)) < confidence
        chances.append(np.abs(gaps(np.tile(index, (rows, 1)), right - confidence)).sum(axis=1))
    # By the triangle inequality: |measured| - |true| is at most |measured - true|.
    low = value - np.quantile(np.concatenate(noise), 0.975)
    high = 2 * value - np.quantile(np.concatenate(totals), 0.025)
    return CalibrationError(
        value=value,
        low=float(min(value, max(0.0, low))),
        high=float(min(1.0, max(value, high))),
        by_chance=float(np.concatenate(chances).mean()),
    )


def reliability_bins(
    confidence: Floats, correct: Flags, *, bins: int = BINS, equal_mass: bool = False
) -> tuple[ReliabilityBin, ...]:
    """The points of a reliability diagram, the least sure first; empty bins are left out.

    Args:
        confidence: (N,) the probability of the predicted class.
        correct: (N,) whether it is the true one.
        bins: their number.
        equal_mass: as many images in each, instead of equal widths.
    """
    index = _bin_of(confidence, bins, equal_mass=equal_mass)
    images = np.bincount(index, minlength=bins)
    right = np.bincount(index, weights=correct, minlength=bins)
    sure = np.bincount(index, weights=confidence, minlength=bins)
    return tuple(
        ReliabilityBin(
            int(images[k]),
            float(sure[k] / images[k]),
            float(right[k] / images[k]),
            *wilson_interval(float(right[k]), int(images[k])),
        )
        for k in np.flatnonzero(images)
    )


def _rows(total: int, n: int) -> list[int]:
    """How many samples of n images are drawn at once, in bounded memory."""
    most = max(1, _DRAWN_AT_ONCE // n)
    return [min(most, total - start) for start in range(0, total, most)]


def _bin_of(confidence: Floats, bins: int, *, equal_mass: bool) -> npt.NDArray[np.int64]:
    """(N,) the bin of each image: 0, 1, ...; those of one confidence are in one."""
    if not equal_mass:
        return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    edges = np.unique(np.quantile(confidence, np.arange(1, bins) / bins))
    index: npt.NDArray[np.int64] = np.searchsorted(edges, confidence).astype(np.int64)
    return index
