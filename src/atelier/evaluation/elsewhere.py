"""How good a run is on labeled images from elsewhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, DataError, ImageError, did_you_mean
from ..predictions import Predictions
from ..progress import progress_bar
from .calibration import calibration_of, evaluate_calibrated
from .metrics import Evaluation

if TYPE_CHECKING:
    from ..data import Dataset, ImageSplit
    from ..runs import Run

_SHOW_FROM = 200  # photos; fewer take no two seconds
_SHOWN = 3


def evaluate_elsewhere(
    run: Run,
    data: str | Path,
    *,
    split: Literal["test", "validation"] | None = None,
    skip_bad: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> Evaluation:
    """Judge a run by all images of a folder, a table or a data set; nothing is kept.

    Photos are read as `predict` reads them, at the run's own size. Of a data set that the run has
    learned from in any domain, with labels or without, the judged part alone is taken.

    Args:
        run: a handle.
        data: a folder of class folders or a table, with or without parts, or the name or folder of
            a data set of arrays.
        split: a part of a data set of arrays, its validation part cut as the run's own.
        skip_bad: leave out photos that cannot be read.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: a part of photos is asked for, or one that there is not.
        DataError: the data are missing or corrupt, have a class that the run does not know, or
            images of another shape than the run reads.
    """
    from ..data.photos import has_photos

    if has_photos(data):
        if split is not None:
            raise ConfigError(
                "photos from elsewhere are judged by whole",
                fix="Leave out the split, or give the folder of that part",
            )
        name, predictions, notes = _of_photos(run, data, skip_bad, device, progress)
    else:
        name, predictions, notes = _of_arrays(run, data, split, device)
    if str(data) == run.recipe.data or _same_place(data, run.recipe.data):
        notes.append("the run was trained on some of these images")
    return evaluate_calibrated(
        predictions,
        calibration_of(run),
        fitted_on=False,
        images=f"images of {name}",
        note="; ".join(notes),
    )


def _of_photos(
    run: Run, data: str | Path, skip_bad: bool, device: str, progress: bool
) -> tuple[str, Predictions, list[str]]:
    from ..data.photos import list_labeled
    from ..predictor import Predictor

    source = list_labeled(data, run.recipe.photos.columns, to_learn=False)
    numbers = _numbers(source.classes, run.classes, str(data))
    labels = {photo.path: numbers[photo.label] for photo in source.photos}
    total = len(source.photos)
    bad: list[ImageError] = []
    logits: list[npt.NDArray[np.float32]] = []
    known: list[int] = []
    predictor = Predictor.of_run(run, device=device)
    with progress_bar("evaluate", total, show=progress and total >= _SHOW_FROM) as bar:
        for path, row, _ in predictor.of_files(
            [photo.path for photo in source.photos],
            on_bad=lambda _path, error: bad.append(error),
        ):
            logits.append(row)
            known.append(labels[path])
            bar.update(len(known) + len(bad), f"{len(known) + len(bad):,} of {total:,} images")
    notes = list(source.notes)
    if bad:
        shown = "; ".join(error.problem for error in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        said = f"{len(bad):,} of {total:,} photos cannot be read: {shown}{more}"
        if not skip_bad or not known:
            raise DataError(said, fix="Mend or remove them, or leave them out with --skip-bad")
        notes.append(said)
    predictions = Predictions(
        np.arange(len(known)), np.array(known, np.int64), np.stack(logits), run.classes
    )
    return source.root.name, predictions, notes


def _of_arrays(
    run: Run, data: str | Path, split: Literal["test", "validation"] | None, device: str
) -> tuple[str, Predictions, list[str]]:
    from ..data import load_dataset
    from ..predictor import Predictor

    dataset = load_dataset(data)
    shape = dataset.train.images.shape[1:]
    if shape != run.card.image_shape:
        raise DataError(
            f"the images of {dataset.name} have another shape than the run reads",
            got=" x ".join(map(str, shape)),
            allowed=" x ".join(map(str, run.card.image_shape)),
        )
    numbers = _numbers(dataset.classes, run.classes, dataset.name)
    own = np.array([numbers[name] for name in dataset.classes])
    predictor = Predictor.of_run(run, device=device)
    name, parts = _judging_parts(run, data, dataset, split)
    labels = np.concatenate([own[part.labels] for part in parts])
    logits = np.concatenate([predictor.logits(part.images) for part in parts])
    return name, Predictions(np.arange(len(labels)), labels, logits, run.classes), []


def _judging_parts(
    run: Run, data: str | Path, dataset: Dataset, split: Literal["test", "validation"] | None
) -> tuple[str, list[ImageSplit]]:
    """What to judge by, in words, and the images."""
    from ..data import validation_of

    if split is None and not _has_seen(run, data):
        every = (dataset.train, dataset.validation, dataset.test)
        return dataset.name, [part for part in every if part is not None]
    name = split or dataset.judged[0]
    part = dataset.test
    if name == "validation":
        share, seed = run.recipe.train.validation_share, run.recipe.split_seed
        part = validation_of(dataset, size=share, seed=seed)[1]
    if part is None:
        raise ConfigError(f"{dataset.name} has no {name} images", fix="Leave out the split")
    return f"the {name} part of {dataset.name}", [part]


def _has_seen(run: Run, data: str | Path) -> bool:
    """Whether the training has seen images of these data in another domain, or without labels."""
    from ..data.derived import source_of

    if str(data) == run.recipe.data:
        return False  # its own data are judged by whole, and the result says so
    seen = (run.recipe.data, getattr(run.recipe.method, "target", run.recipe.data))
    return source_of(data) in map(source_of, seen)


def _numbers(names: Sequence[str], known: Sequence[str], where: str) -> dict[str, int]:
    """Of each class name, its position among the run's, in whatever form Unicode is written."""
    positions = {unicodedata.normalize("NFC", name): k for k, name in enumerate(known)}
    found = {name: positions.get(unicodedata.normalize("NFC", name)) for name in names}
    unknown = [name for name, k in found.items() if k is None]
    if unknown:
        listed = ", ".join(map(repr, unknown[:_SHOWN]))
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise DataError(
            f"{where} has classes that the run does not know: {listed}{more}",
            fix=did_you_mean(unknown[0], known),
        )
    return {name: k for name, k in found.items() if k is not None}


def _same_place(data: str | Path, other: str) -> bool:
    return Path(data).expanduser().resolve() == Path(other).expanduser().resolve()
