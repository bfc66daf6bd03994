"""Seconds per training epoch: the plain loop of most tutorials, and atelier's `cnn`, side by side.

Both train the same network on the same images at the same batch size and with the same number of
threads, in turns, so that whatever else the machine does falls on both; and each in a process of
its own, so that neither changes the other's allocator or caches. Neither augments images nor
drops units out. Each epoch of atelier is the first of a new training, to its disadvantage.

    python -m benchmarks.epoch_time [--epochs 3] [--workers 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import atelier
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError
from atelier.storage import write_json

BATCH_SIZE = 64
# What the recipe adds to the textbook's network and data.
SAME_NETWORK = ("model.batch_norm=false", "model.dropout=0", "augment.mirror=none")


class PlainImages(Dataset[tuple[Tensor, int]]):
    """Images one at a time through PIL, as torchvision.datasets.FashionMNIST gives them."""

    def __init__(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
        # Here, for it takes seconds to import, and only the plain loop's process needs it.
        from torchvision import transforms

        # In memory, as torchvision holds them; (N, H, W, C) for PIL.
        self.images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.labels = labels
        channels = images.shape[1]
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5,) * channels, (0.5,) * channels)]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        return self.transform(picture), int(self.labels[index])


def plain_network(image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """conv32, conv64, each with ReLU and max-pooling, then dense 128: `cnn`, as most write it."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (height // 4) * (width // 4), 128),
        nn.ReLU(),
        nn.Linear(128, num_classes),
    )


class PlainLoop:
    """The training loop of most tutorials."""

    def __init__(self, data: str, workers: int) -> None:
        torch.manual_seed(0)
        dataset = atelier.load_dataset(data)
        images, labels = dataset.train.images, dataset.train.labels
        self.device = resolve_device()
        self.loader = DataLoader(
            PlainImages(images, labels), batch_size=BATCH_SIZE, shuffle=True, num_workers=workers
        )
        self.model = plain_network(images.shape[1:], len(dataset.classes)).to(self.device)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def epoch(self) -> tuple[float, float]:
        """Train one epoch; return its seconds and its mean loss."""
        start = time.perf_counter()
        running_loss = 0.0
        self.model.train()
        for images, labels in self.loader:
            images, labels = images.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            running_loss += loss.item()
        return time.perf_counter() - start, running_loss / len(self.loader)


@functools.cache
def _plain_loop(data: str, workers: int) -> PlainLoop:
    return PlainLoop(data, workers)  # kept by its process from turn to turn


def plain_epoch(data: str, workers: int) -> tuple[float, float]:
    """One more epoch of this process's plain loop: seconds and mean loss."""
    return _plain_loop(data, workers).epoch()


def atelier_epoch(data: str) -> tuple[float, float]:
    """One epoch of `cnn` on all training images, as the plain loop has: seconds and mean loss."""
    with tempfile.TemporaryDirectory() as folder:
        run = atelier.train(
            "cnn",
            data=data,
            out=Path(folder) / "run",
            progress=False,
            overrides=[
                *SAME_NETWORK,
                f"train.batch_size={BATCH_SIZE}",
                "train.num_epochs=1",
                "train.warmup_epochs=0",
                "train.validation_share=0",
                "train.keep=last",
            ],
        )
        row = run.history[0]
    return float(row["seconds"]), float(row["train/loss"])


Contestant = Callable[[], tuple[float, float]]


@dataclass(frozen=True)
class Timing:
    """Seconds of each epoch, and the mean training loss of the last, to see that it learns."""

    seconds: list[float]
    last_train_loss: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def measure(contestants: dict[str, Contestant], epochs: int) -> dict[str, Timing]:
    """Let each train `epochs` epochs in turns, each in its own process."""
    spawn = multiprocessing.get_context("spawn")
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    losses: dict[str, float] = {}
    with ExitStack() as stack:
        homes = {
            name: stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn))
            for name in contestants
        }
        for turn in range(epochs):
            # There and back again, so that a machine that slows down favors nobody.
            order = list(contestants) if turn % 2 == 0 else list(contestants)[::-1]
            for name in order:
                taken, losses[name] = homes[name].submit(contestants[name]).result()
                seconds[name].append(taken)
                print(f"epoch {turn + 1} of {epochs}, {name}: {taken:.2f} s", file=sys.stderr)
    return {name: Timing(seconds[name], losses[name]) for name in contestants}


def table(timings: dict[str, Timing], baseline: str) -> str:
    """Seconds per epoch of each, and the ratio to the baseline's median."""
    width = max(len("seconds per epoch"), *map(len, timings))
    lines = [f"{'seconds per epoch':<{width}}  median     min     max  ratio  last loss"]
    for name, timing in timings.items():
        ratio = timing.median / timings[baseline].median
        lines.append(
            f"{name:<{width}}  {timing.median:6.2f}  {min(timing.seconds):6.2f}  "
            f"{max(timing.seconds):6.2f}  {ratio:5.3f}  {timing.last_train_loss:9.3f}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.epoch_time", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--epochs", type=int, default=3, help="turns of each (default: 3)")
    parser.add_argument("--data", default="fashion-mnist", help="as of `atelier train`")
    parser.add_argument(
        "--workers", type=int, default=0, help="also measure the plain loop with so many workers"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    if options.epochs < 1 or options.workers < 0:
        parser.error("--epochs must be at least 1 and --workers at least 0")

    baseline = f"plain loop, batch {BATCH_SIZE}"
    contestants: dict[str, Contestant] = {
        baseline: functools.partial(plain_epoch, options.data, 0),
        f"atelier cnn, batch {BATCH_SIZE}": functools.partial(atelier_epoch, options.data),
    }
    if options.workers:
        name = f"{baseline}, {options.workers} workers"
        contestants[name] = functools.partial(plain_epoch, options.data, options.workers)
    try:
        num_images = len(atelier.load_dataset(options.data).train)
        timings = measure(contestants, options.epochs)
        machine = describe_machine(resolve_device())
        if options.json:
            write_json(
                options.json,
                {
                    "data": options.data,
                    "images": num_images,
                    "machine": machine,
                    "timings": {name: asdict(timing) for name, timing in timings.items()},
                },
            )
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(table(timings, baseline))
    print(f"{options.data}, {num_images:,} images an epoch")
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
