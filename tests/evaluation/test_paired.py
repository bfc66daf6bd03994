"""Sizes of paired differences, against published values and independent computations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from atelier.evaluation import balanced_difference, mcnemar_exact, paired_effect, tango_interval

counts = st.integers(0, 60)


def test_the_score_interval_has_the_published_values():
    # Fagerland, Lydersen & Laake 2014, Statistics in Medicine 33: airways before and after
    # transplantation, 21 children, 1 and 7 discordant: -0.286 (-0.517 to -0.026).
    effect = paired_effect(1, 7, 21)
    assert effect.difference == pytest.approx(-0.286, abs=5e-4)
    assert effect.interval == pytest.approx((-0.517, -0.026), abs=5e-4)


@given(only_a=st.integers(0, 30), only_b=st.integers(0, 30), more=st.integers(1, 60))
def test_the_ends_of_the_score_interval_are_where_the_score_test_turns(only_a, only_b, more):
    """Tango's statistic with the constrained maximum found numerically, from the likelihood."""
    n = only_a + only_b + more

    def statistic(difference):
        # Share only b, with share only a = that + difference.
        def loss(share):
            cells = np.array([share + difference, share, 1 - 2 * share - difference])
            seen = np.array([only_a, only_b, more])
            if (cells < 0).any() or ((cells == 0) & (seen > 0)).any():
                return np.inf
            kept = seen > 0
            return -(seen[kept] * np.log(cells[kept])).sum()

        low, high = max(0.0, -difference), (1 - difference) / 2
        found = minimize_scalar(
            loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
        )
        variance = (2 * found.x + difference - difference**2) / n
        return ((only_a - only_b) / n - difference) / np.sqrt(variance)

    low, high = tango_interval(only_a, only_b, n)
    assert low <= (only_a - only_b) / n <= high
    assert statistic(low) == pytest.approx(1.959964, abs=2e-3)
    assert statistic(high) == pytest.approx(-1.959964, abs=2e-3)


@given(only_a=counts, only_b=counts, more=counts)
def test_effects_are_mirrored_when_the_models_change_places(only_a, only_b, more):
    n = only_a + only_b + more + 1
    one, other = paired_effect(only_a, only_b, n), paired_effect(only_b, only_a, n)
    assert one.difference == -other.difference
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-9)
    assert -1 <= one.interval[0] <= one.difference <= one.interval[1] <= 1
    assert one.size == other.size
    if only_a + only_b:
        exact = binomtest(only_a, only_a + only_b).proportion_ci(method="exact")
        low, high = one.odds_interval
        assert low == pytest.approx(exact.low / (1 - exact.low), rel=1e-6)
        assert high is None or high == pytest.approx(exact.high / (1 - exact.high), rel=1e-6)
        assert one.cohens_g == pytest.approx(only_a / (only_a + only_b) - 0.5)


@given(only_a=counts, only_b=counts, more=counts)
def test_mcnemar_agrees_with_statsmodels(only_a, only_b, more):
    a = np.repeat([True, False, True], [only_a, only_b, more])
    b = np.repeat([False, True, True], [only_a, only_b, more])
    reference = mcnemar([[more, only_a], [only_b, 0]], exact=True).pvalue
    assert mcnemar_exact(a, b) == pytest.approx(min(1.0, reference), abs=1e-9)


def test_one_class_of_many_images_has_nearly_the_score_interval():
    mean, low, high = balanced_difference([310], [250], [10_000])
    assert mean == pytest.approx(0.006)
    assert (low, high) == pytest.approx(tango_interval(310, 250, 10_000), abs=5e-5)


def test_two_models_that_never_differ_have_a_width_all_the_same():
    mean, low, high = balanced_difference([0, 0], [0, 0], [5, 400])
    assert mean == 0
    assert -0.3 < low < -0.05
    assert high == pytest.approx(-low)
    effect = paired_effect(0, 0, 50)
    assert effect.interval[0] < 0 < effect.interval[1]
    assert (effect.cohens_g, effect.odds_ratio) == (None, None)
    assert effect.odds_interval == (0.0, None)


@pytest.mark.parametrize("wrong", [(-1, 2, 5), (4, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(wrong):
    with pytest.raises(ValueError, match="images"):
        paired_effect(*wrong)
