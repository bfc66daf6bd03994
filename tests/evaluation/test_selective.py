"""Risk-coverage curves by hand, and what must hold of all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.evaluation.selective import risk_coverage, sureness_of


def test_a_curve_by_hand():
    correct = np.array([True, False, True, False])
    curve = risk_coverage("x", np.array([0.9, 0.8, 0.7, 0.6]), correct)
    assert curve.risk[24] == 0
    assert curve.risk[49] == 1 / 2
    assert curve.risk[-1] == 1 / 2
    assert curve.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert curve.excess == pytest.approx(curve.aurc - (0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert curve.accuracy_at(1) == 1 / 2


def test_equal_sureness_is_the_mean_over_orders():
    curve = risk_coverage("x", np.zeros(4), np.array([True, True, False, True]))
    assert set(curve.risk) == {0.25}
    assert curve.aurc == pytest.approx(0.25)


@given(st.integers(0, 10_000), st.integers(1, 80))
def test_no_order_beats_the_best(seed, n):
    rng = np.random.default_rng(seed)
    correct = rng.random(n) < 0.7
    curve = risk_coverage("x", rng.integers(0, 5, n).astype(float), correct)
    best = risk_coverage("x", correct.astype(float), correct)
    assert best.excess == pytest.approx(0, abs=1e-12)
    assert curve.aurc >= best.aurc - 1e-12
    assert curve.excess == pytest.approx(curve.aurc - best.aurc, abs=1e-12)
    assert curve.low <= curve.aurc <= curve.high
    assert curve.risk[-1] == pytest.approx(1 - correct.mean())


def test_the_interval_covers_the_area_of_many_images():
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sureness = rng.random(300)
        curve = risk_coverage("x", sureness, rng.random(300) < 0.6 + 0.4 * sureness)
        # At coverage c the surest err in 0.2 * c of the cases: on average in 0.1.
        covered += curve.low <= 0.1 <= curve.high
    assert covered >= 51


def test_the_surest_of_each_score_is_the_certain_one():
    probs = np.array([[0.4, 0.3, 0.3], [1.0, 0.0, 0.0], [0.5, 0.49, 0.01]])
    found = sureness_of(probs)
    assert {name: int(values.argmax()) for name, values in found.items()} == {
        "probability": 1,
        "margin": 1,
        "entropy": 1,
    }
    assert found["margin"][2] == pytest.approx(0.01)
    assert found["entropy"][1] == 0
