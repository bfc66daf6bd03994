"""The final evaluation: the one place that predicts the test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ConfigError, RunError
from .calibration import calibration_of, evaluate_calibrated
from .metrics import Evaluation

if TYPE_CHECKING:
    from ..data import Dataset, ImageSplit
    from ..runs import Run

NO_TEST_PART = "this data set has no test part, and its validation images stand in for it"


def evaluate(
    run: Run | str | Path,
    *,
    split: Literal["test", "validation"] | None = None,
    data: str | Path | None = None,
    skip_bad: bool = False,
    refresh: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> Evaluation:
    """How good a run is, by predictions that are made once and kept in its folder.

    Args:
        run: a handle or the path of a run folder.
        split: ``test``, or ``validation``, which the training has looked at; None is the test part
            where the data set has one, else the validation part. Of `data`, too, if arrays.
        data: other labeled images to judge by; nothing of it is kept. All of them, whatever part
            they stand in, but where the training has seen some, in another domain or without their
            labels, the part that is judged. Their classes are matched to the run's by name, and
            some may be missing.
        skip_bad: leave out photos of `data` that cannot be read.
        refresh: predict again although predictions are kept.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: no such split, or a split of other data.
        RunError: the run folder cannot be used, or was trained on other data.
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device.
    """
    from ..runs import Run

    if split not in ("test", "validation", None):
        raise ConfigError("unknown split", got=split, allowed=["test", "validation"])
    run = run if isinstance(run, Run) else Run(run)
    if data is not None:
        from .elsewhere import evaluate_elsewhere

        return evaluate_elsewhere(
            run, data, split=split, skip_bad=skip_bad, device=device, progress=progress
        )
    part = split or run.judged
    if refresh or not run.has_predictions(part):
        _predict(run, part, device)
    return evaluate_calibrated(
        run.predictions(part),
        calibration_of(run),
        fitted_on=part == "validation",
        images=f"{part} images",
        note=NO_TEST_PART if part == run.judged == "validation" else "",
    )


def judged_images(run: Run, dataset: Dataset, part: str) -> ImageSplit:
    """The images of a part, test or validation, as the run's training has cut it.

    Raises:
        ConfigError: the data set has no test part.
        RunError: the run was trained on other data, or nothing was held out for validation.
    """
    from ..data import validation_of
    from ..runs import refuse_other_data

    refuse_other_data(run.path, dataset)
    if part == "test":
        if dataset.test is None:
            raise ConfigError(
                f"the data set {dataset.name} has no test part", fix="Use --split validation"
            )
        return dataset.test
    share = run.recipe.train.validation_share
    held_out = dataset.validation
    if held_out is None:
        held_out = validation_of(dataset, size=share, seed=run.recipe.split_seed)[1]
    if held_out is None:
        raise RunError(f"{run.path} was trained on all training images: none were held out")
    return held_out


def _predict(run: Run, part: str, device: str) -> None:
    from ..data import load_dataset
    from ..predictor import Predictor

    images = judged_images(run, load_dataset(run.recipe.data, run.recipe.photos), part)
    run.save_predictions(part, Predictor.of_run(run, device=device).predict_split(images))
