"""Scores of how well a network knows an image, the higher the better.

- ``probability``: of the likeliest class, calibrated (Hendrycks & Gimpel 2017, arXiv 1610.02136).
- ``energy``: the log-sum-exp of the logits (Liu et al. 2020, arXiv 2010.03759).
- ``mahalanobis``: the negative squared distance of the embedding to the nearest class of the
  training images, under one covariance for all classes (Lee et al. 2018, arXiv 1807.03888), which
  is shrunk (Ledoit & Wolf 2004, Journal of Multivariate Analysis 88(2)), for there may be fewer
  images than dimensions.
- ``neighbors``: the negative distance to the 10th nearest training image, embeddings brought to
  length 1 (Sun et al. 2022, arXiv 2204.06507).

Nothing of them is fitted on unknown images.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from ..predictor import Outputs

Score = Literal["probability", "energy", "mahalanobis", "neighbors"]
SCORES: tuple[Score, ...] = ("probability", "energy", "mahalanobis", "neighbors")
_NEIGHBOR = 10
_BLOCK = 512

Floats = npt.NDArray[np.floating]


class Detectors:
    """All scores of one run.

    Args:
        embedding: (N, D) of training images, N at least 2.
        labels: (N,) their classes.
        temperature: that calibrates the probabilities.
    """

    def __init__(
        self, embedding: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], temperature: float
    ) -> None:
        from sklearn.covariance import ledoit_wolf

        self._temperature = temperature
        self._bank = _unit(embedding)
        self._neighbor = min(_NEIGHBOR, len(embedding))
        values = embedding.astype(np.float64)
        means = np.stack([values[labels == k].mean(axis=0) for k in np.unique(labels)])
        centered = values - means[np.searchsorted(np.unique(labels), labels)]
        # Units that never fire would make a covariance without an inverse.
        self._used = centered.std(axis=0) > 0
        if not self._used.any():
            self._used[:] = True
        centered = centered[:, self._used]
        covariance, _ = ledoit_wolf(centered, assume_centered=True)
        scale = float(np.trace(covariance)) / len(covariance) or 1.0
        precision = np.linalg.inv(covariance + 1e-9 * scale * np.eye(len(covariance)))
        self._whiten = np.linalg.cholesky(precision)
        self._means = means[:, self._used] @ self._whiten

    def scores(self, outputs: Outputs) -> dict[Score, npt.NDArray[np.float64]]:
        """For each score, (N,) values of N images."""
        logits = outputs.logits.astype(np.float64)
        return {
            "probability": self._probability(logits),
            "energy": _logsumexp(logits),
            "mahalanobis": self._mahalanobis(outputs.embedding),
            "neighbors": self._neighbors(outputs.embedding),
        }

    def _probability(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The log-odds of the likeliest class: the order is that of its probability, which float64
        rounds to 1 for many images of a model that is too sure."""
        logits = logits / self._temperature
        top = logits.argmax(axis=1)
        rows = np.arange(len(logits))
        best = logits[rows, top]
        logits[rows, top] = -np.inf
        odds: npt.NDArray[np.float64] = best - _logsumexp(logits)
        return odds

    def _mahalanobis(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        white = embedding[:, self._used].astype(np.float64) @ self._whiten
        squares = np.stack([np.square(white - mean).sum(axis=1) for mean in self._means])
        result: npt.NDArray[np.float64] = -squares.min(axis=0)
        return result

    def _neighbors(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        unit = _unit(embedding)
        result = np.empty(len(unit))
        for start in range(0, len(unit), _BLOCK):
            cosines = unit[start : start + _BLOCK] @ self._bank.T
            place = cosines.shape[1] - self._neighbor
            nearest = np.partition(cosines, place, axis=1)[:, place].astype(np.float64)
            result[start : start + _BLOCK] = -np.sqrt(np.maximum(0, 2 - 2 * nearest))
        return result


def _unit(embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(embedding, axis=1, keepdims=True)
    result: npt.NDArray[np.float32] = embedding / np.maximum(lengths, 1e-12)
    return result


def _logsumexp(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    top = logits.max(axis=1)
    result: npt.NDArray[np.float64] = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return result
