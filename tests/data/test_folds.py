"""Halves of a training part as data sets of their own."""

import numpy as np
import pytest

from atelier.config import Columns, PhotosConfig
from atelier.data import load_dataset
from atelier.data.folds import halves, write_fold


def written(dataset, path, source="", columns=None):
    first, second = halves(dataset, seed=3)
    return (
        first,
        second,
        write_fold(dataset, first, second, path, source=source, columns=columns or Columns()),
    )


def test_halves_are_stratified_disjoint_and_whole():
    dataset = load_dataset("fashion-mnist-sample")
    first, second = halves(dataset, seed=0)
    assert sorted([*first, *second]) == list(range(len(dataset.train)))
    counts = [np.bincount(dataset.train.labels[half]) for half in (first, second)]
    assert np.abs(counts[0] - counts[1]).max() <= 1
    assert (halves(dataset, seed=0)[0] == first).all()
    assert not np.array_equal(halves(dataset, seed=1)[0], first)


def test_gray_images_come_back_as_they_were(tmp_path):
    dataset = load_dataset("fashion-mnist-sample")
    first, second, path = written(dataset, tmp_path / "fold")
    fold = load_dataset(path)
    assert fold.classes == dataset.classes
    for part, positions in ((fold.train, first), (fold.test, second)):
        assert (part.images == dataset.train.images[positions]).all()
        assert (part.labels == dataset.train.labels[positions]).all()


def test_photos_come_back_as_they_were(tmp_path, photo_folder):
    config = PhotosConfig(image_size=32, columns=Columns(image="datei", label="art"))
    dataset = load_dataset(photo_folder, config)
    first, second, path = written(dataset, tmp_path / "fold", photo_folder, config.columns)
    fold = load_dataset(path, config)
    assert fold.classes == dataset.classes
    assert {len(fold.train), len(fold.test)} <= {len(first), len(second)}
    for part, positions in ((fold.train, first), (fold.test, second)):
        own = dataset.train.images[positions]
        assert sorted(map(bytes, part.images)) == sorted(map(bytes, own))


def test_groups_stay_on_one_side(photo_folder):
    dataset = load_dataset(photo_folder, PhotosConfig(image_size=32))
    groups = dataset.photos.groups[dataset.train.ids]
    first, second = halves(dataset, seed=0)
    assert not set(groups[first]) & set(groups[second])


def test_the_test_part_is_not_in_any_fold(tmp_path):
    dataset = load_dataset("fashion-mnist-sample")
    _, _, path = written(dataset, tmp_path / "fold")
    fold = load_dataset(path)
    test = {bytes(image) for image in dataset.test.images}
    assert not any(bytes(i) in test for i in [*fold.train.images, *fold.test.images])


@pytest.mark.parametrize("name", ["fold", "fold.with.dots"])
def test_an_older_fold_is_replaced(tmp_path, name):
    dataset = load_dataset("fashion-mnist-sample")
    written(dataset, tmp_path / name)
    _, _, path = written(dataset, tmp_path / name)
    assert len(load_dataset(path).train) == 500
