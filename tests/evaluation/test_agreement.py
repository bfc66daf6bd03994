"""How much alike models answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, jaccard_score

from atelier.evaluation import agreement_of
from atelier.predictions import Predictions


def model(labels, answers, k=3):
    logits = np.eye(k, dtype=np.float32)[answers]
    return Predictions(np.arange(len(labels)), np.asarray(labels), logits, tuple("abcdef"[:k]))


@given(st.integers(0, 10_000))
def test_figures_are_scikit_learns(seed):
    labels, a, b = np.random.default_rng(seed).integers(3, size=(3, 50))
    result = agreement_of({"x": {0: model(labels, a)}, "y": {0: model(labels, b)}})
    assert result.same[0][1] == result.same[1][0] == np.mean(a == b)
    assert result.kappa[0][1] == pytest.approx(cohen_kappa_score(a, b))
    assert result.shared_errors[0][1] == pytest.approx(jaccard_score(a != labels, b != labels))
    assert result.same[0][0] is None


def test_seeds_of_one_recipe_stand_on_the_diagonal_and_common_seeds_beside_it():
    labels = [0, 1, 2, 0]
    right, half, wrong = (model(labels, own) for own in (labels, [0, 1, 0, 1], [1, 2, 0, 1]))
    result = agreement_of({"x": {0: right, 1: half}, "y": {1: half, 2: wrong}})
    assert result.same[0][0] == 0.5
    assert result.same[1][1] == 0.5
    assert result.same[0][1] == 1.0  # both have seed 1
    assert result.shared_errors[0][1] == 1.0


def test_two_models_without_errors_share_them_all():
    labels = [0, 0, 0]
    result = agreement_of({"x": {0: model(labels, labels)}, "y": {0: model(labels, labels)}})
    assert result.kappa[0][1] == result.shared_errors[0][1] == 1.0
