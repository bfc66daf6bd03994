"""The tests and intervals, against values from the books and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from atelier.evaluation import alpaydin_f, holm, mcnemar_exact, seed_interval, wilson_interval
from atelier.evaluation.significance import mean_proportion_interval

probabilities = st.floats(0, 1)


def from_counts(both, only_a, only_b, neither):
    """Two boolean arrays with these four counts."""
    a = [True] * both + [True] * only_a + [False] * only_b + [False] * neither
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a, bool), np.array(b, bool)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_wilson_interval_has_the_published_values(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(n=st.integers(1, 20_000), share=probabilities)
def test_the_wilson_interval_holds_the_estimate_stays_a_share_and_agrees_with_scipy(n, share):
    successes = round(share * n)
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    reference = binomtest(successes, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=1e-9)


@given(n=st.integers(1, 500), share=probabilities)
def test_the_interval_of_one_proportion_is_wilsons(n, share):
    successes = round(share * n)
    assert mean_proportion_interval([successes], [n]) == pytest.approx(
        wilson_interval(successes, n), abs=1e-12
    )


@given(st.lists(st.tuples(st.integers(1, 60), probabilities), min_size=1, max_size=12))
def test_the_interval_of_a_mean_of_proportions_holds_it(parts):
    trials = [n for n, _ in parts]
    successes = [round(n * share) for n, share in parts]
    low, high = mean_proportion_interval(successes, trials)
    mean = np.mean([s / n for s, n in zip(successes, trials, strict=True)])
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1
    assert low < high


def test_the_interval_of_a_mean_covers_in_95_of_100_draws():
    rng = np.random.default_rng(0)
    true, trials = np.array([0.97, 0.9, 0.6, 0.5, 0.99]), np.array([80, 30, 14, 12, 50])
    draws = rng.binomial(trials, true, size=(2000, 5))
    intervals = [mean_proportion_interval(draw, trials) for draw in draws]
    covered = np.mean([low <= true.mean() <= high for low, high in intervals])
    assert 0.94 <= covered <= 0.97


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (3, 2), (-1, 2)])
def test_an_impossible_proportion_is_refused(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, n)


def test_mcnemar_is_the_binomial_computed_by_hand():
    # 1 and 5 of 6: 2 * (C(6,0) + C(6,1)) / 2**6 = 14 / 64
    assert mcnemar_exact(*from_counts(50, 1, 5, 9)) == pytest.approx(14 / 64)
    # 2 and 10 of 12: 2 * (1 + 12 + 66) / 4096
    assert mcnemar_exact(*from_counts(3, 10, 2, 0)) == pytest.approx(158 / 4096)


def test_two_models_right_on_the_same_images_do_not_differ():
    assert mcnemar_exact(*from_counts(10, 0, 0, 3)) == 1.0
    assert mcnemar_exact(*from_counts(10, 4, 4, 3)) == 1.0


def test_mcnemar_needs_the_same_images():
    with pytest.raises(ValueError, match="same images"):
        mcnemar_exact(np.ones(3, bool), np.ones(4, bool))


@given(*[st.integers(0, 40)] * 4)
def test_mcnemar_sees_neither_the_order_nor_the_images_on_which_both_agree(
    both, only_a, only_b, neither
):
    a, b = from_counts(both, only_a, only_b, neither)
    order = np.random.default_rng(both).permutation(len(a))
    p = mcnemar_exact(a, b)
    assert 0 < p <= 1
    assert p == mcnemar_exact(b, a) == mcnemar_exact(a[order], b[order])
    assert p == mcnemar_exact(*from_counts(0, only_a, only_b, 0))


def test_two_equal_models_are_called_different_in_at_most_5_percent_of_trials():
    rng = np.random.default_rng(0)
    n, trials = 400, 1000
    easy = rng.random((trials, n)) < 0.7  # images that both models get right make them alike
    a, b = (easy | (rng.random((trials, n)) < 0.4) for _ in range(2))
    alarms = sum(mcnemar_exact(x, y) < 0.05 for x, y in zip(a, b, strict=True))
    # The exact test keeps below its level; three standard errors above 5 % would be 7.1 %.
    assert 0.01 * trials < alarms < 0.071 * trials


def test_holm_has_the_values_of_the_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(probabilities, max_size=12), st.randoms(use_true_random=False))
def test_holm_never_lowers_a_p_value_keeps_their_order_and_does_not_mind_theirs(raw, random):
    adjusted = holm(raw)
    assert all(r <= a <= 1 for r, a in zip(raw, adjusted, strict=True))
    in_order = [a for _, a in sorted(zip(raw, adjusted, strict=True))]
    assert in_order == sorted(in_order)
    shuffled = random.sample(range(len(raw)), len(raw))
    assert holm([raw[i] for i in shuffled]) == pytest.approx([adjusted[i] for i in shuffled])


def test_the_seed_interval_is_students():
    # t(0.975, 2) = 4.302653; mean 2, standard error 1 / sqrt(3)
    mean, low, high = seed_interval([1.0, 2.0, 3.0])
    half = 4.302653 / math.sqrt(3)
    assert (mean, low, high) == pytest.approx((2, 2 - half, 2 + half), abs=1e-5)


def test_one_seed_has_no_interval_and_no_seed_no_mean():
    mean, low, high = seed_interval([0.9])
    assert mean == 0.9
    assert math.isnan(low)
    assert math.isnan(high)
    with pytest.raises(ValueError, match="no values"):
        seed_interval([])


def test_holm_and_wilson_agree_with_statsmodels():
    from statsmodels.stats.multitest import multipletests
    from statsmodels.stats.proportion import proportion_confint

    p = np.random.default_rng(0).random(12) ** 3
    assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    for successes, n in ((0, 5), (9, 10), (9_312, 10_000)):
        reference = proportion_confint(successes, n, method="wilson")
        assert wilson_interval(successes, n) == pytest.approx(reference, abs=1e-9)


def test_the_f_of_five_times_two_folds_is_computed_by_hand():
    # Means 1, variances 2 * 0.5**2 = 0.5: squares 5 * (2.25 + 0.25) over 2 * 5 * 0.5.
    value, p = alpaydin_f([[1.5, 0.5]] * 5)
    assert value == pytest.approx(12.5 / 5)
    # Alpaydin 1999, figure 1: F of 10 and 5 degrees of freedom, whose 95 % point is 4.74.
    assert p > 0.05
    assert alpaydin_f([[1 + x, 1 - x] for x in [0.3246] * 5])[0] == pytest.approx(5.245, abs=1e-2)
    assert alpaydin_f(np.zeros((5, 2))) == (0.0, 1.0)
    assert alpaydin_f(np.ones((5, 2))) == (math.inf, 0.0)
    with pytest.raises(ValueError, match="shape"):
        alpaydin_f(np.zeros((2, 5)))


def test_the_f_of_five_times_two_folds_keeps_its_level():
    rng = np.random.default_rng(0)
    alarms = [alpaydin_f(table)[1] < 0.05 for table in rng.normal(size=(2000, 5, 2))]
    # Numerator and denominator share their data, which makes the test careful (Alpaydin 1999).
    assert 0.005 < np.mean(alarms) < 0.05
