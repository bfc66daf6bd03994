"""`few_shot`: from a run to accuracies on classes of which a few images are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data import Dataset, ImageSplit, load_dataset
from ..data.held_out import class_numbers
from ..errors import ConfigError, RunError
from ..evaluation import judged_images
from ..predictor import Predictor
from ..progress import progress_bar
from ..runs import Run, refuse_other_data
from .classifiers import CLASSIFIERS, Vectors
from .result import FewShot, Score

_Indices = npt.NDArray[np.int64]


def few_shot(
    run: Run | str | Path,
    *,
    ways: int = 5,
    shots: int = 5,
    queries: int = 15,
    episodes: int = 600,
    classes: Sequence[str | int] = (),
    final: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> FewShot:
    """Draw episodes, each of which assigns images to one of a few classes by a few images of each.

    The network is left as it is: the classes of an episode are known by the embeddings of their
    shots alone. The result is kept in ``few_shot.json`` of the run folder.

    Args:
        run: a handle or the path of a run folder.
        ways: classes of an episode.
        shots: images of each class that are known.
        queries: other images of each class, which are assigned.
        episodes: how many are drawn; the intervals are of their mean.
        classes: names, or numbers from 0, of those to draw from; none are the run's
            ``train.held_out``.
        final: draw test images, for the figure that is reported. Without it the images of held-out
            classes come from the training part, where the run has not seen them, and those of
            others from what it held out for validation.
        seed: of the draw.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: an unknown class, or more classes or images of one than there are.
        RunError: the run folder cannot be used, was trained on other data, or has no images left
            that it was not trained on.
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device.
        StorageError: no space, or no permission.
    """
    for name, value, least in (
        ("ways", ways, 2),
        ("shots", shots, 1),
        ("queries", queries, 1),
        ("episodes", episodes, 2),
    ):
        if value < least:
            raise ConfigError(f"{name} is out of range", got=value, allowed=f"from {least}")
    run = run if isinstance(run, Run) else Run(run)
    held_out = class_numbers(run.recipe.train.held_out, run.classes)
    drawn = class_numbers(classes, run.classes) if classes else held_out
    if not len(drawn):
        raise ConfigError(
            f"{run.path} was trained on all its classes",
            fix="Name those to draw from with --classes, or hold some out of a training with "
            "train.held_out",
        )
    if ways > len(drawn):
        raise ConfigError(
            "an episode cannot have more classes than there are",
            got=ways,
            allowed=f"2 to {len(drawn)}",
            fix=f"Set --ways {len(drawn)}, or name more classes with --classes",
        )
    dataset = load_dataset(run.recipe.data, run.recipe.photos, progress=progress)
    refuse_other_data(run.path, dataset)
    pool = _pool(run, dataset, drawn, held_out, final=final)
    members = [np.flatnonzero(pool.labels == label) for label in drawn]
    fewest = min(map(len, members))
    if shots + queries > fewest:
        raise ConfigError(
            "an episode takes shots and queries of each class",
            got=f"{shots} + {queries} images",
            allowed=f"up to {fewest}, as many as the smallest class has",
            fix="Lower --shots or --queries",
        )
    with progress_bar("few-shot", 2, show=progress) as bar:
        embeddings = (
            Predictor.of_run(run, device=device)
            .outputs(pool.images, on_done=lambda done: bar.update(done / len(pool), "network"))
            .embedding
        )
        if not np.isfinite(embeddings).all():
            raise RunError(f"{run.path} gives embeddings that are not finite: it has diverged")
        accuracies = np.empty((episodes, len(CLASSIFIERS)))
        rng = np.random.default_rng(seed)
        for number in range(episodes):
            chosen = _episode(members, ways, shots + queries, rng)
            accuracies[number] = _accuracies(embeddings[chosen], shots)
            bar.update(1 + (number + 1) / episodes, "episodes")
    result = FewShot(
        run=run.name,
        part="final" if final else "development",
        classes=tuple(run.classes[label] for label in drawn),
        images=len(pool),
        ways=ways,
        shots=shots,
        queries=queries,
        episodes=episodes,
        seed=seed,
        scores=tuple(map(_score, CLASSIFIERS, accuracies.T)),
        notes=_notes(run, drawn, held_out),
    )
    result.save(run)
    return result


def _pool(
    run: Run, dataset: Dataset, drawn: _Indices, held_out: _Indices, *, final: bool
) -> ImageSplit:
    """The images of the classes `drawn` that episodes may take."""
    if final:
        if dataset.test is None:
            raise ConfigError(f"the data set {dataset.name} has no test part", fix="Omit --final")
        return dataset.test.take(np.isin(dataset.test.labels, drawn))
    unseen = dataset.train.take(np.isin(dataset.train.labels, np.intersect1d(drawn, held_out)))
    known = np.setdiff1d(drawn, held_out)
    if not len(known):
        return unseen
    validation = judged_images(run, dataset, "validation")
    validation = validation.take(np.isin(validation.labels, known))
    return ImageSplit(
        *(
            np.concatenate([getattr(part, name) for part in (unseen, validation)])
            for name in ("images", "labels", "ids")
        )
    )


def _episode(
    members: Sequence[_Indices], ways: int, each: int, rng: np.random.Generator
) -> _Indices:
    """(ways, each) positions: different classes, and different images of each."""
    drawn = rng.choice(len(members), ways, replace=False)
    return np.stack([rng.choice(members[way], each, replace=False) for way in drawn])


def _accuracies(episode: Vectors, shots: int) -> list[float]:
    """Of each classifier on (W, S + Q, D) embeddings."""
    queries = episode[:, shots:]
    asked = np.arange(len(episode)).repeat(queries.shape[1])
    flat = queries.reshape(len(asked), -1)
    return [
        float((assign(episode[:, :shots], flat) == asked).mean()) for assign in CLASSIFIERS.values()
    ]


def _score(classifier: str, accuracies: npt.NDArray[np.float64]) -> Score:
    """The mean over the episodes, and the interval that a normal distribution gives it."""
    mean = float(accuracies.mean())
    half = 1.96 * float(accuracies.std(ddof=1)) / len(accuracies) ** 0.5
    return Score(classifier, mean, (mean - half, mean + half))


def _notes(run: Run, drawn: _Indices, held_out: _Indices) -> tuple[str, ...]:
    notes = []
    known = [run.classes[label] for label in np.setdiff1d(drawn, held_out)]
    if known:
        notes.append(
            f"the run was trained on {', '.join(known)}: this is not what it can do with classes "
            "that are new to it"
        )
    if run.recipe.train.init is not None:
        notes.append(
            f"the run started from the weights of {run.recipe.train.init}, which may have been "
            "trained on these classes"
        )
    return tuple(notes)
