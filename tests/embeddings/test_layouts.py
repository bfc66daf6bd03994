"""Layouts and the numbers that say how far to believe them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atelier.embeddings.entry import sample
from atelier.embeddings.layouts import (
    METHODS,
    lay_out,
    nearest,
    neighbor_accuracy,
    principal_components,
    silhouette,
    trustworthiness,
)


def groups(each=20, dimensions=8, apart=20.0, classes=3, seed=0):
    """Vectors around `classes` far corners, and which corner each belongs to."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    corners = apart * np.eye(classes, dimensions)
    vectors = corners[labels] + rng.normal(size=(len(labels), dimensions))
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize("method", METHODS)
def test_groups_that_are_far_apart_stay_apart_and_a_seed_repeats_its_map(method):
    vectors, labels = groups(each=10)
    points = lay_out(vectors, method, seed=3)
    assert points.shape == (30, 2)
    assert neighbor_accuracy(points, labels) == 1
    assert trustworthiness(vectors, points) > 0.8
    assert silhouette(points, labels) > 0.5
    assert np.array_equal(points, lay_out(vectors, method, seed=3))


@pytest.mark.parametrize("method", METHODS)
def test_a_map_leaves_the_threads_of_torch_as_they_are(method):
    before = torch.get_num_threads()  # 1 in these tests, whatever the machine has
    lay_out(groups(each=4)[0], method)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("each", [2, 4])
def test_a_handful_of_images_has_a_map_too(method, each):
    vectors, _ = groups(each=each)
    assert np.isfinite(lay_out(vectors, method)).all()


def test_principal_components_keep_distances_and_come_by_their_size():
    vectors, _ = groups(dimensions=5)
    components = principal_components(vectors)
    assert np.all(np.diff(components.std(axis=0)) <= 0)
    old = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    new = np.linalg.norm(components[:, None] - components, axis=2)
    np.testing.assert_allclose(new, old, atol=1e-4)


def test_one_dimension_is_laid_out_on_a_line():
    points = lay_out(np.arange(8, dtype=np.float32)[:, None], "pca")
    assert np.ptp(points[:, 0]) == pytest.approx(7)
    assert np.ptp(points[:, 1]) == 0


def test_a_map_drawn_by_chance_is_not_trusted():
    vectors, labels = groups()
    points = np.random.default_rng(0).normal(size=(60, 2))
    assert trustworthiness(vectors, points) < 0.7
    assert neighbor_accuracy(points, labels) < 0.7
    assert abs(silhouette(points, labels)) < 0.2


def test_no_point_is_its_own_neighbor():
    vectors, _ = groups()
    vectors[1] = vectors[0]
    found = nearest(vectors, 3)
    assert found.shape == (60, 3)
    assert not (found == np.arange(60)[:, None]).any()
    assert found[0, 0] == 1


def test_a_silhouette_needs_two_classes():
    vectors, labels = groups()
    assert silhouette(vectors, np.zeros_like(labels)) is None
    assert silhouette(vectors, np.arange(60)) is None


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(10, 200), st.integers(0, 9)
)
def test_a_sample_has_every_class_in_its_proportion(counts, images, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    chosen = sample(labels, images, seed=seed)
    assert np.all(np.diff(chosen) > 0)
    assert np.array_equal(chosen, sample(labels, images, seed=seed))
    got = np.bincount(labels[chosen], minlength=len(counts))
    if images >= len(labels):
        assert len(chosen) == len(labels)
    else:
        exact = images * np.array(counts) / len(labels)
        assert np.all(got >= 1)
        assert np.all(np.abs(got - np.maximum(exact, 1)) <= 0.5)
