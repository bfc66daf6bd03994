"""`bench_zoo`: train a list of recipes under one budget, and rank them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..config import Recipe
from ..data import Dataset, obtain_dataset
from ..devices import resolve_device
from ..errors import ConfigError, RunError
from ..evaluation import evaluate
from ..models import build_model, model_cost
from ..recipes import ZOO
from ..runs import Run
from ..storage import explained
from ..sweeps import train_if_missing
from ..training import default_run_path, resolve_recipe
from ..training.classical import is_classical
from .budget import Budget, stretched
from .leaderboard import Entry, Leaderboard, packed

Say = Callable[[str], None]
LEADERBOARD, PICTURE = "zoo.json", "zoo.png"


def bench_zoo(
    recipes: Sequence[str] = (),
    *,
    seeds: int = 1,
    epochs: int | None = None,
    seconds: float | None = None,
    flops: float | None = None,
    data: str | None = None,
    overrides: tuple[str, ...] | list[str] = (),
    out: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
    say: Say | None = None,
) -> Leaderboard:
    """Train recipes under one budget and rank them by the judged images, which each run sees once.

    Stopped by Ctrl-C, the next call goes on where this one was; what `out` has of other recipes
    under the same budget stays in the leaderboard.

    Args:
        recipes: names, or the ``.json`` files of saved recipes; none are all that train in minutes.
        seeds: runs of each recipe, with seeds 0 to `seeds` - 1.
        epochs: of each training, whose schedule is stretched to them.
        seconds: that each training may take here, its epochs found by a few steps beforehand.
        flops: floating-point operations that each training may take: six for each multiply-add and
            image of an epoch. Without a budget each recipe has its own epochs.
        data: of all; None is Fashion-MNIST.
        overrides: ``path=value`` strings for all the recipes.
        out: the folder of the runs, of ``zoo.json`` and of ``zoo.png``; None is
            ``runs/zoo/BUDGET``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show bars on standard error.
        say: receives each sentence on what was left out; standard error by default.

    Raises:
        ConfigError: an unknown recipe, key or value, more than one budget, or two recipes of one
            name.
        RunError: `out` holds a leaderboard of other data or another budget, or a run of other
            settings.
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device, or too little memory.
        StorageError: no space or no permission.
    """
    budget = Budget.of(epochs=epochs, seconds=seconds, flops=flops)
    if seeds < 1:
        raise ConfigError("the number of seeds is out of range", got=seeds, allowed="1 or more")
    resolved = [
        resolve_recipe(name, data=data, seed=0, overrides=overrides) for name in recipes or ZOO
    ]
    names = [recipe.name for recipe in resolved]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError("two recipes have one name", got=", ".join(twice), fix="Name each once")
    if len({(recipe.data, recipe.photos) for recipe in resolved}) > 1:
        raise ConfigError("the recipes are for different data", fix="Name one with --data")
    folder = folder_of(out, budget.slug)
    dataset = obtain_dataset(resolved[0].data, resolved[0].photos, progress=progress)
    board = _begin(folder, budget, dataset)
    for number, recipe in enumerate(resolved, start=1):
        fitted, reason = _fitted(recipe, budget, dataset, device, folder)
        if fitted is None:
            (say or _say)(f"{recipe.name} is left out: {reason}")
            left_out = {**board.left_out, recipe.name: reason}
            board = replace(board, left_out=left_out)
            _save(board, folder)
            continue
        done: list[Run] = []
        for seed in range(seeds):
            title = f"{recipe.name} {number}/{len(resolved)}" + (f" seed {seed}" if seed else "")
            own = fitted.changed({"seed": seed})
            _refuse_other(default_run_path(own, folder), own)
            done.append(train_if_missing(own, overrides, folder, device, progress, title))
            board = board.with_entry(_entry(done, seeds, device))
            _save(board, folder)
    return board


def folder_of(out: str | Path | None, slug: str) -> Path:
    """Where `bench_zoo` leaves what it makes, for a budget of that name."""
    return Path(out) if out is not None else Path("runs/zoo") / slug


def _begin(folder: Path, budget: Budget, dataset: Dataset) -> Leaderboard:
    """What the folder holds already, or an empty leaderboard."""
    part = "validation" if dataset.test is None else "test"
    new = Leaderboard((), str(budget), budget.slug, dataset.name, part, dataset.fingerprint)
    path = folder / LEADERBOARD
    if not path.is_file():
        return new
    old = Leaderboard.load(path)
    for what, there, asked in (
        ("data", old.fingerprint, new.fingerprint),
        ("budget", old.budget, new.budget),
    ):
        if there != asked:
            raise RunError(
                f"{path} is a leaderboard with another {what}",
                got=old.data if what == "data" else there,
                allowed=new.data if what == "data" else asked,
                fix="Choose another folder with --out",
            )
    return old


def _fitted(
    recipe: Recipe, budget: Budget, dataset: Dataset, device: str, folder: Path
) -> tuple[Recipe | None, str]:
    """The recipe with the epochs that the budget pays for; or None, and why."""
    from ..training.pace import seconds_per_epoch

    if budget.kind == "own" or recipe.plan or is_classical(recipe):
        return recipe, ""
    begun = default_run_path(recipe, folder) / "recipe.json"
    if begun.is_file():  # this machine may have another pace today
        return stretched(recipe, Recipe.load(begun).train.num_epochs), ""
    shape = (dataset.channels, *dataset.image_size)
    cost = model_cost(build_model(recipe.model, shape, len(dataset.classes)), shape)
    images = round(len(dataset.train.labels) * (1 - recipe.train.validation_share))
    epochs = budget.epochs(
        images=images,
        multiply_adds=cost.multiply_adds,
        pace=lambda: seconds_per_epoch(recipe, dataset, resolve_device(device)),
    )
    if not epochs:
        return None, f"one epoch takes more than {budget}"
    return stretched(recipe, epochs), ""


def _refuse_other(path: Path, recipe: Recipe) -> None:
    saved = path / "recipe.json"
    if saved.is_file() and not recipe.plan and Recipe.load(saved) != recipe:
        raise RunError(
            f"{path} was trained with other settings than asked for",
            fix="Choose another folder with --out, or remove that run",
        )


def _entry(runs: Sequence[Run], asked: int, device: str) -> Entry:
    results = [evaluate(run, device=device) for run in runs]
    first = runs[0]
    correct = first.predictions(first.judged).correct
    machine = first.environment
    return Entry(
        name=first.recipe.name,
        recipe=first.recipe.without_seed().model_dump(mode="json"),
        parameters=first.metrics["parameters"],
        multiply_adds=first.metrics["multiply_adds"],
        num_epochs=first.metrics["num_epochs"],
        train_seconds=tuple(run.metrics["train_seconds"] for run in runs),
        accuracies=tuple(result.accuracy for result in results),
        seeds=tuple(run.recipe.seed for run in runs),
        asked=asked,
        images=len(correct),
        correct=packed(correct),
        budgeted=not is_classical(first.recipe),
        machine=str(machine["processor"] if machine["device"] == "cpu" else machine["device"]),
    )


def _save(board: Leaderboard, folder: Path) -> None:
    from ..drawing.canvas import save_png
    from .picture import leaderboard_figure

    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    board.save(folder / LEADERBOARD)
    if board.entries:
        save_png(leaderboard_figure(board), folder / PICTURE)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
