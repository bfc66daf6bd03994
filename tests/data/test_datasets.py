"""Data sets: named, packaged, or a folder of IDX files."""

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atelier.data import ImageSplit, idx_folder, load_dataset, normalization_of
from atelier.data.datasets import FASHION_MNIST_CLASSES, fingerprint_of
from atelier.data.idx import read_idx
from atelier.errors import AtelierError, DataError


def one_line(spec):
    with pytest.raises(AtelierError) as caught:
        load_dataset(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_sample_is_balanced_and_real(sample):
    assert sample.train.images.shape == (1000, 1, 28, 28)
    assert sample.test.images.shape == (500, 1, 28, 28)
    assert np.bincount(sample.train.labels).tolist() == [100] * 10
    assert np.bincount(sample.test.labels).tolist() == [50] * 10
    assert sample.classes == FASHION_MNIST_CLASSES
    assert (sample.channels, sample.image_size) == (1, (28, 28))
    assert 0 <= sample.train.ids.min() <= sample.train.ids.max() < 60_000
    assert sample.test.ids.max() < 10_000
    assert len(set(sample.train.ids)) == 1000
    assert sample.fingerprint == fingerprint_of(sample.train, sample.test, sample.classes)
    (mean,), (std,) = normalization_of(sample.train.images)
    assert (mean, std) == pytest.approx((0.286, 0.353), abs=0.005)  # those of all 60,000


def test_images_cannot_be_written_by_accident(sample):
    for images in (sample.train.images, sample.train.take([3, 1]).images):
        with pytest.raises(ValueError, match="read-only"):
            images[0] = 0


def test_take_keeps_images_labels_and_ids_together(sample):
    taken = sample.train.take([7, 2])
    assert len(taken) == 2
    for row, index in enumerate([7, 2]):
        assert np.array_equal(taken.images[row], sample.train.images[index])
        assert taken.labels[row] == sample.train.labels[index]
        assert taken.ids[row] == sample.train.ids[index]
    assert len(sample.train.take(sample.train.labels == 4)) == 100


@pytest.mark.parametrize(
    ("shape", "dtype", "labels"), [((2, 28, 28), np.uint8, 2), ((2, 1, 4, 4), float, 2)]
)
def test_a_split_of_another_form_is_refused(shape, dtype, labels):
    with pytest.raises(ValueError, match="uint8"):
        ImageSplit(np.zeros(shape, dtype), np.zeros(labels, int), np.arange(labels))


def test_a_split_whose_lengths_differ_is_refused():
    with pytest.raises(ValueError, match="2 images, 3 labels"):
        ImageSplit(np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, int), np.arange(3))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_folder_of_idx_files_is_a_data_set(tmp_path, parts, write_folder, zipped):
    dataset = load_dataset(write_folder(tmp_path / "kmnist", parts, zipped=zipped))
    assert dataset.name == "kmnist"
    assert dataset.classes == tuple("0123456789")
    assert np.array_equal(dataset.train.images[:, 0], parts["train-images"])
    assert np.array_equal(dataset.test.labels, parts["t10k-labels"])
    assert dataset.test.ids.tolist() == list(range(100))
    assert load_dataset(str(tmp_path / "kmnist")).fingerprint == dataset.fingerprint


def test_other_spellings_of_the_file_names_are_known(tmp_path, parts, write_folder):
    write_folder(tmp_path, parts, zipped=False)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", ".idx").replace("t10k", "test"))
    assert len(load_dataset(tmp_path).train) == 200


def test_class_names_come_from_a_file(tmp_path, parts, write_folder):
    write_folder(tmp_path, parts)
    plain = load_dataset(tmp_path)
    (tmp_path / "classes.txt").write_text("\n".join(FASHION_MNIST_CLASSES) + "\n")
    named = load_dataset(tmp_path)
    assert named.classes == FASHION_MNIST_CLASSES
    assert named.fingerprint != plain.fingerprint


def test_the_bytes_of_fashion_mnist_are_recognized(tmp_path, parts, write_folder, monkeypatch):
    write_folder(tmp_path, parts)
    checksums = {
        part: read_idx(next(tmp_path.glob(f"{part}*")), dimensions=values.ndim).sha256
        for part, values in parts.items()
    }
    monkeypatch.setattr(idx_folder, "FASHION_MNIST_CHECKSUMS", checksums)
    assert load_dataset(tmp_path).classes == FASHION_MNIST_CLASSES


@pytest.mark.parametrize("text", ["", "one\n", "a\n\nb\n", "a\nb\na\n", b"\xff\xfe\xff"])
def test_a_bad_list_of_classes_is_one_line(tmp_path, parts, write_folder, text):
    write_folder(tmp_path, parts)
    (tmp_path / "classes.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert "classes.txt" in one_line(tmp_path)


def test_more_labels_than_images_is_one_line(tmp_path, parts, write_folder):
    write_folder(tmp_path, {**parts, "train-images": parts["train-images"][:150]})
    assert "holds 150 images, but train-labels-idx1-ubyte.gz holds 200 labels" in one_line(tmp_path)


def test_fewer_labels_than_images_is_one_line(tmp_path, parts, write_folder):
    write_folder(tmp_path, {**parts, "t10k-labels": parts["t10k-labels"][:99]})
    assert "holds 100 images, but t10k-labels-idx1-ubyte.gz holds 99 labels" in one_line(tmp_path)


@pytest.mark.parametrize("part", ["train-labels", "t10k-labels"])
def test_labels_out_of_range_are_one_line(tmp_path, parts, write_folder, part):
    labels = parts[part].copy()
    labels[5] = 10
    message = one_line(write_folder(tmp_path, {**parts, part: labels}))
    assert "out of range; got 10; allowed: 0 to 9" in message
    assert "classes.txt" in message


def test_images_and_labels_swapped_is_one_line(tmp_path, parts, write_folder):
    images, labels = parts["train-images"], parts["train-labels"]
    write_folder(tmp_path, {**parts, "train-images": labels, "train-labels": images})
    assert "wrong magic; got '0x00000801'; allowed: 0x00000803" in one_line(tmp_path)


def test_training_and_test_images_of_two_sizes_are_one_line(tmp_path, parts, write_folder):
    write_folder(tmp_path, {**parts, "t10k-images": parts["t10k-images"][:, :20]})
    assert "28 x 28 and 20 x 28 pixels" in one_line(tmp_path)


def test_a_truncated_file_is_one_line(tmp_path, parts, write_folder):
    write_folder(tmp_path, parts)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:5000])
    assert "corrupt gzip" in one_line(tmp_path)


def test_a_folder_without_a_test_part_is_one_line(tmp_path, parts, write_folder):
    write_folder(tmp_path, {k: v for k, v in parts.items() if k.startswith("train")})
    message = one_line(tmp_path)
    assert "has no test images" in message
    assert "t10k-images-idx3-ubyte or .gz" in message


def test_an_empty_folder_is_one_line(tmp_path):
    assert "has neither class folders nor IDX files; got 'nothing'" in one_line(tmp_path)


def test_a_file_is_not_a_data_set(tmp_path):
    (tmp_path / "data.txt").write_text("path,label\n")
    assert "is a file" in one_line(tmp_path / "data.txt")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("fashion_mnist", "fashion-mnist"), ("fashion-mnist-smaple", "fashion-mnist-sample")],
)
def test_a_misspelled_name_gets_the_nearest_one(name, meant):
    assert f"Did you mean {meant!r}?" in one_line(name)


@pytest.mark.parametrize("spec", ["x" * 5000, "a\0b"])
def test_a_path_that_cannot_be_is_one_line(spec):
    assert one_line(spec)


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    def refuse(_path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "Permission denied. Check the path and permissions" in one_line(tmp_path)


def test_what_is_not_fetched_yet_says_how_to_fetch_it():
    assert "Run `atelier fetch fashion-mnist`" in one_line("fashion-mnist")


@given(arrays(np.uint8, st.tuples(*[st.integers(1, 4)] * 4)))
def test_normalization_agrees_with_numpy(images):
    mean, std = normalization_of(images)
    scaled = images / 255
    assert mean == pytest.approx(scaled.mean(axis=(0, 2, 3)))
    expected = scaled.std(axis=(0, 2, 3))
    flat = images.max(axis=(0, 2, 3)) == images.min(axis=(0, 2, 3))
    assert std == pytest.approx(np.where(flat, 1.0, expected))


@pytest.mark.parametrize("shape", [(700, 1, 9, 7), (3, 3, 2, 5), (1, 2, 1, 2)])
@pytest.mark.parametrize("dark", [1, 100], ids=["even", "dark"])
def test_normalization_of_the_chosen_is_that_of_the_part_taken_alone(shape, dark):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, shape, dtype=np.uint8) // dark
    chosen = rng.permutation(len(images))[: max(1, len(images) * 9 // 10)]
    scaled = images[chosen] / 255
    mean, std = normalization_of(images, chosen)
    assert mean == pytest.approx(scaled.mean(axis=(0, 2, 3)), abs=1e-12)
    assert std == pytest.approx(scaled.std(axis=(0, 2, 3)), abs=1e-12)
    assert (mean, std) == normalization_of(images[chosen])
    assert (mean, std) == normalization_of(images, np.sort(chosen))


def test_normalization_of_the_chosen_does_not_see_the_others():
    images = np.full((6, 2, 3, 3), 255, np.uint8)
    images[[1, 4]] = np.arange(9).reshape(3, 3)
    images[[1, 4], 1] = 51  # the same everywhere, but for what is not chosen
    mean, std = normalization_of(images, np.array([4, 1]))
    assert mean == pytest.approx((4 / 255, 0.2), abs=1e-12)
    assert std == pytest.approx((np.arange(9).std() / 255, 1.0), abs=1e-12)


def test_bright_images_do_not_overflow():
    images = np.full((600, 1, 64, 64), 255, np.uint8)
    images[0] = 254
    mean, std = normalization_of(images)
    assert mean == pytest.approx([(255 - 1 / 600) / 255], abs=1e-12)
    assert std == pytest.approx([images.std() / 255], rel=1e-9)


@pytest.mark.parametrize(
    ("count", "chosen"), [(0, None), (0, np.arange(0)), (5, np.arange(0))], ids=str
)
def test_normalization_of_nothing_is_one_line(count, chosen):
    with pytest.raises(DataError, match="no images"):
        normalization_of(np.zeros((count, 1, 28, 28), np.uint8), chosen)
