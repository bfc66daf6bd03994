"""Small stand-ins for runs and data, with blobs instead of garments."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from atelier.evaluation import evaluate_predictions
from atelier.predictions import Predictions
from atelier.reporting import ReportEntry

CLASSES = ("T-shirt/top", "Trouser", "Ankle boot")


@dataclass
class FakeRun:
    name: str = "cnn-0"
    command: str = "atelier train cnn --data fashion-mnist --seed 0 --set train.lr=0.01"
    metrics: dict[str, Any] = field(
        default_factory=lambda: {"parameters": 421642, "train_seconds": 61.2, "num_epochs": 3}
    )
    environment: dict[str, Any] = field(
        default_factory=lambda: {"python": "3.11.2", "machine": {"cores": 2}}
    )
    history: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {
                "epoch": epoch,
                "train/loss": 1 / epoch,
                "train/accuracy": 0.9 - 0.1 / epoch,
                "validation/loss": 1.1 / epoch,
                "validation/accuracy": 0.88 - 0.1 / epoch,
            }
            for epoch in (1, 2, 3)
        ]
    )


def make_images(n, *, channels=1, size=(8, 8), seed=0):
    shape = (n, channels, *size)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def make_dataset(classes=CLASSES, *, n=60, channels=1, name="fashion-mnist"):
    def split(first):
        return SimpleNamespace(
            images=make_images(n, channels=channels, seed=first),
            labels=np.arange(n, dtype=np.int64) % len(classes),
            ids=np.arange(first, first + n, dtype=np.int64),
        )

    test = split(100)
    return SimpleNamespace(
        name=name,
        train=split(0),
        test=test,
        validation=None,
        photos=None,
        judged=("test", test),
        classes=tuple(classes),
        fingerprint="ab" * 32,
    )


def make_predictions(dataset, *, noise=1.0, seed=0):
    labels, k = dataset.test.labels, len(dataset.classes)
    rng = np.random.default_rng(seed)
    logits = 2 * np.eye(k)[labels] + noise * rng.normal(size=(len(labels), k))
    return Predictions(dataset.test.ids, labels, logits.astype(np.float32), dataset.classes)


def make_entry(dataset, run=None, *, noise=1.0, seed=0, augmented=False):
    predictions = make_predictions(dataset, noise=noise, seed=seed)
    pictures = None
    if augmented:
        originals = dataset.train.images[:2]
        pictures = (originals, np.repeat(originals[:, None], 3, axis=1))
    return ReportEntry(
        run or FakeRun(), predictions, evaluate_predictions(predictions), augmented=pictures
    )
