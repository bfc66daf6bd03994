"""What a report is about: runs and data, as far as it reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import RunError
from ..evaluation import Evaluation
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


class DatasetLike(Protocol):
    """What a report reads of a data set."""

    @property
    def name(self) -> str: ...

    @property
    def train(self) -> SplitLike: ...

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
        predictions: its test predictions.
        evaluation: their scores.
        augmented: where it was trained with augmentation, some training images (N, C, H, W) uint8
            and what augmentation makes of them (N, V, C, H, W) uint8.
    """

    run: RunLike
    predictions: Predictions
    evaluation: Evaluation
    augmented: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None = None


def predicted_images(
    dataset: DatasetLike, predictions: Predictions, name: str
) -> npt.NDArray[np.uint8]:
    """The test images that a run predicted, in the order of its predictions.

    Raises:
        RunError: the predictions are not of this data set's test images.
    """
    test = dataset.judged[1]
    order = np.argsort(test.ids, kind="stable")
    place = np.searchsorted(test.ids, predictions.ids, sorter=order)
    rows = order[np.minimum(place, len(order) - 1)]
    if (
        predictions.classes != dataset.classes
        or not np.array_equal(test.ids[rows], predictions.ids)
        or not np.array_equal(test.labels[rows], predictions.labels)
    ):
        raise RunError(
            f"the test predictions of {name} are not of the test images of {dataset.name}",
            fix="Name the data that the run was evaluated on with --data",
        )
    return test.images[rows]
