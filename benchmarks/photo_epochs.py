"""What `benchmarks.photo_loading` measures, each in a process of its own."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from atelier.config import AugmentConfig, PhotosConfig
from atelier.data import load_dataset, normalization_of
from atelier.data.augment import Augmenter
from atelier.data.batches import Normalizer, TrainingBatches
from atelier.data.photo_cache import read_photos
from atelier.data.photo_files import list_photos

BATCH_SIZE = 64


@dataclass(frozen=True)
class Reading:
    """So many photos decoded to squares.

    Attributes:
        images: their number.
        seconds: from outside.
        cpu_seconds: of all threads of the process.
    """

    images: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class DataEpoch:
    """An epoch of a network that costs next to nothing.

    Attributes:
        images: in the epoch.
        seconds: of all of it.
        waiting: of them, in which the network waited for its next batch.
    """

    images: int
    seconds: float
    waiting: float


def plain_reading(folder: Path, size: int) -> Reading:
    """Open, turn upright, convert, letterbox and keep as an array, one after the other."""
    paths = list_photos(folder)
    start, cpu = time.perf_counter(), time.process_time()
    arrays = []
    for path in paths:
        with Image.open(path) as image:
            picture = ImageOps.exif_transpose(image).convert("RGB")
        arrays.append(np.asarray(ImageOps.pad(picture, (size, size), Image.Resampling.BICUBIC)))
    return Reading(len(arrays), time.perf_counter() - start, time.process_time() - cpu)


def bare_decoding(folder: Path, size: int) -> Reading:
    """Have Pillow's decoder make pixels, as few as `size` allows, and drop them."""
    paths = list_photos(folder)
    start, cpu = time.perf_counter(), time.process_time()
    for path in paths:
        with Image.open(path) as image:
            image.draft("RGB", (size, size))
            image.load()
    return Reading(len(paths), time.perf_counter() - start, time.process_time() - cpu)


def cached_reading(folder: Path, size: int) -> Reading:
    """All that atelier does before the first training: read, check, hash, decode and keep."""
    paths = [str(path) for path in list_photos(folder)]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ATELIER_CACHE"] = cache
        # What is imported at the first use is not of the photos.
        read_photos(folder / "few", paths[:2], channels=3, image_size=size)
        start, cpu = time.perf_counter(), time.process_time()
        cached = read_photos(folder, paths, channels=3, image_size=size)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return Reading(len(cached.pixels), seconds, cpu_seconds)


def image_folder_epoch(data: Path, size: int, workers: int) -> DataEpoch:
    """torchvision's ImageFolder and a DataLoader, as its tutorials have them."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )
    folder = datasets.ImageFolder(str(training_folder(data)), transform)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        folder, BATCH_SIZE, shuffle=True, drop_last=True, num_workers=workers
    )
    return _epoch(((images, labels) for images, labels in loader), len(folder.classes))


def atelier_epoch(data: Path, size: int, workers: int) -> DataEpoch:  # noqa: ARG001 - has none
    """The batches that a training of atelier gets, without augmentation, as the other has none."""
    dataset = load_dataset(data, PhotosConfig(image_size=size, keep_duplicates=True))
    device = torch.device("cpu")
    chosen = np.arange(len(dataset.train))
    normalize = Normalizer(*normalization_of(dataset.train.images), device)
    augment = Augmenter(AugmentConfig(), normalize.byte(0).flatten(), len(chosen), 0, device)
    batches = TrainingBatches(dataset.train, chosen, BATCH_SIZE, normalize, augment, device)
    epoch = ((batch.images, batch.labels) for batch in batches.epoch(1, 0))
    return _epoch(epoch, len(dataset.classes))


def _epoch(batches: Iterable[tuple[Tensor, Tensor]], classes: int) -> DataEpoch:
    """Train a network of one coarse convolution; starting the workers counts as waiting."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, classes),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    start = time.perf_counter()
    images, waiting = 0, 0.0
    source: Iterator[tuple[Tensor, Tensor]] = iter(batches)
    while True:
        asked = time.perf_counter()
        batch = next(source, None)
        waiting += time.perf_counter() - asked
        if batch is None:
            break
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()
        images += len(batch[1])
    return DataEpoch(images, time.perf_counter() - start, waiting)


def training_folder(data: Path) -> Path:
    """The folder of class folders that is learned from."""
    return next((path for path in data.iterdir() if path.name.lower() == "train"), data)


def first_batch(data: str, recipe: str, size: str, out: str) -> None:
    """Run `atelier train` until the first epoch has its first batch; print when that was."""
    from atelier import cli

    whole = TrainingBatches.epoch

    def stopped(self: TrainingBatches, epoch: int, seed: int) -> Iterator[object]:
        for _ in whole(self, epoch, seed):
            print(time.monotonic(), sum(os.times()[:2]), flush=True)
            os._exit(0)
        yield

    TrainingBatches.epoch = stopped  # type: ignore[assignment, method-assign]
    words = ["train", recipe, "--data", data, "--out", out, "--overwrite", "--quiet"]
    cli.main([*words, "--set", f"photos.image_size={size}"])
