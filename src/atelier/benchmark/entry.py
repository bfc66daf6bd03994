"""`bench`: contenders in turn, each measurement in a process of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..cores import usable_cores
from ..errors import ConfigError, did_you_mean
from ..progress import progress_bar
from ..storage import write_json
from .advice import NEEDS, Need, advise
from .contenders import Contender, Target, read_contenders
from .images import Sample, samples_of
from .processes import measure_apart
from .result import FEWEST_ROUNDS, Bench, Measured, Speed, rounds_of

_MOST_SHARED = 2048  # images that speed is measured on; more would only fill memory
_BUSY = 0.2  # mean load for each core, from which on a reader should know of it
Row = dict[str, Any]


@dataclass(frozen=True)
class _Plan:
    threads: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    rounds: int
    seconds: float

    def turns(self, contenders: Sequence[Contender]) -> list[tuple[int, Contender, int]]:
        """(round, contender, threads) of every measurement: there, and back in the next round, so
        that a machine that slows down or speeds up favors nobody."""
        once = [(one, threads) for one in contenders for threads in self.threads]
        return [
            (number, *turn)
            for number in range(self.rounds)
            for turn in (once if number % 2 == 0 else reversed(once))
        ]


def bench(
    targets: Target | Sequence[Target],
    *,
    data: str | None = None,
    images: int | None = None,
    threads: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = (1, 8, 32, 128),
    rounds: int = 5,
    seconds: float = 1.0,
    need: Need | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Bench:
    """Measure what runs and their exports cost on this machine, and say which to use for what.

    Speed is that of whole answers, from uint8 pixels to calibrated probabilities, by the same calls
    that users make: a run by `Predictor` in eager torch on the CPU, an export by `load_export`.

    Args:
        targets: runs, exports, or paths of run folders and exported files (.onnx, .pt2); of the
            same classes and the same image shape.
        data: a data set to measure on; None is what the contenders were trained on.
        images: the most to judge by; None is all that were held out. Never the test images.
        threads: numbers to try, each thread pinned to a core; None is one, and all there are.
        batch_sizes: images given at once.
        rounds: measurements of each; from three on, differences are told from chance.
        seconds: that each latency and each batch size is measured for, after a fifth of that to
            warm up.
        need: what matters to you: the advice is on that alone; None is on everything.
        out: a folder for ``bench.json`` and ``bench.png``; None writes nothing.
        progress: show a bar on standard error.

    Raises:
        ConfigError: an option is out of range, or contenders that do not compare.
        RunError: a run folder cannot be used.
        ExportError: an export cannot be used.
        DataError: the data set is missing or corrupt.
        ModuleNotFoundError: what draws the picture is not installed; with `out` alone.
        AtelierError: a measuring process failed.
        StorageError: `out` cannot be written.
    """
    plan = _Plan(_threads(threads), _sizes(batch_sizes), rounds, seconds)
    _refuse_odd(plan, images, need)
    if out is not None:
        from . import picture  # noqa: F401 - what it needs is missed before minutes are spent
    if isinstance(targets, str) or not isinstance(targets, Sequence):
        targets = [targets]
    contenders = read_contenders(targets)
    samples = samples_of(contenders, data, images, progress=progress)
    load = _load()
    turns = plan.turns(contenders)
    rows: dict[tuple[str, int], list[Row]] = defaultdict(list)
    correct: dict[str, npt.NDArray[np.bool_]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="atelier-bench-") as folder,
        progress_bar("bench", len(turns), show=progress) as bar,
    ):
        stage = _Stage(Path(folder), plan, samples[0])
        for done, (number, contender, count) in enumerate(turns):
            words = f"round {number + 1} of {rounds}, {contender.name}, threads: {count}"
            bar.update(done, words)
            sample = samples[contenders.index(contender)]
            if sample.labels is None or contender.name in correct:
                rows[contender.name, count].append(stage.measure(contender, count))
            else:
                row, predicted = stage.measure_and_judge(contender, count, sample)
                rows[contender.name, count].append(row)
                correct[contender.name] = predicted == sample.labels
        bar.update(len(turns))
    measured = []
    for contender, sample in zip(contenders, samples, strict=True):
        speeds = tuple(_speed(count, rows[contender.name, count]) for count in plan.threads)
        right = correct.get(contender.name)
        accuracy, what = contender.known_accuracy, contender.known_images
        if right is not None:
            accuracy, what = float(right.mean()), f"{len(right):,} {sample.what}"
        same = next(k for k, other in enumerate(samples) if other.same_as(sample))
        measured.append(Measured(contender, speeds, accuracy, what, right, same))
    result = Bench(
        measured=tuple(measured),
        machine=_machine(),
        rounds=rounds,
        seconds=seconds,
        advice=tuple(advise(measured, need)),
        notes=tuple(_notes(measured, plan, load)),
        need=need,
    )
    if out is not None:
        save(result, Path(out))
    return result


def save(result: Bench, folder: Path) -> None:
    """Write ``bench.json`` and ``bench.png``.

    Raises:
        StorageError: no space or no permission.
    """
    write_json(folder / "bench.json", result.to_dict())
    from ..drawing.canvas import save_png
    from .picture import bench_figure

    save_png(bench_figure(result), folder / "bench.png")


class _Stage:
    """Where the measuring processes are started, with the files that they read.

    All contenders are timed on the same pixels; each is judged by what its own training held out.
    """

    def __init__(self, folder: Path, plan: _Plan, shared: Sample) -> None:
        self._folder, self._plan = folder, plan
        self._shared, self._image = folder / "shared.npy", folder / "image.png"
        np.save(self._shared, shared.images[:_MOST_SHARED])
        pixels = shared.images[0].transpose(1, 2, 0)
        Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).save(self._image)

    def measure(self, contender: Contender, threads: int, **more: str) -> Row:
        """One round of a contender."""
        spec = {
            "kind": contender.kind,
            "path": str(contender.path),
            "threads": threads,
            "cores": usable_cores()[-threads:],
            "image": str(self._image),
            "pixels": str(self._shared),
            "batch_sizes": self._plan.batch_sizes,
            "seconds": self._plan.seconds,
            **more,
        }
        return measure_apart(spec, self._folder / "errors.txt")

    def measure_and_judge(
        self, contender: Contender, threads: int, sample: Sample
    ) -> tuple[Row, npt.NDArray[np.int64]]:
        """The same, and then the likeliest class of each image of `sample`."""
        judged, predicted = self._folder / "judged.npy", self._folder / "predicted.npy"
        np.save(judged, sample.images)
        row = self.measure(contender, threads, judged=str(judged), predicted=str(predicted))
        return row, np.load(predicted)


def _speed(threads: int, rows: Sequence[Row]) -> Speed:
    sizes = rows[0]["images_per_s"]
    return Speed(
        threads=threads,
        start_s=rounds_of(rows, "start_s"),
        p50_ms=rounds_of(rows, "p50_ms"),
        p95_ms=rounds_of(rows, "p95_ms"),
        p99_ms=rounds_of(rows, "p99_ms"),
        images_per_s={
            int(size): rounds_of([row["images_per_s"] for row in rows], size) for size in sizes
        },
        memory_bytes=rounds_of(rows, "memory_bytes"),
    )


def _notes(measured: Sequence[Measured], plan: _Plan, load: float | None) -> list[str]:
    notes = []
    if plan.rounds < FEWEST_ROUNDS and len(measured) > 1:
        notes.append(
            f"with fewer than {FEWEST_ROUNDS} rounds no difference in speed can be told from chance"
        )
    if load is not None and load > _BUSY * len(usable_cores()):
        notes.append(
            f"the machine had other work when this began (a load of {load:.1f}): on an idle one "
            "all is faster, and the rounds lie closer together"
        )
    apart = [one.name for one in measured if one.accuracy is None]
    if apart:
        notes.append(
            f"the accuracy of {', '.join(apart)} is not told: no image is known to have been held "
            "out; give the run beside its export, or labeled images with --data"
        )
    return notes


def _machine() -> dict[str, str]:
    """What a reader needs to know to judge a time."""
    machine = {"platform": platform.platform(), "python": platform.python_version()}
    if importlib.util.find_spec("torch") is not None:
        from ..devices import describe_machine, resolve_device

        told = describe_machine(resolve_device("cpu"))
        machine = {name: str(told[name]) for name in ("processor", "platform", "python", "torch")}
    if importlib.util.find_spec("onnxruntime") is not None:
        machine["onnxruntime"] = importlib.metadata.version("onnxruntime")
    return machine


def _load() -> float | None:
    """How many processes were at work in the mean of the last minute, where the system tells."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _threads(threads: Sequence[int] | None) -> tuple[int, ...]:
    most = len(usable_cores())
    if threads is None:
        return (1,) if most == 1 else (1, most)
    for count in threads:
        if not 1 <= count <= most:
            raise ConfigError(
                "each thread needs a core of its own", got=count, allowed=f"1 to {most}"
            )
    return tuple(dict.fromkeys(threads))


def _sizes(batch_sizes: Sequence[int]) -> tuple[int, ...]:
    for size in batch_sizes:
        if not 1 <= size <= 65_536:
            raise ConfigError("a batch size is out of range", got=size, allowed="1 to 65536")
    return tuple(sorted(set(batch_sizes)))


def _refuse_odd(plan: _Plan, images: int | None, need: str | None) -> None:
    if not plan.threads or not plan.batch_sizes:
        raise ConfigError("there must be a number of threads and a batch size to measure")
    if plan.rounds < 1:
        raise ConfigError("there must be a round", got=plan.rounds, allowed="1 or more")
    if not 0 < plan.seconds <= 600:
        raise ConfigError("a time is out of range", got=plan.seconds, allowed="over 0 to 600 s")
    if images is not None and images < 1:
        raise ConfigError("there must be an image", got=images, allowed="1 or more")
    if need is not None and need not in NEEDS:
        raise ConfigError("unknown need", got=need, allowed=NEEDS, fix=did_you_mean(need, NEEDS))
