"""A folder or a table of photos as a data set."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..config import Columns, PhotosConfig
from ..errors import DataError
from ..storage import atomic_path, write_text
from .datasets import FASHION_MNIST, SAMPLE, Dataset, ImageSplit, PhotoFacts, readable
from .photo_cache import CachedPhotos, gathered, read_photos
from .photo_files import TABLE_SUFFIXES, PhotoSource, list_class_folders, ordered_source
from .photo_parts import groups_of_photos, parts_of_photos
from .photo_tables import list_table

_SHOWN = 3
_SHOW_FROM = 10_000  # photos; to compare fewer takes no two seconds

_Positions = npt.NDArray[np.int64]


def open_photos(
    source: str | Path,
    config: PhotosConfig | None = None,
    *,
    correct: Callable[[PhotoSource], PhotoSource] | None = None,
    progress: bool = False,
) -> Dataset:
    """Read the photos of a folder of class folders or of a table; see `list_class_folders` and
    `list_table`. They are decoded once and kept in the cache.

    Where the source has parts, training photos that show the same as a validation or test photo
    are left out, and so are validation photos that show the same as a test photo. Where it has
    none, a test part is cut that no near duplicate or group reaches out of.

    Args:
        source: the folder, or a .csv, .tsv or .parquet file.
        config: how the photos are read; None is the default.
        correct: changes labels, or leaves photos out, before anything is read.
        progress: show bars on standard error.

    Returns:
        A data set with `photos` set. An image's id is its row among all good files.

    Raises:
        DataError: the source cannot be understood, or has bad files; all of them are listed in a
            file that the error names.
        StorageError: the cache cannot be written.
    """
    config = config or PhotosConfig()
    listed = list_labeled(source, config.columns)
    if correct is not None:
        listed = correct(listed)
    root = listed.root
    cached = read_photos(
        root,
        [photo.path for photo in listed.photos],
        channels=config.channels,
        image_size=config.image_size,
        progress=progress,
    )
    if cached.bad:
        listed = _without_bad(listed, cached, skip=config.skip_bad)
    labels = _labels(listed)
    copies = _copies(cached, progress=progress)
    groups = groups_of_photos(listed.photos, copies)
    parts, notes = parts_of_photos(listed, labels, copies, groups, config)
    weights = None
    if listed.photos[0].weight is not None:
        weights = np.array([photo.weight for photo in listed.photos], np.float32)
    splits = {
        name: ImageSplit(gathered(cached, rows), labels[rows], rows) for name, rows in parts.items()
    }
    return Dataset(
        root.name if root.is_dir() else root.stem,
        splits["train"],
        splits.get("test"),
        listed.classes,
        _fingerprint(listed.classes, cached, labels, parts, weights),
        splits.get("validation"),
        PhotoFacts(
            tuple(photo.name for photo in listed.photos),
            groups,
            cached.hashes,
            weights,
            (*listed.notes, *notes),
        ),
    )


def has_photos(spec: str | Path) -> bool:
    """Whether a data set is a folder or a table of photos, and not of arrays.

    Raises:
        DataError: the folder cannot be read.
    """
    if spec in (FASHION_MNIST, SAMPLE):
        return False
    path = Path(spec).expanduser()
    with readable(path):
        if path.is_dir():
            return not any("-ubyte" in entry.name for entry in path.iterdir())
        if not path.exists() or path.suffix.lower() not in TABLE_SUFFIXES:
            return False
    from .corrections import is_corrections

    return not is_corrections(path)


def list_labeled(source: str | Path, columns: Columns, *, to_learn: bool = True) -> PhotoSource:
    """The photos of a folder of class folders or of a table, which is told by its being a file.

    Args:
        source: the folder, or a .csv, .tsv or .parquet file.
        columns: of a table.
        to_learn: as of `list_class_folders`.

    Raises:
        DataError: the source cannot be understood.
    """
    root = Path(os.path.abspath(Path(source).expanduser()))  # noqa: PTH100 - links stay as they are
    if root.is_dir():
        return list_class_folders(root, to_learn=to_learn)
    return list_table(root, columns, to_learn=to_learn)


def _without_bad(listed: PhotoSource, cached: CachedPhotos, *, skip: bool) -> PhotoSource:
    """The source without its bad files, which are written to a list; an error unless `skip`."""
    bad = [(listed.photos[at].name, why) for at, why in sorted(cached.bad.items())]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("file", "reason"))
    writer.writerows(bad)
    path = cached.folder / "bad.csv"
    write_text(path, table.getvalue())
    total = len(listed.photos)
    if not skip:
        shown = ", ".join(f"{name} ({why})" for name, why in bad[:_SHOWN])
        more = f" and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        raise DataError(
            f"{len(bad):,} of {total:,} photos in {listed.root} cannot be read: {shown}{more}; "
            f"all are listed in {path}",
            fix="Mend or remove them, or leave them out with --skip-bad",
        )
    notes = [
        *listed.notes,
        f"{len(bad):,} of {total:,} photos cannot be read and are left out; listed in {path}",
    ]
    good = [listed.photos[at] for at in cached.positions]
    lost = set(listed.classes) - {photo.label for photo in good}
    if lost:
        notes.append(f"classes without a photo that can be read: {', '.join(sorted(lost))}")
    return ordered_source(listed.root, good, notes)


def _labels(listed: PhotoSource) -> _Positions:
    numbers = {name: number for number, name in enumerate(listed.classes)}
    return np.array([numbers[photo.label] for photo in listed.photos], np.int64)


def _copies(cached: CachedPhotos, *, progress: bool) -> _Positions:
    """(N,) for each photo the first that shows the same; found once and kept beside the pixels."""
    path = cached.rows_folder / "copies.npy"
    try:
        kept: _Positions = np.load(path, allow_pickle=False)
        if kept.shape == (len(cached.pixels),) and kept.dtype == np.int64:
            return kept
    except (OSError, ValueError, EOFError):  # not there yet, or damaged
        pass
    from .duplicates import find_pairs, groups_of

    show = progress and len(cached.pixels) > _SHOW_FROM
    found = find_pairs(cached.pixels, cached.hashes, progress=show)
    pairs = zip(found.first.tolist(), found.second.tolist(), strict=True)
    copies = groups_of(len(cached.pixels), pairs)
    with atomic_path(path) as temporary:
        np.save(temporary, copies, allow_pickle=False)
    return copies


def _fingerprint(
    classes: tuple[str, ...],
    cached: CachedPhotos,
    labels: _Positions,
    parts: dict[str, _Positions],
    weights: npt.NDArray[np.float32] | None,
) -> str:
    """SHA-256 (hex) over the content of the files and all that is made of it, but the pixels."""
    digest = hashlib.sha256("\n".join(classes).encode())
    digest.update(repr(cached.pixels.shape[1:]).encode())
    for name, rows in parts.items():
        digest.update(f"{name} {len(rows)}".encode())
        digest.update(cached.checksums[rows].data)
        digest.update(labels[rows].astype("<i8").data)
        if weights is not None:
            digest.update(weights[rows].astype("<f4").data)
    return digest.hexdigest()
