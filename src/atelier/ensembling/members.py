"""The networks that an ensemble or a soup is made of, and whether they fit together."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config import EnsembleConfig
from ..errors import ConfigError, RunError
from ..models import Classifier
from ..predictions import Predictions
from ..runs import Run, read_json
from ..training.schedules import more_cycles


@dataclass(frozen=True)
class Member:
    """One trained network.

    Attributes:
        run: that it comes from.
        network: on the CPU, in evaluation mode.
        snapshot: the epoch at whose end its weights were kept; None for the run's own.
    """

    run: Run
    network: Classifier
    snapshot: int | None = None

    @property
    def name(self) -> str:
        """The run's folder, with the epoch of a snapshot."""
        return str(self.run.path) + ("" if self.snapshot is None else f", epoch {self.snapshot}")


def members_of(runs: Sequence[Run]) -> list[Member]:
    """The kept weights of each run.

    Raises:
        RunError: two are the same, one is an ensemble, or their data, classes or images differ.
    """
    first = runs[0]
    for position, run in enumerate(runs):
        word = shlex.quote(str(run.path))
        if any(run.path.resolve() == other.path.resolve() for other in runs[:position]):
            raise RunError(f"{word} is named twice")
        if isinstance(run.card.model, EnsembleConfig):
            raise RunError(f"{word} is an ensemble itself", fix="Name its members instead")
        if run.classes != first.classes:
            raise RunError(
                f"{word} knows other classes than {shlex.quote(str(first.path))}, or in another "
                "order",
                got=", ".join(run.classes),
                allowed=", ".join(first.classes),
            )
        if run.card.image_shape != first.card.image_shape:
            raise RunError(
                f"{word} takes images of another shape than {shlex.quote(str(first.path))}",
                got=" x ".join(map(str, run.card.image_shape)),
                allowed=" x ".join(map(str, first.card.image_shape)),
            )
        if _data_of(run) != _data_of(first):
            raise RunError(
                f"{word} was trained on other data than {shlex.quote(str(first.path))}",
                fix="Train both on the same data, unchanged in between",
            )
    return [Member(run, run.model()) for run in runs]


def snapshots_of(run: Run, last: int | None) -> list[Member]:
    """The weights that a training kept at the ends of its cycles, in their order.

    Args:
        run: trained with ``train.snapshots``.
        last: how many, counted from the end; None for all.

    Raises:
        ConfigError: fewer than that are there.
        RunError: the run has none, or only one though all are asked for, or is an ensemble.
    """
    word = shlex.quote(str(run.path))
    files = sorted((run.path / "snapshots").glob("*.safetensors"), key=lambda path: int(path.stem))
    if not files:
        raise RunError(
            f"{word} has no snapshots",
            fix="Train with --set train.schedule=restarts --set train.snapshots=true",
        )
    if len(files) == 1 and last is None:
        config = run.recipe.train
        settings = " ".join(f"--set {key}={value}" for key, value in more_cycles(config).items())
        longer = f", each {config.cycle_growth} times as long as the one before"
        raise RunError(
            f"{word} has one snapshot, and an ensemble is of two or more",
            got=f"{config.num_epochs} epochs in cycles of {config.cycle_epochs}"
            + (longer if config.cycle_growth > 1 else ""),
            fix=f"Train with {settings}, or take that one by --last 1",
        )
    if last is not None and not 1 <= last <= len(files):
        raise ConfigError("so many snapshots are not there", got=last, allowed=f"1 to {len(files)}")
    kept = files if last is None else files[-last:]
    return [Member(run, run.model(weights=file), int(file.stem)) for file in kept]


def shared_validation(runs: Sequence[Run]) -> Predictions | None:
    """What the first run said of the images that all runs held out; None where they held out others
    or none, for then some have learned from what would judge the others."""
    if not all(run.has_predictions("validation") for run in runs):
        return None
    first = runs[0].predictions("validation")
    for run in runs[1:]:
        if not np.array_equal(run.predictions("validation").ids, first.ids):
            return None
    return first


def _data_of(run: Run) -> object:
    return read_json(Path(run.path) / "environment.json").get("data_fingerprint")
