"""What every peer is given and what it prints. NumPy and the standard library are all it needs.

A peer is given a folder of arrays, so that none pays for another's loading, and prints a line of
JSON after every epoch: ``{"epoch": 1, "seconds": 61.2, "test_accuracy": 0.871}``. The seconds count
from the start of its process, imports and compilation included; those spent on the test images are
left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Arrays(NamedTuple):
    """A data set: images are (N, C, H, W) uint8, labels (N,) int64."""

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]

    def first(self, number: int) -> Arrays:
        """The first images of both parts."""
        return Arrays(*(array[:number] for array in self))  # type: ignore[arg-type]

    def save(self, folder: Path) -> None:
        """Write each array as ``NAME.npy``."""
        for name, array in self._asdict().items():
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> Arrays:
        """Read what `save` wrote."""
        return cls(*(np.load(folder / f"{name}.npy") for name in cls._fields))


class Stopwatch:
    """Seconds since `started`, a reading of `time.monotonic`, without those of evaluations."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._evaluating = 0.0
        self._epochs = 0

    def epoch_ended(self, evaluate: Callable[[], float]) -> None:
        """Print the epoch's line; `evaluate` returns the test accuracy, and its time is free."""
        now = time.monotonic()
        self._epochs += 1
        line = {
            "epoch": self._epochs,
            "seconds": now - self._started - self._evaluating,
            "test_accuracy": float(evaluate()),
        }
        print(json.dumps(line), flush=True)
        self._evaluating += time.monotonic() - now


def parse_options(description: str | None, **choices: tuple[str, ...]) -> Any:
    """The options of every peer, and one required option for each of `choices`."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of .npy files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=1, help="where the peer has epochs")
    parser.add_argument(
        "--started",
        type=float,
        default=time.monotonic(),
        help="time.monotonic() as the process was started (default: now)",
    )
    for name, allowed in choices.items():
        parser.add_argument(f"--{name}", choices=allowed, required=True)
    return parser.parse_args()
