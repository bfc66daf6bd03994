"""Halves of a training part as data sets of their own, for cross-validation."""

from __future__ import annotations

import csv
import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..config import Columns
from ..errors import DataError
from ..storage import atomic_folder, write_text
from .datasets import Dataset, ImageSplit
from .splits import split_validation


def halves(dataset: Dataset, *, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Two stratified halves of the training part, as sorted positions in it; photos that show the
    same, or that the source puts in a group, stay together. The test part is left alone.

    Args:
        dataset: of two images or more of each class.
        seed: the same seed draws the same halves.

    Raises:
        DataError: the training part cannot be cut so.
    """
    groups = None if dataset.photos is None else dataset.photos.groups[dataset.train.ids]
    return split_validation(dataset.train.labels, size=0.5, seed=seed, groups=groups)


def write_fold(
    dataset: Dataset,
    train: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
    path: Path,
    *,
    source: str,
    columns: Columns,
) -> Path:
    """Write a data set whose training and test parts are both cut from the training part.

    Args:
        dataset: where the images come from.
        train, test: positions in its training part.
        path: of what is written: a folder of IDX files, or for photos a table beside it.
        source: the folder or table of the photos.
        columns: what the columns of the table are called.

    Returns:
        What `load_dataset` takes.

    Raises:
        DataError: color images that are no photos, for which there is no file format here.
        StorageError: no space or no permission.
    """
    if dataset.photos is not None:
        table = path.with_suffix(".csv")
        write_text(table, _table(dataset, {"train": train, "test": test}, Path(source), columns))
        return table
    if dataset.channels != 1:
        raise DataError("folds are cut of gray images or of photos", got=f"{dataset.channels}")
    with atomic_folder(path, overwrite=True) as folder:
        for part, positions in (("train", train), ("t10k", test)):
            _write_idx(folder, part, dataset.train.take(positions))
        (folder / "classes.txt").write_text("\n".join(dataset.classes) + "\n", encoding="utf-8")
    return path


def _write_idx(folder: Path, part: str, split: ImageSplit) -> None:
    images, labels = split.images[:, 0], split.labels.astype(np.uint8)
    for kind, rank, array in (("images", 3, images), ("labels", 1, labels)):
        # Two zeros, the code of unsigned bytes, the number of dimensions, and the dimensions.
        head = struct.pack(f">HBB{rank}I", 0, 8, rank, *array.shape)
        (folder / f"{part}-{kind}-idx{rank}-ubyte").write_bytes(head + array.tobytes())


def _table(
    dataset: Dataset, parts: dict[str, npt.NDArray[np.int64]], source: Path, columns: Columns
) -> str:
    facts = dataset.photos
    assert facts is not None
    root = source.expanduser().resolve()
    root = root if root.is_dir() else root.parent
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [columns.image, columns.label, columns.split, columns.group]
        + [columns.weight] * (facts.weights is not None)
    )
    for part, positions in parts.items():
        for position in positions.tolist():
            number = int(dataset.train.ids[position])
            label = dataset.classes[dataset.train.labels[position]]
            row = [str(root / facts.files[number]), label, part, str(facts.groups[number])]
            if facts.weights is not None:
                row.append(repr(float(facts.weights[number])))
            writer.writerow(row)
    return text.getvalue()
