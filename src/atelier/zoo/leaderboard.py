"""The leaderboard: what each contender cost and how often it was right."""

from __future__ import annotations

import base64
import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RunError
from ..evaluation import holm, mcnemar_exact, wilson_interval
from ..evaluation.tables import ABSENT, html_table, percent, percent_range, text_table
from ..storage import explained, write_json

VERSION = 1
_LEVEL = 0.05


@dataclass(frozen=True)
class Entry:
    """One contender.

    Attributes:
        name: of its recipe.
        recipe: what was trained, but for the seed.
        parameters: of its network.
        multiply_adds: of one image's forward pass.
        num_epochs: that were trained.
        train_seconds: of each seed's training.
        accuracies: of each seed, on the judged images.
        seeds: that were trained.
        asked: seeds that were asked for; those that lack are said to lack.
        images: that each is judged by.
        correct: (N,) bits, whether the run of the first seed is right on each, in base64.
        machine: that it was trained on.
        budgeted: whether it was trained in epochs, which a budget can limit.
    """

    name: str
    recipe: dict[str, Any]
    parameters: int
    multiply_adds: int
    num_epochs: int
    train_seconds: tuple[float, ...]
    accuracies: tuple[float, ...]
    seeds: tuple[int, ...]
    asked: int
    images: int
    correct: str
    machine: str
    budgeted: bool = True

    @property
    def accuracy(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float | None:
        """The standard deviation over the seeds; None for a single one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the accuracy on other images of the kind (Wilson), of the mean over seeds."""
        return wilson_interval(self.accuracy * self.images, self.images)

    @property
    def seconds(self) -> float:
        """Of training, the mean over the seeds."""
        return statistics.fmean(self.train_seconds)

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the run of the first seed is right on each image."""
        packed = np.frombuffer(base64.b64decode(self.correct), np.uint8)
        return np.unpackbits(packed, count=self.images).astype(bool)


def packed(correct: npt.NDArray[np.bool_]) -> str:
    """What `Entry.correct` keeps of (N,) truths."""
    return base64.b64encode(np.packbits(correct).tobytes()).decode()


@dataclass(frozen=True)
class Leaderboard:
    """Contenders under one budget, the best first; prints as a table.

    Attributes:
        entries: by their mean accuracy.
        budget: in words.
        slug: the same, for a folder's name.
        data: that all were trained on and judged by.
        part: that they were judged by, ``test`` or ``validation``.
        fingerprint: of the data.
        left_out: why a contender that was asked for is not there, by its name.
    """

    entries: tuple[Entry, ...]
    budget: str
    slug: str
    data: str
    part: str
    fingerprint: str
    left_out: Mapping[str, str] = field(default_factory=dict)

    def with_entry(self, entry: Entry) -> Leaderboard:
        """A copy with that entry, in place of an older one of its name."""
        others = [one for one in self.entries if one.name != entry.name]
        ranked = sorted([*others, entry], key=lambda one: (-one.accuracy, one.name))
        rest = {name: why for name, why in self.left_out.items() if name != entry.name}
        return replace(self, entries=tuple(ranked), left_out=rest)

    def level_with_best(self) -> frozenset[str]:
        """The names of those that a paired test cannot tell from the first: McNemar's, of the runs
        of each one's first seed, corrected for their number (Holm)."""
        if not self.entries:
            return frozenset()
        best, *others = self.entries
        p_values = holm([mcnemar_exact(best.hits, one.hits) for one in others])
        level = [one.name for one, p in zip(others, p_values, strict=True) if p >= _LEVEL]
        return frozenset([best.name, *level])

    def pareto(self, cost: str) -> tuple[Entry, ...]:
        """Those that nobody beats in accuracy at the same cost or less, the cheapest first.

        Args:
            cost: ``multiply_adds``, ``parameters`` or ``seconds``.
        """
        front: list[Entry] = []
        for one in sorted(self.entries, key=lambda one: (getattr(one, cost), -one.accuracy)):
            if not front or one.accuracy > front[-1].accuracy:
                front.append(one)
        return tuple(front)

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells of the table."""
        header = [
            *("", "recipe", "accuracy", "± seeds", "95 % (images)", "seeds"),
            *("parameters", "multiply-adds", "epochs", "training"),
        ]
        level = self.level_with_best()
        table = []
        for place, one in enumerate(self.entries, start=1):
            lacking = one.asked - len(one.seeds)
            table.append(
                [
                    f"{place}{'=' if one.name in level and len(level) > 1 else ''}",
                    one.name,
                    percent(one.accuracy),
                    ABSENT if one.spread is None else f"{100 * one.spread:.2f}",
                    percent_range(one.interval),
                    f"{len(one.seeds)}" + (f" ({lacking} missing)" if lacking > 0 else ""),
                    counted(one.parameters),
                    counted(one.multiply_adds),
                    str(one.num_epochs),
                    duration(one.seconds),
                ]
            )
        return header, table

    def words(self) -> list[str]:
        """What a reader of the table must know."""
        machines = sorted({one.machine for one in self.entries})
        lines = [
            f"{self.data}, {self.part} images; {self.budget}; trained on {', '.join(machines)}"
        ]
        if len(self.level_with_best()) > 1:
            lines.append(
                "=: not told from the first by a paired test (McNemar, of the first seeds, "
                "corrected by Holm)"
            )
        free = [one.name for one in self.entries if not one.budgeted]
        if free and self.slug != "own":
            lines.append(f"fitted in one go, whatever the budget: {', '.join(sorted(free))}")
        return lines + [f"left out: {name}: {why}" for name, why in sorted(self.left_out.items())]

    def __str__(self) -> str:
        if not self.entries:
            return "\n".join(["the leaderboard is empty", *self.words()[1:]])
        return "\n".join([text_table(*self.rows()), "", *self.words()])

    def _repr_html_(self) -> str:
        return html_table(*self.rows())

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"version": VERSION, **asdict(self)}

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path) -> Leaderboard:
        """Read what `save` wrote.

        Raises:
            RunError: it is no leaderboard.
            StorageError: it cannot be read.
        """
        with explained(path, "read"):
            text = path.read_bytes()
        try:
            values = json.loads(text)
            if values.pop("version") != VERSION:
                raise ValueError("it is of another version")
            entries = values.pop("entries")
            return cls(tuple(_entry(one) for one in entries), **values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path} is not a leaderboard: {error}", fix="Choose another folder with --out"
            ) from error


def _entry(values: dict[str, Any]) -> Entry:
    tuples = {name: tuple(values[name]) for name in ("train_seconds", "accuracies", "seeds")}
    return Entry(**{**values, **tuples})


def counted(number: float) -> str:
    """``75.1 k``, ``1.29 M``: three digits, as one compares sizes."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * scale:
            return f"{_digits(number / scale)} {unit}"
    return str(round(number))


def _digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def duration(seconds: float) -> str:
    """``48 s``, ``7.3 min``, ``1.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
