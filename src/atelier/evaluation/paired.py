"""How large a difference between two models on the same images is, and how sure.

A test says whether two models differ; these say by how much. All come from two counts, the images
that only one of the two got right, among n.

Sources: Tango 1998, Statistics in Medicine 17(8) (score interval of a paired difference of
proportions); Cohen 1988, Statistical Power Analysis, ch. 5 (g); Clopper & Pearson 1934, Biometrika
26(4) (exact interval of the share of discordant images, and so of their odds); Agresti & Min 2005,
Statistics in Medicine 24(5) (a mean of paired differences, with a few images added).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Z_95 = 1.959963984540054  # the 97.5 % point of the normal distribution
_HAIR = 1e-12
_SMALL, _MEDIUM, _LARGE = 0.05, 0.15, 0.25  # of Cohen's g, by Cohen 1988


@dataclass(frozen=True)
class PairedEffect:
    """The size of a paired difference.

    Attributes:
        difference: accuracy a - accuracy b, in -1..1.
        interval: its 95 % score interval (Tango 1998).
        discordant: the share of images that exactly one of the two got right.
        cohens_g: the share of those that a got right, minus 1/2; None where there are none.
        odds_ratio: images that only a got right for each that only b did; None where b has none.
        odds_interval: its exact 95 % interval; an end of None is without bound.
    """

    difference: float
    interval: tuple[float, float]
    discordant: float
    cohens_g: float | None
    odds_ratio: float | None
    odds_interval: tuple[float, float | None]

    @property
    def size(self) -> str:
        """Cohen's word for g: negligible, small, medium or large. It is of the images on which the
        two differ, however few these are."""
        g = abs(self.cohens_g or 0.0)
        if g < _SMALL:
            return "negligible"
        return "small" if g < _MEDIUM else "medium" if g < _LARGE else "large"


def paired_effect(only_a: int, only_b: int, n: int) -> PairedEffect:
    """The size of the difference between two models on n images.

    Args:
        only_a, only_b: how many images only this one got right.
        n: at least 1.

    Raises:
        ValueError: the counts are negative or more than n.
    """
    from scipy.special import betaincinv

    interval = tango_interval(only_a, only_b, n)
    differing = only_a + only_b
    # Clopper and Pearson's, of the share of the differing images that a got right.
    low = float(betaincinv(only_a, only_b + 1, 0.025)) if only_a else 0.0
    high = float(betaincinv(only_a + 1, only_b, 0.975)) if only_b else 1.0
    return PairedEffect(
        difference=(only_a - only_b) / n,
        interval=interval,
        discordant=differing / n,
        cohens_g=only_a / differing - 0.5 if differing else None,
        odds_ratio=only_a / only_b if only_b else None,
        odds_interval=(low / (1 - low), None if high >= 1 else high / (1 - high)),
    )


def tango_interval(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of accuracy a - accuracy b on the same n images (Tango 1998).

    The differences that a score test would not refuse; right also where one of the counts is 0.

    Args:
        only_a, only_b: how many images only this one got right.
        n: at least 1.

    Raises:
        ValueError: the counts are negative or more than n.
    """
    from scipy.optimize import brentq

    if n < 1 or min(only_a, only_b) < 0 or only_a + only_b > n:
        raise ValueError(f"{only_a} and {only_b} of {n} images")
    estimate = (only_a - only_b) / n

    def excess(difference: float, sign: int) -> float:
        """How far the score statistic is beyond its 97.5 % point."""
        # The share of images that only b gets right, at its likeliest under this difference.
        b = -only_a - only_b + (2 * n - only_a + only_b) * difference
        c = -only_b * difference * (1 - difference)
        share = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * max(0.0, 2 * share + difference * (1 - difference))
        return sign * (only_a - only_b - n * difference) - _Z_95 * math.sqrt(variance)

    # A hair beside the estimate, for at it the statistic of two equal models is 0 / 0.
    low, high = -1.0, 1.0
    if estimate > -1:
        low = brentq(excess, -1, estimate - _HAIR, args=(1,), xtol=1e-13)
    if estimate < 1:
        high = brentq(excess, estimate + _HAIR, 1, args=(-1,), xtol=1e-13)
    return min(estimate, float(low)), max(estimate, float(high))


def balanced_difference(
    only_a: npt.ArrayLike, only_b: npt.ArrayLike, trials: npt.ArrayLike
) -> tuple[float, float, float]:
    """Balanced accuracy a - balanced accuracy b on the same images, and its 95 % interval.

    The variances of the classes are added. Each class gets half an image, shared among the K
    classes, on either side (after Agresti & Min 2005), so that one in which the two never differ
    is not taken as certain. With few images of a class it covers where the bootstrap goes narrow.

    Args:
        only_a, only_b: (K,) of each class, how many images only this one got right.
        trials: (K,) the images of each class, at least 1.
    """
    a, b, n = (np.asarray(counts, float) for counts in (only_a, only_b, trials))
    more = 0.5 / len(n)
    share_a, share_b = ((counts + more) / (n + 2 * more) for counts in (a, b))
    variance = (share_a + share_b - (share_a - share_b) ** 2) / (n + 2 * more - 1).clip(more)
    mean = float(((a - b) / n).mean())
    half = _Z_95 * math.sqrt(float(variance.sum())) / len(n)
    return mean, max(-1.0, mean - half), min(1.0, mean + half)
