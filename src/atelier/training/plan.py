"""What a training chooses for itself, from the data, before it starts."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable

import numpy as np

from ..config import Recipe
from ..data import Dataset
from ..models import ImageShape
from .memory import SMALLEST_BATCH, activation_bytes

_LEAST_STEPS = 10  # in an epoch, for batch norm and the schedule to have something to work with
_USUAL_IMAGES = 3000  # what the recipes for photos were made with
_MOST_EPOCHS_FACTOR = 4
_IMBALANCE = 10
_PLANNED = (
    "plan",
    "train.batch_size",
    "train.num_epochs",
    "train.warmup_epochs",
    "train.sampling",
    "train.start_size",
)
_MEMORY_SHARE = 0.5


def planned(
    recipe: Recipe, dataset: Dataset, *, fixed: Collection[str] = (), memory_bytes: int | None
) -> tuple[Recipe, list[str]]:
    """The recipe made to fit the data, where it asks for that (`Recipe.plan`).

    Few images get smaller batches, so that an epoch has ten steps, and more epochs: as many as the
    root of their number is smaller, up to four times. Many images get fewer epochs, likewise. A
    batch takes at most half of the memory. Where the largest class has ten times as many images as
    the smallest, classes are drawn equally often.

    Args:
        recipe: any; one with ``plan=False`` comes back as it is.
        dataset: what it will be trained on.
        fixed: dotted paths that the user has set, which stay.
        memory_bytes: free on the device; None where that is not known.

    Returns:
        (the recipe with ``plan=False``, a sentence with its reason for each choice).
    """
    if not recipe.plan:
        return recipe, []
    count = len(dataset.train)
    if dataset.validation is None:
        count -= round(count * recipe.train.validation_share)
    changes: dict[str, object] = {"plan": False}
    reasons = [_size_reason(dataset)]

    if recipe.train.start_size >= max(dataset.image_size) and "train.start_size" not in fixed:
        changes["train.start_size"] = 0  # there is nothing to grow to

    batch, usual = recipe.train.batch_size, recipe.train.batch_size
    if "train.batch_size" not in fixed:
        while batch > SMALLEST_BATCH and count // batch < _LEAST_STEPS:
            batch //= 2
        why = f"{count:,} training images make {count // batch} steps of an epoch"
        if memory_bytes is not None:
            image = activation_bytes(recipe, _shape(dataset), len(dataset.classes))
            while batch > SMALLEST_BATCH and batch * image > _MEMORY_SHARE * memory_bytes:
                batch //= 2
                why = (
                    f"{memory_bytes / 2**30:.1f} GiB are free, and an image takes {image >> 20} MiB"
                )
        changes["train.batch_size"] = batch
        reasons.append(f"batch {batch}{'' if batch == usual else f' instead of {usual}'}: {why}")

    if "train.num_epochs" not in fixed:
        factor = (_USUAL_IMAGES / max(1, count)) ** 0.5
        factor = min(max(factor, 1 / _MOST_EPOCHS_FACTOR), _MOST_EPOCHS_FACTOR)
        # Within a third of the usual number nothing is changed: it would tell of noise.
        epochs = recipe.train.num_epochs
        if not 2 / 3 < factor < 3 / 2:
            epochs = max(1, round(epochs * factor))
            changes["train.num_epochs"] = epochs
            if "train.warmup_epochs" not in fixed:
                share = recipe.train.warmup_epochs / recipe.train.num_epochs
                changes["train.warmup_epochs"] = share * epochs
        reasons.append(f"{epochs} epochs of {count:,} images")

    counts = np.bincount(dataset.train.labels, minlength=len(dataset.classes)).tolist()
    by_hand = {"train.sampling", "train.class_weights"} & set(fixed)
    if not by_hand and max(counts) >= _IMBALANCE * max(1, min(counts)) and not recipe.train.prune:
        changes["train.sampling"] = "balanced"
        reasons.append(
            f"classes are drawn equally often, for the largest has {max(counts):,} images "
            f"and the smallest {min(counts):,}"
        )
    return recipe.changed(changes), reasons


def paths_of(overrides: Iterable[str]) -> set[str]:
    """The paths that ``path=value`` overrides set."""
    return {override.partition("=")[0].strip() for override in overrides}


def follows(done: Recipe, asked: Recipe, *, fixed: Collection[str] = ()) -> bool:
    """Whether a finished run's recipe is what was asked for, or a plan that was made of it.

    Args:
        done: of the run.
        asked: with ``plan=True`` whatever a plan may choose can differ, but for what is `fixed`.
        fixed: as of `planned`.
    """
    if not asked.plan:
        return done == asked
    free = [path for path in _PLANNED if path not in fixed]
    values = {path: functools.reduce(getattr, path.split("."), asked) for path in free}
    return done.changed(values) == asked


def _shape(dataset: Dataset) -> ImageShape:
    return (dataset.channels, *dataset.image_size)


def _size_reason(dataset: Dataset) -> str:
    height, width = dataset.image_size
    kind = "color" if dataset.channels == 3 else "gray"
    fitted = "" if dataset.photos is None else ", each photo fitted in whole"
    return f"images of {height} x {width} pixels, {kind}{fitted}"
