"""Scores on drawn images: what they are, and that their intervals hold what they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from atelier.evaluation import evaluate_predictions, paired_bootstrap
from atelier.predictions import Predictions


def predictions(labels, answers, k):
    logits = np.eye(k, dtype=np.float32)[answers]
    return Predictions(np.arange(len(labels)), labels, logits, tuple(map(str, range(k))))


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 80))
def test_scores_are_those_of_an_evaluation(seed, k, n):
    rng = np.random.default_rng(seed)
    labels, *answers = rng.integers(k, size=(4, n))
    models = [predictions(labels, own, k) for own in answers]
    drawn = paired_bootstrap(models, draws=3)
    for m, model in enumerate(models):
        result = evaluate_predictions(model)
        assert drawn["accuracy"].scores[m] == pytest.approx(result.accuracy)
        assert drawn["balanced_accuracy"].scores[m] == pytest.approx(result.balanced_accuracy)
        assert drawn["macro_f1"].scores[m] == pytest.approx(result.macro_f1)


def test_draws_are_those_of_images_one_by_one():
    """The means and deviations over draws, beside a plain bootstrap by scikit-learn's scores."""
    rng = np.random.default_rng(0)
    n, k = 200, 3
    labels = rng.choice(k, size=n, p=[0.6, 0.3, 0.1])
    answers = np.where(rng.random((2, n)) < 0.8, labels, rng.integers(k, size=(2, n)))
    fast = paired_bootstrap([predictions(labels, own, k) for own in answers], draws=4000)
    slow = []
    for _ in range(150):
        pick = rng.integers(n, size=n)
        y, (a, b) = labels[pick], answers[:, pick]
        slow.append(
            [
                accuracy_score(y, a) - accuracy_score(y, b),
                balanced_accuracy_score(y, a) - balanced_accuracy_score(y, b),
                f1_score(y, a, average="macro") - f1_score(y, b, average="macro"),
            ]
        )
    for name, column in zip(
        ("accuracy", "balanced_accuracy", "macro_f1"), np.transpose(slow), strict=True
    ):
        gaps = fast[name].draws[:, 0] - fast[name].draws[:, 1]
        assert gaps.mean() == pytest.approx(column.mean(), abs=4 * column.std() / 150**0.5)
        assert gaps.std() == pytest.approx(column.std(), rel=0.25)


def test_the_same_seed_draws_the_same_and_equal_models_do_not_differ():
    labels = np.arange(60) % 3
    model = predictions(labels, (labels + (np.arange(60) % 5 == 0)) % 3, 3)
    other = predictions(labels, labels, 3)
    one, same, another = (
        paired_bootstrap([model, other], draws=50, seed=seed) for seed in (1, 1, 2)
    )
    assert (one["macro_f1"].draws == same["macro_f1"].draws).all()
    assert (one["macro_f1"].draws != another["macro_f1"].draws).any()
    twice = paired_bootstrap([model, model], draws=50)
    assert twice["macro_f1"].difference(0, 1) == (0, 0, 0)


def test_a_class_that_no_draw_has_does_not_count_there():
    labels = np.array([0] * 30 + [1])
    drawn = paired_bootstrap([predictions(labels, np.zeros(31, int), 2)], draws=200)
    values = set(drawn["balanced_accuracy"].draws[:, 0])
    assert values == {0.5, 1.0}
