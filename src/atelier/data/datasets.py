"""Data sets in memory: uint8 images with labels, ids and class names."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import PhotosConfig
from ..errors import DataError, did_you_mean
from .cache import cache_dir, open_arrays
from .idx import read_idx

FASHION_MNIST = "fashion-mnist"
SAMPLE = "fashion-mnist-sample"
_ALLOWED = (
    f"{FASHION_MNIST}, {SAMPLE}, a folder of IDX files, a folder of class folders of photos, "
    "or a table of photos (.csv, .tsv, .parquet)"
)
FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# SHA-256 of the decompressed files as mended on 31 August 2017; older copies have test images
# inside the training part (zalandoresearch/fashion-mnist issue 44).
FASHION_MNIST_CHECKSUMS = {
    "train-images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@dataclass(frozen=True)
class ImageSplit:
    """N images with their labels. The images are read-only, in memory or memory-mapped.

    Attributes:
        images: (N, C, H, W) uint8, C-contiguous.
        labels: (N,) int64, positions in the class names.
        ids: (N,) int64, the position of each image in its source.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(
                f"images must be (N, C, H, W) uint8, not {self.images.shape} {self.images.dtype}"
            )
        if not len(self.images) == len(self.labels) == len(self.ids):
            raise ValueError(
                f"{len(self.images)} images, {len(self.labels)} labels and {len(self.ids)} ids"
            )
        # A view, so that the caller's own array stays as it was.
        images = np.ascontiguousarray(self.images).view()
        images.flags.writeable = False
        object.__setattr__(self, "images", images)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.ArrayLike) -> ImageSplit:
        """The images at `indices` (positions or a mask), in that order, copied into memory."""
        chosen = np.asarray(indices)
        return ImageSplit(self.images[chosen], self.labels[chosen], self.ids[chosen])


@dataclass(frozen=True)
class PhotoFacts:
    """What is known of photos beside their pixels. Arrays have a place for each image, which its
    `ids` names.

    Attributes:
        files: paths, relative to the folder or to the table.
        groups: (N,) int64; images of one number must stay on one side of a split. Near duplicates
            have one number, and so has what the table calls a group.
        hashes: (N,) uint64 perceptual hashes.
        weights: (N,) float32 what an image counts in the loss; None where all count the same.
        notes: sentences on what was chosen and what was left out, for the user.
    """

    files: tuple[str, ...]
    groups: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    weights: npt.NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A training part, a test part and the names of the classes.

    Attributes:
        name: what the user calls it.
        train: what may be learned from.
        test: read once, by the final evaluation; None where the data has none.
        classes: the class names; a label is a position in them.
        fingerprint: SHA-256 (hex) over images, labels and class names, in order.
        validation: what choices are made by; None where it is cut from `train`.
        photos: of a folder or a table of photos.
    """

    name: str
    train: ImageSplit
    test: ImageSplit | None
    classes: tuple[str, ...]
    fingerprint: str
    validation: ImageSplit | None = None
    photos: PhotoFacts | None = None

    @property
    def judged(self) -> tuple[str, ImageSplit]:
        """The part that final results are read from, with its name: the test images, or the
        validation images where there are no others.

        Raises:
            DataError: there are neither.
        """
        if self.test is not None:
            return "test", self.test
        if self.validation is not None:
            return "validation", self.validation
        raise DataError(f"the data set {self.name} has no images to judge a model by")

    @property
    def channels(self) -> int:
        """1 for gray images, 3 for RGB."""
        return int(self.train.images.shape[1])

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.train.images.shape[2:]
        return int(height), int(width)


def load_dataset(
    spec: str | Path, photos: PhotosConfig | None = None, *, progress: bool = False
) -> Dataset:
    """Load a data set that is already on this machine.

    Args:
        spec: ``fashion-mnist`` (after it was fetched once), ``fashion-mnist-sample`` (1,000 and
            500 of its images, in this package), a folder of IDX files, a folder of class folders
            of photos (under train, validation and test, or not), or a table of photos (.csv, .tsv,
            .parquet). A folder that is itself called like one of the two is reached by
            ``./fashion-mnist``.
        photos: how photos are read; None is the default.
        progress: show bars on standard error where photos are read for the first time.

    Raises:
        DataError: unknown, not fetched yet, missing or corrupt.
        StorageError: photos cannot be kept in the cache.
    """
    if spec == FASHION_MNIST:
        return open_cached(FASHION_MNIST)
    if spec == SAMPLE:
        return _load_sample()
    from .photos import has_photos, open_photos

    if has_photos(spec):
        return open_photos(spec, photos, progress=progress)
    path = Path(spec).expanduser()
    with readable(path):
        is_folder, exists = path.is_dir(), path.exists()
    if is_folder:
        return read_idx_folder(path).dataset
    if exists:
        raise DataError(f"the data set {str(spec)!r} is a file", allowed=_ALLOWED)
    raise DataError(
        f"there is no data set, folder or table {str(spec)!r}",
        allowed=_ALLOWED,
        fix=did_you_mean(str(spec), [FASHION_MNIST, SAMPLE]),
    )


def cached_path(name: str) -> Path:
    """The folder of the cache that holds the data set `name` once it was fetched."""
    return cache_dir() / "datasets" / name


def open_cached(name: str) -> Dataset:
    """Memory-map a fetched data set.

    Raises:
        DataError: not fetched yet, or damaged since.
    """
    folder = cached_path(name)
    with readable(folder):
        exists = folder.exists()
    if not exists:
        raise DataError(
            f"{name} is not on this machine yet (looked in {folder})",
            fix=f"Run `atelier fetch {name}`",
        )
    try:
        arrays, facts = open_arrays(folder)
        return _from_arrays(name, arrays, facts)
    except (DataError, KeyError, ValueError) as error:
        reason = error.problem if isinstance(error, DataError) else f"{folder}: {error!r}"
        raise DataError(reason, fix=f"Run `atelier fetch {name} --refresh`") from error


def to_arrays(dataset: Dataset) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """(arrays, facts): the form in which the cache and the packaged sample keep a data set."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for part, split in (("train", dataset.train), ("test", dataset.judged[1])):
        arrays[f"{part}_images"] = split.images
        arrays[f"{part}_labels"] = split.labels
        arrays[f"{part}_ids"] = split.ids
    return arrays, {"classes": list(dataset.classes), "fingerprint": dataset.fingerprint}


def _from_arrays(name: str, arrays: dict[str, npt.NDArray[Any]], facts: dict[str, Any]) -> Dataset:
    train, test = (
        ImageSplit(arrays[f"{part}_images"], arrays[f"{part}_labels"], arrays[f"{part}_ids"])
        for part in ("train", "test")
    )
    return Dataset(name, train, test, tuple(facts["classes"]), facts["fingerprint"])


def _load_sample() -> Dataset:
    packaged = resources.files(__package__) / "samples" / f"{SAMPLE}.npz"
    with packaged.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "facts"}
        return _from_arrays(SAMPLE, arrays, json.loads(str(stored["facts"])))


def fingerprint_of(train: ImageSplit, test: ImageSplit, classes: tuple[str, ...]) -> str:
    """SHA-256 (hex) over the shapes, images and labels of both parts and the class names."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(repr(tuple(map(int, split.images.shape))).encode())
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    digest.update("\n".join(classes).encode())
    return digest.hexdigest()


def normalization_of(
    images: npt.NDArray[np.uint8],
    chosen: npt.NDArray[np.int64] | None = None,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, in units where 255 is 1. For the training part only.

    Args:
        images: (N, C, H, W) uint8.
        chosen: positions of the images to count, each once; None is all of them.

    Returns:
        (mean, std), C numbers each. A channel that is the same everywhere has a std of 1, so that
        dividing by it is safe.

    Raises:
        DataError: there is no image.
    """
    number = len(images) if chosen is None else len(chosen)
    if images.size == 0 or not number:
        raise DataError("cannot compute mean and deviation of no images")
    if number == len(images):
        chosen = None  # a slice costs nothing, and the order does not matter
    # Exact, for the sums are whole numbers, and in bounded memory.
    sums = np.zeros(images.shape[1], np.uint64)
    squares = np.zeros(images.shape[1], np.uint64)
    for start in range(0, number, 512):
        where = slice(start, start + 512)
        block = images[where if chosen is None else chosen[where]]
        sums += block.sum(axis=(0, 2, 3), dtype=np.uint64)
        squares += np.square(block, dtype=np.uint16).sum(axis=(0, 2, 3), dtype=np.uint64)
    count = number * images.shape[2] * images.shape[3]
    means, deviations = [], []
    for total, square in zip(sums.tolist(), squares.tolist(), strict=True):
        means.append(total / count / 255)
        spread = count * square - total**2  # of whole numbers without limit
        deviations.append(math.sqrt(spread) / count / 255 if spread else 1.0)
    return tuple(means), tuple(deviations)


@dataclass(frozen=True)
class IdxFolder:
    """A data set read from IDX files, and the SHA-256 of each decompressed file."""

    dataset: Dataset
    checksums: dict[str, str]


def read_idx_folder(folder: str | Path) -> IdxFolder:
    """Read the four IDX files of MNIST or of a drop-in replacement, plain or .gz.

    Class names come from `classes.txt` (one a line) where it is there; the files of Fashion-MNIST
    are known by their bytes; otherwise the classes are 0 to 9.

    Raises:
        DataError: a file is missing or corrupt, or the files do not agree.
    """
    folder = Path(folder)
    checksums: dict[str, str] = {}
    splits = {}
    for part in ("train", "t10k"):
        images_path = _find(folder, part, "images", "idx3")
        labels_path = _find(folder, part, "labels", "idx1")
        images, checksums[f"{part}-images"] = read_idx(images_path, dimensions=3)
        labels, checksums[f"{part}-labels"] = read_idx(labels_path, dimensions=1)
        if len(images) != len(labels):
            raise DataError(
                f"{images_path} holds {len(images)} images, "
                f"but {labels_path.name} holds {len(labels)} labels",
                fix="Both files must come from the same data set",
            )
        ids = np.arange(len(labels), dtype=np.int64)
        splits[part] = ImageSplit(images[:, None], labels.astype(np.int64), ids)
    train, test = splits["train"], splits["t10k"]
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = " and ".join("{2} x {3}".format(*split.images.shape) for split in (train, test))
        raise DataError(f"training and test images in {folder} differ in size: {sizes} pixels")
    if (folder / "classes.txt").exists():
        classes = _read_classes(folder / "classes.txt")
    elif checksums == FASHION_MNIST_CHECKSUMS:
        classes = FASHION_MNIST_CLASSES
    else:
        classes = tuple(map(str, range(10)))
    largest = max(int(train.labels.max()), int(test.labels.max()))
    if largest >= len(classes):
        raise DataError(
            f"labels in {folder} are out of range",
            got=largest,
            allowed=f"0 to {len(classes) - 1}",
            fix="Name all the classes in a file classes.txt beside the data, one a line",
        )
    name = folder.resolve().name
    dataset = Dataset(name, train, test, classes, fingerprint_of(train, test, classes))
    return IdxFolder(dataset, checksums)


def _find(folder: Path, part: str, kind: str, rank: str) -> Path:
    parts = ("t10k", "test") if part == "t10k" else (part,)
    for start in parts:
        for mark in "-.":
            for end in ("", ".gz"):
                path = folder / f"{start}-{kind}{mark}{rank}-ubyte{end}"
                with readable(path):
                    if path.is_file():
                        return path
    raise DataError(
        f"the folder {folder} has no {'test' if part == 't10k' else 'training'} {kind}",
        allowed=f"{part}-{kind}-{rank}-ubyte or .gz",
        fix="A data set needs four files: images and labels, for training and for test",
    )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Even asking whether a path exists can fail: no permission, or too long a name."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}", fix="Check the path and permissions"
        ) from error


def _read_classes(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}", fix="Save it as UTF-8 text") from error
    classes = tuple(line.strip() for line in text.strip().splitlines())
    if "" in classes or len(set(classes)) != len(classes) or len(classes) < 2:
        raise DataError(
            f"{path} does not name the classes",
            got=f"{len(classes)} lines, {len(set(classes) - {''})} different names",
            allowed="two or more different names, one a line",
        )
    return classes
