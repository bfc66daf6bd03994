"""Scores against slow and plain versions of themselves."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from atelier.predictor import Outputs
from atelier.uncertainty.detectors import SCORES, Detectors


def outputs(n, *, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    embedding = (rng.normal(size=(n, 6)) + shift).astype(np.float32)
    embedding[:, 5] = 0  # a unit that never fires
    return Outputs(rng.normal(size=(n, 4)).astype(np.float32) * 3, embedding)


@pytest.fixture
def learned():
    labels = np.repeat([0, 1, 3], 40)  # and no image of class 2
    return outputs(120, seed=5).embedding + labels[:, None].astype(np.float32), labels


def test_every_score_is_what_its_paper_says(learned):
    embedding, labels = learned
    asked = outputs(50, seed=1)
    found = Detectors(embedding, labels, 2.0).scores(asked)
    assert tuple(found) == SCORES
    probs = np.exp(asked.logits / 2)
    probs = (probs / probs.sum(axis=1, keepdims=True)).max(axis=1)
    assert np.allclose(1 / (1 + np.exp(-found["probability"])), probs, atol=1e-6)
    assert np.allclose(found["energy"], np.log(np.exp(asked.logits).sum(axis=1)), atol=1e-5)
    means = np.stack([embedding[labels == k].mean(axis=0) for k in (0, 1, 3)])
    centered = embedding - means[np.searchsorted([0, 1, 3], labels)]
    precision = LedoitWolf(assume_centered=True).fit(centered[:, :5]).precision_
    away = (asked.embedding[:, None] - means)[:, :, :5]
    distances = np.einsum("nki,ij,nkj->nk", away, precision, away).min(axis=1)
    assert np.allclose(-found["mahalanobis"], distances, rtol=1e-3)

    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    near = NearestNeighbors(n_neighbors=10).fit(unit(embedding))
    expected = near.kneighbors(unit(asked.embedding))[0][:, -1]
    assert np.allclose(-found["neighbors"], expected, atol=1e-3)


def test_what_is_far_away_has_lower_distances_scores(learned):
    embedding, labels = learned
    detectors = Detectors(embedding + 5, labels, 1.0)  # all in one direction from zero
    near, far = detectors.scores(outputs(50, shift=5)), detectors.scores(outputs(50, shift=-30))
    for score in ("mahalanobis", "neighbors"):
        assert far[score].max() < near[score].min()


def test_fewer_images_than_dimensions_and_a_dead_network_have_scores():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(4, 30)).astype(np.float32)
    for embedding in (few, np.zeros((4, 30), np.float32)):
        found = Detectors(embedding, np.array([0, 0, 1, 1]), 1.0).scores(
            Outputs(np.zeros((3, 2), np.float32), embedding[:3])
        )
        assert all(np.isfinite(values).all() for values in found.values())
