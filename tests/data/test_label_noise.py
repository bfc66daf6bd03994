"""Wrong labels: exactly as many as stated, of the stated kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.data.label_noise import wrong_labels
from atelier.errors import DataError


def noise_of(labels, *, rate=0.4, kind="symmetric", seed=0):
    labels = np.asarray(labels, np.int64)
    return wrong_labels(labels, 1000 + np.arange(len(labels)), rate=rate, kind=kind, seed=seed)


@given(
    labels=st.lists(st.integers(0, 5), min_size=2, max_size=60).filter(lambda x: len(set(x)) > 1),
    rate=st.floats(0, 0.99),
    kind=st.sampled_from(["symmetric", "pair"]),
    seed=st.integers(0, 1000),
)
def test_the_stated_share_is_wrong_and_all_else_is_as_it_was(labels, rate, kind, seed):
    noise = noise_of(labels, rate=rate, kind=kind, seed=seed)
    wrong = np.flatnonzero(noise.labels != np.array(labels))
    assert len(wrong) == round(rate * len(labels))
    assert np.array_equal(wrong, noise.changed)
    assert np.array_equal(noise.true, np.array(labels)[wrong])
    assert set(noise.labels) <= set(labels)


def test_symmetric_noise_gives_each_other_class_alike():
    noise = noise_of([2] * 30_000 + [0, 1, 3], rate=0.5)
    counts = np.bincount(noise.labels[noise.changed], minlength=4)
    assert counts[[0, 1, 3]] == pytest.approx(5000, rel=0.05)


def test_pair_noise_gives_the_next_class_and_after_the_last_the_first():
    labels = np.array([0, 1, 3] * 20)
    noise = noise_of(labels, kind="pair", rate=0.9)
    following = {0: 1, 1: 3, 3: 0}
    assert all(
        following[true] == noise.labels[at]
        for at, true in zip(noise.changed, noise.true, strict=True)
    )


def test_the_seed_decides_which():
    labels = np.arange(100) % 7
    assert np.array_equal(noise_of(labels).labels, noise_of(labels).labels)
    assert not np.array_equal(noise_of(labels).labels, noise_of(labels, seed=1).labels)


def test_labels_of_one_class_cannot_be_wrong():
    with pytest.raises(DataError, match=r"Set train\.label_noise=0"):
        noise_of([3, 3, 3])


def test_what_was_changed_is_kept_by_the_images_places_in_their_source(tmp_path):
    noise = noise_of([0, 1, 2, 0, 1])
    noise.save(tmp_path / "label_noise.npz")
    with np.load(tmp_path / "label_noise.npz", allow_pickle=False) as kept:
        assert np.array_equal(kept["ids"], 1000 + noise.changed)
        assert np.array_equal(kept["given"], noise.labels[noise.changed])
        assert np.array_equal(kept["true"], noise.true)
