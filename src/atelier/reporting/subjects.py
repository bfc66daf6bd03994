"""What a report is about: runs and data, as far as it reads them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..drawing.picture import Picture
from ..errors import RunError
from ..evaluation import Comparison, Evaluation
from ..predictions import Predictions


class RunLike(Protocol):
    """What a report reads of a run."""

    @property
    def name(self) -> str:
        """What the run is called."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """How the training ended."""

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """One row for each epoch."""

    @property
    def environment(self) -> Mapping[str, Any]:
        """Versions and machine."""

    @property
    def command(self) -> str:
        """The command line that repeats the run."""


class SplitLike(Protocol):
    """What a report reads of a split: images (N, C, H, W) uint8, labels (N,) and ids (N,)."""

    @property
    def images(self) -> npt.NDArray[np.uint8]: ...

    @property
    def labels(self) -> npt.NDArray[np.int64]: ...

    @property
    def ids(self) -> npt.NDArray[np.int64]: ...


class PhotosLike(Protocol):
    """What a report reads of photos: the name of each file, by the image's id, and notes."""

    @property
    def files(self) -> Sequence[str]: ...

    @property
    def notes(self) -> Sequence[str]: ...


class DatasetLike(Protocol):
    """What a report reads of a data set."""

    @property
    def name(self) -> str: ...

    @property
    def train(self) -> SplitLike: ...

    @property
    def validation(self) -> SplitLike | None: ...

    @property
    def photos(self) -> PhotosLike | None: ...

    @property
    def judged(self) -> tuple[str, SplitLike]: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def fingerprint(self) -> str: ...


@dataclass(frozen=True, eq=False)
class ReportEntry:
    """One run of a report.

    Attributes:
        run: the run.
        predictions: of the images that it is judged by.
        evaluation: their scores.
        augmented: where it was trained with augmentation, some training images (N, C, H, W) uint8
            and what augmentation makes of them (N, V, C, H, W) uint8.
    """

    run: RunLike
    predictions: Predictions
    evaluation: Evaluation
    augmented: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """All that a report is about.

    Attributes:
        dataset: what the runs were trained and tested on.
        entries: the runs by names that are all different, in the order in which they are shown.
        comparison: of their recipes, where there are several.
    """

    dataset: DatasetLike
    entries: Mapping[str, ReportEntry]
    comparison: Comparison | None = None

    @functools.cached_property
    def evaluations(self) -> dict[str, Evaluation]:
        """The scores of each run."""
        return {name: entry.evaluation for name, entry in self.entries.items()}

    @functools.cached_property
    def pictures(self) -> dict[str, dict[str, Picture]]:
        """The pictures of each run by their keys, drawn once for the page and the folders.

        Raises:
            RunError: predictions are not of the images that the data set is judged by.
        """
        from .pictures import run_pictures

        return {
            name: {picture.key: picture for picture in run_pictures(name, entry, self.dataset)}
            for name, entry in self.entries.items()
        }

    @property
    def best(self) -> str:
        """The run that is right most often, classes weighing alike where they are uneven."""
        return max(self.evaluations, key=lambda name: headline(self.evaluations[name]))


def headline(result: Evaluation) -> float:
    """The score that comes first: accuracy, or balanced accuracy of uneven classes; in 0..1."""
    return result.balanced_accuracy if result.uneven else result.accuracy


def predicted_images(
    dataset: DatasetLike, predictions: Predictions, name: str
) -> npt.NDArray[np.uint8]:
    """The images that a run predicted, in the order of its predictions.

    Raises:
        RunError: the predictions are not of the images that this data set is judged by.
    """
    part, judged = dataset.judged
    order = np.argsort(judged.ids, kind="stable")
    place = np.searchsorted(judged.ids, predictions.ids, sorter=order)
    rows = order[np.minimum(place, len(order) - 1)]
    if (
        predictions.classes != dataset.classes
        or not np.array_equal(judged.ids[rows], predictions.ids)
        or not np.array_equal(judged.labels[rows], predictions.labels)
    ):
        raise RunError(
            f"the predictions of {name} are not of the {part} images of {dataset.name}",
            fix="Name the data that the run was evaluated on with --data",
        )
    if np.array_equal(rows, np.arange(len(judged.images))):
        return judged.images  # as they are: of many photos a copy would fill the memory
    return judged.images[rows]


def predicted_files(dataset: DatasetLike, predictions: Predictions) -> list[str] | None:
    """The names of the files that a run predicted; None where the data are no photos."""
    if dataset.photos is None:
        return None
    return [dataset.photos.files[image] for image in predictions.ids]
