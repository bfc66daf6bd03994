"""Cutting a validation part from the training part."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .datasets import Dataset, ImageSplit

_Indices = npt.NDArray[np.int64]


def split_validation(
    labels: npt.ArrayLike,
    *,
    size: int | float,
    seed: int,
    groups: npt.ArrayLike | None = None,
) -> tuple[_Indices, _Indices]:
    """Draw a stratified validation part: each class has the share that it has in the whole.

    Args:
        labels: (N,) integer classes.
        size: the exact number of images if 1 or more, the share of them if below 1.
        seed: the same seed draws the same images, on every machine.
        groups: (N,) integers; the images of one number stay on one side, and then size and shares
            are met as nearly as whole groups allow. None: each image stands for itself.

    Returns:
        (training, validation): sorted positions in `labels`, together each position once. Every
        class is in both.

    Raises:
        DataError: a class with fewer than 2 images, or whose images are all of one group; a size
            that leaves a class out.
    """
    array = np.asarray(labels)
    classes, counts = np.unique(array, return_counts=True)
    if not len(array) or counts.min() < 2:
        rare = f"class {classes[counts.argmin()]} has {counts.min()}" if len(array) else "got none"
        raise DataError(
            f"a validation split needs at least 2 images of each class; {rare}",
            fix="Add images of this class, or leave it out",
        )
    smallest, largest = len(classes), len(array) - len(classes)
    is_count = size >= 1 and float(size).is_integer()
    total = int(size) if is_count else round(size * len(array)) if 0 < size < 1 else 0
    if not smallest <= total <= largest:
        raise DataError(
            f"cannot split {len(array)} images of {len(classes)} classes for validation",
            got=size,
            allowed=f"{smallest} to {largest} images, or a share below 1 that gives so many",
            fix="Every class needs an image in both parts",
        )
    rng = np.random.default_rng(seed)
    shares = _shares(counts, total)
    if groups is None:
        chosen = [
            rng.choice(np.flatnonzero(array == label), share, replace=False)
            for label, share in zip(classes, shares, strict=True)
        ]
        validation = np.sort(np.concatenate(chosen)).astype(np.int64)
    else:
        validation = _draw_groups(array, np.asarray(groups), shares, rng)
    training = np.delete(np.arange(len(array), dtype=np.int64), validation)
    return training, validation


def validation_of(
    dataset: Dataset, *, size: int | float, seed: int
) -> tuple[_Indices, ImageSplit | None]:
    """What a training learns from and what its choices are made by: the data set's own validation
    part, or one cut from its training part.

    Args:
        dataset: photos that show the same, or that the source puts in a group, stay together.
        size: as of `split_validation`; 0 is no validation, though the data set may have one.
        seed: of the cut.

    Returns:
        (sorted positions in ``dataset.train``, the validation images or None).

    Raises:
        DataError: the training part cannot be cut so.
    """
    whole = np.arange(len(dataset.train), dtype=np.int64)
    if not size:
        return whole, None
    if dataset.validation is not None:
        return whole, dataset.validation
    labels = dataset.train.labels
    if dataset.photos is None:
        training, held_out = split_validation(labels, size=size, seed=seed)
    else:
        groups = dataset.photos.groups[dataset.train.ids]
        training, held_out = split_validation(labels, size=size, seed=seed, groups=groups)
    return training, dataset.train.take(held_out)


def _shares(counts: _Indices, total: int) -> _Indices:
    """Whole numbers near ``total * counts / sum``, of that sum, each in 1..count-1."""
    exact = total * counts / counts.sum()
    shares: _Indices = np.clip(np.floor(exact).astype(np.int64), 1, counts - 1)
    while (missing := total - shares.sum()) != 0:
        step = 1 if missing > 0 else -1
        free = shares < counts - 1 if step > 0 else shares > 1
        # Stable order, so that classes in a tie are served from the first on.
        shares[np.argmax(np.where(free, step * (exact - shares), -np.inf))] += step
    return shares


def _draw_groups(
    labels: npt.NDArray[np.integer[Any]],
    groups: npt.NDArray[np.integer[Any]],
    shares: _Indices,
    rng: np.random.Generator,
) -> _Indices:
    """Sorted positions of the images of whole groups, near `shares` (K,) images of each class."""
    if groups.shape != labels.shape:
        raise ValueError(f"{groups.shape} groups for {labels.shape} labels")
    classes, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    names, members = np.unique(groups, return_inverse=True)
    contents: list[list[tuple[int, int]]] = [[] for _ in names]  # (class, images of it)
    pairs, sizes = np.unique(np.stack([members, numbers], axis=1), axis=0, return_counts=True)
    for (group, number), size in zip(pairs.tolist(), sizes.tolist(), strict=True):
        contents[group].append((number, size))
    of_class = np.bincount(pairs[:, 1])
    if of_class.min() < 2:
        alone = int(of_class.argmin())
        raise DataError(
            f"all {counts[alone]} images of class {classes[alone]} are of one group, "
            "and a group stays on one side of a split",
            fix="Add other images of this class, or leave it out",
        )
    left, wanted = counts.tolist(), shares.tolist()
    taken: set[int] = set()

    def take(group: int) -> None:
        taken.add(group)
        for number, size in contents[group]:
            left[number] -= size
            wanted[number] -= size

    def may_go(group: int) -> bool:
        return group not in taken and all(left[number] > size for number, size in contents[group])

    def excess(group: int) -> int:
        """By how much taking the group moves the counts away from the shares."""
        return sum(
            abs(wanted[number] - size) - abs(wanted[number]) for number, size in contents[group]
        )

    order = rng.permutation(len(names)).tolist()
    for group in order:
        if all(size <= wanted[number] for number, size in contents[group]):
            take(group)
    for group in order:
        if may_go(group) and excess(group) < 0:
            take(group)
    for number in range(len(classes)):
        if left[number] < counts[number]:
            continue
        having = pairs[pairs[:, 1] == number, 0].tolist()
        free = [group for group in having if may_go(group)]
        if not free:
            raise DataError(
                f"no split keeps groups whole and has class {classes[number]} on both sides",
                fix="Make the groups smaller, or add images of this class",
            )
        take(min(free, key=excess))
    return np.flatnonzero(np.isin(members, list(taken))).astype(np.int64)
