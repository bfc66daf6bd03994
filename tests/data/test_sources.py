"""Fetching: each source in turn, all bytes checked, nothing half done, and all of it said."""

import errno

import numpy as np
import pytest

from atelier.data import fetch, load_dataset, sources
from atelier.data.datasets import FASHION_MNIST_CLASSES, cached_path
from atelier.errors import AtelierError, DataError, StorageError


def test_from_a_given_folder(published, said, parts):
    dataset = fetch(source_dir=published, say=said.append)
    assert dataset.name == "fashion-mnist"
    assert dataset.classes == FASHION_MNIST_CLASSES
    assert np.array_equal(dataset.train.images[:, 0], parts["train-images"])
    assert not dataset.train.images.flags.writeable
    assert load_dataset("fashion-mnist").fingerprint == dataset.fingerprint
    assert said == [
        f"fashion-mnist: reading {published}",
        f"fashion-mnist: checked, and kept in {cached_path('fashion-mnist')}",
    ]


def test_a_list_of_classes_beside_the_files_changes_nothing(published):
    (published / "classes.txt").write_text("\n".join("abcdefghij"))
    assert fetch(source_dir=published).classes == FASHION_MNIST_CLASSES


def test_from_the_cache_the_second_time(published, said, only):
    first = fetch(source_dir=published)
    only()
    again = fetch(say=said.append)
    assert again.fingerprint == first.fingerprint
    assert said == [f"fashion-mnist: in the cache ({cached_path('fashion-mnist')})"]


def test_refresh_passes_by_the_cache(published, only):
    fetch(source_dir=published)
    only()
    with pytest.raises(DataError, match="cannot get fashion-mnist"):
        fetch(refresh=True)
    assert load_dataset("fashion-mnist")  # and the old copy is still there


def test_a_damaged_cache_is_fetched_again_with_a_word(published, said, monkeypatch):
    fetch(source_dir=published)
    (cached_path("fashion-mnist") / "train_images.npy").write_bytes(b"")
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", published)
    assert len(fetch(say=said.append).train) == 200
    assert "damaged: train_images.npy has 0 bytes" in said[0]
    assert said[0].endswith("fetching it again")
    assert len(load_dataset("fashion-mnist").train) == 200


def test_from_the_systems_copy(published, said, monkeypatch, only):
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", published)
    only(sources.from_system)
    assert len(fetch(say=said.append).train) == 200
    assert said[0].startswith("fashion-mnist: not in the cache yet")
    assert "trying the system's copy" in said[1]


def test_standard_error_hears_of_it_by_default(published, capsys):
    fetch(source_dir=published)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "fashion-mnist: reading" in captured.err


def test_sources_are_tried_in_order_and_all_failures_are_told(said, monkeypatch):
    def failing(name):
        def source(_workspace, _progress):
            raise DataError(f"{name} is out of order")

        return source

    monkeypatch.setattr(sources, "SOURCES", (("one", failing("A")), ("two", failing("B"))))
    with pytest.raises(DataError) as caught:
        fetch(say=said.append)
    assert "tried one (A is out of order), two (B is out of order)" in str(caught.value)
    assert "`atelier fetch fashion-mnist --from DIR`" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert said[1:] == [
        "fashion-mnist: trying one",
        "fashion-mnist: A is out of order",
        "fashion-mnist: trying two",
        "fashion-mnist: B is out of order",
    ]


def test_the_order_is_system_mirrors_apt():
    assert [source for _, source in sources.SOURCES] == [
        sources.from_system,
        sources.from_mirrors,
        sources.from_apt,
    ]


# What the given folder can have wrong.


def test_a_folder_that_is_missing_is_one_line(published):
    with pytest.raises(DataError, match="there is no folder"):
        fetch(source_dir=published / "none")


def test_a_cut_off_file_in_the_folder_leaves_nothing(published, left_behind):
    path = published / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz is a corrupt gzip"):
        fetch(source_dir=published)
    assert left_behind() == []


def test_another_data_set_in_the_folder_is_one_line(published, parts, write_folder, left_behind):
    write_folder(published, {"t10k-images": parts["t10k-images"] // 2})
    with pytest.raises(DataError, match=r"t10k-images in .* wrong SHA-256"):
        fetch(source_dir=published)
    assert left_behind() == []


def test_a_missing_file_in_the_folder_is_one_line(published):
    (published / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="has no test labels"):
        fetch(source_dir=published)


# A disk that does not play along.


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EACCES])
def test_a_full_or_locked_disk_leaves_no_half_file(published, monkeypatch, reason, left_behind):
    real = np.save

    def save(path, array, **options):
        real(path, array, **options)
        if "test_images" in str(path):
            raise OSError(reason, "the disk says no")

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(StorageError, match=r"the disk says no.*ATELIER_CACHE"):
        fetch(source_dir=published)
    assert left_behind() == []


def test_a_disk_that_fills_up_while_downloading_ends_the_fetch(monkeypatch, left_behind):
    def source(workspace, _progress):
        (workspace / "half").write_bytes(b"x" * 1000)
        raise OSError(errno.ENOSPC, "No space left on device")

    tried_after = []
    monkeypatch.setattr(
        sources, "SOURCES", (("one", source), ("two", lambda *_: tried_after.append(1)))
    )
    with pytest.raises(StorageError, match=r"No space left on device. Free 150 MB"):
        fetch()
    assert left_behind() == []
    assert tried_after == []


def test_a_cache_that_cannot_be_made_is_one_line(published, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ATELIER_CACHE", str(tmp_path / "file" / "cache"))
    for arguments in ({"source_dir": published}, {}):
        with pytest.raises(StorageError, match="Not a directory"):
            fetch(**arguments)


@pytest.mark.parametrize("where", ["download", "write"])
def test_an_interrupted_fetch_leaves_no_half_file(published, monkeypatch, where, left_behind):
    def source(workspace, _progress):
        (workspace / "half").write_bytes(b"x" * 1000)
        if where == "download":
            raise KeyboardInterrupt
        return published

    def save(path, array, **_options):
        path.write_bytes(array.tobytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "SOURCES", (("one", source),))
    monkeypatch.setattr(np, "save", save)
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert left_behind() == []


# Other names.


def test_what_needs_no_fetching_is_loaded(tmp_path, parts, write_folder):
    assert len(fetch("fashion-mnist-sample").train) == 1000
    assert len(fetch(str(write_folder(tmp_path / "mnist", parts))).train) == 200


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("fasion-mnist", {}, "Did you mean 'fashion-mnist'"),
        ("fashion-mnist-sample", {"source_dir": "x"}, "only fashion-mnist is fetched"),
    ],
)
def test_names_that_cannot_be_fetched_are_one_line(name, options, words):
    with pytest.raises(AtelierError, match=words):
        fetch(name, **options)
