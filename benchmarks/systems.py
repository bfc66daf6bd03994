"""The systems that are measured, each run in a process of its own: atelier's recipes and peers."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from atelier.data.datasets import SAMPLE
from atelier.errors import AtelierError
from atelier.progress import progress_bar
from atelier.recipes import get_recipe
from atelier.runs import load_run

from . import SURROUNDINGS
from .measurements import Epoch, Measurements, PeerRun, RecipeRun
from .peer_environments import obtain_python, pinned_versions
from .peers import PEERS
from .peers.protocol import Arrays

_ROOT = Path(__file__).resolve().parent.parent


class System(Protocol):
    """What can be measured."""

    @property
    def name(self) -> str: ...

    def is_measured(self, seed: int, measurements: Measurements) -> bool:
        """Whether `measurements` hold the run of this seed already."""

    def rehearse(self) -> None:
        """Make all that `run` needs, and run once on a few images, on nobody's time.

        So no first run pays for reading its libraries from the disk and compiling them.
        """

    def run(self, seed: int) -> RecipeRun | PeerRun:
        """Train and evaluate."""


@dataclass(frozen=True)
class RecipeSystem:
    """A recipe of atelier on a data set, as a user runs it."""

    name: str
    data: str

    def is_measured(self, seed: int, measurements: Measurements) -> bool:
        digest = self._digest(seed)
        return any(
            run.seed == seed and run.recipe_sha256 == digest
            for run in measurements.of_recipe(self.name)
        )

    def rehearse(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._train(0, SAMPLE, Path(folder) / "run")

    def run(self, seed: int) -> RecipeRun:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run"
            start = time.perf_counter()
            self._train(seed, self.data, path)
            seconds = time.perf_counter() - start
            evaluation = json.loads(_atelier("evaluate", str(path), "--json"))
            run = load_run(path)
            metrics = run.metrics
            return RecipeRun(
                recipe=self.name,
                seed=seed,
                seconds=seconds,
                test_accuracy=evaluation["accuracy"],
                train_seconds=metrics["train_seconds"],
                num_epochs=metrics["num_epochs"],
                parameters=metrics["parameters"],
                recipe_sha256=self._digest(seed),
                environment=run.environment,
                finished=date.today().isoformat(),
            )

    def _train(self, seed: int, data: str, path: Path) -> None:
        words = ("--seed", str(seed), "--data", data, "--out", str(path), "--quiet")
        _atelier("train", self.name, *words)

    def _digest(self, seed: int) -> str:
        recipe = get_recipe(self.name, data=self.data, seed=seed)
        return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True)
class PeerSystem:
    """A peer on a folder of arrays, for so many epochs if it has any."""

    name: str
    folder: Path
    epochs: int

    def is_measured(self, seed: int, measurements: Measurements) -> bool:
        wanted = self.epochs if PEERS[self.name].has_epochs else 1
        return any(
            run.seed == seed and len(run.epochs) >= wanted
            for run in measurements.of_peer(self.name)
        )

    def rehearse(self) -> None:
        with tempfile.TemporaryDirectory() as few:
            Arrays.load(self.folder).first(500).save(Path(few))
            self._epochs(0, Path(few), 1, show=False)

    def run(self, seed: int) -> PeerRun:
        return PeerRun(
            peer=self.name,
            seed=seed,
            epochs=self._epochs(seed, self.folder, self.epochs, show=True),
            versions=self._versions(),
            finished=date.today().isoformat(),
        )

    def _versions(self) -> dict[str, str]:
        requirements = PEERS[self.name].requirements
        if requirements is not None:
            return pinned_versions(requirements)
        return {name: importlib.metadata.version(name) for name in ("torch", "torchvision")}

    def _epochs(self, seed: int, folder: Path, epochs: int, *, show: bool) -> list[Epoch]:
        peer = PEERS[self.name]
        python = Path(sys.executable)
        if peer.requirements is not None:
            python = obtain_python(peer.requirements)
        command = [str(python), "-m", f"benchmarks.peers.{peer.module}", *peer.arguments]
        command += ["--data", str(folder), "--seed", str(seed), "--epochs", str(epochs)]
        finished: list[Epoch] = []
        with (
            tempfile.TemporaryFile("w+") as complaints,
            progress_bar(peer.title, epochs, show=show and peer.has_epochs) as bar,
            subprocess.Popen(
                [*command, "--started", str(time.monotonic())],
                cwd=_ROOT,
                env=SURROUNDINGS,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
            ) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if line.startswith("{"):  # a library may have printed something else
                        finished.append(Epoch(**json.loads(line)))
                        share = f"{100 * finished[-1].test_accuracy:.2f} %"
                        bar.update(len(finished), share)
            except BaseException:
                process.kill()
                raise
            code = process.wait()
            complaints.seek(0)
            if code or not finished:
                raise AtelierError(_reason(f"the peer {self.name}", code, complaints.read()))
        return finished


def _atelier(*words: str) -> str:
    """What a command line of atelier prints."""
    done = subprocess.run(
        [sys.executable, "-m", "atelier.cli", *words],
        env=SURROUNDINGS,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AtelierError(_reason(f"atelier {' '.join(words[:2])}", done.returncode, done.stderr))
    return done.stdout


def _reason(what: str, code: int, complaints: str) -> str:
    last = (complaints.strip().splitlines() or ["it said nothing"])[-1]
    return f"{what} failed with exit code {code}: {last.removeprefix('error: ')}"


def make_systems(
    recipes: Sequence[str], peers: Sequence[str], data: str, folder: Path, epochs: int
) -> dict[str, System]:
    """The named recipes and peers; `folder` holds the arrays of `data` for the peers."""
    systems: dict[str, System] = {name: RecipeSystem(name, data) for name in recipes}
    return systems | {name: PeerSystem(name, folder, epochs) for name in peers}
