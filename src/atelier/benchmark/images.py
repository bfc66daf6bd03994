"""The images that contenders are measured on: held out by their training, never the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import DataError, RunError
from .contenders import Contender, fingerprint_of

if TYPE_CHECKING:
    from ..data import Dataset, ImageSplit
    from ..runs import Run

_POOL = 512  # images that speed is measured on where none are held out


@dataclass(frozen=True)
class Sample:
    """Images for one contender.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64 in the order of the contender's classes; None where no image is known to
            have been held out, so that an accuracy would flatter.
        what: what images these are, as words for the table.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    what: str

    def same_as(self, other: Sample) -> bool:
        """Whether both hold the same images, so that answers can be paired."""
        return np.array_equal(self.images, other.images)


def samples_of(
    contenders: Sequence[Contender], data: str | None, most: int | None, *, progress: bool
) -> list[Sample]:
    """A sample for each contender, in their order.

    Args:
        contenders: of one image shape.
        data: a data set to measure on; None is what each contender was trained on, where it is
            known.
        most: of images, drawn evenly; None is all of them.
        progress: show a bar while photos are read.

    Raises:
        DataError: the data set is missing or corrupt, or has other classes or another shape.
        RunError: a run's data have changed.
    """
    return [_thinned(_sample(one, contenders, data, progress), most) for one in contenders]


def _sample(
    contender: Contender, contenders: Sequence[Contender], data: str | None, progress: bool
) -> Sample:
    run = _run_for(contender, contenders)
    if data is None and run is None:
        return _noise(contender)
    dataset = _load(data, run, contender, progress)
    if dataset.train.images.shape[1:] != contender.image_shape:
        raise DataError(
            f"the images of {dataset.name} have another shape than {contender.name} reads",
            got=" x ".join(map(str, dataset.train.images.shape[1:])),
            allowed=" x ".join(map(str, contender.image_shape)),
        )
    if dataset.fingerprint == contender.data_fingerprint:
        return _held_out(dataset, contender, run)
    # Of other data it has seen none; still, the test part is left for the final evaluation.
    part = dataset.train if dataset.validation is None else dataset.validation
    return _labeled(part, dataset, contender, f"images of {dataset.name}")


def _run_for(contender: Contender, contenders: Sequence[Contender]) -> Run | None:
    """The run that knows which images were held out: the contender's own, or one among the others
    that has the same weights."""
    folders = [contender.run] + [
        other.run for other in contenders if other.weights_sha256 == contender.weights_sha256
    ]
    folder = next((folder for folder in folders if folder is not None), None)
    if folder is None:
        return None
    from ..runs import Run

    return Run(folder)


def _load(data: str | None, run: Run | None, contender: Contender, progress: bool) -> Dataset:
    from ..config import PhotosConfig
    from ..data import obtain_dataset

    if run is not None:
        return obtain_dataset(data or run.recipe.data, run.recipe.photos, progress=progress)
    channels, height, _ = contender.image_shape
    # Photos are square; arrays, which may have any shape, do not ask for one.
    photos = PhotosConfig.model_validate({"image_size": max(8, height), "channels": channels})
    assert data is not None
    return obtain_dataset(data, photos, progress=progress)


def _held_out(dataset: Dataset, contender: Contender, run: Run | None) -> Sample:
    """What the training of the contender did not learn from, as its run has cut it."""
    held_out = dataset.validation
    if run is not None:
        from ..evaluation import judged_images

        try:
            held_out = judged_images(run, dataset, "validation")
        except RunError:
            if fingerprint_of(run) != dataset.fingerprint:
                raise
            held_out = None  # trained on all of them
    if held_out is None:
        pool = dataset.train.images[:_POOL]
        return Sample(pool, None, f"training images of {dataset.name}")
    return _labeled(held_out, dataset, contender, f"validation images of {dataset.name}")


def _labeled(part: ImageSplit, dataset: Dataset, contender: Contender, what: str) -> Sample:
    """`part` with its labels in the order of the contender's classes."""
    if set(dataset.classes) - set(contender.classes):
        unknown = next(name for name in dataset.classes if name not in contender.classes)
        raise DataError(
            f"{dataset.name} has a class that {contender.name} does not know",
            got=unknown,
            allowed=contender.classes,
        )
    own = np.array([contender.classes.index(name) for name in dataset.classes], np.int64)
    return Sample(part.images, own[part.labels], what)


def _noise(contender: Contender) -> Sample:
    """Random images: as good as any for speed, for no layer's time depends on its values."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_POOL, *contender.image_shape), dtype=np.uint8)
    return Sample(images, None, "random images")


def _thinned(sample: Sample, most: int | None) -> Sample:
    if most is None or len(sample.images) <= most:
        return sample
    chosen = np.linspace(0, len(sample.images) - 1, most).astype(np.int64)
    labels = None if sample.labels is None else sample.labels[chosen]
    return replace(sample, images=sample.images[chosen], labels=labels)
