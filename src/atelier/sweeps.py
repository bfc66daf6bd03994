"""Many runs: train what is missing, then compare."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .config import Recipe
from .data import Dataset, load_dataset, obtain_dataset
from .data.cache import cache_dir
from .data.folds import halves, write_fold
from .errors import ConfigError, RunError, did_you_mean
from .evaluation import (
    NO_TEST_PART,
    Comparison,
    CrossComparison,
    compare_predictions,
    cross_compared,
    evaluate,
)
from .predictor import Predictor
from .recipes import RECIPES, is_recipe, is_recipe_file
from .runs import Run
from .storage import explained, remove
from .tracking import Tracker, following
from .training import (
    OnEpoch,
    can_resume,
    default_run_path,
    follows,
    paths_of,
    resolve_recipe,
    train,
)

_TIMED_IMAGES = 256
_TIMED_BYTES = 4 * 2**20  # of pixels; what a network makes of them is far more
_TIMED_ROUNDS = 5
_REPETITIONS = 5


def compare(
    targets: Sequence[str | Path | Run],
    *,
    seeds: int = 1,
    data: str | None = None,
    overrides: tuple[str, ...] | list[str] = (),
    runs: str | Path = "runs",
    device: str = "auto",
    progress: bool = True,
    track: str | Tracker | None = None,
) -> Comparison:
    """Compare runs, or recipes whose missing runs are trained first, on the same test images.

    Args:
        targets: run folders, handles, names of recipes, or the ``.json`` files of saved ones.
        seeds: runs of each recipe, with seeds 0 to `seeds` - 1.
        data: of the recipes; None is their own, Fashion-MNIST.
        overrides: ``path=value`` strings for all the recipes.
        runs: the folder that holds the recipes' runs; finished ones are taken as they are.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show bars on standard error.
        track: ``mlflow`` or ``mlflow:URI``: where all the runs are shown, while they are trained
            and with their test accuracy.

    Raises:
        ConfigError: an unknown recipe, key or value, or fewer than two targets.
        RunError: a run folder cannot be used, or runs were evaluated on different images.
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device, or too little memory.
        StorageError: no space or no permission.
    """
    with following(track) as tracker:
        found = gather(
            targets,
            seeds=seeds,
            data=data,
            overrides=overrides,
            runs=runs,
            device=device,
            progress=progress,
            track=tracker,
        )
        result = compare_runs(found, device=device)
        for run in found:
            tracker.update(run.path)
    return result


def gather(
    targets: Sequence[str | Path | Run],
    *,
    seeds: int = 1,
    data: str | None = None,
    overrides: tuple[str, ...] | list[str] = (),
    runs: str | Path = "runs",
    device: str = "auto",
    progress: bool = True,
    track: Tracker | None = None,
) -> list[Run]:
    """The runs that `compare` would compare; it takes the same arguments."""
    if not targets:
        raise ConfigError("there is nothing to compare", fix="Name two or more recipes or runs")
    if seeds < 1:
        raise ConfigError("the number of seeds is out of range", got=seeds, allowed="1 or more")
    # All are resolved before the first training starts: a typing error should not cost an hour.
    found: list[Run | Recipe] = []
    for target in targets:
        if isinstance(target, Run):
            found.append(target)
        elif is_recipe(str(target)) or is_recipe_file(str(target)):
            found += [
                resolve_recipe(str(target), data=data, seed=seed, overrides=overrides)
                for seed in range(seeds)
            ]
        elif Path(target).exists():
            found.append(Run(target))
        else:
            raise ConfigError(
                f"{str(target)!r} is neither a recipe nor a run folder",
                fix=did_you_mean(str(target), RECIPES),
            )
    for item in found:
        if isinstance(item, Recipe):
            _refuse_other_recipe(default_run_path(item, runs), item, overrides)
    return [
        item
        if isinstance(item, Run)
        else train_if_missing(
            item, overrides, runs, device, progress, f"{item.name} {i}/{len(found)}", track=track
        )
        for i, item in enumerate(found, start=1)
    ]


def compare_runs(runs: Sequence[Run], *, device: str = "auto") -> Comparison:
    """Compare finished runs; those that differ by nothing but the seed make one row.

    Raises:
        ConfigError: fewer than two different recipes.
        RunError: the runs were evaluated on different images, or one stands twice.
    """
    groups: dict[Recipe, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.recipe.without_seed(), []).append(run)
    if len(groups) < 2:
        raise ConfigError("a comparison needs two different recipes or more", got=len(groups))
    names = [group[0].recipe.name for group in groups.values()]
    # Two variants of one recipe are told apart by their folders.
    labeled = {
        name if names.count(name) == 1 else group[0].name: sorted(group, key=_seed)
        for name, group in zip(names, groups.values(), strict=True)
    }
    for label, group in labeled.items():
        if len({run.recipe.seed for run in group}) < len(group):
            raise RunError(f"two runs of {label} have the same seed", fix="Name each run once")
    part = judged_part(runs)
    for run in runs:
        evaluate(run, device=device)
    milliseconds = _inference_ms({label: group[0] for label, group in labeled.items()}, device)
    costs: dict[str, dict[str, float | None]] = {
        label: {
            "parameters": group[0].metrics["parameters"],
            "train_seconds": statistics.fmean(run.metrics["train_seconds"] for run in group),
            "inference_ms_per_image": milliseconds[label],
        }
        for label, group in labeled.items()
    }
    seed_runs = {
        label: [(run.recipe.seed, run.predictions(part)) for run in group]
        for label, group in labeled.items()
    }
    note = NO_TEST_PART if part == "validation" else ""
    return compare_predictions(seed_runs, costs, images=f"{part} images", note=note)


def compare_5x2(
    a: str,
    b: str,
    *,
    data: str | None = None,
    overrides: tuple[str, ...] | list[str] = (),
    runs: str | Path = "runs",
    device: str = "auto",
    progress: bool = True,
) -> CrossComparison:
    """Train two recipes ten times each, on halves of the training images, and test which is better
    (5x2cv F test, Alpaydin 1999). The test images are not looked at.

    Repetition i cuts the halves, and trains, with seed i. What an earlier call has finished is
    kept, in folders below `runs` that are named after the fold, and the next call goes on from it.

    Args:
        a, b: two recipes, by name or by the ``.json`` file of a saved one.
        data: of both; None is their own, Fashion-MNIST.
        overrides: ``path=value`` strings for both.
        runs: the folder that holds the runs.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show bars on standard error.

    Raises:
        ConfigError: an unknown recipe, key or value, or the same recipe twice.
        RunError: a run folder cannot be used, or has other settings.
        DataError: the data set is missing or corrupt, or cannot be cut.
        DeviceError: this machine has no such device, or too little memory.
        StorageError: no space or no permission.
    """
    recipes = [resolve_recipe(name, data=data, overrides=overrides) for name in (a, b)]
    names = [recipe.name for recipe in recipes]
    if names[0] == names[1] or len({(own.data, own.photos) for own in recipes}) > 1:
        raise ConfigError(
            "5x2 cross-validation takes two recipes of different names on the same data", got=names
        )
    dataset = obtain_dataset(recipes[0].data, recipes[0].photos, progress=progress)
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    metric, train_images, done = "accuracy", 0, 0
    for seed in range(_REPETITIONS):
        first, second = halves(dataset, seed=seed)
        row: dict[str, list[float]] = {name: [] for name in names}
        for half, train_on, judged in (("a", first, second), ("b", second, first)):
            path = _fold_path(dataset, f"{seed + 1}{half}")
            fold = write_fold(
                dataset,
                train_on,
                judged,
                path,
                source=recipes[0].data,
                columns=recipes[0].photos.columns,
            )
            for recipe in recipes:
                done += 1
                own = recipe.changed({"data": str(fold), "seed": seed})
                _refuse_other_recipe(default_run_path(own, runs), own, overrides)
                title = f"{own.name} {done}/{4 * _REPETITIONS}"
                run = train_if_missing(own, overrides, runs, device, progress, title)
                result = evaluate(run, device=device)
                if result.uneven:
                    metric = "balanced accuracy"
                row[own.name].append(result.balanced_accuracy if result.uneven else result.accuracy)
            with explained(fold, "remove"):
                remove(fold)
            train_images = max(train_images, len(train_on))
        for name in names:
            scores[name].append((row[name][0], row[name][1]))
    return cross_compared(
        names[0],
        tuple(scores[names[0]]),
        names[1],
        tuple(scores[names[1]]),
        score=metric,
        train_images=train_images,
    )


def _fold_path(dataset: Dataset, fold: str) -> Path:
    """Where a fold's images are while they are needed; the run is named after its last part."""
    name = "".join(c if c.isalnum() else "-" for c in Path(dataset.name).stem)
    return cache_dir() / "folds" / dataset.fingerprint[:16] / f"{name}-5x2-{fold}"


def judged_part(runs: Sequence[Run]) -> str:
    """The one part of the data that all the runs are judged by.

    Raises:
        RunError: some are judged by test images, others by validation images.
    """
    parts = {run.judged: run for run in runs}
    if len(parts) > 1:
        raise RunError(
            f"{parts['test'].path} is judged by test images and {parts['validation'].path} by "
            "validation images",
            fix="Name runs on the same data",
        )
    return next(iter(parts))


def _seed(run: Run) -> int:
    return run.recipe.seed


def _refuse_other_recipe(path: Path, recipe: Recipe, overrides: Sequence[str]) -> None:
    saved = path / "recipe.json"
    if saved.is_file() and not follows(Recipe.load(saved), recipe, fixed=paths_of(overrides)):
        raise RunError(
            f"{path} was trained with other settings than asked for",
            fix="Choose another folder with --runs, or remove that run",
        )


def train_if_missing(
    recipe: Recipe,
    overrides: tuple[str, ...] | list[str],
    runs: str | Path,
    device: str,
    progress: bool,
    title: str,
    on_epoch: OnEpoch | None = None,
    track: Tracker | None = None,
) -> Run:
    """The run of `recipe` in the folder `runs`, trained, or trained to its end, where it is not.

    Args:
        recipe: with the overrides applied already; they tell a plan what to leave alone.
        overrides: ``path=value`` strings.
        runs: the folder of the run folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.
        title: of that bar.
        on_epoch: as of `train`.
        track: who follows it.

    Raises:
        KeyboardInterrupt: its training was stopped; the next call goes on with it.
    """
    path = default_run_path(recipe, runs)
    if can_resume(path):
        run = train(
            resume=path,
            device=device,
            progress=progress,
            title=title,
            on_epoch=on_epoch,
            track=track,
        )
    elif (path / "metrics.json").is_file():
        return Run(path)
    else:
        # What stands there, if anything, was cut off in its first epoch and holds no weights.
        leftover = (path / "recipe.json").is_file()
        run = train(
            recipe,
            overrides=overrides,  # applied already; they tell a plan what to leave alone
            out=path,
            overwrite=leftover,
            device=device,
            progress=progress,
            title=title,
            on_epoch=on_epoch,
            track=track,
        )
    if run.metrics["interrupted"]:
        raise KeyboardInterrupt
    return run


def _inference_ms(runs: dict[str, Run], device: str) -> dict[str, float]:
    """Milliseconds per image in one batch: the median of rounds in which all take turns."""
    predictors: dict[str, tuple[Predictor, npt.NDArray[np.uint8]]] = {}
    for label, run in runs.items():
        dataset = load_dataset(run.recipe.data, run.recipe.photos)
        images = dataset.train.images
        images = images[: min(_TIMED_IMAGES, _TIMED_BYTES // images[0].nbytes + 1)]
        predictors[label] = Predictor.of_run(run, device=device), np.array(images)
    seconds: dict[str, list[float]] = {label: [] for label in runs}
    for turn in range(_TIMED_ROUNDS + 1):
        for label, (predictor, images) in predictors.items():
            start = time.perf_counter()
            predictor.logits(images, batch_size=len(images))
            if turn:  # the first round warms up
                seconds[label].append(time.perf_counter() - start)
    return {
        label: 1000 * statistics.median(times) / len(predictors[label][1])
        for label, times in seconds.items()
    }
