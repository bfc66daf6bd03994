"""What a training writes: the run folder's beginning and its end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from ..config import Recipe
from ..data.labeled import LABELS
from ..errors import StorageError
from ..evaluation import fit_calibration
from ..models import model_cost
from ..runs import FORMAT_VERSION
from ..storage import atomic_path, explained, remove, write_json, write_text
from .checkpoints import TrainingState, copy_weights
from .preparation import Prepared

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "model.safetensors"


def refuse_other_things(path: Path) -> None:
    """To overwrite is to replace a run, never a folder of other things.

    Raises:
        StorageError: `path` is such a folder.
    """
    if path.is_dir() and any(path.iterdir()) and not (path / "recipe.json").is_file():
        raise StorageError(
            f"{path} holds other things than a run, and nothing was overwritten",
            fix="Choose another path with --out",
        )


def begin_run(
    path: Path,
    recipe: Recipe,
    environment: dict[str, Any],
    prepared: Prepared,
    *,
    weights: bool,
) -> None:
    """Make the folder, with what is known before the first epoch."""
    refuse_other_things(path)
    try:
        with explained(path):
            if path.exists() or path.is_symlink():
                remove(path)
            path.mkdir(parents=True)
        recipe.save(path / "recipe.json")
        write_json(path / "environment.json", environment)
        _save_card(path, prepared)
        if prepared.noise is not None:
            prepared.noise.save(path / "label_noise.npz")
        if prepared.few is not None:
            prepared.few.save(path / LABELS)
        if weights:  # of a backbone that no checkpoint will have
            _save_weights(path, prepared)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def keep_fitted(
    path: Path,
    recipe: Recipe,
    environment: dict[str, Any],
    prepared: Prepared,
    state: TrainingState,
) -> None:
    """The whole folder of a model that was fitted in one go, or nothing."""
    begin_run(path, recipe, environment, prepared, weights=False)
    try:
        write_text(path / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in state.history))
        finish_run(path, prepared, state, interrupted=False)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _save_weights(path: Path, prepared: Prepared) -> None:
    with atomic_path(path / WEIGHTS) as temporary:
        save_file(copy_weights(prepared.model), temporary)


def _save_card(path: Path, prepared: Prepared) -> None:
    write_text(path / "model.json", prepared.card.model_dump_json(indent=2) + "\n")


def save_snapshot(path: Path, prepared: Prepared, state: TrainingState) -> None:
    """Keep the weights at the end of a cycle, whole or not at all: ``snapshots/EPOCH.safetensors``
    in the run folder `path`."""
    folder = path / "snapshots"
    with explained(folder):
        folder.mkdir(exist_ok=True)
    # Of a probe, the state has the head alone.
    weights = {**copy_weights(prepared.model), **state.model}
    with atomic_path(folder / f"{len(state.history)}.safetensors") as temporary:
        save_file(weights, temporary)


def finish_run(path: Path, prepared: Prepared, state: TrainingState, *, interrupted: bool) -> None:
    """Write what makes the folder a whole run; `metrics.json` last, for it says so."""
    # An older evaluation was of other weights.
    (path / "predictions" / "test.npz").unlink(missing_ok=True)
    # Of a probe, the state has the head alone.
    prepared.model.load_state_dict({**prepared.model.state_dict(), **state.best})
    _save_weights(path, prepared)
    _save_card(path, prepared)
    kept, accuracy = state.history[-1], None
    if prepared.validation is not None:
        if Recipe.load(path / "recipe.json").train.keep == "best":
            kept = max(state.history, key=lambda row: row["validation/accuracy"])
        predictions = prepared.predict(prepared.model, prepared.validation)
        predictions.save(path / "predictions" / "validation.npz")
        calibration = fit_calibration(predictions)
        if calibration is not None:
            calibration.save(path)
        accuracy = float(predictions.correct.mean())
    cost = model_cost(prepared.model, prepared.card.image_shape)
    metrics: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "best_validation_accuracy": accuracy,
        "kept_epoch": kept["epoch"],
        "num_epochs": len(state.history),
        "interrupted": interrupted,
        "train_seconds": state.seconds,
        "train_images": len(prepared.batches.labels),
        "validation_images": 0 if prepared.validation is None else len(prepared.validation),
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
    }
    write_json(path / "metrics.json", metrics)
    if not interrupted:
        (path / CHECKPOINT).unlink(missing_ok=True)
