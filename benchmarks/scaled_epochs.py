"""One epoch of training on so many images of such a size, each in a process of its own."""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F

import atelier
from atelier.config import Recipe
from atelier.data import Dataset, ImageSplit
from atelier.data.cache import save_arrays
from atelier.data.datasets import FASHION_MNIST, cached_path, fingerprint_of, to_arrays
from atelier.errors import DeviceError
from benchmarks.peers.plain_loop import PlainLoop


@dataclass(frozen=True)
class Epoch:
    """What one process says of its training."""

    images: int
    seconds: float
    outside_seconds: float
    data_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Measurement:
    """An epoch of `trainer` on `images` square images of `side` pixels."""

    trainer: str
    images: int
    side: int
    epoch: Epoch

    @property
    def us_per_image(self) -> float:
        return 1e6 * self.epoch.seconds / self.epoch.images


Trainer = Callable[[Path], Epoch]
"""Trains one epoch on the data in a cache folder; run in a new process."""


def train_with_atelier(cache: Path, recipe: Recipe) -> Epoch:
    """One epoch by `atelier.train`."""
    os.environ["ATELIER_CACHE"] = str(cache)
    start = time.perf_counter()
    run = atelier.train(recipe, out=cache / "run", overwrite=True, progress=False)
    row = run.history[0]
    whole = time.perf_counter() - start
    return Epoch(
        images=round(row["images_per_second"] * row["seconds"]),
        seconds=row["seconds"],
        outside_seconds=whole - row["seconds"] - row["validation_seconds"],
        data_bytes=_data_bytes(),
        peak_bytes=peak_memory_bytes(),
    )


def train_with_plain_loop(cache: Path) -> Epoch:
    """One epoch by the loop of most tutorials."""
    os.environ["ATELIER_CACHE"] = str(cache)
    start = time.perf_counter()
    training = atelier.load_dataset(FASHION_MNIST).train
    seconds, _ = PlainLoop(training.images, training.labels).epoch()
    return Epoch(
        images=len(training),
        seconds=seconds,
        outside_seconds=time.perf_counter() - start - seconds,
        data_bytes=_data_bytes(),
        peak_bytes=peak_memory_bytes(),
    )


def _data_bytes() -> int:
    training = atelier.load_dataset(FASHION_MNIST).train
    return training.images.nbytes + training.labels.nbytes + training.ids.nbytes


def peak_memory_bytes() -> int:
    """The largest resident set of this process so far."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        # Second choice: on Linux, getrusage's peak is never below that of the process which
        # started this one. In bytes on macOS, in KiB elsewhere.
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def replicate(dataset: Dataset, images: int, side: int) -> Dataset:
    """The training part repeated to so many images, all enlarged to side x side pixels.

    Args:
        dataset: of square images; its test part is cut to 100 images, for nothing reads it.
        images: how many; the first ones, if fewer than there are.
        side: in pixels.
    """
    test = _enlarge(dataset.test.take(range(min(100, len(dataset.test)))), side)
    small = dataset.train.take(range(min(images, len(dataset.train))))
    positions = np.arange(images) % len(small)
    large = _enlarge(small, side)
    train = ImageSplit(large.images[positions], large.labels[positions], np.arange(images))
    fingerprint = fingerprint_of(train, test, dataset.classes)
    return Dataset(dataset.name, train, test, dataset.classes, fingerprint)


def _enlarge(split: ImageSplit, side: int) -> ImageSplit:
    if split.images.shape[2:] == (side, side):
        return split
    pixels = F.interpolate(torch.from_numpy(np.array(split.images)), size=(side, side))
    return ImageSplit(pixels.numpy(), split.labels, split.ids)


def measure(
    dataset: Dataset, trainers: dict[str, Trainer], points: list[tuple[str, int, int]]
) -> list[Measurement]:
    """Train one epoch at each point, in new processes.

    Args:
        dataset: whose training images are repeated.
        trainers: picklable, by name.
        points: (trainer, images, side).

    Raises:
        DeviceError: a process was killed.
    """
    # Seconds of a start, and for each pixel, to which the work of an epoch is about proportional.
    pace: dict[str, tuple[float, float]] = {}
    results: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        written = None
        for name, images, side in points:
            if written != (images, side):
                with patch.dict(os.environ, ATELIER_CACHE=folder):
                    arrays, facts = to_arrays(replicate(dataset, images, side))
                    save_arrays(cached_path(FASHION_MNIST), arrays, facts)
                del arrays  # leaves the memory to the measured process
                written = (images, side)
            expected = [
                start + each * count * pixels * pixels
                for trainer, count, pixels in points[len(results) :]
                for start, each in [pace.get(trainer, (0, 0))]
            ]
            print(
                f"{len(results) + 1} of {len(points)}: {name}, {images:,} images of {side} pixels"
                + (
                    f", about {expected[0]:.0f} s; all: {sum(expected):.0f} s left" * (name in pace)
                ),
                file=sys.stderr,
                flush=True,
            )
            start = time.perf_counter()
            work = functools.partial(trainers[name], Path(folder))
            epoch = _in_new_process(work, f"{name} with {images:,} images of {side} pixels")
            outside = time.perf_counter() - start - epoch.seconds
            pace[name] = (outside, epoch.seconds / (images * side * side))
            results.append(Measurement(name, images, side, epoch))
    return results


def _in_new_process(work: Callable[[], Epoch], what: str) -> Epoch:
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=spawn) as executor:
            return executor.submit(work).result()
    except BrokenProcessPool as error:
        raise DeviceError(
            f"the process of {what} was killed, most likely for want of memory",
            fix="Measure fewer images with --images, or smaller ones with --sizes",
        ) from error
