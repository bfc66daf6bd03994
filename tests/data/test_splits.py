"""The validation split: exact, stratified, seeded, or refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.data import split_validation
from atelier.errors import DataError

labels_of_all_kinds = st.lists(st.integers(2, 40), min_size=1, max_size=8).flatmap(
    lambda counts: st.permutations([k for k, count in enumerate(counts) for _ in range(count)])
)


@given(labels_of_all_kinds, st.integers(0, 2**32 - 1), st.data())
def test_exact_disjoint_complete_and_stratified(labels, seed, data):
    labels = np.array(labels)
    classes, counts = np.unique(labels, return_counts=True)
    size = data.draw(st.integers(len(classes), len(labels) - len(classes)))
    training, validation = split_validation(labels, size=size, seed=seed)
    assert len(validation) == size
    assert np.array_equal(np.sort(np.concatenate([training, validation])), np.arange(len(labels)))
    for indices in (training, validation):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()
        assert set(labels[indices]) == set(classes)
    exact = np.clip(size * counts / len(labels), 1, counts - 1)
    found = np.bincount(labels[validation], minlength=len(classes))
    # Classes held at 1 or at all but one move the rest by a little.
    assert np.abs(found - exact).max() <= len(classes)


@given(st.integers(0, 100), st.integers(0, 100))
def test_the_seed_decides(first, second):
    labels = np.repeat(np.arange(5), 40)
    one, again, other = (
        split_validation(labels, size=50, seed=seed)[1] for seed in (first, first, second)
    )
    assert np.array_equal(one, again)
    assert np.array_equal(one, other) == (first == second)


def test_a_balanced_set_gives_equal_shares():
    labels = np.tile(np.arange(10), 600)
    training, validation = split_validation(labels, size=1 / 12, seed=0)
    assert np.bincount(labels[validation]).tolist() == [50] * 10
    assert len(training) == 5500


def test_shares_follow_an_imbalance():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    _, validation = split_validation(labels, size=0.1, seed=3)
    assert np.bincount(labels[validation]).tolist() == [70, 20, 10]


@pytest.mark.parametrize("size", [0, -1, 2, 19, 21, 2.5, 0.01, 0.99, float("nan"), float("inf")])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(DataError, match="allowed: 4 to 16 images"):
        split_validation(np.repeat(np.arange(4), 5), size=size, seed=0)


@pytest.mark.parametrize(("labels", "words"), [([], "got none"), ([0, 0, 0, 7], "class 7 has 1")])
def test_too_few_images_are_refused(labels, words):
    with pytest.raises(DataError, match=words):
        split_validation(labels, size=1, seed=0)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=10, max_size=120),
    st.integers(0, 99),
    st.sampled_from([0.1, 0.2, 0.5]),
)
def test_groups_stay_whole(images, seed, size):
    labels, groups = (np.array(values) for values in zip(*images, strict=True))
    try:
        training, validation = split_validation(labels, size=size, seed=seed, groups=groups)
    except DataError:
        return
    assert np.array_equal(np.sort(np.concatenate([training, validation])), np.arange(len(labels)))
    assert not set(groups[training]) & set(groups[validation])
    assert set(labels[training]) == set(labels[validation]) == set(labels)
    again = split_validation(labels, size=size, seed=seed, groups=groups)[1]
    assert np.array_equal(again, validation)


@given(st.lists(st.integers(1, 3), min_size=60, max_size=120), st.integers(0, 99))
def test_small_groups_hardly_move_the_shares(sizes, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = groups % 3
    _, validation = split_validation(labels, size=0.25, seed=seed, groups=groups)
    exact = 0.25 * np.bincount(labels)
    assert np.abs(np.bincount(labels[validation]) - exact).max() <= 3


def test_images_that_stand_alone_give_the_exact_size():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    _, validation = split_validation(labels, size=0.1, seed=3, groups=np.arange(1000)[::-1])
    assert np.bincount(labels[validation]).tolist() == [70, 20, 10]


def test_each_seed_draws_other_groups():
    labels, groups = np.repeat([0, 1], 100), np.arange(200) // 2
    one, other = (split_validation(labels, size=20, seed=seed, groups=groups)[1] for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_large_groups_give_every_class_an_image_on_both_sides():
    labels, groups = np.repeat([0, 1], [20, 100]), np.repeat([0, 1, 2, 3], [10, 10, 50, 50])
    training, validation = split_validation(labels, size=0.1, seed=0, groups=groups)
    assert set(labels[training]) == set(labels[validation]) == {0, 1}


def test_a_class_of_one_group_is_refused():
    labels, groups = np.repeat([0, 5], [4, 6]), np.array([0, 1, 2, 3, *[9] * 6])
    with pytest.raises(DataError, match="all 6 images of class 5 are of one group"):
        split_validation(labels, size=0.3, seed=0, groups=groups)


def test_groups_that_tie_two_classes_together_are_refused():
    labels, groups = np.array([0, 1, 0, 2, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
    with pytest.raises(DataError, match="no split keeps groups whole"):
        split_validation(labels, size=0.5, seed=0, groups=groups)
