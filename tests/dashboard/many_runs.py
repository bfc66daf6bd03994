"""Folders of runs as trainings leave them, made without training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from atelier.config import Recipe
from atelier.data import load_dataset
from atelier.predictions import Predictions
from atelier.recipes import RECIPES

SAMPLE = "fashion-mnist-sample"
_NAMES = ("mlp", "cnn", "resnet", "hybrid", "fast-91")
_PARAMETERS = {"mlp": 235e3, "cnn": 421e3, "resnet": 1.2e6, "hybrid": 890e3, "fast-91": 98e3}


def write_runs(folder: Path, number: int, *, images: int = 300) -> Path:
    """Write `number` run folders of five recipes, three rates and many seeds into `folder`.

    Args:
        folder: where to.
        number: of runs.
        images: of the sample's test images that each has predictions of.
    """
    dataset = load_dataset(SAMPLE)
    test = dataset.test
    assert test is not None
    for k in range(number):
        rng = np.random.default_rng(k)
        name, rate = _NAMES[k % 5], (0.001, 0.003, 0.01)[k // 5 % 3]
        recipe = RECIPES[name]().with_overrides([f"train.lr={rate}"])
        recipe = recipe.model_copy(update={"data": SAMPLE, "seed": k // 15})
        level = 0.8 + 0.02 * (k % 5) + 0.01 * (k // 5 % 3) + rng.normal(0, 0.004)
        logits = rng.normal(0, 1, (images, 10)).astype(np.float32)
        right = rng.random(images) < level
        logits[np.arange(images)[right], test.labels[:images][right]] += 6
        predictions = Predictions(test.ids[:images], test.labels[:images], logits, dataset.classes)
        write_run(
            folder / f"{name}-lr{rate}-s{k // 15}",
            recipe,
            predictions,
            fingerprint=dataset.fingerprint,
            epochs=5 + k % 6,
            accuracy=level,
            seconds=float(10 + 20 * (k % 5) + rng.random()),
        )
    return folder


def write_run(
    path: Path,
    recipe: Recipe,
    predictions: Predictions,
    *,
    fingerprint: str = "",
    epochs: int = 5,
    accuracy: float = 0.9,
    seconds: float = 10.0,
) -> Path:
    """Write one run folder, all but its weights."""
    path.mkdir(parents=True)
    recipe.save(path / "recipe.json")
    history = [
        {
            "epoch": epoch,
            "lr": 0.001,
            "train/loss": 2.0 * 0.7**epoch,
            "train/accuracy": accuracy + 0.02 - 0.4 * 0.5**epoch,
            "validation/accuracy": accuracy - 0.4 * 0.5**epoch,
            "seconds": seconds / epochs,
        }
        for epoch in range(1, epochs + 1)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    environment = {"judged": "test", "data_fingerprint": fingerprint}
    (path / "environment.json").write_text(json.dumps(environment))
    half = len(predictions) // 2
    for part, rows in (("test", slice(None)), ("validation", slice(0, half))):
        Predictions(
            predictions.ids[rows],
            predictions.labels[rows],
            predictions.logits[rows],
            predictions.classes,
        ).save(path / "predictions" / f"{part}.npz")
    metrics = {
        "format_version": 1,
        "best_validation_accuracy": accuracy,
        "kept_epoch": epochs,
        "num_epochs": epochs,
        "interrupted": False,
        "train_seconds": seconds,
        "train_images": 1000,
        "validation_images": half,
        "parameters": int(_PARAMETERS.get(recipe.name, 1e5)),
    }
    (path / "metrics.json").write_text(json.dumps(metrics))
    return path
