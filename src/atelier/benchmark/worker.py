"""What runs in a process of its own: one contender, measured from its start to its peak.

The parent starts it as ``python -m atelier.benchmark.worker SPEC`` and reads JSON lines from its
standard output: one as soon as the first image is answered, one at the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..cores import keep_to

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Probs = npt.NDArray[np.floating[Any]]

_FEWEST_CALLS = 3
_JUDGED_AT_ONCE = 64
_WARM_UP_SHARE = 0.2  # of the time that is then measured


class _Opened(NamedTuple):
    """Attributes:
    read: an image file to (C, H, W) uint8 pixels.
    answer: (N, C, H, W) uint8 pixels to (N, K) calibrated probabilities.
    """

    read: Callable[[str], Pixels]
    answer: Callable[[Pixels], Probs]


def main(argument: str) -> None:
    """Measure what the JSON in `argument` names; an error for people becomes a last line."""
    from ..errors import AtelierError

    try:
        _measure(json.loads(argument))
    except AtelierError as error:
        _say(error=str(error))
        sys.exit(error.exit_code)


def _measure(spec: dict[str, Any]) -> None:
    keep_to(spec["cores"])
    opened = (_open_run if spec["kind"] == "run" else _open_export)(spec["path"], spec["threads"])
    opened.answer(opened.read(spec["image"])[None])
    _say(answered=True)

    import numpy as np

    pool = np.load(spec["pixels"], mmap_mode="r")
    latencies_ms = _latencies_ms(opened.answer, pool, spec["seconds"])
    rates = {
        size: _images_per_s(opened.answer, pool, size, spec["seconds"])
        for size in spec["batch_sizes"]
    }
    p50, p95, p99 = np.percentile(latencies_ms, [50, 95, 99]).tolist()
    _say(p50_ms=p50, p95_ms=p95, p99_ms=p99, images_per_s=rates, memory_bytes=_peak_bytes())
    if "judged" in spec:
        judged = np.load(spec["judged"], mmap_mode="r")
        parts = [
            opened.answer(np.array(judged[start : start + _JUDGED_AT_ONCE])).argmax(axis=1)
            for start in range(0, len(judged), _JUDGED_AT_ONCE)
        ]
        np.save(spec["predicted"], np.concatenate(parts))


def _open_run(path: str, threads: int) -> _Opened:
    import numpy as np
    import torch

    torch.set_num_threads(threads)

    from ..data import read_image
    from ..evaluation import calibration_of
    from ..predictions import Predictions
    from ..predictor import Predictor
    from ..runs import Run

    run = Run(path)
    predictor = Predictor.of_run(run, device="cpu")
    calibration = calibration_of(run)
    temperature = np.float32(1.0 if calibration is None else calibration.temperature)
    channels, height, width = run.card.image_shape

    def read(image: str) -> Pixels:
        return read_image(image, channels=channels, image_size=(height, width)).pixels

    def answer(images: Pixels) -> Probs:
        labels = np.zeros(len(images), np.int64)  # unknown; only the probabilities are read
        logits = predictor.logits(images, len(images)) / temperature
        return Predictions(labels, labels, logits, run.classes).probs

    return _Opened(read, answer)


def _open_export(path: str, threads: int) -> _Opened:
    from ..exported import load_export

    model = load_export(path, threads=threads)
    return _Opened(
        lambda image: model.read(image).pixels, lambda images: model.answer(images).probs
    )


def _latencies_ms(answer: Callable[[Pixels], Probs], pool: Pixels, seconds: float) -> list[float]:
    """Of answers to one image each, one after the other."""
    images = [pool[k : k + 1].copy() for k in range(min(len(pool), 256))]
    _repeat(answer, images, seconds * _WARM_UP_SHARE)
    return [1000 * took for took in _repeat(answer, images, seconds)]


def _images_per_s(
    answer: Callable[[Pixels], Probs], pool: Pixels, size: int, seconds: float
) -> float:
    import numpy as np

    places = np.resize(np.arange(len(pool)), max(size, min(4 * size, len(pool))))
    batches = [pool[places[k : k + size]] for k in range(0, len(places) - size + 1, size)]
    _repeat(answer, batches, seconds * _WARM_UP_SHARE)
    took = _repeat(answer, batches, seconds)
    return size * len(took) / sum(took)


def _repeat(
    answer: Callable[[Pixels], Probs], batches: list[Pixels], seconds: float
) -> list[float]:
    """The seconds of each call: as many as fit into `seconds`, and at least three."""
    took: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < _FEWEST_CALLS or time.perf_counter() < end:
        batch = batches[len(took) % len(batches)]
        start = time.perf_counter()
        answer(batch)
        took.append(time.perf_counter() - start)
    return took


def _peak_bytes() -> int:
    """The largest resident set of this process since its program was started.

    Not `ru_maxrss` where Linux tells better: that one remembers what the parent held when it
    forked.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
