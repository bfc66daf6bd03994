"""Calibration errors are what they say, and their intervals cover as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from atelier.evaluation import ece
from atelier.evaluation.reliability import brier, calibration_error, reliability_bins


def answers(n, *, off=0.0, seed=0):
    """Confidences and whether each was right; the true share of right ones is lower by `off`."""
    rng = np.random.default_rng(seed)
    confidence = 0.4 + 0.6 * rng.beta(4, 1, n)
    return confidence, rng.random(n) < confidence - off


@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(2, 6))
def test_the_value_is_that_of_the_evaluation(seed, n, num_classes):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(num_classes), n)
    labels = rng.integers(num_classes, size=n)
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = reliability_bins(confidence, correct)
    gaps = sum(point.images * abs(point.accuracy - point.confidence) for point in bins)
    assert gaps / n == pytest.approx(ece(probs, labels))
    assert sum(point.images for point in bins) == n
    assert all(point.low <= point.accuracy <= point.high for point in bins)


def test_bins_of_equal_mass_hold_as_many_images_and_keep_equal_confidences_together():
    confidence, correct = answers(3000)
    counts = [b.images for b in reliability_bins(confidence, correct, equal_mass=True)]
    assert len(counts) == 15
    assert all(abs(count - 200) <= 1 for count in counts)
    same = np.where(np.arange(3000) < 2500, 1.0, confidence)
    bins = reliability_bins(same, correct, equal_mass=True)
    assert 2500 <= bins[-1].images <= 2700


@pytest.mark.parametrize("equal_mass", [False, True])
@pytest.mark.parametrize("off", [0.0, 0.05])
def test_the_interval_covers_the_true_error(off, equal_mass):
    """The true error is `off`, for the model is too sure by it everywhere."""
    found = [
        calibration_error(*answers(400, off=off, seed=seed), equal_mass=equal_mass, seed=seed)
        for seed in range(40)
    ]
    covered = sum(error.low <= off <= error.high for error in found)
    assert covered >= 34
    assert all(error.low <= error.value <= error.high for error in found)


def test_chance_explains_the_error_of_a_model_that_is_right_and_not_of_one_that_is_not():
    right = calibration_error(*answers(2000))
    assert right.low < 0.005
    assert right.value == pytest.approx(right.by_chance, abs=0.01)
    wrong = calibration_error(*answers(2000, off=0.1))
    assert wrong.low > 3 * wrong.by_chance


def test_one_image_has_an_error_too():
    error = calibration_error(np.array([0.8]), np.array([True]))
    assert error.value == pytest.approx(0.2)
    assert 0 <= error.low <= error.high <= 1


def test_brier_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(4), 300)
    labels = rng.integers(4, size=300)
    expected = brier_score_loss(labels, probs, labels=range(4), scale_by_half=False)
    assert brier(probs, labels) == pytest.approx(expected)
