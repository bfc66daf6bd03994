"""Predictions: what evaluation, comparison, calibration and reports read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import RunError
from .storage import atomic_path


@dataclass(frozen=True)
class Predictions:
    """What a model said about N images of K classes.

    Attributes:
        ids: (N,) int64, the position of each image in its split's source.
        labels: (N,) int64 true classes, in 0..K-1.
        logits: (N, K) float32, before the softmax.
        classes: the K class names, in the order of the columns of `logits`.
    """

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        expected = (len(self.labels), len(self.classes))
        if self.logits.shape != expected or len(self.ids) != len(self.labels):
            raise ValueError(
                f"ids {self.ids.shape}, labels {self.labels.shape} and logits {self.logits.shape} "
                f"do not agree with {len(self.classes)} classes"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def probs(self) -> npt.NDArray[np.float64]:
        """(N, K) softmax of the logits, computed in float64."""
        shifted = self.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        exp: npt.NDArray[np.float64] = np.exp(shifted)
        probs: npt.NDArray[np.float64] = exp / exp.sum(axis=1, keepdims=True)
        return probs

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """(N,) the class with the largest logit."""
        classes: npt.NDArray[np.int64] = self.logits.argmax(axis=1).astype(np.int64)
        return classes

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the predicted class is the true one."""
        correct: npt.NDArray[np.bool_] = self.predicted == self.labels
        return correct

    def take(self, chosen: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Predictions:
        """Those at positions, in their order, or where a mask is true."""
        return Predictions(self.ids[chosen], self.labels[chosen], self.logits[chosen], self.classes)

    def save(self, path: str | Path) -> None:
        """Write a compressed .npz, whole or not at all.

        Raises:
            StorageError: no space or no permission.
        """
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                ids=self.ids,
                labels=self.labels,
                logits=self.logits,
                classes=np.array(self.classes),
            )

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            RunError: the file is missing or corrupt.
        """
        try:
            # Opened here, for numpy leaves a damaged file open.
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return cls(
                    arrays["ids"].astype(np.int64),
                    arrays["labels"].astype(np.int64),
                    arrays["logits"].astype(np.float32),
                    tuple(map(str, arrays["classes"])),
                )
        # A damaged archive makes zipfile, zlib and numpy raise a dozen kinds of errors.
        except Exception as error:
            raise RunError(
                f"cannot read the predictions {path}: {error}",
                fix="Run `atelier evaluate` on the run again with --refresh",
            ) from error
