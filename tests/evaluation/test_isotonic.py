"""The isotonic curve is scikit-learn's, changes no answer, and is kept with the run."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from atelier.errors import RunError
from atelier.evaluation import ece
from atelier.evaluation.isotonic import Isotonic, cross_isotonic, fit_isotonic, isotonic_of
from atelier.predictions import Predictions


def drawn(n, *, sharpness=2.5, num_classes=5, seed=0):
    """Predictions that are too sure: the truth is drawn from the logits over `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, num_classes))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probs.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    names = tuple(map(str, range(num_classes)))
    return Predictions(np.arange(n), labels, (sharpness * logits).astype(np.float32), names)


def test_it_mends_what_is_too_sure_and_agrees_with_scikit_learn():
    fitted, others = drawn(3000), drawn(3000, seed=1)
    curve = fit_isotonic(fitted)
    probs = curve.apply(others.probs)
    assert ece(probs, others.labels) < 0.3 * ece(others.probs, others.labels)
    theirs = IsotonicRegression(out_of_bounds="clip")
    theirs.fit(fitted.probs.max(axis=1), fitted.correct.astype(float))
    expected = theirs.predict(others.probs.max(axis=1))
    inner = (expected > 0.5) & (expected < 0.999)  # where no limit is met
    assert inner.sum() > 1000
    assert np.allclose(probs.max(axis=1)[inner], expected[inner], atol=2e-3)


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 7))
def test_probabilities_stay_probabilities_and_answers_stay(seed, n, num_classes):
    predictions = drawn(n, num_classes=num_classes, seed=seed, sharpness=40)
    probs = fit_isotonic(predictions).apply(predictions.probs)
    assert np.allclose(probs.sum(axis=1), 1)
    assert (probs >= 0).all()
    top = probs[np.arange(n), predictions.probs.argmax(axis=1)]
    assert (top >= probs.max(axis=1) - 1e-12).all()


def test_no_image_is_judged_by_itself():
    predictions = drawn(200)
    crossed = cross_isotonic(predictions)
    changed = predictions.labels.copy()
    first = int(np.argmax(predictions.correct))
    changed[first] = (changed[first] + 1) % 5
    other = Predictions(predictions.ids, changed, predictions.logits, predictions.classes)
    assert np.array_equal(cross_isotonic(other)[first], crossed[first])
    assert not np.array_equal(cross_isotonic(other), crossed)


def test_what_cannot_be_fitted_is_not():
    assert fit_isotonic(drawn(1)) is None


def test_it_is_kept_and_a_damaged_one_is_refused(own_run):
    assert isotonic_of(own_run) is None
    curve = fit_isotonic(drawn(100))
    curve.save(own_run.path)
    assert isotonic_of(own_run) == curve
    path = own_run.path / "isotonic.json"
    for bad in (
        {"confidence": [0.1]},
        {"confidence": [0.2, 0.1], "accuracy": [0, 1], "images": 2},
        {"confidence": [0.1, 0.2], "accuracy": [0, float("nan")], "images": 2},
    ):
        path.write_text(json.dumps(bad))
        with pytest.raises(RunError, match="atelier uncertainty"):
            isotonic_of(own_run)


def test_a_flat_curve_leaves_the_likeliest_on_top():
    flat = Isotonic((0.0, 1.0), (0.3, 0.3), 10)
    probs = flat.apply(np.array([[0.55, 0.4, 0.05]]))
    assert probs.argmax() == 0
