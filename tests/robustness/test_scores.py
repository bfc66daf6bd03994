"""Mean corruption errors, by hand and by their intervals."""

import numpy as np
import pytest

from atelier.robustness.scores import ReferenceErrors, mean_accuracy, mean_corruption_error


def answers(*shares, n=100):
    """(S, N) of which these shares are right, the first images before the others."""
    return np.stack([np.arange(n) < round(share * n) for share in shares])


CORRECT = {"noise": answers(0.8, 0.6), "mirror": answers(0.5)}
CLEAN = answers(0.9)[0]


def test_the_mean_is_over_severities_and_then_over_corruptions():
    found = mean_accuracy(CORRECT)
    assert found.value == pytest.approx((0.7 + 0.5) / 2)
    assert found.low < found.value < found.high
    assert found == mean_accuracy(CORRECT)


def test_mce_is_that_of_the_paper():
    reference = ReferenceErrors(0.05, {"noise": (0.1, 0.2), "mirror": (0.25,)}, "another")
    found = mean_corruption_error(CORRECT, CLEAN, reference)
    assert found.by_corruption == pytest.approx({"noise": 0.6 / 0.3, "mirror": 0.5 / 0.25})
    assert found.mce.value == pytest.approx(2)
    # Relative: of noise (0.6 - 0.2) / (0.3 - 0.1), of the mirror (0.5 - 0.1) / (0.25 - 0.05).
    assert found.relative == pytest.approx(2)
    assert found.mce.low < 2 < found.mce.high
    assert found.reference == "another"


def test_a_run_beside_itself_is_exactly_one():
    errors = {name: tuple((~rows).mean(axis=1)) for name, rows in CORRECT.items()}
    own = ReferenceErrors(0.1, errors, "itself", CORRECT)
    found = mean_corruption_error(CORRECT, CLEAN, own)
    assert (found.mce.value, found.mce.low, found.mce.high) == pytest.approx((1, 1, 1))
    assert found.relative == pytest.approx(1)


def test_answers_to_the_same_images_make_the_interval_narrower():
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.3
    own, other = ~(hard & (rng.random(400) < 0.9)), ~hard
    errors = {"noise": (float((~other).mean()),)}
    ends = []
    for known in (None, {"noise": other[None]}):
        reference = ReferenceErrors(0.1, errors, "r", known)
        found = mean_corruption_error({"noise": own[None]}, own, reference).mce
        ends.append(found.high - found.low)
    assert ends[1] < ends[0] / 2


def test_a_reference_without_errors_divides_by_half_an_error():
    reference = ReferenceErrors(0.0, {"noise": (0.0, 0.0), "mirror": (0.0,)}, "perfect")
    found = mean_corruption_error(CORRECT, CLEAN, reference)
    assert found.by_corruption["mirror"] == pytest.approx(0.5 / 0.005)
    assert np.isfinite([found.mce.value, found.mce.low, found.mce.high, found.relative]).all()


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        correct = {"noise": rng.random((5, 200)) < 0.7, "blur": rng.random((5, 200)) < 0.9}
        found = mean_accuracy(correct, seed=seed)
        held += found.low <= 0.8 <= found.high
    assert 34 <= held <= 40
