"""By simulation: intervals hold the truth in 93 to 97 of 100 draws, and equal recipes are called
different in at most 5 of 100 comparisons."""

import functools

import numpy as np
import pytest
from scipy.stats import binomtest

from atelier.evaluation import (
    balanced_difference,
    holm,
    paired_bootstrap,
    seed_interval,
    tango_interval,
    wilson_interval,
)
from atelier.evaluation.pairs import correct, pair_up
from atelier.evaluation.significance import mean_proportion_interval
from atelier.predictions import Predictions


def covered(intervals, truth):
    return np.mean([low <= truth <= high for low, high in intervals])


@pytest.mark.parametrize(("n", "share"), [(10_000, 0.93), (500, 0.9), (100, 0.7), (60, 0.85)])
def test_wilson(n, share):
    draws = np.random.default_rng(0).binomial(n, share, 10_000)
    interval = functools.cache(wilson_interval)
    assert 0.93 <= covered((interval(s, n) for s in draws.tolist()), share) <= 0.97


@pytest.mark.parametrize(
    ("support", "recalls"),
    [
        ([1000] * 10, np.linspace(0.75, 0.98, 10)),
        ([80, 30, 14, 12, 50], [0.97, 0.9, 0.6, 0.5, 0.9]),
        ([200, 40, 40], [0.95, 0.8, 0.7]),
    ],
)
def test_balanced_accuracy(support, recalls):
    draws = np.random.default_rng(0).binomial(support, recalls, (1500, len(support)))
    intervals = [mean_proportion_interval(draw, support) for draw in draws]
    assert 0.93 <= covered(intervals, np.mean(recalls)) <= 0.97


@pytest.mark.parametrize(
    ("n", "only_a", "only_b"),
    [(10_000, 0.02, 0.018), (1000, 0.05, 0.03), (300, 0.1, 0.1), (100, 0.2, 0.05)],
)
def test_the_paired_difference_in_accuracy(n, only_a, only_b):
    shares = [only_a, only_b, 1 - only_a - only_b]
    draws = np.random.default_rng(0).multinomial(n, shares, size=1500)[:, :2]
    interval = functools.cache(tango_interval)
    intervals = (interval(a, b, n) for a, b in draws.tolist())
    assert 0.93 <= covered(intervals, only_a - only_b) <= 0.97


@pytest.mark.parametrize(
    ("support", "only_a", "only_b"),
    [
        ([1000] * 10, [0.02] * 10, [0.015] * 10),
        ([100] * 4, [0.02] * 4, [0.02] * 4),
        ([8, 15, 40, 60, 100], [0.12, 0.1, 0.06, 0.05, 0.03], [0.1, 0.08, 0.05, 0.06, 0.04]),
        ([30, 30, 200], [0.1, 0.05, 0.03], [0.06, 0.05, 0.05]),
        ([20] * 20, [0.03] * 20, [0.03] * 20),
    ],
)
def test_the_paired_difference_in_balanced_accuracy(support, only_a, only_b):
    rng = np.random.default_rng(0)
    drawn = [
        rng.multinomial(n, [a, b, 1 - a - b], size=3000)[:, :2]
        for n, a, b in zip(support, only_a, only_b, strict=True)
    ]
    a, b = np.stack(drawn).transpose(2, 1, 0)
    intervals = [balanced_difference(x, y, support)[1:] for x, y in zip(a, b, strict=True)]
    assert 0.93 <= covered(intervals, np.mean(only_a) - np.mean(only_b)) <= 0.97


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_mean_over_seeds(seeds):
    draws = np.random.default_rng(0).normal(0.93, 0.002, (1500, seeds))
    intervals = [seed_interval(draw)[1:] for draw in draws]
    assert 0.93 <= covered(intervals, 0.93) <= 0.97


def trained(rng, labels, accuracy, k):
    """What a model answers that is right with the same probability on images of a class."""
    wrong = (labels + rng.integers(1, k, len(labels))) % k
    answers = np.where(rng.random(len(labels)) < accuracy[labels], labels, wrong)
    names = tuple(map(str, range(k)))
    logits = np.eye(k, dtype=np.float32)[answers]
    return Predictions(np.arange(len(labels)), labels, logits, names)


def test_the_paired_bootstrap():
    rng, k = np.random.default_rng(0), 3
    support = np.array([150, 100, 60])
    labels = np.repeat(np.arange(k), support)
    one, other = np.array([0.9, 0.8, 0.7]), np.array([0.85, 0.82, 0.6])

    def macro_f1(recalls):
        """Of endless images: errors go to the other classes alike."""
        missed = support * (1 - recalls) / (k - 1)
        called = support * recalls + missed.sum() - missed
        return np.mean(2 * support * recalls / (support + called))

    truth = {
        "accuracy": np.average(one - other, weights=support),
        "balanced_accuracy": np.mean(one - other),
        "macro_f1": macro_f1(one) - macro_f1(other),
    }
    intervals = {name: [] for name in truth}
    for trial in range(500):
        models = [trained(rng, labels, own, k) for own in (one, other)]
        for name, drawn in paired_bootstrap(models, draws=400, seed=trial).items():
            intervals[name].append(drawn.difference(0, 1)[1:])
    for name, own in intervals.items():
        # 500 trials: a standard error of 1 point, and 400 draws are a little narrow.
        assert 0.92 <= covered(own, truth[name]) <= 0.975, name


PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


def test_equal_recipes_give_false_alarms_at_the_stated_rate():
    """Six pairs of four trainings of one recipe, on images of different difficulty."""
    rng = np.random.default_rng(0)
    trials, n = 1000, 400
    exact = functools.cache(lambda only, both: binomtest(only, both).pvalue if both else 1.0)
    by_pair, by_family = [], []
    for _ in range(trials):
        right = rng.random((4, n)) < rng.beta(4, 0.6, n)
        only = [((right[a] & ~right[b]).sum(), (right[a] ^ right[b]).sum()) for a, b in PAIRS]
        p = [exact(int(a), int(both)) for a, both in only]
        by_pair += [value < 0.05 for value in p]
        by_family.append(min(holm(p)) < 0.05)
    assert 0.02 < np.mean(by_pair) < 0.05
    assert np.mean(by_family) < 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


def test_further_seeds_give_no_false_alarm_that_the_first_did_not():
    rng = np.random.default_rng(0)
    alarms = {"first": 0, "all": 0}
    for _ in range(60):
        chance = rng.beta(4, 0.6, 200)
        a, b = ({seed: right_on(rng.random(200) < chance) for seed in range(3)} for _ in "ab")
        (pair,) = correct([pair_up("a", a, "b", b, pairs=1)])
        assert pair.verdict in (0, pair.primary.verdict)
        alarms["first"] += pair.primary.verdict != 0
        alarms["all"] += pair.verdict != 0
    assert alarms["all"] <= alarms["first"] <= 9


def right_on(correct_ones):
    labels = np.zeros(len(correct_ones), np.int64)
    logits = np.eye(2, dtype=np.float32)[(~correct_ones).astype(int)]
    return Predictions(np.arange(len(labels)), labels, logits, ("a", "b"))


def test_holm_holds_the_rate_of_any_false_alarm_where_one_hypothesis_is_false():
    rng = np.random.default_rng(0)
    p = rng.random((4000, 6))
    p[:, 0] = 1e-9
    alarms = [min(holm(row)[1:]) < 0.05 for row in p.tolist()]
    assert 0.035 < np.mean(alarms) < 0.06
