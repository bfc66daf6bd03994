"""How fast photos are read: for the first time, at every later start, and in each epoch.

    python -m benchmarks.photo_loading --data DIR [--size 96] [--rounds 3] [--large 200]
                                       [--recipe NAME] [--results FILE]

Photos become squares of one size, in turns, each in a process of its own:

PIL loop        one process that opens, turns upright, converts and letterboxes with Pillow.
bare decoding   one process that decodes, and does nothing with the pixels: what no reader that uses
                this decoder can pass by with one core.
atelier         what fills the cache: also checks limits, hashes the files and their pixels, and
                writes them; on all cores.
images/s        of the whole, from outside.
per core        images per second of processor time, of all threads: what each does with a core,
                whatever else the machine has to do.

They read the photos of DIR, and `--large` of them made into JPEG files of the size that shops show,
750 x 1000 pixels, and of that of cameras, 3000 x 4000.

start           from the start of the process `atelier train` to the first batch of its first epoch,
                the photos being in the cache.
epoch           torchvision's ImageFolder with a DataLoader of two workers, and atelier's batches,
                for one epoch of a network that costs next to nothing: all of it, and the part that
                the network waited for its data.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image, ImageOps

from atelier.config import PhotosConfig
from atelier.cores import usable_cores
from atelier.data import load_dataset
from atelier.data.photo_files import list_photos
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError
from atelier.progress import progress_bar
from atelier.storage import write_json

from . import SURROUNDINGS
from .photo_epochs import (
    DataEpoch,
    Reading,
    atelier_epoch,
    bare_decoding,
    cached_reading,
    image_folder_epoch,
    plain_reading,
    training_folder,
)

RESULTS = Path(__file__).parent / "results" / "photo_loading.json"
PLAIN, BARE, OURS = "PIL loop", "bare decoding", "atelier"
FOLDER = "ImageFolder, 2 workers"
WORKERS = 2
LARGE_SIZES = {"shop": (750, 1000), "camera": (3000, 4000)}

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Start:
    """One start: seconds from outside, and of processor time."""

    seconds: float
    cpu_seconds: float


def in_turns(
    contestants: dict[str, Callable[[], Measured]], rounds: int
) -> dict[str, list[Measured]]:
    """Let each measure `rounds` times, in a new process each time."""
    spawn = multiprocessing.get_context("spawn")
    found: dict[str, list[Measured]] = {name: [] for name in contestants}
    for turn in range(rounds):
        # There and back again, so that a machine that slows down favors nobody.
        for name in list(contestants)[:: 1 if turn % 2 == 0 else -1]:
            with ProcessPoolExecutor(1, mp_context=spawn) as home:
                found[name].append(home.submit(contestants[name]).result())
            print(f"round {turn + 1} of {rounds}, {name}: {found[name][-1]}", file=sys.stderr)
    return found


def make_large(paths: Sequence[Path], folder: Path, size: tuple[int, int]) -> None:
    """Enlarge photos to JPEG files of that size, upright or on their side."""
    folder.mkdir()
    with progress_bar("enlarging", len(paths)) as bar:
        for number, path in enumerate(paths):
            with Image.open(path) as image:
                picture = ImageOps.exif_transpose(image).convert("RGB")
            turned = size if picture.height > picture.width else size[::-1]
            large = picture.resize(turned, Image.Resampling.BICUBIC)
            large.save(folder / f"{number}.jpg", quality=90)
            bar.update(number + 1)


def measure_start(data: Path, recipe: str, size: int) -> Start:
    """One process from its start to its first batch."""
    code = "import sys; from benchmarks.photo_epochs import first_batch; first_batch(*sys.argv[1:])"
    with tempfile.TemporaryDirectory() as folder:
        words = [str(data), recipe, str(size), str(Path(folder) / "run")]
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=Path(__file__).parent.parent,
            env={**SURROUNDINGS, "ATELIER_CACHE": os.environ["ATELIER_CACHE"]},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise AtelierError(f"atelier train failed: {done.stderr.strip().splitlines()[-1:]}")
    # Both clocks are the system's own, the same in all processes.
    finished, cpu_seconds = map(float, done.stdout.split()[-2:])
    return Start(finished - start, cpu_seconds)


def summarize(
    readings: dict[str, dict[str, list[Reading]]],
    starts: list[Start],
    epochs: dict[str, list[DataEpoch]],
    cores: int,
) -> dict[str, Any]:
    """Medians, and how many times one is faster than the other."""
    summary: dict[str, Any] = {"cores": cores}
    for kind, found in readings.items():
        wall = {name: _median(r.images / r.seconds for r in runs) for name, runs in found.items()}
        core = {
            name: _median(r.images / r.cpu_seconds for r in runs) for name, runs in found.items()
        }
        summary[f"{kind} photos"] = {
            "images_per_second": wall,
            "images_per_second_of_a_core": core,
            "times_faster": wall[OURS] / wall[PLAIN],
            "times_faster_per_core": core[OURS] / core[PLAIN],
            "bare_decoding_times_faster_per_core": core[BARE] / core[PLAIN],
        }
    summary["start"] = {
        "seconds": _median(start.seconds for start in starts),
        "cpu_seconds": _median(start.cpu_seconds for start in starts),
    }
    seconds = {name: _median(e.seconds for e in runs) for name, runs in epochs.items()}
    waiting = {name: _median(e.waiting for e in runs) for name, runs in epochs.items()}
    summary["epoch"] = {
        "seconds": seconds,
        "waiting_seconds": waiting,
        "times_slower": seconds[FOLDER] / seconds[OURS],
        "times_longer_waiting": waiting[FOLDER] / waiting[OURS],
    }
    return summary


def _median(values: Any) -> float:
    return statistics.median(values)


def table(summary: dict[str, Any]) -> str:
    """The summary for people."""
    lines = [f"{'reading':<28} {'images/s':>9} {'per core':>9} {'faster':>7} {'per core':>9}"]
    for kind in [key for key in summary if key.endswith("photos")]:
        part = summary[kind]
        for name in (PLAIN, BARE, OURS):
            ratios = ""
            if name == OURS:
                ratios = f" {part['times_faster']:6.1f}x {part['times_faster_per_core']:8.1f}x"
            elif name == BARE:
                ratios = f" {'':7} {part['bare_decoding_times_faster_per_core']:8.1f}x"
            lines.append(
                f"{kind + ', ' + name:<28} {part['images_per_second'][name]:9.1f} "
                f"{part['images_per_second_of_a_core'][name]:9.1f}{ratios}"
            )
    epoch, start = summary["epoch"], summary["start"]
    lines += ["", f"{'one epoch':<24} {'seconds':>9} {'waiting':>9}"]
    lines += [
        f"{name:<24} {epoch['seconds'][name]:9.2f} {epoch['waiting_seconds'][name]:9.2f}"
        for name in epoch["seconds"]
    ]
    lines.append(
        f"{FOLDER} takes {epoch['times_slower']:.1f} times as long, "
        f"and lets its network wait {epoch['times_longer_waiting']:.1f} times as long"
    )
    lines.append(
        f"start to first batch: {start['seconds']:.2f} s, "
        f"{start['cpu_seconds']:.2f} s of processor time"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photo_loading", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder of class folders")
    parser.add_argument("--size", type=int, default=96, help="side in pixels (default: 96)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: 3)")
    parser.add_argument("--large", type=int, default=200, help="photos to enlarge (default: 200)")
    parser.add_argument("--recipe", default="fast-93", help="whose start is measured")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"default: {RESULTS.name}")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.large < 1:
        parser.error("--rounds and --large must be at least 1")
    data, size = options.data.resolve(), options.size
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = list_photos(training_folder(data))
            paths = paths[:: max(1, len(paths) // options.large)][: options.large]
            places = {"small": data}
            for kind, large_size in LARGE_SIZES.items():
                places[kind] = Path(folder) / kind
                make_large(paths, places[kind], large_size)
            readings = {
                kind: in_turns(
                    {
                        PLAIN: functools.partial(plain_reading, where, size),
                        BARE: functools.partial(bare_decoding, where, size),
                        OURS: functools.partial(cached_reading, where, size),
                    },
                    options.rounds,
                )
                for kind, where in places.items()
            }
            os.environ["ATELIER_CACHE"] = str(Path(folder) / "cache")
            for keep in (False, True):
                config = PhotosConfig(image_size=size, keep_duplicates=keep)
                dataset = load_dataset(data, config, progress=True)
            # The first start compiles bytecode and fetches libraries from the disk.
            starts = [measure_start(data, options.recipe, size) for _ in range(options.rounds + 1)][
                1:
            ]
            epochs = in_turns(
                {
                    FOLDER: functools.partial(image_folder_epoch, data, size, WORKERS),
                    OURS: functools.partial(atelier_epoch, data, size, WORKERS),
                },
                options.rounds,
            )
        cores = len(usable_cores())
        summary = summarize(readings, starts, epochs, cores)
        write_json(
            options.results,
            {
                "data": data.name,
                "photos": len(dataset.photos.files) if dataset.photos else 0,
                "size": size,
                "recipe": options.recipe,
                "machine": describe_machine(resolve_device()),
                "summary": summary,
                "readings": {
                    kind: {name: [asdict(r) for r in runs] for name, runs in found.items()}
                    for kind, found in readings.items()
                },
                "starts": [asdict(start) for start in starts],
                "epochs": {name: [asdict(e) for e in runs] for name, runs in epochs.items()},
            },
        )
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(table(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
