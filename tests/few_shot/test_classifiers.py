"""Assigning embeddings by a few labeled ones."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from atelier.few_shot.classifiers import (
    linear_probe,
    nearest_centroid,
    nearest_neighbor,
    unit_centroid,
)

WAYS, SHOTS, SIZE = 4, 3, 5
LABELS = np.arange(WAYS).repeat(SHOTS)


def episode():
    rng = np.random.default_rng(0)
    support = rng.normal(size=(WAYS, SHOTS, SIZE)) + rng.normal(size=(WAYS, 1, SIZE))
    return support.astype(np.float32), rng.normal(size=(50, SIZE)).astype(np.float32)


@pytest.mark.parametrize(
    ("assign", "reference"),
    [
        (nearest_centroid, NearestCentroid()),
        (nearest_neighbor, KNeighborsClassifier(1)),
    ],
)
def test_distances_assign_as_those_of_scikit_learn(assign, reference):
    support, queries = episode()
    expected = reference.fit(support.reshape(-1, SIZE), LABELS).predict(queries)
    assert np.array_equal(assign(support, queries), expected)


def test_a_probe_is_a_regression_on_directions():
    support, queries = episode()
    flat = support.reshape(-1, SIZE)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    directions = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    expected = LogisticRegression().fit(flat, LABELS).predict(directions)
    assert np.array_equal(linear_probe(support, queries), expected)
    assert np.array_equal(linear_probe(3 * support, 9 * queries), linear_probe(support, queries))


def test_embeddings_of_no_length_are_assigned_too():
    support, _ = episode()
    for assign in (linear_probe, nearest_centroid, nearest_neighbor):
        assert assign(support, np.zeros((2, SIZE), np.float32)).shape == (2,)


def test_a_centroid_of_length_1_sees_directions_alone():
    support, queries = episode()
    flat = support.reshape(-1, SIZE)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    directions = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    expected = NearestCentroid().fit(flat, LABELS).predict(directions)
    assert np.array_equal(unit_centroid(support, queries), expected)
    assert np.array_equal(unit_centroid(2 * support, 5 * queries), expected)


def test_of_embeddings_that_are_nowhere_negative_it_takes_the_roots():
    support, queries = (np.abs(part) for part in episode())
    squares = unit_centroid(support**2, queries**2)
    flat = support.reshape(-1, SIZE)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    directions = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    assert np.array_equal(squares, NearestCentroid().fit(flat, LABELS).predict(directions))
