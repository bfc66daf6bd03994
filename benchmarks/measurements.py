"""What was measured, and the file that keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from atelier.errors import RunError
from atelier.storage import explained, write_json

FORMAT_VERSION = 1


@dataclass(frozen=True)
class RecipeRun:
    """One training by `atelier train`.

    Attributes:
        seconds: of the whole process, from outside: start-up and the written run folder included.
        train_seconds: of its training loop, as the run's metrics say.
        recipe_sha256: of the resolved recipe, so that a changed one is measured again.
        environment: the run's environment.json.
        finished: the day, as 2026-01-31.
    """

    recipe: str
    seed: int
    seconds: float
    test_accuracy: float
    train_seconds: float
    num_epochs: int
    parameters: int
    recipe_sha256: str
    environment: dict[str, Any]
    finished: str


@dataclass(frozen=True)
class Epoch:
    """A peer's state after an epoch: `seconds` from the start of its process, no evaluation."""

    epoch: int
    seconds: float
    test_accuracy: float


@dataclass(frozen=True)
class PeerRun:
    """One training by a peer, a key of `PEERS`; `versions` are those of the peer's libraries."""

    peer: str
    seed: int
    epochs: list[Epoch]
    versions: dict[str, str]
    finished: str

    @property
    def seconds(self) -> float:
        return self.epochs[-1].seconds

    @property
    def test_accuracy(self) -> float:
        """After the last epoch."""
        return self.epochs[-1].test_accuracy

    @property
    def best_accuracy(self) -> float:
        return max(epoch.test_accuracy for epoch in self.epochs)

    def first_at(self, accuracy: float) -> Epoch | None:
        """The first epoch that ended at or over `accuracy`."""
        return next((epoch for epoch in self.epochs if epoch.test_accuracy >= accuracy), None)


@dataclass
class Measurements:
    """All runs on one data set and one machine, and the commands that measured them."""

    data: str
    data_fingerprint: str
    train_images: int
    test_images: int
    machine: dict[str, Any]
    commands: list[str] = field(default_factory=list)
    recipe_runs: list[RecipeRun] = field(default_factory=list)
    peer_runs: list[PeerRun] = field(default_factory=list)

    def add(self, run: RecipeRun | PeerRun, command: str) -> None:
        """Keep a run in the place of an older one of the same system and seed."""
        if isinstance(run, RecipeRun):
            self.recipe_runs = [
                old for old in self.recipe_runs if (old.recipe, old.seed) != (run.recipe, run.seed)
            ] + [run]
        else:
            self.peer_runs = [
                old for old in self.peer_runs if (old.peer, old.seed) != (run.peer, run.seed)
            ] + [run]
        if command not in self.commands:
            self.commands.append(command)

    def of_recipe(self, name: str) -> list[RecipeRun]:
        """The recipe's runs in the order of their seeds."""
        runs = [run for run in self.recipe_runs if run.recipe == name]
        return sorted(runs, key=lambda run: run.seed)

    def of_peer(self, name: str) -> list[PeerRun]:
        """The peer's runs in the order of their seeds."""
        runs = [run for run in self.peer_runs if run.peer == name]
        return sorted(runs, key=lambda run: run.seed)

    def save(self, path: Path) -> None:
        """Write all as JSON, whole or not at all."""
        write_json(path, {"format_version": FORMAT_VERSION, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Measurements:
        """Read what `save` wrote.

        Raises:
            StorageError: the file cannot be read.
            RunError: it is something else, or of another version.
        """
        with explained(path, "read"):
            text = path.read_bytes()
        try:
            value = json.loads(text)
            if value.pop("format_version") != FORMAT_VERSION:
                raise ValueError(f"its format_version is not {FORMAT_VERSION}")
            value["recipe_runs"] = [RecipeRun(**run) for run in value["recipe_runs"]]
            for run in value["peer_runs"]:
                run["epochs"] = [Epoch(**epoch) for epoch in run["epochs"]]
            value["peer_runs"] = [PeerRun(**run) for run in value["peer_runs"]]
            return cls(**value)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path} is not a results file of this benchmark: {error}",
                fix="Pass --fresh to begin anew, or another file with --results",
            ) from error
