"""The final evaluation: the one place that predicts the test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ConfigError, RunError
from .metrics import Evaluation, evaluate_predictions

if TYPE_CHECKING:
    from ..runs import Run


def evaluate(
    run: Run | str | Path,
    *,
    split: Literal["test", "validation"] = "test",
    refresh: bool = False,
    device: str = "auto",
) -> Evaluation:
    """How good a run is, by predictions that are made once and kept in its folder.

    Args:
        run: a handle or the path of a run folder.
        split: ``test``, or ``validation``, which the training has looked at.
        refresh: predict again although predictions are kept.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigError: no such split.
        RunError: the run folder cannot be used, or was trained on other data.
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device.
    """
    from ..runs import Run

    if split not in ("test", "validation"):
        raise ConfigError("unknown split", got=split, allowed=["test", "validation"])
    run = run if isinstance(run, Run) else Run(run)
    if refresh or not run.has_predictions(split):
        _predict(run, split, device)
    return evaluate_predictions(run.predictions(split))


def _predict(run: Run, split: str, device: str) -> None:
    from ..data import load_dataset, split_validation
    from ..predictor import Predictor

    dataset = load_dataset(run.recipe.data)
    if run.environment.get("data_fingerprint") != dataset.fingerprint:
        raise RunError(
            f"{run.path} was trained on other data than {dataset.name} holds now",
            fix="Put the old data back, or train anew",
        )
    images = dataset.judged[1]
    if split == "validation":
        share = run.recipe.train.validation_share
        if not share:
            raise RunError(f"{run.path} was trained on all training images: none were held out")
        _, held_out = split_validation(dataset.train.labels, size=share, seed=run.recipe.seed)
        images = dataset.train.take(held_out)
    run.save_predictions(split, Predictor.of_run(run, device=device).predict_split(images))
