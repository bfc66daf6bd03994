"""Intervals of differences by drawing the images again (Efron 1979, Annals of Statistics 7(1)).

All models see the same draws, so that a difference between two of them is paired. A draw is a
weight for each image, so that the scores of all draws are a few matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..predictions import Predictions

DRAWS = 2000
_WEIGHTS = 2_000_000  # at a time: 16 MB


@dataclass(frozen=True)
class Drawn:
    """A score of M models on the images and on B draws of as many images.

    Attributes:
        scores: (M,) on the images as they are.
        draws: (B, M) on each draw.
    """

    scores: npt.NDArray[np.float64]
    draws: npt.NDArray[np.float64]

    def difference(self, a: int, b: int) -> tuple[float, float, float]:
        """The score of model a minus that of model b, and its 95 % percentile interval."""
        gaps = self.draws[:, a] - self.draws[:, b]
        low, high = np.quantile(gaps, [0.025, 0.975])
        return float(self.scores[a] - self.scores[b]), float(low), float(high)


def paired_bootstrap(
    models: Sequence[Predictions], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Drawn]:
    """Scores of models on draws of the images they share, with replacement.

    Args:
        models: at least one, on the same N images of K classes in the same order.
        draws: B.
        seed: of the draws.

    Returns:
        `accuracy`, `balanced_accuracy` and `macro_f1` as `Evaluation` has them: a class that is not
        in a draw does not count there.
    """
    n = len(models[0])
    answers = np.stack([models[0].labels, *(model.predicted for model in models)])
    # Images that no model tells apart are drawn as one cell: a hundred cells for thousands of them.
    cells, counts = np.unique(answers, axis=1, return_counts=True)
    rng, k = np.random.default_rng(seed), len(models[0].classes)
    step = max(1, _WEIGHTS // len(counts))
    drawn = np.concatenate(
        [
            _scores(cells, rng.multinomial(n, counts / n, size=min(step, draws - start)), k)
            for start in range(0, draws, step)
        ]
    )
    whole = _scores(cells, counts[None], k)[0]
    names = ("accuracy", "balanced_accuracy", "macro_f1")
    return {name: Drawn(whole[j], drawn[:, j]) for j, name in enumerate(names)}


def _scores(
    cells: npt.NDArray[np.int64], weights: npt.NDArray[np.int64], k: int
) -> npt.NDArray[np.float64]:
    """(B, 3, M): accuracy, balanced accuracy and macro F1 of each model.

    Args:
        cells: (1 + M, C) the label and the answer of each model.
        weights: (B, C) how many images each cell has.
        k: the number of classes.
    """
    # Whole numbers in floats, for those are what the fast matrix product takes.
    weights, one_hot = weights.astype(np.float64), np.eye(k)
    labels = cells[0]
    support = weights @ one_hot[labels]
    occurs = support > 0
    result = np.empty((len(weights), 3, len(cells) - 1))
    for m, answers in enumerate(cells[1:]):
        right = answers == labels
        hits = weights[:, right] @ one_hot[labels[right]]
        counted = support + weights @ one_hot[answers]
        recall = hits / np.maximum(support, 1)
        result[:, 0, m] = hits.sum(axis=1) / support.sum(axis=1)
        result[:, 1, m] = recall.sum(axis=1) / occurs.sum(axis=1)
        f1 = 2 * hits / np.maximum(counted, 1)
        result[:, 2, m] = f1.sum(axis=1) / (counted > 0).sum(axis=1)
    return result
