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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import atelier
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError
from atelier.storage import write_json
from benchmarks.peers.plain_loop import BATCH_SIZE, PlainLoop

# What the recipe adds to the textbook's network and data.
SAME_NETWORK = ("model.batch_norm=false", "model.dropout=0", "augment.mirror=none")


@functools.cache
def _plain_loop(data: str, workers: int) -> PlainLoop:
    train = atelier.load_dataset(data).train
    return PlainLoop(train.images, train.labels, workers=workers)  # kept from turn to turn


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
