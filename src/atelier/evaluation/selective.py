"""How good the answers are if only the surest are given.

Sources: Geifman & El-Yaniv 2017, arXiv 1705.08500 (risk and coverage); Geifman et al. 2019, arXiv
1805.08206 (the area under the curve, and its excess over the best possible order).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_RESAMPLES = 400
_POINTS = 100
_DRAWN_AT_ONCE = 500_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RiskCoverage:
    """The error among the surest images, for each share of them.

    Attributes:
        score: what the images are ordered by.
        images: their number.
        aurc: the mean error over all coverages, in 0..1 (area under the risk-coverage curve).
        low, high: the ends of its 95 % bootstrap interval.
        excess: by how much `aurc` is above that of an order which puts every error last.
        risk: the error at a coverage of 1 %, 2 %, ... 100 %.
    """

    score: str
    images: int
    aurc: float
    low: float
    high: float
    excess: float
    risk: tuple[float, ...]

    def accuracy_at(self, coverage: float) -> float:
        """The accuracy of the surest images.

        Args:
            coverage: their share, in 0.01..1.
        """
        return 1 - self.risk[max(1, round(coverage * _POINTS)) - 1]


def risk_coverage(
    score: str, sureness: Floats, correct: npt.NDArray[np.bool_], *, seed: int = 0
) -> RiskCoverage:
    """The curve of one way to tell sure answers from others.

    Images of equal sureness count as in a random order of them, on average.

    Args:
        score: what `sureness` is called.
        sureness: (N,) larger for surer answers, N at least 1.
        correct: (N,) whether each answer is right.
        seed: of the resampling.
    """
    errors = _ordered_errors(sureness, correct)
    n = len(errors)
    risk = np.cumsum(errors) / np.arange(1, n + 1)
    aurc = float(risk.mean())
    rng = np.random.default_rng(seed)
    areas = []
    most = max(1, _DRAWN_AT_ONCE // n)
    for start in range(0, _RESAMPLES, most):
        # The order of a sample is that of the whole.
        drawn = np.sort(rng.integers(n, size=(min(most, _RESAMPLES - start), n)), axis=1)
        areas.append((np.cumsum(errors[drawn], axis=1) / np.arange(1, n + 1)).mean(axis=1))
    low, high = np.quantile(np.concatenate(areas), [0.025, 0.975])
    best = np.cumsum(np.sort(~correct)) / np.arange(1, n + 1)  # every error last
    at = np.maximum(1, np.ceil(np.arange(1, _POINTS + 1) / _POINTS * n).astype(int)) - 1
    return RiskCoverage(
        score=score,
        images=n,
        aurc=aurc,
        low=float(min(low, aurc)),
        high=float(max(high, aurc)),
        excess=max(0.0, aurc - float(best.mean())),
        risk=tuple(map(float, risk[at])),
    )


def sureness_of(probs: Floats) -> dict[str, Floats]:
    """(N,) values by the name of a score, larger where the answer is surer: the probability of the
    likeliest class, its lead over the second, and the negative entropy in nats.

    Args:
        probs: (N, K), K at least 2.
    """
    ordered = np.sort(probs, axis=1)
    logs = np.log(np.where(probs > 0, probs, 1.0))
    return {
        "probability": ordered[:, -1],
        "margin": ordered[:, -1] - ordered[:, -2],
        "entropy": (probs * logs).sum(axis=1),
    }


def _ordered_errors(sureness: Floats, correct: npt.NDArray[np.bool_]) -> Floats:
    """(N,) errors, the surest first, each the mean over the images of its sureness."""
    order = np.argsort(-sureness, kind="stable")
    errors = (~correct[order]).astype(np.float64)
    _, group, sizes = np.unique(-sureness[order], return_inverse=True, return_counts=True)
    means: Floats = (np.bincount(group, weights=errors) / sizes)[group]
    return means
