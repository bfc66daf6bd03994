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
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..config import PhotosConfig
from ..errors import DataError, did_you_mean
from .cache import cache_dir, open_arrays

if TYPE_CHECKING:
    from .corrections import Corrected

FASHION_MNIST = "fashion-mnist"
SAMPLE = "fashion-mnist-sample"
_ALLOWED = (
    f"{FASHION_MNIST}, {SAMPLE}, a folder of IDX files, a folder of class folders of photos, "
    "a table of photos (.csv, .tsv, .parquet), a file of corrections (.csv), or a view of one of "
    f"them, as {FASHION_MNIST}:inverted"
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
        corrected: what files of corrections have changed, in their order.
    """

    name: str
    train: ImageSplit
    test: ImageSplit | None
    classes: tuple[str, ...]
    fingerprint: str
    validation: ImageSplit | None = None
    photos: PhotoFacts | None = None
    corrected: tuple[Corrected, ...] = ()

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
            of photos (under train, validation and test, or not), a table of photos (.csv, .tsv,
            .parquet), a file of corrections, which names another data set, or ``SOURCE:VIEW``, as
            ``fashion-mnist:inverted`` (docs/domains.md). A folder that is itself called like one of
            the two is reached by ``./fashion-mnist``.
        photos: how photos are read; None is the default.
        progress: show bars on standard error where photos are read for the first time.

    Raises:
        DataError: unknown, not fetched yet, missing or corrupt, or a correction does not fit.
        StorageError: photos cannot be kept in the cache.
    """
    if spec == FASHION_MNIST:
        return open_cached(FASHION_MNIST)
    if spec == SAMPLE:
        return _load_sample()
    from .corrections import is_corrections, open_corrected
    from .derived import open_derived, parted
    from .photos import has_photos, open_photos

    if (view := parted(spec)) is not None:
        return open_derived(*view, photos, progress=progress)
    if is_corrections(spec):
        return open_corrected(spec, photos, progress=progress)
    if has_photos(spec):
        return open_photos(spec, photos, progress=progress)
    path = Path(spec).expanduser()
    with readable(path):
        is_folder, exists = path.is_dir(), path.exists()
    if is_folder:
        from .idx_folder import read_idx_folder

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


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Even asking whether a path exists can fail: no permission, or too long a name."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}", fix="Check the path and permissions"
        ) from error
