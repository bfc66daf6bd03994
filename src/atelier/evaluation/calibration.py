"""Probabilities that mean what they say, and when to answer "unknown" instead.

One number, the temperature, divides all logits (temperature scaling, Guo et al. 2017, arXiv
1706.04599): the ranking of the classes stays, and the likeliest class's probability comes near the
share of such answers that are right. It is fitted on the validation images.

A model that may answer "unknown" is judged by two numbers, its error among the images that it
answers and the share of images that it answers, its coverage (selective classification, Geifman &
El-Yaniv 2017, arXiv 1705.08500). The threshold for a stated error is found by a sequence of exact
binomial tests (Learn then Test, Angelopoulos et al. 2021, arXiv 2110.01052).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, RunError
from ..predictions import Predictions
from ..storage import write_json
from .metrics import Evaluation, ece, evaluate_predictions, nll
from .tables import percent

if TYPE_CHECKING:
    from ..runs import Run

_FILE = "calibration.json"
_TEMPERATURES = (0.1, 10.0)
_FOLDS = 5
_CONFIDENCE = 0.95
_STATED_ERRORS = (0.01, 0.02, 0.05, 0.1)
# What the likeliest class must reach at least, from always silent to always answering.
_GRID = (0.999, 0.998, 0.995, *(k / 100 for k in range(99, -1, -1)))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """The temperature of a run, and what it does to the probabilities of validation images.

    Attributes:
        temperature: what logits are divided by; above 1 where the model is too sure.
        images: the number of validation images behind it.
        ece: the expected calibration error on them without it, in 0..1.
        ece_calibrated: with it, cross-fitted: each fifth of the images by the temperature of the
            other four, so that none is judged by what was fitted on it.
        nll: the mean negative log-likelihood without it, in nats.
        nll_calibrated: with it, cross-fitted.
    """

    temperature: float
    images: int
    ece: float
    ece_calibrated: float
    nll: float
    nll_calibrated: float

    def apply(self, predictions: Predictions) -> Predictions:
        """The predictions with calibrated probabilities."""
        return _divided(predictions, self.temperature)

    def save(self, folder: Path) -> None:
        """Write ``calibration.json`` into a run folder, whole or not at all."""
        write_json(folder / _FILE, asdict(self))


@dataclass(frozen=True)
class CalibratedScores:
    """What calibrated probabilities are worth on some images.

    Attributes:
        temperature: what the logits were divided by.
        nll: the mean negative log-likelihood, in nats.
        ece: the expected calibration error, in 0..1.
        cross_fitted: whether these are the images that the temperature was fitted on, each judged
            by a temperature of other images.
    """

    temperature: float
    nll: float
    ece: float
    cross_fitted: bool

    def __str__(self) -> str:
        return (
            f"calibrated by a temperature of {self.temperature:.3f}: NLL {self.nll:.4f} nats, ECE "
            f"{percent(self.ece)}{' (cross-fitted)' if self.cross_fitted else ''}"
        )


def fit_calibration(predictions: Predictions) -> Calibration | None:
    """Fit the temperature on validation predictions.

    It is the one with the least NLL between 0.1 and 10. A weak prior (log-normal around 1, worth
    one image) keeps a handful of images that are all right from making the model infinitely sure.

    Returns:
        None for fewer than two images, or logits that are not finite.
    """
    n = len(predictions)
    if n < 2 or not np.isfinite(predictions.logits).all():
        return None
    held_out = cross_calibrated(predictions)
    return Calibration(
        temperature=_temperature(predictions),
        images=n,
        ece=ece(predictions.probs, predictions.labels),
        ece_calibrated=ece(held_out.probs, held_out.labels),
        nll=nll(predictions),
        nll_calibrated=nll(held_out),
    )


def folds(n: int) -> npt.NDArray[np.int64]:
    """(N,) which of five parts each of N images is in: what is fitted on four judges the fifth."""
    fold: npt.NDArray[np.int64] = np.random.default_rng(0).permutation(n) % min(_FOLDS, n)
    return fold


def cross_calibrated(predictions: Predictions) -> Predictions:
    """The images that a temperature is fitted on, each fifth by the temperature of the others.

    Args:
        predictions: at least two, with finite logits.
    """
    fold = folds(len(predictions))
    temperatures = [_temperature(predictions.take(fold != k)) for k in range(fold.max() + 1)]
    return _divided(predictions, np.array(temperatures)[fold, None])


def calibration_of(run: Run) -> Calibration | None:
    """The calibration that the training has left, or that of the kept validation predictions
    where the run is from before there was one; None where no images were held out.

    Raises:
        RunError: what is kept is damaged.
    """
    path = run.path / _FILE
    if not path.is_file():
        held_out = run.metrics.get("validation_images") and run.has_predictions("validation")
        return fit_calibration(run.predictions("validation")) if held_out else None
    from ..runs import read_json

    try:
        found = Calibration(**read_json(path))
        if not 0 < found.temperature < math.inf:
            raise ValueError(f"a temperature of {found.temperature}")
    except (TypeError, ValueError) as error:
        raise RunError(
            f"{path} is not a calibration of this version: {error}", fix="Remove it"
        ) from error
    return found


def evaluate_calibrated(
    predictions: Predictions,
    calibration: Calibration | None,
    *,
    fitted_on: bool,
    images: str = "images",
    note: str = "",
) -> Evaluation:
    """Score predictions as they are, and beside it as calibrated.

    Args:
        predictions: of the logits as the model gives them.
        calibration: of the run, where it has one.
        fitted_on: whether these are the images that the temperature was fitted on.
        images: what the images are called.
        note: what a reader must know of them.

    Raises:
        RunError: there is no image, a label is out of range, or a logit is not finite.
    """
    result = evaluate_predictions(predictions)
    scores, used = None, predictions
    if calibration is not None:
        used = calibration.apply(predictions)
        scores = CalibratedScores(
            calibration.temperature,
            calibration.nll_calibrated if fitted_on else nll(used),
            calibration.ece_calibrated if fitted_on else ece(used.probs, used.labels),
            cross_fitted=fitted_on,
        )
    return replace(
        result,
        images=images,
        note=note,
        calibrated=scores,
        coverage=coverage_at(used.probs.max(axis=1), used.correct),
    )


@dataclass(frozen=True)
class AnswerRule:
    """From which probability on the likeliest class is an answer, and "unknown" below it.

    Attributes:
        threshold: the least probability of an answer.
        max_error: the share of wrong answers that was allowed.
        images: the validation images that it was chosen on.
        answered: those of them that are answered.
        wrong: those of the answered that are wrong.
    """

    threshold: float
    max_error: float
    images: int
    answered: int
    wrong: int

    @property
    def coverage(self) -> float:
        """The share of the validation images that is answered."""
        return self.answered / self.images

    def __str__(self) -> str:
        return (
            f"answers from a probability of {self.threshold:.1%} on: {self.coverage:.1%} of "
            f"{self.images:,} validation images, {self.wrong:,} of {self.answered:,} answers wrong"
            f"; with {_CONFIDENCE:.0%} confidence at most {self.max_error:.3g} of the answers to "
            "images like these are wrong"
        )


def answer_rule(predictions: Predictions, max_error: float) -> AnswerRule:
    """The least threshold that keeps the error among answered images at `max_error`, with 95 %
    confidence.

    Each threshold of a grid fixed beforehand has an exact test: given how many images reach it, the
    wrong ones among them are binomial, and too few of them for an error of `max_error` reject it.
    Thresholds are tested one after the other, downwards from 1 - `max_error`, until one fails;
    such a sequence needs no further correction (fixed sequence testing, Angelopoulos et al. 2021).
    What it does not cover: that the temperature, one number, and the kept epoch have seen these
    images too, and images of another kind.

    Args:
        predictions: calibrated, on validation images.
        max_error: the share of wrong answers that is allowed, between 0 and 1.

    Raises:
        ConfigError: `max_error` is out of range, or no threshold achieves it.
    """
    if not 0 < max_error < 1:
        raise ConfigError(
            "the error among answers is out of range", got=max_error, allowed="between 0 and 1"
        )
    confidence, correct = predictions.probs.max(axis=1), predictions.correct
    rule = _rule(confidence, correct, max_error)
    if rule is None:
        possible = [e for e in (0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5) if e > max_error]
        reached = next((e for e in possible if _rule(confidence, correct, e) is not None), None)
        raise ConfigError(
            f"no threshold keeps the error among answers at {max_error:g} with "
            f"{_CONFIDENCE:.0%} confidence on {len(predictions):,} validation images",
            fix=("" if reached is None else f"Allow --max-error {reached:g}, or ")
            + ("S" if reached is None else "s")
            + "et a threshold by hand with --unknown-below",
        )
    return rule


def _rule(
    confidence: Floats, correct: npt.NDArray[np.bool_], max_error: float
) -> AnswerRule | None:
    from scipy.special import bdtr  # the binomial distribution function

    thresholds = np.array(_GRID)
    order = np.sort(confidence)
    wrong_order = np.sort(confidence[~correct])
    answered = len(order) - np.searchsorted(order, thresholds)
    wrong = len(wrong_order) - np.searchsorted(wrong_order, thresholds)
    p = np.where(answered > 0, bdtr(wrong, np.maximum(answered, 1), max_error), 1.0)
    # From 1 - max_error on, a calibrated model errs less than that; above it are too few images to
    # show it, and the first failure ends the sequence.
    first = int(np.argmax(thresholds <= 1 - max_error + 1e-9))
    failed = np.flatnonzero(p[first:] > 1 - _CONFIDENCE)
    last = first + (failed[0] if len(failed) else len(p) - first) - 1
    if last < first:
        return None
    return AnswerRule(
        threshold=float(thresholds[last]),
        max_error=max_error,
        images=len(confidence),
        answered=int(answered[last]),
        wrong=int(wrong[last]),
    )


def coverage_at(
    confidence: Floats, correct: npt.NDArray[np.bool_], errors: Sequence[float] = _STATED_ERRORS
) -> dict[float, float]:
    """The largest share of the images, surest first, among which at most so many are wrong.

    It is what these images show, chosen on them: `answer_rule` says what can be promised.

    Args:
        confidence: (N,) the probability of the predicted class.
        correct: (N,) whether it is the true one.
        errors: shares of wrong answers, in 0..1.

    Returns:
        For each error, the coverage in 0..1.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    answered = np.arange(1, len(order) + 1)
    risk = np.cumsum(~correct[order]) / answered
    # Images of one confidence are answered together or not at all.
    together = np.append(ranked[1:] != ranked[:-1], True)
    return {
        error: float(answered[together & (risk <= error)].max(initial=0) / len(order))
        for error in errors
    }


def _temperature(predictions: Predictions) -> float:
    """The minimum of NLL and prior over the logarithm of the temperature."""
    from scipy.optimize import minimize_scalar

    n = len(predictions)

    def loss(log_temperature: float) -> float:
        fitted = _divided(predictions, math.exp(log_temperature))
        return nll(fitted) + log_temperature**2 / (2 * n)

    low, high = map(math.log, _TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return math.exp(found.x) if found.fun <= loss(0.0) else 1.0


def _divided(predictions: Predictions, temperature: float | Floats) -> Predictions:
    logits = (predictions.logits / temperature).astype(np.float32)
    return replace(predictions, logits=logits)
