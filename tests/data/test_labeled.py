"""Few labels: as many of each class, always the same, the larger draw around the smaller one."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.data import ImageSplit, load_dataset
from atelier.data.labeled import draw_labeled
from atelier.errors import ConfigError, DataError

CLASSES = ("coat", "bag", "boot")


def split_of(labels):
    images = np.zeros((len(labels), 1, 2, 2), np.uint8)
    return ImageSplit(images, np.asarray(labels, np.int64), np.arange(len(labels)) + 100)


def draw(split, count, *, seed=0, chosen=None, classes=CLASSES):
    chosen = np.arange(len(split)) if chosen is None else chosen
    return draw_labeled(split, chosen, count, seed=seed, classes=classes)


@given(
    seed=st.integers(0, 1000),
    each=st.integers(6, 20),
    counts=st.tuples(st.integers(3, 17), st.integers(3, 17)),
)
def test_draws_are_balanced_disjoint_and_nested(seed, each, counts):
    split = split_of(np.random.default_rng(seed).permutation(np.repeat([0, 1, 2], each)))
    small, large = (draw(split, count, seed=seed) for count in sorted(counts))
    assert set(small.labeled) <= set(large.labeled)
    for drawn, count in zip((small, large), sorted(counts), strict=True):
        of_class = np.bincount(split.labels[drawn.labeled], minlength=3)
        assert of_class.sum() == count
        assert of_class.max() - of_class.min() <= 1
        together = np.concatenate([drawn.labeled, drawn.unlabeled])
        assert sorted(together) == list(range(len(split)))
        assert np.array_equal(drawn.ids, drawn.labeled + 100)


def test_forty_labels_are_within_a_hundred_and_another_seed_draws_others():
    train = load_dataset("fashion-mnist-sample")
    forty, hundred, other = (
        draw(train.train, count, seed=seed, classes=train.classes)
        for count, seed in ((40, 0), (100, 0), (40, 1))
    )
    assert set(forty.labeled) < set(hundred.labeled)
    assert np.bincount(train.train.labels[forty.labeled]).tolist() == [4] * 10
    assert set(forty.labeled) != set(other.labeled)


def test_images_held_out_are_not_drawn_and_change_nothing_else():
    split = split_of([0, 1, 2] * 10)
    whole = draw(split, 9)
    kept = np.setdiff1d(np.arange(30), whole.labeled[:1])
    fewer = draw(split, 9, chosen=kept)
    assert len(set(whole.labeled) & set(fewer.labeled)) == 8
    assert set(fewer.unlabeled) | set(fewer.labeled) == set(kept)


def test_a_class_that_is_held_out_gets_no_label():
    split = split_of([0, 1, 2] * 10)
    drawn = draw(split, 6, chosen=np.flatnonzero(split.labels != 1))
    assert np.bincount(split.labels[drawn.labeled], minlength=3).tolist() == [3, 0, 3]


@pytest.mark.parametrize("count", [1, 2, 30, 31])
def test_too_few_or_all_labels_are_refused(count):
    with pytest.raises(ConfigError, match=f"got {count}; allowed: 3 to 29"):
        draw(split_of([0, 1, 2] * 10), count)


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(DataError, match=r"boot has fewer images.*got 2.*at most 6"):
        draw(split_of([0, 1] * 10 + [2, 2]), 12)


def test_what_was_drawn_can_be_read(tmp_path):
    drawn = draw(split_of([0, 1, 2] * 10), 6, seed=4)
    drawn.save(tmp_path / "labels.json")
    written = json.loads((tmp_path / "labels.json").read_text())
    assert written == {"seed": 4, "labeled_ids": (drawn.labeled + 100).tolist()}
