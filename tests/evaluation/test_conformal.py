"""Sets hold the true class as often as promised, on average over all that is drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from atelier.errors import ConfigError, RunError
from atelier.evaluation.conformal import (
    METHODS,
    conformal_of,
    coverage_of,
    cross_conformal,
    fit_conformal,
)
from atelier.predictions import Predictions


def drawn(n, *, num_classes=6, seed=0, off=1.0):
    """Probabilities that are wrong on purpose, with labels from the right ones."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(n, num_classes)) + np.linspace(0, 1, num_classes)
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    wrong = np.exp(off * logits)
    return wrong / wrong.sum(axis=1, keepdims=True), labels.astype(np.int64)


@pytest.mark.parametrize("off", [0.4, 3.0])
@pytest.mark.parametrize("method", METHODS)
def test_the_promise_holds_however_wrong_the_probabilities_are(method, off):
    shares = []
    for seed in range(40):
        probs, labels = drawn(1500, seed=seed, off=off)
        rule = fit_conformal(probs[:500], labels[:500], 0.9, method)
        sets = rule.sets(probs[500:])
        shares.append(sets[np.arange(1000), labels[500:]].mean())
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) > 0.9 - 3 * error
    # No more than the promise but for ties, and for the small samples of single classes.
    assert np.mean(shares) < (0.93 if method == "lac by class" else 0.905) + 3 * error


def test_by_class_the_promise_holds_for_each():
    covered, images = np.zeros(6), np.zeros(6)
    for seed in range(20):
        probs, labels = drawn(2000, seed=seed)
        sets = fit_conformal(probs[:1000], labels[:1000], 0.9, "lac by class").sets(probs[1000:])
        held = sets[np.arange(1000), labels[1000:]]
        covered += np.bincount(labels[1000:], weights=held, minlength=6)
        images += np.bincount(labels[1000:], minlength=6)
    assert (covered / images > 0.885).all()


def test_the_quantile_is_the_one_of_finite_samples():
    probs = np.array([[1 - k / 100, k / 100] for k in range(1, 20)])
    rule = fit_conformal(probs, np.zeros(19, np.int64), 0.9)
    assert rule.thresholds[0] == pytest.approx(0.18)  # the 18th of 19, for 0.9 * 20 = 18
    assert fit_conformal(probs, np.zeros(19, np.int64), 0.95).thresholds[0] == pytest.approx(0.19)


def test_too_few_images_exclude_nothing():
    probs, labels = drawn(10)
    rule = fit_conformal(probs, labels, 0.95)
    assert rule.thresholds == (None,) * 6
    assert rule.sets(probs).all()


@given(st.integers(0, 5000), st.sampled_from(METHODS), st.integers(2, 8), st.floats(0.5, 0.99))
def test_more_is_promised_by_larger_sets_and_likelier_classes_come_first(seed, method, k, level):
    probs, labels = drawn(60, num_classes=k, seed=seed)
    small = fit_conformal(probs, labels, level / 2, method).sets(probs)
    large = fit_conformal(probs, labels, level, method).sets(probs)
    assert not (small & ~large).any()
    if method != "lac by class":
        order = np.argsort(-probs, axis=1)
        ranked = np.take_along_axis(large, order, axis=1)
        assert not (ranked[:, 1:] & ~ranked[:, :-1]).any()
    if method in ("aps", "raps"):
        assert large.any(axis=1).all()


def test_of_what_is_judged_by_others_no_image_judges_itself():
    probs, labels = drawn(800)
    predictions = Predictions(
        np.arange(800), labels, np.log(probs).astype(np.float32), tuple("abcdef")
    )
    held = cross_conformal(predictions, 0.9, "lac")[np.arange(800), labels].mean()
    assert 0.86 < held < 0.94


def test_counts_by_hand():
    sets = np.array([[True, False], [True, True], [False, False], [False, True]])
    found = coverage_of(
        sets, np.array([0, 0, 0, 1]), ("a", "b"), method="lac", level=0.5, fitted_on=19
    )
    assert (found.covered, found.share, found.sizes) == (3, 0.75, (1, 2, 1))
    assert found.mean_size == 1
    assert [row.covered for row in found.per_class] == [2, 1]
    assert found.per_class[0].sizes == (1, 1, 1, 0, 0)
    assert found.worst.name == "a"
    spread = betabinom(4, 10, 10)
    assert found.expected == (spread.ppf(0.025) / 4, spread.ppf(0.975) / 4)


def test_measured_coverage_lies_where_it_is_expected():
    inside = 0
    for seed in range(60):
        probs, labels = drawn(900, seed=seed)
        sets = fit_conformal(probs[:300], labels[:300], 0.9).sets(probs[300:])
        found = coverage_of(
            sets, labels[300:], tuple("abcdef"), method="lac", level=0.9, fitted_on=300
        )
        inside += found.expected[0] <= found.share <= found.expected[1]
    assert inside >= 52


def test_a_level_out_of_range_and_a_run_that_held_out_nothing_are_refused(own_run):
    with pytest.raises(ConfigError, match="out of range"):
        conformal_of(own_run, 1.0)
    assert conformal_of(own_run, 0.9).images == len(own_run.predictions("validation"))
    metrics = own_run.path / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"validation_images": ', '"was": '))
    with pytest.raises(RunError, match=r"train\.validation_share"):
        conformal_of(own_run, 0.9)
