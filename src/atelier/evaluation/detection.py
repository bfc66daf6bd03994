"""How well a score tells known images from unknown ones.

Known images should have the higher scores. Sources: DeLong et al. 1988, Biometrics 44(3), in the
form of Sun & Xu 2014, IEEE Signal Processing Letters 21(11) (the area under the ROC curve and its
variance); Hendrycks & Gimpel 2017, arXiv 1610.02136, and Liang et al. 2018, arXiv 1706.02690 (what
is reported: the area, and the unknown images that pass where 95 % of the known ones do).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .significance import wilson_interval

KEPT = 0.95
_RESAMPLES = 2000
_Z_95 = 1.959963984540054

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Share:
    """A measured share in 0..1 with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def auroc(known: Floats, unknown: Floats) -> Share:
    """The area under the ROC curve: how often a known image has a higher score than an unknown
    one, equal scores counting half.

    Its interval is DeLong's on the scale of the logit; where not one pair is in the wrong order, a
    variance says nothing, and the interval is Wilson's for the smaller number of images.

    Args:
        known: (N,) scores, N at least 2.
        unknown: (M,) scores, M at least 2.
    """
    from scipy.stats import rankdata

    n, m = len(known), len(unknown)
    ranks = rankdata(np.concatenate([known, unknown]))
    # How often each known image is above the unknown ones, and each unknown one below the known.
    above = (ranks[:n] - rankdata(known)) / m
    below = 1 - (ranks[n:] - rankdata(unknown)) / n
    area = float(above.mean())
    deviation = math.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m)
    fewest = min(n, m)
    if deviation == 0 or not 0 < area < 1:
        return Share(area, *wilson_interval(area * fewest, fewest))
    middle = math.log(area / (1 - area))
    half = _Z_95 * deviation / (area * (1 - area))
    low, high = (
        1 / (1 + math.exp(-min(700.0, max(-700.0, x)))) for x in (middle - half, middle + half)
    )
    return Share(area, low, high)


def threshold_keeping(scores: Floats, kept: float = KEPT) -> float:
    """The largest score that at least this share of the known images reaches.

    Args:
        scores: (N,) of known images, N at least 1.
        kept: the share, in 0..1.
    """
    rank = len(scores) - math.ceil(kept * len(scores) - 1e-9)
    return float(np.sort(scores)[rank])


def passing(scores: Floats, threshold: float) -> Share:
    """The share of scores that reach a given threshold, with its Wilson interval.

    Args:
        scores: (N,), N at least 1.
        threshold: from which on an image passes.
    """
    count = int((scores >= threshold).sum())
    return Share(count / len(scores), *wilson_interval(count, len(scores)))


def passing_at(calibrating: Floats, unknown: Floats, kept: float = KEPT, *, seed: int = 0) -> Share:
    """The share of unknown images that pass where this share of the known ones does (FPR at 95 %
    TPR), with an interval for which the known images behind the threshold are a draw too.

    Thresholds are resampled as order statistics, whose places among uniform numbers are those of a
    beta distribution; the shares above them likewise (Jeffreys' prior), so that a share of zero has
    an interval.

    Args:
        calibrating: (N,) scores of known images, which the threshold is set on.
        unknown: (M,) scores.
        kept: the share of the known images that passes.
        seed: of the resampling.
    """
    n, m = len(calibrating), len(unknown)
    threshold = threshold_keeping(calibrating, kept)
    value = int((unknown >= threshold).sum()) / m
    rng = np.random.default_rng(seed)
    ranked, others = np.sort(calibrating), np.sort(unknown)
    rank = n - math.ceil(kept * n - 1e-9) + 1
    place = rng.beta(rank, n - rank + 1, _RESAMPLES)
    drawn = ranked[np.minimum(n - 1, (place * n).astype(np.int64))]
    passed = m - np.searchsorted(others, drawn)
    low, high = np.quantile(rng.beta(passed + 0.5, m - passed + 0.5), [0.025, 0.975])
    return Share(value, float(min(value, low)), float(max(value, high)))


def roc_points(
    known: Floats, unknown: Floats, points: int = 101
) -> tuple[tuple[float, float], ...]:
    """(unknown that pass, known that pass) for thresholds from the strictest to none.

    Args:
        known: (N,) scores.
        unknown: (M,) scores.
        points: their number; thresholds are evenly spread over the unknown images.
    """
    thresholds = np.quantile(unknown, np.linspace(1, 0, points), method="nearest")
    passed = np.searchsorted(np.sort(unknown), thresholds)
    kept = np.searchsorted(np.sort(known), thresholds)
    curve = [
        (float(1 - u / len(unknown)), float(1 - k / len(known)))
        for u, k in zip(passed, kept, strict=True)
    ]
    first = (0.0, float((known > unknown.max()).mean()))
    return ((0.0, 0.0), first, *curve, (1.0, 1.0))
