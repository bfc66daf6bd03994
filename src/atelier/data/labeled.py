"""Drawing the few images whose labels a training sees."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, DataError
from ..storage import write_json
from .datasets import ImageSplit

LABELS = "labels.json"  # in a run folder


@dataclass(frozen=True)
class FewLabels:
    """Which images have a label that is looked at.

    Attributes:
        labeled: (N,) sorted positions in the training part.
        unlabeled: (M,) sorted positions of the other images.
        ids: (N,) those of the labeled images in their source.
        seed: by which they were drawn.
    """

    labeled: npt.NDArray[np.int64]
    unlabeled: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    seed: int

    def save(self, path: Path) -> None:
        """Write seed and ids as JSON, so that anyone can check them."""
        write_json(path, {"seed": self.seed, "labeled_ids": self.ids.tolist()})


def labeled_ids(path: Path) -> npt.NDArray[np.int64]:
    """(N,) what `FewLabels.save` has written: the labeled images, by their ids in their source."""
    return np.array(json.loads(path.read_text(encoding="utf-8"))["labeled_ids"], np.int64)


def draw_labeled(
    split: ImageSplit,
    chosen: npt.NDArray[np.int64],
    count: int,
    *,
    seed: int,
    classes: tuple[str, ...],
) -> FewLabels:
    """Draw images of each class in equal number; where `count` does not divide, the first classes
    have one more. A larger count draws the same images and more.

    Args:
        split: the whole training part.
        chosen: sorted positions in it that may be drawn.
        count: how many.
        seed: the same seed draws the same images, on every machine.
        classes: names of all classes; those of `chosen` are drawn from.

    Raises:
        ConfigError: fewer labels than classes, or as many as there are images.
        DataError: a class has too few images.
    """
    labels = split.labels
    present = np.unique(labels[chosen]).tolist()
    num_classes = len(present)
    if not num_classes <= count < len(chosen):
        raise ConfigError(
            "train.labels must give each class a label and leave images without one",
            got=count,
            allowed=f"{num_classes} to {len(chosen) - 1}, or 0 for all labels",
        )
    drawn = []
    for number, label in enumerate(present):
        wanted = count // num_classes + (number < count % num_classes)
        # Of the whole part and in an order of its own, so that images that are held out or added
        # elsewhere change little.
        rng = np.random.default_rng((seed, label))
        order = rng.permutation(np.flatnonzero(labels == label))
        order = order[np.isin(order, chosen)]
        if len(order) < wanted:
            raise DataError(
                f"{classes[label]} has fewer images than train.labels asks of each class",
                got=len(order),
                fix=f"Set train.labels to at most {num_classes * len(order)}",
            )
        drawn.append(order[:wanted])
    labeled = np.sort(np.concatenate(drawn)).astype(np.int64)
    unlabeled = np.setdiff1d(chosen, labeled, assume_unique=True)
    return FewLabels(labeled, unlabeled, split.ids[labeled], seed)
