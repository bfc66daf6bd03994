"""The tests and intervals behind "better" and "about".

Sources: Wilson 1927, JASA 22 (interval of a proportion); McNemar 1947, Psychometrika 12(2), in its
exact binomial form; Holm 1979, Scandinavian Journal of Statistics 6(2); Student 1908 (interval of
a mean over seeds); Zou & Donner 2008, Statistics in Medicine 27(10) (interval of a sum of
proportions from the intervals of its terms); Alpaydin 1999, Neural Computation 11(8) (F test of
five times twofold cross-validation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_Z_95 = 1.959963984540054  # the 97.5 % point of the normal distribution


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927): right also near 0 and 1, never outside.

    Args:
        successes: how many of the `n` trials succeeded; a mean over runs may be a fraction.
        n: at least 1.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials")
    share, z2 = successes / n, _Z_95**2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At 0 and n the bound is exact; rounding must not put the estimate outside its interval.
    return min(share, max(0.0, center - half)), max(share, min(1.0, center + half))


def mean_proportion_interval(
    successes: Sequence[float] | npt.NDArray[np.integer[Any]],
    trials: Sequence[int] | npt.NDArray[np.integer[Any]],
) -> tuple[float, float]:
    """The 95 % interval of the mean of K independent proportions, as of balanced accuracy.

    From the Wilson intervals of the proportions, whose distances are added as variances are (Zou &
    Donner 2008): unlike the delta method it keeps its width where a proportion is 0 or 1.

    Args:
        successes: K numbers, how many of the trials succeeded.
        trials: K numbers, each at least 1.
    """
    shares = np.asarray(successes, float) / np.asarray(trials, float)
    limits = np.array([wilson_interval(s, n) for s, n in zip(successes, trials, strict=True)])
    low, high = (
        math.sqrt(np.square(shares - limits[:, side]).sum()) / len(shares) for side in (0, 1)
    )
    mean = float(shares.mean())
    return max(0.0, mean - low), min(1.0, mean + high)


def mcnemar_exact(correct_a: npt.NDArray[np.bool_], correct_b: npt.NDArray[np.bool_]) -> float:
    """The two-sided exact p-value that two models are right equally often (McNemar 1947).

    Args:
        correct_a, correct_b: (N,) whether each model was right on the same N images.
    """
    from scipy.stats import binomtest

    correct_a, correct_b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    if correct_a.shape != correct_b.shape:
        raise ValueError(f"{correct_a.shape} and {correct_b.shape} are not the same images")
    only_a = int((correct_a & ~correct_b).sum())
    only_b = int((correct_b & ~correct_a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    so_far = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = so_far
    return adjusted


def seed_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean over seeds and its 95 % interval by Student's t: (mean, low, high).

    One value has no interval: low and high are NaN.
    """
    from scipy.stats import t

    array = np.asarray(values, float)
    if array.size == 0:
        raise ValueError("no values")
    mean = float(array.mean())
    if array.size == 1:
        return mean, math.nan, math.nan
    half = float(t.ppf(0.975, array.size - 1) * array.std(ddof=1) / math.sqrt(array.size))
    return mean, mean - half, mean + half


def alpaydin_f(differences: npt.ArrayLike) -> tuple[float, float]:
    """The combined F of five times twofold cross-validation (Alpaydin 1999) and its p-value.

    It tests that two ways to train do equally well when both the training images and the seed are
    drawn again, and uses each image for training as often as for judging.

    Args:
        differences: (5, 2) score a - score b of each repetition and fold.

    Raises:
        ValueError: another shape.
    """
    from scipy.stats import f

    table = np.asarray(differences, float)
    if table.shape != (5, 2):
        raise ValueError(f"differences of shape {table.shape}, not (5, 2)")
    spread = 2 * float(np.square(table - table.mean(axis=1, keepdims=True)).sum())
    if spread == 0:
        return (math.inf, 0.0) if table.any() else (0.0, 1.0)
    value = float(np.square(table).sum()) / spread
    return value, float(f.sf(value, 10, 5))
