from __future__ import annotations

import numpy as np
import pytest

from atelier.monitoring.shifts import (
    Permuted,
    class_shift,
    kernel_features,
    number_shift,
    whitened,
)


def groups(n: int, m: int) -> np.ndarray:
    return np.repeat([False, True], [m, n])


def mean_shift(reference: np.ndarray, traffic: np.ndarray, **options: object) -> float:
    test = Permuted(groups(len(traffic), len(reference)), permutations=199, **options)  # type: ignore[arg-type]
    test.add_features("x", whitened(np.concatenate([reference, traffic])))
    return test.shifts()["x"].p


def test_shares_of_classes() -> None:
    rng = np.random.default_rng(0)
    same = [rng.integers(0, 5, n) for n in (3000, 1000)]
    assert class_shift(*same, 5).p > 0.05
    other = rng.choice(5, 1000, p=[0.3, 0.175, 0.175, 0.175, 0.175])
    found = class_shift(same[0], other, 5)
    assert found.p < 1e-6
    assert found.effect == pytest.approx(0.1, abs=0.03)


def test_shares_of_rare_classes_do_not_cry_wolf() -> None:
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shares = 0.5 ** np.arange(1, 31)
        drawn = [rng.choice(30, n, p=shares / shares.sum()) for n in (400, 80)]
        alarms += class_shift(*drawn, 30).p < 0.05
    assert alarms <= 8  # of 60 at 5 %: more have a chance of 1 %


def test_one_class_alone_is_no_shift() -> None:
    ones = np.zeros(60, np.int64)
    assert class_shift(ones, ones, 3).p == 1
    assert class_shift(ones, ones + 1, 3).p < 1e-6


def test_numbers() -> None:
    rng = np.random.default_rng(0)
    assert number_shift(rng.normal(size=800), rng.normal(size=500)).p > 0.05
    found = number_shift(rng.normal(size=800), rng.normal(0.5, 1, 500))
    assert found.p < 1e-6
    assert found.effect == pytest.approx(0.2, abs=0.06)


def test_p_values_of_permutations_are_right_where_nothing_differs() -> None:
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        images = rng.standard_t(3, (150, 6))  # heavy tails, which an F distribution would not hold
        found.append(mean_shift(images[:100], images[100:], seed=seed))
    assert sum(p <= 0.05 for p in found) <= 8
    assert 0.3 < np.median(found) < 0.7
    assert min(found) >= 1 / 200


def test_a_shifted_mean_is_found_in_whatever_direction() -> None:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(6, 6))
    reference, traffic = rng.normal(size=(300, 6)) @ mix, rng.normal(size=(200, 6)) @ mix
    assert mean_shift(reference, traffic) > 0.05
    assert mean_shift(reference, traffic + 0.5 * mix[3]) == 1 / 200


def test_the_kernel_sees_what_leaves_the_mean() -> None:
    rng = np.random.default_rng(0)
    reference, traffic = rng.normal(size=(400, 3)), 1.6 * rng.normal(size=(300, 3))
    assert mean_shift(reference, traffic) > 0.05
    is_traffic = groups(300, 400)
    test = Permuted(is_traffic, permutations=199)
    test.add_features("x", kernel_features(np.concatenate([reference, traffic]), is_traffic))
    assert test.shifts()["x"].p == 1 / 200


def test_within_classes_other_shares_are_no_change() -> None:
    rng = np.random.default_rng(0)
    classes = np.concatenate([rng.integers(0, 2, 400), rng.random(300) < 0.8]).astype(np.int64)
    values = rng.normal(3.0 * classes, 1)
    is_traffic = groups(300, 400)
    for strata, changed in ((None, True), (classes, False)):
        test = Permuted(is_traffic, strata, permutations=199)
        test.add_features("mean", whitened(values[:, None]))
        test.add_number("distribution", values)
        found = test.shifts()
        assert all((shift.p < 0.05) == changed for shift in found.values()), found
    test = Permuted(is_traffic, classes, permutations=199)
    test.add_number("distribution", values + is_traffic)
    assert test.shifts()["distribution"].p < 0.05


def test_the_permuted_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(0)
    reference, traffic = rng.integers(0, 9, 200), rng.integers(2, 11, 120)  # with equal numbers
    test = Permuted(groups(120, 200), permutations=49)
    test.add_number("x", np.concatenate([reference, traffic]))
    assert test.shifts()["x"].effect == pytest.approx(number_shift(reference, traffic).effect)


def test_the_same_question_has_the_same_answer_in_pieces_of_any_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from atelier.monitoring import shifts

    rng = np.random.default_rng(0)
    values = rng.normal(size=(120, 2))

    def ask() -> float:
        return mean_shift(values[:80], values[80:])

    whole = ask()
    assert ask() == whole
    monkeypatch.setattr(shifts, "_AT_ONCE", 1000)
    assert ask() == pytest.approx(whole, abs=0.15)  # other permutations, the same question


def test_directions_that_do_not_vary_are_left_out() -> None:
    constant = np.full((50, 3), 7.0)
    assert whitened(constant).shape[0] == 50
    assert np.isfinite(whitened(constant)).all()
    assert np.isfinite(kernel_features(constant, groups(20, 30))).all()
