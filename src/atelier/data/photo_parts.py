"""Which photo belongs to which part, so that no picture and no group stands in two."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..config import PhotosConfig
from ..errors import DataError
from .photo_files import PARTS, Photo, PhotoSource
from .splits import split_validation

_TEST_SEED = 0  # not the run's: the test photos are the same for all runs

_Positions = npt.NDArray[np.int64]


def groups_of_photos(photos: list[Photo], copies: _Positions) -> _Positions:
    """(N,) the first of the photos that a photo is connected with, by copies or by the source.

    Args:
        photos: N photos.
        copies: (N,) for each the first that shows the same.
    """
    firsts: dict[str, int] = {}
    links = [
        (firsts.setdefault(photo.group, position), position)
        for position, photo in enumerate(photos)
        if photo.group is not None
    ]
    if not links:
        return copies
    from .duplicates import groups_of  # not before it is needed, for it imports much

    return groups_of(len(photos), [*enumerate(copies.tolist()), *links])


def parts_of_photos(
    listed: PhotoSource,
    labels: _Positions,
    copies: _Positions,
    groups: _Positions,
    config: PhotosConfig,
) -> tuple[dict[str, _Positions], list[str]]:
    """The rows of each part that has some, and what is to be said of them.

    Args:
        listed: N photos.
        labels: (N,) positions in its classes.
        copies: (N,) for each photo the first that shows the same.
        groups: (N,) for each the first that it must stay together with.
        config: whether copies are kept, and how large a test part is cut.

    Raises:
        DataError: a test part cannot be cut, or nothing of a class is left to train on.
    """
    parts = np.array([0 if p.part is None else PARTS.index(p.part) for p in listed.photos])
    notes: list[str] = []
    if not parts.any():
        if config.test_share:
            parts, notes = _cut_test(listed, labels, groups, config.test_share)
    else:
        copied = _reaching(parts, copies)
        if _reaching(parts, groups).sum() > copied.sum():
            notes.append("photos of one group stand in two parts, as the source puts them")
        if copied.any() and config.keep_duplicates:
            notes.append(f"{copied.sum():,} photos show the same as one of a later part")
        elif copied.any():
            counts = np.bincount(parts[copied], minlength=len(PARTS))
            words = " and ".join(
                f"{count:,} {part} photos"
                for part, count in zip(PARTS, counts, strict=True)
                if count
            )
            notes.append(
                f"{words} left out, for they show the same as one of a later part; "
                "keep them with --set photos.keep_duplicates=true"
            )
            parts = np.where(copied, -1, parts)
    _refuse_unlearned(listed, labels, parts)
    rows = {name: np.flatnonzero(parts == number) for number, name in enumerate(PARTS)}
    return {name: chosen for name, chosen in rows.items() if len(chosen)}, notes


def _cut_test(
    listed: PhotoSource, labels: _Positions, groups: _Positions, share: float
) -> tuple[_Positions, list[str]]:
    pairs = np.unique(np.stack([labels, groups], axis=1), axis=0)
    counts = np.bincount(pairs[:, 0], minlength=len(listed.classes))
    if counts.min() < 2:
        raise DataError(
            f"the class {listed.classes[counts.argmin()]!r} in {listed.root} has too few photos "
            "that differ to cut a test part",
            got=int(counts.min()),
            allowed="2 or more",
            fix="Add photos, or cut no test part with --set photos.test_share=0",
        )
    _, test = split_validation(labels, size=share, seed=_TEST_SEED, groups=groups)
    parts = np.zeros(len(labels), np.int64)
    parts[test] = PARTS.index("test")
    return parts, [f"{len(test):,} of {len(labels):,} photos were drawn for the test part"]


def _reaching(parts: _Positions, groups: _Positions) -> npt.NDArray[np.bool_]:
    """Whether a photo's group reaches into a later part than its own."""
    latest = np.zeros(len(parts), np.int64)
    np.maximum.at(latest, groups, parts)
    reaching: npt.NDArray[np.bool_] = latest[groups] > parts
    return reaching


def _refuse_unlearned(listed: PhotoSource, labels: _Positions, parts: _Positions) -> None:
    left = np.bincount(labels[parts == 0], minlength=len(listed.classes))
    if left.min() == 0:
        raise DataError(
            f"no photos of the class {listed.classes[left.argmin()]!r} in {listed.root} are left "
            "to train on: all show the same as validation or test photos",
            fix="Add others, or keep them with --set photos.keep_duplicates=true",
        )
