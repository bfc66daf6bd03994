"""What `robustness` has found, for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.significance import holm, wilson_interval
from ..storage import write_json
from .corruptions import VERSION
from .groups import Group
from .scores import Estimate, MeanCorruptionError

if TYPE_CHECKING:
    from ..runs import Run

FORMAT_VERSION = 1
FILE = "robustness.json"
ALPHA = 0.05


@dataclass(frozen=True)
class CorruptionScore:
    """How many of `n` images are read rightly at each severity of a corruption, from 1 on."""

    name: str
    right: tuple[int, ...]
    n: int

    @property
    def accuracies(self) -> tuple[float, ...]:
        """By severity."""
        return tuple(right / self.n for right in self.right)

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """By severity, 95 % (Wilson)."""
        return tuple(wilson_interval(right, self.n) for right in self.right)

    @property
    def mean(self) -> float:
        """Accuracy over the severities."""
        return sum(self.right) / (len(self.right) * self.n)


@dataclass(frozen=True)
class AttackScore:
    """How many of `n` images withstand an attack within each radius, in levels of 255."""

    name: str
    settings: str
    radii: tuple[int, ...]
    right: tuple[int, ...]
    n: int

    @property
    def accuracies(self) -> tuple[float, ...]:
        """By radius."""
        return tuple(right / self.n for right in self.right)

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """By radius, 95 % (Wilson)."""
        return tuple(wilson_interval(right, self.n) for right in self.right)


@dataclass(frozen=True)
class MirroredClass:
    """One class upright and mirrored: of `n` images those that are read rightly, and the exact
    McNemar p-value, corrected for the number of classes (Holm 1979)."""

    name: str
    n: int
    upright: int
    mirrored: int
    p_corrected: float

    @property
    def suffers(self) -> bool:
        """Whether more than chance is lost by the mirror."""
        return self.mirrored < self.upright and self.p_corrected < ALPHA


@dataclass(frozen=True, repr=False)
class RunRobustness:
    """What one run stands up to.

    Attributes:
        name: of the run.
        data: name of the data set.
        data_fingerprint: of the data set.
        part: whose images are judged, ``test`` or ``validation``.
        n: how many of them, a stratified sample.
        total: how many there are.
        seed: of the sample and of the corruptions.
        right: how many are read rightly as they are.
        corruptions: one score each.
        corrupted: mean accuracy over severities and corruptions; None where there are none.
        mce: beside a reference; None where there is none.
        attacks: one score each.
        attacked_right: of the attacked images, how many are read rightly as they are.
        groups: accuracy of every subgroup.
        mirrored: each class upright and mirrored; empty where ``mirror`` was not asked for.
        notes: what a reader must know.
    """

    name: str
    data: str
    data_fingerprint: str
    part: str
    n: int
    total: int
    seed: int
    right: int
    corruptions: tuple[CorruptionScore, ...]
    corrupted: Estimate | None
    mce: MeanCorruptionError | None
    attacks: tuple[AttackScore, ...]
    attacked_right: int
    groups: tuple[Group, ...]
    mirrored: tuple[MirroredClass, ...]
    notes: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """On images as they are."""
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Of `accuracy`, 95 % (Wilson)."""
        return wilson_interval(self.right, self.n)

    @property
    def images(self) -> str:
        """What was judged: ``2,000 of 10,000 test images``."""
        many = f"{self.n:,}" if self.n == self.total else f"{self.n:,} of {self.total:,}"
        return f"{many} {self.part} images of {self.data}"

    @property
    def worst_corruption(self) -> CorruptionScore | None:
        """The one with the least mean accuracy."""
        return min(self.corruptions, key=lambda score: score.mean, default=None)

    def __str__(self) -> str:
        return str(Robustness((self,)))

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with what follows from them."""
        from pydantic import TypeAdapter

        plain: dict[str, Any] = TypeAdapter(RunRobustness).dump_python(self, mode="json")
        plain["accuracy"], plain["interval_95"] = self.accuracy, list(self.interval)
        for row, score in zip(plain["corruptions"], self.corruptions, strict=True):
            row |= {"accuracies": list(score.accuracies), "mean_accuracy": score.mean}
            row["intervals_95"] = [list(limits) for limits in score.intervals]
        for row, attack in zip(plain["attacks"], self.attacks, strict=True):
            row |= {"accuracies": list(attack.accuracies)}
            row["intervals_95"] = [list(limits) for limits in attack.intervals]
        for row, group in zip(plain["groups"], self.groups, strict=True):
            row |= {"accuracy": group.accuracy, "interval_95": list(group.interval)}
        return plain

    def save(self, run: Run) -> Path:
        """Keep it in the run's folder.

        Raises:
            StorageError: no space or no permission.
        """
        path = run.path / FILE
        versions = {"format_version": FORMAT_VERSION, "corruptions_version": VERSION}
        write_json(path, {**versions, **self.to_dict()})
        return path


@dataclass(frozen=True, repr=False)
class Robustness:
    """What one or several runs stand up to."""

    runs: tuple[RunRobustness, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"runs": [run.to_dict() for run in self.runs]}

    def __str__(self) -> str:
        from .words import as_text

        return as_text(self.runs)

    __repr__ = __str__  # in a notebook a wall of numbers helps nobody

    def _repr_html_(self) -> str:
        from .words import as_html

        return as_html(self.runs)


def load_robustness(run: Run) -> RunRobustness | None:
    """What `robustness` has kept in the folder of a run; None where it never ran.

    Raises:
        RunError: the file is damaged, or of another version.
    """
    from pydantic import TypeAdapter, ValidationError

    from ..errors import RunError
    from ..runs import read_json

    path = run.path / FILE
    if not path.is_file():
        return None
    fix = "Run `atelier robustness` on the run again"
    try:
        kept = read_json(path)
        versions = (kept.pop("format_version", None), kept.pop("corruptions_version", None))
        if versions != (FORMAT_VERSION, VERSION):
            raise RunError(f"{path} is of another version of atelier", fix=fix)
        return TypeAdapter(RunRobustness).validate_python(kept)
    except ValidationError as error:
        raise RunError(f"{path} is damaged", fix=fix) from error
    except RunError as error:
        raise RunError(error.problem, fix=fix) from error


def mirrored_classes(
    names: Sequence[str], counts: Mapping[int, tuple[int, int, int]], p_values: Mapping[int, float]
) -> tuple[MirroredClass, ...]:
    """Classes upright and mirrored.

    Args:
        names: of all classes.
        counts: by class, images, those right upright, those right mirrored.
        p_values: by class, uncorrected.
    """
    corrected = holm([p_values[k] for k in counts])
    return tuple(
        MirroredClass(names[k], *numbers, p)
        for (k, numbers), p in zip(counts.items(), corrected, strict=True)
    )
