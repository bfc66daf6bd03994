"""What each calibration makes of a run's probabilities, and what its sets of classes hold."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..evaluation import Calibration, nll
from ..evaluation.calibration import cross_calibrated
from ..evaluation.conformal import (
    METHODS,
    Coverage,
    coverage_of,
    cross_conformal,
    fit_conformal,
)
from ..evaluation.isotonic import cross_isotonic, fit_isotonic
from ..evaluation.reliability import brier, brier_terms, calibration_error, reliability_bins
from ..evaluation.tables import percent, percent_range
from ..predictions import Predictions
from ..runs import Run
from .result import ProbabilityScores

Floats = npt.NDArray[np.float64]


def score_probabilities(
    run: Run,
    judged: Predictions,
    held_out: Predictions | None,
    calibration: Calibration | None,
    *,
    seed: int,
) -> tuple[tuple[ProbabilityScores, ...], Predictions, list[str]]:
    """The scores as trained and calibrated, the predictions as they are served, and what is to be
    said of the choice. The isotonic curve is saved with the run.

    Args:
        run: whose folder takes the curve.
        judged: of test images, or the same as `held_out`.
        held_out: of validation images; None where there are none.
        calibration: of them.
        seed: of the resampling.
    """
    rows = [_scores("as trained", judged.probs, judged.labels, nll(judged), seed)]
    if held_out is None or calibration is None:
        return tuple(rows), judged, []
    by_itself = run.judged == "validation"
    cooled = cross_calibrated(held_out)
    served = cooled if by_itself else calibration.apply(judged)
    rows.append(_scores("temperature", served.probs, served.labels, nll(served), seed))
    curve = fit_isotonic(held_out)
    if curve is None:
        return tuple(rows), served, []
    curve.save(run.path)
    crossed = cross_isotonic(held_out)
    probs = crossed if by_itself else curve.apply(judged.probs)
    rows.append(_scores("isotonic", probs, judged.labels, _nll(probs, judged.labels), seed))
    return tuple(rows), served, [_choice(cooled.probs, crossed, held_out.labels)]


def judge_sets(
    judged: Predictions,
    held_out: Predictions | None,
    calibration: Calibration | None,
    level: float,
    *,
    cross_fitted: bool,
) -> tuple[Coverage, ...]:
    """What the sets of each kind hold; nothing where no images were held out.

    Args:
        judged: as trained.
        held_out: of validation images.
        calibration: of them.
        level: the promised share of sets that hold the true class.
        cross_fitted: whether `judged` and `held_out` are the same images.
    """
    if held_out is None or calibration is None:
        return ()
    fitted, judged = calibration.apply(held_out), calibration.apply(judged)
    found = []
    for method in METHODS:
        if cross_fitted:
            sets = cross_conformal(fitted, level, method)
        else:
            sets = fit_conformal(fitted.probs, fitted.labels, level, method).sets(judged.probs)
        found.append(
            coverage_of(
                sets,
                judged.labels,
                judged.classes,
                method=method,
                level=level,
                fitted_on=len(fitted),
            )
        )
    return tuple(found)


def broken_promise(sets: Coverage, part: str) -> str | None:
    """A sentence where fewer sets hold the true class than chance explains; else None.

    Args:
        sets: of the judged images.
        part: what these are called.
    """
    if sets.share >= sets.expected[0]:
        return None
    return (
        f"Sets by {sets.method} hold the true class of {percent(sets.share)} of the {part} images, "
        f"fewer than the {percent_range(sets.expected, 1)} that chance explains: the {part} images "
        "are harder than the validation images, and what is fitted on these promises too much"
    )


def _scores(
    method: str, probs: Floats, labels: npt.NDArray[np.int64], loss: float, seed: int
) -> ProbabilityScores:
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    return ProbabilityScores(
        method=method,
        ece=calibration_error(confidence, correct, seed=seed),
        ece_equal_mass=calibration_error(confidence, correct, equal_mass=True, seed=seed),
        brier=brier(probs, labels),
        nll=loss,
        bins=reliability_bins(confidence, correct),
    )


def _nll(probs: Floats, labels: npt.NDArray[np.int64]) -> float:
    true = probs[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean())


def _choice(cooled: Floats, curved: Floats, labels: npt.NDArray[np.int64]) -> str:
    """Whether the curve is worth more than the temperature, on the validation images alone."""
    gain = brier_terms(cooled, labels) - brier_terms(curved, labels)
    half = 1.96 * float(gain.std(ddof=1)) / math.sqrt(len(gain))
    mean = float(gain.mean())
    measured = (
        f"its Brier score is {abs(mean):.4f} {'lower' if mean > 0 else 'higher'} than the "
        f"temperature's (95 % interval of the gain {mean - half:.4f} to {mean + half:.4f}, on "
        f"{len(gain):,} validation images, cross-fitted)"
    )
    if mean - half > 0:
        return f"The isotonic curve is clearly better here: {measured}. The temperature is served"
    return f"The temperature is served. The isotonic curve is not clearly better: {measured}"
