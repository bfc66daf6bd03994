"""Wrong labels at a stated rate, for training parts whose labels are right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..storage import atomic_path, explained

NoiseKind = Literal["symmetric", "pair"]


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """Which labels of N images are wrong.

    Attributes:
        ids: (N,) int64, the images' places in their source.
        labels: (N,) int64, the labels to learn from.
        changed: (M,) int64, sorted positions of those that are wrong.
        true: (M,) int64, what they were.
    """

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    changed: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]

    def save(self, path: Path) -> None:
        """Write ``ids``, ``given`` and ``true`` of the wrong labels as .npz arrays, each (M,)."""
        with atomic_path(path) as temporary, explained(path), temporary.open("wb") as file:
            np.savez_compressed(
                file,
                ids=self.ids[self.changed],
                given=self.labels[self.changed],
                true=self.true,
            )


def wrong_labels(
    labels: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    *,
    rate: float,
    kind: NoiseKind,
    seed: int,
) -> LabelNoise:
    """Make ``round(rate * N)`` labels wrong, of images drawn by lot.

    Symmetric noise gives an image any of the other classes, each as likely; pair noise gives it the
    class after its own, and the first one after the last. Both are as in Han et al. 2018
    (arXiv:1804.06872, section 4): all that is drawn is wrong, so that `rate` is the share of wrong
    labels itself.

    Args:
        labels: (N,) int64; the classes are those that occur.
        ids: (N,) int64, the images' places in their source.
        rate: the share of wrong labels, below 1.
        kind: of noise.
        seed: of the draw.

    Raises:
        DataError: all labels are of one class.
    """
    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise DataError(
            "labels of one class alone cannot be made wrong", fix="Set train.label_noise=0"
        )
    rng = np.random.default_rng((seed, 1))  # the split is drawn by the seed alone
    changed = np.sort(rng.permutation(len(labels))[: round(rate * len(labels))])
    steps: npt.NDArray[np.int64] | int = 1
    if kind == "symmetric":
        steps = rng.integers(1, len(classes), len(changed))
    noisy = labels.copy()
    noisy[changed] = classes[(numbers[changed] + steps) % len(classes)]
    return LabelNoise(ids, noisy, changed.astype(np.int64), labels[changed])
