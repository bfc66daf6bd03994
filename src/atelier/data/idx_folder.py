"""A folder of IDX files as a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from .datasets import (
    FASHION_MNIST_CHECKSUMS,
    FASHION_MNIST_CLASSES,
    Dataset,
    ImageSplit,
    fingerprint_of,
    readable,
)
from .idx import read_idx


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
