"""What was measured, as numbers, as a table and as JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..evaluation.tables import ABSENT, html_table, percent, text_table
from .contenders import Contender

FEWEST_ROUNDS = 3  # below, how far rounds lie apart says nothing


@dataclass(frozen=True)
class Rounds:
    """One quantity, measured once in each round.

    Attributes:
        values: of the rounds, in their order.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Over the rounds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the distance from the least to the largest, as a share of the median."""
        return (max(self.values) - min(self.values)) / (2 * self.median)

    def differs(self, other: Rounds) -> bool:
        """Whether all rounds of one lie above all rounds of the other.

        By chance alone that happens to two equals in 1 of 10 times with three rounds, in 1 of 126
        with five. Fewer than three rounds tell no difference.
        """
        if min(len(self.values), len(other.values)) < FEWEST_ROUNDS:
            return False
        return max(self.values) < min(other.values) or max(other.values) < min(self.values)


@dataclass(frozen=True)
class Speed:
    """One contender with one number of threads.

    Attributes:
        threads: that it may use, each with a core of its own.
        start_s: from the start of its process to its answer about one image file.
        p50_ms, p95_ms, p99_ms: from one image's pixels to its probabilities.
        images_per_s: by the size of the batch, from pixels to probabilities.
        memory_bytes: the most that its process held in memory.
    """

    threads: int
    start_s: Rounds
    p50_ms: Rounds
    p95_ms: Rounds
    p99_ms: Rounds
    images_per_s: dict[int, Rounds]
    memory_bytes: Rounds

    @property
    def spread(self) -> float:
        """The largest of its latency at the median and its images per second."""
        return max(quantity.spread for quantity in (self.p50_ms, *self.images_per_s.values()))


@dataclass(frozen=True)
class Measured:
    """All about one contender.

    Attributes:
        contender: which.
        speeds: by number of threads, in the order asked for.
        accuracy: on `images`; None where no image is known to have been held out.
        images: what it was judged on.
        correct: (N,) whether it was right on each image; None where it was not measured here.
        sample: the same number for contenders whose images are the same, so that they can be
            compared image by image.
    """

    contender: Contender
    speeds: tuple[Speed, ...]
    accuracy: float | None = None
    images: str = ""
    correct: npt.NDArray[np.bool_] | None = None
    sample: int = 0

    @property
    def name(self) -> str:
        """The contender's."""
        return self.contender.name

    def fastest(self, size: int) -> Speed:
        """The number of threads that gives most images per second in batches of `size`."""
        return max(self.speeds, key=lambda speed: speed.images_per_s[size].median)

    def best_batch(self) -> tuple[Speed, int]:
        """The number of threads and the size of the batch that give most images per second."""
        pairs = [(speed, size) for speed in self.speeds for size in speed.images_per_s]
        return max(pairs, key=lambda pair: pair[0].images_per_s[pair[1]].median)

    def quickest(self) -> Speed:
        """The number of threads that answers one image soonest."""
        return min(self.speeds, key=lambda speed: speed.p50_ms.median)


@dataclass(frozen=True)
class Bench:
    """What contenders cost on this machine; prints as a table with the advice below it.

    Attributes:
        measured: the contenders, in the order given.
        machine: what a reader needs to know to judge a time.
        rounds: how often each was measured.
        seconds: of each single measurement.
        advice: sentences: which to use for what.
        notes: sentences: what the numbers do not tell.
    """

    measured: tuple[Measured, ...]
    machine: dict[str, str]
    rounds: int
    seconds: float
    advice: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    need: str | None = None

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """In which images were given."""
        return tuple(self.measured[0].speeds[0].images_per_s)

    @property
    def threads(self) -> tuple[int, ...]:
        """That each contender was given, in turn."""
        return tuple(speed.threads for speed in self.measured[0].speeds)

    def __str__(self) -> str:
        parts = [self._heading(), text_table(*self._costs()), text_table(*self._speeds())]
        parts += ["\n".join(self.advice), *("\n".join(f"note: {n}" for n in self.notes),)]
        return "\n\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        lines = [self._heading(), *self.advice, *self.notes]
        tables = html_table(*self._costs()) + html_table(*self._speeds())
        head, *rest = (f"<p>{_escaped(line)}</p>" for line in lines)
        return head + tables + "".join(rest)

    def _heading(self) -> str:
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        turns = f"{self.rounds} rounds in turn, there and back" if self.rounds > 1 else "one round"
        return f"{machine}\n{turns}, each measurement in a process of its own; medians over rounds"

    def _costs(self) -> tuple[list[str], list[list[str]]]:
        header = ["contender", "what it is", "on disk", "start", "memory", "accuracy", "judged on"]
        rows = [
            [
                one.name,
                one.contender.what,
                size(one.contender.size_bytes),
                f"{one.speeds[0].start_s.median:.2f} s",
                size(one.speeds[0].memory_bytes.median),
                percent(one.accuracy),
                one.images if one.accuracy is not None else ABSENT,
            ]
            for one in self.measured
        ]
        return header, rows

    def _speeds(self) -> tuple[list[str], list[list[str]]]:
        header = ["one image at a time", "threads", "p50", "p95", "p99"]
        header += [f"{'images/s by ' if k == 0 else ''}{n}" for k, n in enumerate(self.batch_sizes)]
        rows = [
            [
                one.name,
                str(speed.threads),
                *(f"{q.median:.2f} ms" for q in (speed.p50_ms, speed.p95_ms, speed.p99_ms)),
                *(rate(rounds.median) for rounds in speed.images_per_s.values()),
                f"±{100 * speed.spread:.0f} %" if self.rounds > 1 else ABSENT,
            ]
            for one in self.measured
            for speed in one.speeds
        ]
        return [*header, "spread"], rows

    def to_dict(self) -> dict[str, Any]:
        """All numbers in plain values, every round of them, for JSON."""
        return {
            "machine": self.machine,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "contenders": [_plain(one) for one in self.measured],
            "need": self.need,
            "advice": list(self.advice),
            "notes": list(self.notes),
        }


def _plain(one: Measured) -> dict[str, Any]:
    contender = one.contender
    speeds = []
    for speed in one.speeds:
        values = asdict(speed)
        rounds = ("start_s", "p50_ms", "p95_ms", "p99_ms", "memory_bytes")
        values |= {name: list(values[name]["values"]) for name in rounds}
        values["images_per_s"] = {
            str(size): list(rounds.values) for size, rounds in speed.images_per_s.items()
        }
        speeds.append(values)
    return {
        "name": contender.name,
        "kind": contender.kind,
        "precision": contender.precision,
        "path": str(contender.path),
        "size_bytes": contender.size_bytes,
        "accuracy": one.accuracy,
        "judged_on": one.images if one.accuracy is not None else None,
        "speeds": speeds,
    }


def rounds_of(rows: Sequence[dict[str, Any]], key: str) -> Rounds:
    """The rounds of one key of what the measuring processes said."""
    return Rounds(tuple(float(row[key]) for row in rows))


def size(size_bytes: float) -> str:
    """``1.66 MB``: three digits and a unit."""
    power = min(3, max(0, math.floor(math.log10(max(size_bytes, 1) * 1.0005) / 3)))
    value = size_bytes / 1000**power
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits if power else 0}f} {('B', 'kB', 'MB', 'GB')[power]}"


def rate(images_per_s: float) -> str:
    """``12,300``, ``81`` or ``0.52``: as many digits as mean something."""
    if images_per_s >= 100:
        digits = len(str(int(images_per_s))) - 3
        return f"{round(images_per_s, -digits):,.0f}"
    return f"{images_per_s:.3g}"


def names_of(found: Iterable[Measured]) -> str:
    """``a``, ``a and b`` or ``a, b and c``."""
    *first, last = [one.name for one in found]
    return f"{', '.join(first)} and {last}" if first else last


def _escaped(text: str) -> str:
    import html

    return html.escape(text)
