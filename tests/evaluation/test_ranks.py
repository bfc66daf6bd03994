"""Ranks over blocks, against published values, SciPy and by trial."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f, friedmanchisquare, wilcoxon

from atelier.evaluation import critical_difference, friedman_p, rank_over_blocks, wilcoxon_p


def test_demsars_example_has_his_critical_difference():
    # Section 3.2.2: four models, 14 data sets: 2.569 * sqrt(4 * 5 / (6 * 14)) = 1.25.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


# Demsar 2006, table 5 (a), level 0.05, for 2 to 10 models.
PUBLISHED = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)


@pytest.mark.parametrize(("models", "q"), list(enumerate(PUBLISHED, start=2)))
def test_the_critical_values_are_the_published_ones(models, q):
    scale = (models * (models + 1) / (6 * 12)) ** 0.5
    assert critical_difference(models, 12) / scale == pytest.approx(q, abs=1.1e-3)


def test_friedman_is_the_form_of_iman_and_davenport():
    table = np.random.default_rng(0).normal([0, 0.4, 0.8, 0], 1, (14, 4))
    ranks = table.argsort(axis=1).argsort(axis=1).mean(axis=0) + 1
    statistic = 12 * 14 / (4 * 5) * ((ranks**2).sum() - 4 * 5**2 / 4)
    assert friedmanchisquare(*table.T).statistic == pytest.approx(statistic, abs=1e-9)
    value = 13 * statistic / (14 * 3 - statistic)
    assert friedman_p(table) == pytest.approx(f.sf(value, 3, 39), abs=1e-12)
    assert friedman_p(np.ones((5, 3))) == 1.0
    # Ranks of all blocks alike: the exact share of such tables, one of 3! in each further block.
    assert friedman_p([[3, 2, 1]] * 4) == pytest.approx(6.0**-3)


@given(st.lists(st.floats(-5, 5).filter(bool), min_size=1, max_size=30, unique_by=abs))
def test_wilcoxon_without_ties_is_scipys(differences):
    rounded = np.round(differences, 12)
    if len(np.unique(np.abs(rounded))) < len(rounded) or not rounded.all():
        return
    reference = wilcoxon(rounded, method="exact").pvalue
    assert wilcoxon_p(differences) == pytest.approx(reference, abs=1e-9)


def test_wilcoxon_with_ties_is_counted_over_all_signs():
    # |d| = 1, 1, 2 with ranks 1.5, 1.5, 3: all positive is 6, as far out as all negative: 2 of 8.
    assert wilcoxon_p([1, 1, 2]) == pytest.approx(2 / 8)
    assert wilcoxon_p([0.0, 0.0]) == 1.0
    assert wilcoxon_p([0.1 + 0.2 - 0.3, 0.0]) == 1.0  # rounding is no difference


def test_equal_models_are_seldom_called_apart():
    rng = np.random.default_rng(0)
    tables = rng.normal(size=(600, 10, 4)) + rng.normal(size=(600, 10, 1))
    tests = {
        "Friedman": [friedman_p(table) < 0.05 for table in tables],
        "Wilcoxon": [wilcoxon_p(table[:, 0] - table[:, 1]) < 0.05 for table in tables],
        "Nemenyi": [
            np.ptp(table.argsort(1).argsort(1).mean(0)) > critical_difference(4, 10)
            for table in tables
        ],
    }
    for name, alarms in tests.items():
        assert 0.01 < np.mean(alarms) < 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5, name


def test_who_is_under_one_bar():
    scores = np.array([[4, 3.9, 2, 1]] * 30) + np.random.default_rng(0).normal(0, 0.4, (30, 4))
    ranking = rank_over_blocks("abcd", scores, blocks="seeds")
    assert ranking.names[2:] == ("c", "d")
    assert ranking.groups == ((0, 1),)
    apart = {frozenset((pair.a, pair.b)) for pair in ranking.pairs if pair.p_holm < 0.05}
    assert apart == {frozenset(p) for p in itertools.combinations("abcd", 2)} - {frozenset("ab")}


@pytest.mark.parametrize("wrong", [[[1, 2]], [[1, 2, 3]] * 3, [[1, np.nan]] * 3, [1, 2]])
def test_what_cannot_be_ranked_is_refused(wrong):
    with pytest.raises(ValueError, match=r"shape|no number"):
        rank_over_blocks("ab", wrong)
