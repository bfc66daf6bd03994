"""How many images and seeds it takes, against statsmodels and by trial."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.power import TTestPower

from atelier.evaluation import (
    detectable_difference,
    images_needed,
    mcnemar_power,
    seeds_needed,
    seeds_power,
)


@pytest.mark.parametrize(
    ("difference", "discordant"), [(0.002, 0.05), (0.01, 0.05), (-0.05, 0.2), (0.1, 0.3)]
)
@pytest.mark.parametrize("level", [0.05, 0.05 / 15])
def test_so_many_images_find_the_difference_in_four_of_five_trials(difference, discordant, level):
    needed = images_needed(difference, discordant, level=level)
    # The exact test is more careful than the normal approximation behind the number.
    assert 0.75 < mcnemar_power(needed, difference, discordant, level=level) < 0.81


def test_the_power_is_that_of_trials():
    rng = np.random.default_rng(0)
    n, only_a, only_b, trials = 300, 0.12, 0.05, 4000
    drawn = rng.multinomial(n, [only_a, only_b, 1 - only_a - only_b], size=trials)[:, :2]
    pairs, times = np.unique(drawn, axis=0, return_counts=True)
    found = [binomtest(int(a), int(a + b)).pvalue < 0.05 for a, b in pairs]
    power = mcnemar_power(n, only_a - only_b, only_a + only_b)
    assert np.average(found, weights=times) == pytest.approx(power, abs=0.025)


def test_without_a_difference_the_power_is_the_rate_of_false_alarms():
    assert 0.02 < mcnemar_power(1000, 0.0, 0.08) < 0.05
    assert mcnemar_power(1000, 0.0, 0.0) == 0.0


@given(n=st.integers(200, 100_000), discordant=st.floats(0.02, 0.4))
def test_the_detectable_difference_needs_just_these_images(n, discordant):
    least = detectable_difference(n, discordant)
    if least is None:
        assert images_needed(discordant, discordant) > n
    else:
        assert abs(images_needed(least, discordant) - n) <= 1


@given(n=st.integers(2, 60), size=st.floats(0.05, 3))
def test_the_power_over_seeds_is_that_of_statsmodels(n, size):
    reference = TTestPower().power(effect_size=size, nobs=n, alpha=0.05)
    reference = 1.0 if np.isnan(reference) else reference  # as SciPy's noncentral t has it
    assert seeds_power(n, size, 1.0) == pytest.approx(reference, abs=1e-6)


@pytest.mark.parametrize("size", [0.2, 0.5, 1.0, 4.0])
def test_the_seeds_needed_are_those_of_statsmodels(size):
    reference = TTestPower().solve_power(effect_size=size, power=0.8, alpha=0.05)
    assert seeds_needed(-size, 1.0) == max(2, int(np.ceil(reference)))


def test_no_difference_has_no_number():
    assert images_needed(0.0, 0.1) is None
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(1e-6, 1.0) is None
    assert seeds_needed(0.1, 0.0) == 2
    assert detectable_difference(100, 0.0) is None
    with pytest.raises(ValueError, match="discordant"):
        images_needed(0.2, 0.1)
