"""Isotonic calibration of the predicted class: any rising curve instead of one temperature.

Zadrozny & Elkan 2002 (KDD) fit a curve for each class against all others. Here one curve is fitted
to the probability of the predicted class, and the others share what is left as they did: no answer
changes, all validation images serve the one curve, and it works for 100 classes with ten images
each, where a curve for each class would know nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import RunError
from ..predictions import Predictions
from ..storage import write_json
from .calibration import folds

if TYPE_CHECKING:
    from ..runs import Run

_FILE = "isotonic.json"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Isotonic:
    """A rising curve from the model's confidence to how often it is right, linear between points.

    Attributes:
        confidence: of the points, rising, in 0..1.
        accuracy: likewise.
        images: the number of validation images behind it.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    images: int

    def apply(self, probs: Floats) -> Floats:
        """(N, K) uncalibrated probabilities to calibrated ones; the likeliest class stays so."""
        rows = np.arange(len(probs))
        top = probs.argmax(axis=1)
        old = probs[rows, top]
        others = probs.copy()
        others[rows, top] = 0
        left = others.sum(axis=1)
        # Where float64 leaves nothing to the others, they have equal parts.
        shares = np.where(
            left[:, None] > 0,
            others / np.where(left > 0, left, 1)[:, None],
            1 / (probs.shape[1] - 1),
        )
        shares[rows, top] = 0
        # The least that leaves no other class above it.
        second = shares.max(axis=1)
        new = np.maximum(np.interp(old, self.confidence, self.accuracy), second / (1 + second))
        result: Floats = shares * (1 - new)[:, None]
        result[rows, top] = new
        return result

    def save(self, folder: Path) -> None:
        """Write ``isotonic.json`` into a run folder, whole or not at all."""
        write_json(folder / _FILE, asdict(self))


def fit_isotonic(predictions: Predictions) -> Isotonic | None:
    """Fit the curve on validation predictions, by least squares (scikit-learn).

    It keeps off 0 and 1 by a pseudo-count of one image either way, for an error that was held
    impossible costs without limit.

    Returns:
        None for fewer than two images, or logits that are not finite.
    """
    from sklearn.isotonic import IsotonicRegression

    n = len(predictions)
    if n < 2 or not np.isfinite(predictions.logits).all():
        return None
    least = 1 / (n + 2)
    curve = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    curve.fit(predictions.probs.max(axis=1), predictions.correct.astype(np.float64))
    return Isotonic(
        tuple(map(float, curve.X_thresholds_)), tuple(map(float, curve.y_thresholds_)), n
    )


def cross_isotonic(predictions: Predictions) -> Floats:
    """(N, K) isotonic probabilities of the images that the curve is fitted on: each fifth by the
    curve of the other four, so that none is judged by what was fitted on it.

    Args:
        predictions: at least two, with finite logits.
    """
    fold = folds(len(predictions))
    probs = predictions.probs
    result = probs.copy()
    for k in range(fold.max() + 1):
        curve = fit_isotonic(predictions.take(fold != k))
        if curve is not None:
            result[fold == k] = curve.apply(probs[fold == k])
    return result


def isotonic_of(run: Run) -> Isotonic | None:
    """The curve that is kept with a run; None where there is none.

    Raises:
        RunError: what is kept is damaged.
    """
    path = run.path / _FILE
    if not path.is_file():
        return None
    from ..runs import read_json

    try:
        kept: dict[str, Any] = read_json(path)
        curve = Isotonic(tuple(kept["confidence"]), tuple(kept["accuracy"]), int(kept["images"]))
        points = [*curve.confidence, *curve.accuracy]
        rising = all(
            list(values) == sorted(values) for values in (curve.confidence, curve.accuracy)
        )
        sound = all(math.isfinite(value) and 0 <= value <= 1 for value in points)
        if not (points and rising and sound and len(curve.confidence) == len(curve.accuracy)):
            raise ValueError("its points are no rising curve")
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} is not a calibration of this version: {error}",
            fix="Make it anew with `atelier uncertainty`",
        ) from error
    return curve
