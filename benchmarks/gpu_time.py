"""How long trainings take on a GPU that is warm, and what they reach.

All runs are trained in one process. Before the seeds of a recipe, its first two epochs are trained
once to warm up: libraries are loaded and the network is compiled then, and what that takes is kept
beside the rest. The results file is written anew after every run, and what it holds already is not
run again.

    python -m benchmarks.gpu_time --recipes gpu-94,gpu-95 --seeds 20 [--runs FOLDER]
    python -m benchmarks.gpu_time --write-readme
"""

from __future__ import annotations

import time

_STARTED = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from dataclasses import asdict, dataclass, field  # noqa: E402
from datetime import date  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402

import atelier  # noqa: E402
from atelier.devices import describe_machine, resolve_device  # noqa: E402
from atelier.errors import AtelierError, DeviceError, RunError  # noqa: E402
from atelier.storage import explained, write_json  # noqa: E402

from .sections import Section  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "gpu_time.json"
SECTION = Section("gpu", "python -m benchmarks.gpu_time --write-readme")


@dataclass(frozen=True)
class WarmRun:
    """One training after the warm-up.

    Attributes:
        train_seconds: of the training loop, its checkpoints included, as the run's metrics say.
        seconds: of the call of `train`, until the run folder is written.
    """

    recipe: str
    seed: int
    test_accuracy: float
    train_seconds: float
    seconds: float
    num_epochs: int
    parameters: int
    finished: str


@dataclass
class Results:
    """What the file holds.

    Attributes:
        machine: of all runs.
        import_seconds: from the start of this script until atelier can be called.
        warm_up_seconds: of each recipe's first two epochs and their run folder.
    """

    machine: dict[str, Any]
    import_seconds: float
    commands: list[str] = field(default_factory=list)
    warm_up_seconds: dict[str, float] = field(default_factory=dict)
    runs: list[WarmRun] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote.

        Raises:
            StorageError: the file cannot be read.
            RunError: it is something else.
        """
        with explained(path, "read"):
            text = path.read_bytes()
        try:
            value = json.loads(text)
            return cls(**{**value, "runs": [WarmRun(**run) for run in value["runs"]]})
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is not a results file of this benchmark: {error}") from error

    def save(self, path: Path) -> None:
        """Write all as JSON, whole or not at all."""
        write_json(path, asdict(self))

    def of(self, recipe: str) -> list[WarmRun]:
        """The recipe's runs."""
        return [run for run in self.runs if run.recipe == recipe]


def measure(recipe: str, seeds: int, results: Results, path: Path, runs: Path) -> None:
    """Train what `results` lack of `seeds` seeds, and write them to `path` after every run."""
    missing = [seed for seed in range(seeds) if seed not in {r.seed for r in results.of(recipe)}]
    if not missing:
        return
    began = time.perf_counter()
    short = ("train.num_epochs=2", "train.warmup_epochs=0")
    _train(recipe, seeds, runs / "warm-up", short)
    # A command that goes on finds kernels that the one before it has compiled.
    results.warm_up_seconds.setdefault(recipe, time.perf_counter() - began)
    for seed in missing:
        folder = runs / f"{recipe}-s{seed}"
        began = time.perf_counter()
        run = _train(recipe, seed, folder)
        seconds = time.perf_counter() - began
        metrics = run.metrics
        results.runs.append(
            WarmRun(
                recipe=recipe,
                seed=seed,
                test_accuracy=atelier.evaluate(folder).accuracy,
                train_seconds=metrics["train_seconds"],
                seconds=seconds,
                num_epochs=metrics["num_epochs"],
                parameters=metrics["parameters"],
                finished=date.today().isoformat(),
            )
        )
        results.save(path)
        newest = results.runs[-1]
        print(
            f"{recipe} seed {seed}: {newest.test_accuracy:.2%} after {newest.train_seconds:.2f} s "
            f"of training, {seconds:.2f} s with all else",
            file=sys.stderr,
            flush=True,
        )


def _train(recipe: str, seed: int, out: Path, overrides: Sequence[str] = ()) -> atelier.Run:
    return atelier.train(
        recipe, seed=seed, out=out, overwrite=True, overrides=list(overrides), progress=False
    )


def section_text(results: Results) -> str:
    """What the README says of them."""
    rows = [
        "| recipe | parameters | test accuracy | training | with the run folder | first two epochs, cold |",  # noqa: E501
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for recipe in dict.fromkeys(run.recipe for run in results.runs):
        own = results.of(recipe)
        accuracies = [100 * run.test_accuracy for run in own]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(own) > 1 else ""
        seeds = f"{len(own)} seeds" if len(own) > 1 else "1 seed"
        rows.append(
            f"| `{recipe}` | {own[0].parameters:,} "
            f"| {statistics.fmean(accuracies):.2f}{spread} % ({seeds}) "
            f"| {statistics.fmean(run.train_seconds for run in own):.1f} s "
            f"| {statistics.fmean(run.seconds for run in own):.1f} s "
            f"| {results.warm_up_seconds[recipe]:.1f} s |"
        )
    machine = results.machine
    commands = ", ".join(f"`{command}`" for command in results.commands)
    return "\n".join(
        [
            *rows,
            "",
            (
                f"Measured on one {machine['device']}, Python {machine['python']}, torch "
                f"{machine['torch']}, {max(run.finished for run in results.runs)}, in a process "
                f"that is warm: {commands}. The spread is the standard deviation over the seeds. "
                f"Importing takes {results.import_seconds:.1f} s more, once."
            ),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or write the README's section; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_time", description=__doc__)
    parser.add_argument("--recipes", default="gpu-94,gpu-95", help="names, with commas between")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--runs", type=Path, help="keep the run folders here")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--write-readme", action="store_true")
    given = parser.parse_args(arguments)
    try:
        if given.write_readme:
            readme = Path(__file__).parent.parent / "README.md"
            SECTION.write(readme, section_text(Results.load(given.results)))
            return 0
        device = resolve_device(given.device)
        if device.type != "cuda":
            raise DeviceError("this benchmark is for a GPU", got=str(device))
        if given.results.exists():
            results = Results.load(given.results)
        else:
            torch.zeros(1, device=device)
            results = Results(describe_machine(device), time.perf_counter() - _STARTED)
        command = f"python -m benchmarks.gpu_time --recipes {given.recipes} --seeds {given.seeds}"
        if command not in results.commands:
            results.commands.append(command)
        with tempfile.TemporaryDirectory() as temporary:
            for recipe in given.recipes.split(","):
                measure(recipe, given.seeds, results, given.results, given.runs or Path(temporary))
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
