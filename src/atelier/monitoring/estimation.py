"""What can be said of accuracy and of the true classes while no true class is known.

- The shares of the true classes, from those of the predicted ones and the model's known confusions
  (black box shift estimation, BBSE: Lipton, Wang & Smola 2018, arXiv 1802.03916).
- The accuracy: from the calibrated confidences, corrected by what they were wrong by on the
  reference (difference of confidences, Guillory et al. 2021, arXiv 2107.03315); from the share of
  confidences over a threshold learned on the reference (average thresholded confidence, ATC: Garg
  et al. 2022, arXiv 2201.04234); and from the shares of the classes alone.

Each holds under an assumption, and none where the model is sure of what it has never seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Classes = npt.NDArray[np.int64]

_RESAMPLES = 400
_WAYS = 3  # to estimate the accuracy
_LIMITS = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AccuracyEstimates:
    """The accuracy on traffic without labels, by three ways.

    Attributes:
        by_confidence: from the mean confidence: right if the model is as honest as it was.
        by_threshold: from the share of confident answers: right if what is confidently answered is
            as often right as it was.
        by_classes: from the shares of the classes: right if images of one class look as they did.
    """

    by_confidence: Estimate
    by_threshold: Estimate
    by_classes: Estimate


@dataclass(frozen=True, eq=False)
class Answered:
    """Images with their answers.

    Attributes:
        predicted: (N,) classes.
        confidence: (N,) calibrated probabilities of them.
        labels: (N,) true classes; of traffic None.
    """

    predicted: Classes
    confidence: Floats
    labels: Classes | None = None

    def __len__(self) -> int:
        return len(self.predicted)

    def drawn(self, rng: np.random.Generator) -> Answered:
        """As many images, drawn with replacement."""
        at = rng.integers(len(self), size=len(self))
        labels = None if self.labels is None else self.labels[at]
        return Answered(self.predicted[at], self.confidence[at], labels)


def estimate(
    reference: Answered, traffic: Answered, k: int, *, seed: int = 0
) -> tuple[AccuracyEstimates, list[Estimate]]:
    """Accuracy on the traffic and shares of the K true classes in it.

    The intervals are those of 400 bootstrap samples of both groups. Those of the accuracy hold the
    share of right answers that one would count among these predictions, so that what users say of
    them can stand beside it. They cover chance, not an assumption that fails.

    Args:
        reference: images with known classes.
        traffic: images without.
        k: the number of classes.
        seed: of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    values = _numbers(reference, traffic, k)
    drawn = np.empty((_RESAMPLES, len(values)))
    for row in drawn:
        other = traffic.drawn(rng)
        row[:] = _numbers(reference.drawn(rng), other, k)
        # Whether answers are right varies by chance too, around their confidences.
        right = rng.random(len(other)) < other.confidence
        row[:_WAYS] = np.clip(row[:_WAYS] + right.mean() - other.confidence.mean(), 0, 1)
    low, high = np.percentile(drawn, _LIMITS, axis=0)
    found = [
        Estimate(float(v), float(min(a, v)), float(max(b, v)))
        for v, a, b in zip(values, low, high, strict=True)
    ]
    return AccuracyEstimates(*found[:_WAYS]), found[_WAYS:]


def _numbers(reference: Answered, traffic: Answered, k: int) -> Floats:
    """Three estimates of the accuracy and K shares."""
    assert reference.labels is not None
    correct = reference.predicted == reference.labels
    accuracy = correct.mean()
    by_confidence = accuracy + traffic.confidence.mean() - reference.confidence.mean()
    # The threshold that as many of the reference reach as are right.
    threshold = np.quantile(reference.confidence, 1 - accuracy, method="higher")
    above = (traffic.confidence >= threshold).mean()
    shares = class_shares(reference, traffic, k)
    known = np.bincount(reference.labels, minlength=k)
    recall = np.bincount(reference.labels, correct, k) / np.maximum(known, 1)
    accuracies = np.array([by_confidence, above, shares @ recall])
    result: Floats = np.concatenate([np.clip(accuracies, 0, 1), shares])
    return result


def class_shares(reference: Answered, traffic: Answered, k: int) -> Floats:
    """(K,) the shares of the true classes in the traffic, by BBSE.

    The least squares solution among shares, none negative: the confusion of a class that is never
    predicted, or never seen, has no inverse.
    """
    from scipy.optimize import nnls

    assert reference.labels is not None
    known = np.bincount(reference.labels, minlength=k)
    confusion = np.zeros((k, k))
    np.add.at(confusion, (reference.predicted, reference.labels), 1.0)
    confusion /= np.maximum(known, 1)  # column j: what is predicted for images of class j
    confusion[:, known == 0] = np.eye(k)[:, known == 0]
    seen = np.bincount(traffic.predicted, minlength=k) / len(traffic)
    shares, _ = nnls(confusion, seen)
    total = shares.sum()
    result: Floats = shares / total if total > 0 else seen
    return result
