"""Predictions agree with themselves, survive the disk, and a damaged file is one clear line."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atelier.errors import RunError, StorageError
from atelier.predictions import Predictions

CLASSES = ("bag", "coat", "Sandále")


def some(count=6):
    rng = np.random.default_rng(0)
    return Predictions(
        np.arange(count) + 100,
        rng.integers(0, 3, count),
        rng.normal(size=(count, 3)).astype(np.float32),
        CLASSES,
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The bytes of a saved file."""
    path = tmp_path_factory.mktemp("predictions") / "test.npz"
    some().save(path)
    return path.read_bytes()


def equal(a, b):
    return a.classes == b.classes and all(
        np.array_equal(getattr(a, name), getattr(b, name)) and getattr(a, name).dtype == dtype
        for name, dtype in (("ids", np.int64), ("labels", np.int64), ("logits", np.float32))
    )


@pytest.mark.parametrize("count", [0, 1, 6])
def test_what_is_saved_is_loaded(tmp_path, count):
    predictions = some(count)
    predictions.save(tmp_path / "predictions" / "test.npz")
    loaded = Predictions.load(tmp_path / "predictions" / "test.npz")
    assert equal(loaded, predictions)
    assert len(loaded) == count
    assert loaded.probs.shape == (count, 3)


@given(arrays(np.float32, (4, 3), elements=st.floats(-(2.0**127), 2.0**127, width=32)))
def test_probabilities_sum_to_one_and_rank_as_the_logits(logits):
    predictions = Predictions(np.arange(4), np.zeros(4, np.int64), logits, CLASSES)
    probs = predictions.probs
    assert np.allclose(probs.sum(axis=1), 1)
    assert (probs >= 0).all()
    rows = np.arange(4)
    assert np.array_equal(probs[rows, predictions.predicted], probs.max(axis=1))


def test_probabilities_are_the_softmax():
    logits = np.log(np.array([[1, 2, 7], [5, 4, 1]], dtype=np.float32))
    predictions = Predictions(np.arange(2), np.array([2, 1]), logits, CLASSES)
    assert np.allclose(predictions.probs, [[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]])
    assert predictions.predicted.tolist() == [2, 0]
    assert predictions.correct.tolist() == [True, False]


@pytest.mark.parametrize(
    ("ids", "labels", "logits"), [(2, 3, (3, 3)), (3, 3, (3, 2)), (3, 2, (3, 3))]
)
def test_arrays_that_do_not_agree_are_refused(ids, labels, logits):
    with pytest.raises(ValueError, match="do not agree with 3 classes"):
        Predictions(
            np.zeros(ids, np.int64),
            np.zeros(labels, np.int64),
            np.zeros(logits, np.float32),
            CLASSES,
        )


@given(st.data())
def test_a_damaged_file_is_a_run_error_or_harmless(tmp_path_factory, stored, data):
    damaged = bytearray(stored)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(damaged[: data.draw(st.integers(0, len(stored)))])
    try:
        loaded = Predictions.load(path)
    except RunError as error:
        assert "cannot read the predictions" in str(error)
    else:
        assert equal(loaded, some())


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(RunError, match=r"missing\.npz.*atelier evaluate"):
        Predictions.load(tmp_path / "missing.npz")


def test_nothing_is_unpickled(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, ids=np.array([{}], dtype=object), labels=[0], logits=[[0.0]], classes=["a"])
    with pytest.raises(RunError, match="allow_pickle"):
        Predictions.load(path)


def test_an_array_that_is_missing_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", ids=[0], labels=[0])
    with pytest.raises(RunError, match="logits"):
        Predictions.load(tmp_path / "x.npz")


def test_a_single_array_is_no_predictions(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(RunError, match="cannot read the predictions"):
        Predictions.load(tmp_path / "x.npy")


def test_a_full_disk_keeps_the_old_predictions(tmp_path, monkeypatch):
    path = tmp_path / "test.npz"
    some().save(path)

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(StorageError, match="Free some space"):
            some(3).save(path)
    assert len(Predictions.load(path)) == 6
    assert list(tmp_path.iterdir()) == [path]
