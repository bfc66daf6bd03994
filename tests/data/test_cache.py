"""The cache: written whole, memory-mapped, and checked before it is believed."""

import errno
import json
import time
from pathlib import Path

import numpy as np
import pytest

from atelier.data import Dataset, ImageSplit, load_dataset
from atelier.data.cache import cache_dir, open_arrays, save_arrays
from atelier.data.datasets import FASHION_MNIST_CLASSES, cached_path, to_arrays
from atelier.errors import DataError, StorageError

ARRAYS = {"images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "labels": np.arange(2)}


@pytest.fixture
def folder(tmp_path):
    save_arrays(tmp_path / "set", ARRAYS, {"classes": ["a", "b"]})
    return tmp_path / "set"


def test_what_was_saved_is_mapped_read_only(folder):
    arrays, facts = open_arrays(folder)
    assert facts == {"classes": ["a", "b"]}
    for name, expected in ARRAYS.items():
        assert isinstance(arrays[name], np.memmap)
        assert not arrays[name].flags.writeable
        assert np.array_equal(arrays[name], expected)


def test_saving_again_replaces_all(folder):
    save_arrays(folder, {"only": np.zeros(3)}, {})
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", "only.npy"]


def cut(folder):
    with (folder / "images.npy").open("r+b") as file:
        file.truncate(100)


def reshape(folder):
    np.save(folder / "images.npy", ARRAYS["images"].reshape(4, 3, 2))


def lose(folder):
    (folder / "labels.npy").unlink()


def lose_index(folder):
    (folder / "index.json").unlink()


def spoil_index(folder):
    (folder / "index.json").write_text('{"version": 1, "arr')


def other_form(folder):
    (folder / "index.json").write_text("[1, 2]")


def other_version(folder):
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "version": 99}))


def spoil_array(folder):
    size = (folder / "images.npy").stat().st_size
    (folder / "images.npy").write_bytes(b"x" * size)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "images.npy has 100 bytes, expected 152"),
        (reshape, r"images.npy has shape \[4, 3, 2\]"),
        (lose, "labels.npy is missing"),
        (lose_index, "index.json is missing"),
        (spoil_index, "damaged"),
        (other_form, "damaged"),
        (other_version, "version 99, expected 1"),
        (spoil_array, "damaged"),
    ],
)
def test_damage_is_one_line(folder, damage, words):
    damage(folder)
    with pytest.raises(DataError, match=words) as caught:
        open_arrays(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("interruption", [OSError(errno.ENOSPC, "No space left on device"), None])
def test_a_failed_save_leaves_the_old_and_no_half_file(folder, monkeypatch, interruption):
    real = np.save

    def save(path: Path, array, **options):
        real(path, array, **options)
        if "labels" in path.name:
            raise interruption or KeyboardInterrupt

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(StorageError if interruption else KeyboardInterrupt):
        save_arrays(folder, ARRAYS, {})
    assert [path.name for path in folder.parent.iterdir()] == ["set"]
    assert open_arrays(folder)[1] == {"classes": ["a", "b"]}


def test_sixty_thousand_images_load_in_under_0_3_seconds():
    def split(count):
        images = np.zeros((count, 1, 28, 28), np.uint8)
        return ImageSplit(images, np.zeros(count, np.int64), np.arange(count))

    full = Dataset("full", split(60_000), split(10_000), FASHION_MNIST_CLASSES, "0" * 64)
    save_arrays(cached_path("fashion-mnist"), *to_arrays(full))
    start = time.perf_counter()
    loaded = load_dataset("fashion-mnist")
    assert time.perf_counter() - start < 0.3
    assert loaded.train.images.shape == (60_000, 1, 28, 28)
    assert loaded.classes == FASHION_MNIST_CLASSES


def test_damage_to_a_fetched_set_says_how_to_mend_it(sample):
    save_arrays(cached_path("fashion-mnist"), *to_arrays(sample))
    assert load_dataset("fashion-mnist").fingerprint == sample.fingerprint
    (cached_path("fashion-mnist") / "train_images.npy").write_bytes(b"")
    with pytest.raises(DataError, match="Run `atelier fetch fashion-mnist --refresh`"):
        load_dataset("fashion-mnist")
    save_arrays(cached_path("fashion-mnist"), ARRAYS, {})
    with pytest.raises(DataError, match="--refresh"):
        load_dataset("fashion-mnist")


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("ATELIER_CACHE", str(tmp_path / "one"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    monkeypatch.setenv("HOME", str(tmp_path / "three"))
    assert cache_dir() == tmp_path / "one"
    monkeypatch.delenv("ATELIER_CACHE")
    assert cache_dir() == tmp_path / "two" / "atelier"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == tmp_path / "three" / ".cache" / "atelier"
