"""What corruptions cost, in one number and with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_RESAMPLES = 1000

Correct = Mapping[str, npt.NDArray[np.bool_]]
"""By corruption, (S, N): whether each image was read rightly at each severity."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MeanCorruptionError:
    """Errors beside those of a reference (Hendrycks and Dietterich 2019, arXiv:1903.12261, section
    4): of each corruption the sum over its severities, divided by the reference's, and of that the
    mean. Below 1 is better than the reference.

    Attributes:
        mce: the mean over corruptions, and its interval for the draw of the images.
        relative: the same of what corruptions add to the error on clean images.
        by_corruption: of each corruption.
        reference: what the errors are divided by, in words.
    """

    mce: Estimate
    relative: float
    by_corruption: dict[str, float]
    reference: str


@dataclass(frozen=True)
class ReferenceErrors:
    """Errors to divide by.

    Attributes:
        clean: share of wrong answers to images as they are.
        errors: by corruption, the share at each severity.
        words: whose they are, and of which images.
        correct: by corruption and for ``clean`` under the empty name, on the same N images as the
            run's, where they are known one by one: the interval then knows that both saw the same.
    """

    clean: float
    errors: dict[str, tuple[float, ...]]
    words: str
    correct: Correct | None = None


def mean_accuracy(correct: Correct, *, seed: int = 0) -> Estimate:
    """Over severities and then over corruptions; the interval (bootstrap, percentiles of 1,000) is
    for the draw of the images."""
    shares = np.stack([rows.mean(axis=0) for rows in correct.values()])  # (corruptions, N)
    by_image = shares.mean(axis=0)
    means = _resamples(len(by_image), seed) @ by_image
    low, high = np.percentile(means, (2.5, 97.5))
    return Estimate(float(by_image.mean()), float(low), float(high))


def mean_corruption_error(
    correct: Correct, clean: npt.NDArray[np.bool_], reference: ReferenceErrors, *, seed: int = 0
) -> MeanCorruptionError:
    """Errors beside the reference's.

    A reference that makes no error on a corruption counts as if it made half of one: nothing can be
    divided by 0.

    Args:
        correct: of the corruptions that the reference has, too.
        clean: (N,) whether each image was read rightly as it is.
        reference: to divide by.
        seed: of the bootstrap.
    """
    names = list(correct)
    n = len(clean)
    least = 0.5 / n
    own = np.stack([(~correct[name]).mean(axis=0) for name in names])  # (corruptions, N)
    other = np.array([np.mean(reference.errors[name]) for name in names])
    ratios = own.mean(axis=1) / np.maximum(other, least)
    weights = _resamples(n, seed)
    drawn = weights @ own.T  # (resamples, corruptions)
    if reference.correct is None:
        below = np.maximum(other, least)
    else:
        paired = np.stack([(~reference.correct[name]).mean(axis=0) for name in names])
        below = np.maximum(weights @ paired.T, least)
    low, high = np.percentile((drawn / below).mean(axis=1), (2.5, 97.5))
    added = own.mean(axis=1) - (~clean).mean()
    reference_added = np.maximum(other - reference.clean, least)
    return MeanCorruptionError(
        Estimate(float(ratios.mean()), float(low), float(high)),
        float((added / reference_added).mean()),
        {name: float(ratio) for name, ratio in zip(names, ratios, strict=True)},
        reference.words,
    )


def _resamples(n: int, seed: int) -> npt.NDArray[np.float64]:
    """(1000, N) how much each image counts in each resample."""
    rng = np.random.default_rng(seed)
    weights = np.empty((_RESAMPLES, n))
    for row in weights:
        row[:] = np.bincount(rng.integers(n, size=n), minlength=n)
    return weights / n
