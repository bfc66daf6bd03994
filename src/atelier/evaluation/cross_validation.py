"""Two recipes trained five times on either half of the training images.

What McNemar's test leaves open, whether training on other images would turn the order, is what
this one asks; it costs ten trainings of each recipe. Source: Alpaydin 1999, Neural Computation
11(8), who combined the statistics of Dietterich's 5x2cv test (1998) into one that does not hang on
the order of the folds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from .power import LEVEL
from .significance import alpaydin_f
from .tables import p_value, percent, text_table


@dataclass(frozen=True, repr=False)
class CrossComparison:
    """The outcome of five times twofold cross-validation.

    Attributes:
        a, b: the recipes, the better on average first.
        scores_a, scores_b: of each repetition and fold, in 0..1.
        score: accuracy, or balanced accuracy where classes have different numbers of images.
        train_images: how many images each training had: half of the training part.
        f: Alpaydin's statistic; infinite, and so None in JSON, where the difference never changes.
        p: its p-value.
    """

    a: str
    b: str
    scores_a: tuple[tuple[float, float], ...]
    scores_b: tuple[tuple[float, float], ...]
    score: str
    train_images: int
    f: float
    p: float

    @property
    def better(self) -> bool:
        """Whether a is better than b at the 5 % level."""
        return self.p < LEVEL

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        f = self.f if np.isfinite(self.f) else None
        return {**asdict(self), "f": f, "better": self.better, "sentence": self.sentence}

    @property
    def sentence(self) -> str:
        """Which recipe is better, in plain words."""
        means = [fmean(score for row in rows for score in row) for rows in self._both]
        gaps = np.subtract(*self._both).ravel()
        verdict = "is better than" if self.better else "and"
        tail = "" if self.better else " are indistinguishable"
        return (
            f"{self.a} {verdict} {self.b}{tail} over ten trainings on halves of the training "
            f"images: {self.score} {percent(means[0])} against {percent(means[1])} on average, "
            f"ahead in {int((gaps > 0).sum())} of 10, {p_value(self.p)} (5x2cv F = {self.f:.2f})."
        )

    @property
    def _both(self) -> tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]:
        return self.scores_a, self.scores_b

    def __str__(self) -> str:
        rows = [
            [f"{i}{half}", percent(x), percent(y), f"{100 * (x - y):+.2f}"]
            for i, (own, other) in enumerate(zip(*self._both, strict=True), start=1)
            for half, x, y in zip("ab", own, other, strict=True)
        ]
        note = (
            f"Each had {self.train_images:,} images, validation included, and was judged by the "
            "other half; the test images took no part. With all images both would do better."
        )
        table = text_table(["fold", self.a, self.b, "points"], rows)
        return f"{table}\n\n{self.sentence}\n\n{note}"

    __repr__ = __str__


def cross_compared(
    a: str,
    scores_a: tuple[tuple[float, float], ...],
    b: str,
    scores_b: tuple[tuple[float, float], ...],
    *,
    score: str,
    train_images: int,
) -> CrossComparison:
    """Test two recipes by their scores on five times two folds.

    Args:
        a, b: the recipes.
        scores_a, scores_b: (5, 2) each.
        score: what they are called.
        train_images: of each training.

    Raises:
        ValueError: another number of scores.
    """
    gaps = np.subtract(scores_a, scores_b)
    f, p = alpaydin_f(gaps)
    if gaps.mean() < 0:
        a, scores_a, b, scores_b = b, scores_b, a, scores_a
    return CrossComparison(a, b, scores_a, scores_b, score, train_images, f, p)
