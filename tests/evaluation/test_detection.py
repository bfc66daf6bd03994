"""Areas are scikit-learn's, and intervals cover as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from atelier.evaluation.detection import (
    auroc,
    passing,
    passing_at,
    roc_points,
    threshold_keeping,
)


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 60))
def test_the_area_is_that_of_scikit_learn(seed, n, m):
    rng = np.random.default_rng(seed)
    known, unknown = rng.integers(0, 9, n).astype(float), rng.integers(0, 7, m).astype(float)
    found = auroc(known, unknown)
    labels = np.repeat([1, 0], [n, m])
    assert found.value == pytest.approx(roc_auc_score(labels, np.concatenate([known, unknown])))
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value <= found.high + 1e-9 <= 1 + 1e-8


@pytest.mark.parametrize("distance", [0.5, 2.5])
def test_the_interval_of_the_area_covers_it(distance):
    truth = norm.cdf(distance / np.sqrt(2))
    rng = np.random.default_rng(0)
    found = [auroc(rng.normal(distance, 1, 150), rng.normal(0, 1, 100)) for _ in range(300)]
    covered = sum(share.low <= truth <= share.high for share in found)
    assert 273 <= covered <= 298


def test_a_perfect_order_has_an_interval_too():
    found = auroc(np.arange(50.0) + 100, np.arange(30.0))
    assert found.value == found.high == 1
    assert 0.85 < found.low < 0.95


def test_the_threshold_keeps_what_is_to_be_kept_and_no_more():
    scores = np.arange(1.0, 101.0)
    threshold = threshold_keeping(scores)
    assert (scores >= threshold).mean() == 0.95
    assert passing(scores, threshold).value == 0.95
    assert threshold_keeping(np.array([3.0])) == 3


@pytest.mark.parametrize("distance", [1.0, 2.5])
def test_the_interval_of_what_passes_covers_it(distance):
    truth = norm.sf(norm.ppf(0.05) + distance)  # of unknown images at 0, known ones at `distance`
    rng = np.random.default_rng(0)
    found = [passing_at(rng.normal(distance, 1, 200), rng.normal(0, 1, 200)) for _ in range(200)]
    covered = sum(share.low <= truth <= share.high for share in found)
    assert covered >= 182


def test_nothing_that_passes_has_an_interval():
    found = passing_at(np.arange(100.0) + 50, np.zeros(40))
    assert found.value == found.low or found.low < 0.01
    assert found.value == 0
    assert 0.03 < found.high < 0.15


def test_the_curve_rises_from_corner_to_corner_and_has_its_area():
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(1, 1, 500), rng.normal(0, 1, 400)
    points = np.array(roc_points(known, unknown))
    assert tuple(points[0]) == (0, 0)
    assert tuple(points[-1]) == (1, 1)
    assert (np.diff(points, axis=0) >= 0).all()
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert area == pytest.approx(auroc(known, unknown).value, abs=0.01)
