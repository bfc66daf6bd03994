"""What a run folder has to say to a tracker. No torch: it is read beside a training."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..predictions import Predictions

STATE = "mlflow.json"
_LONGEST_PARAM, _LONGEST_TAG = 6000, 5000  # MLflow's limits on characters
_SUMMARY = (
    "best_validation_accuracy",
    "kept_epoch",
    "train_seconds",
    "train_images",
    "validation_images",
    "parameters",
    "multiply_adds",
)
_FILES = ("*.json", "*.jsonl", "*.html")
_FIGURES = ("*.png", "*.jpg", "*.svg")


@dataclass(frozen=True)
class RunFacts:
    """A run folder, as far as it is written.

    Attributes:
        name: of the run.
        data: name of the data set.
        params: the recipe's fields, by dotted path.
        tags: versions and machine.
        rows: of the epochs, numbers alone.
        times: when each epoch ended, in milliseconds since 1970.
        start: when the first began, likewise.
        summary: numbers on the whole run; empty while it is trained.
        status: RUNNING, FINISHED or KILLED, in MLflow's words.
    """

    name: str
    data: str
    params: dict[str, str]
    tags: dict[str, str]
    rows: list[dict[str, float]]
    times: list[int]
    start: int
    summary: dict[str, float]
    status: str


def read_facts(folder: Path) -> RunFacts | None:
    """What `folder` holds; None where there is no run, or not any more.

    Raises:
        OSError, ValueError: a file cannot be read.
    """
    if not (folder / "recipe.json").is_file():
        return None
    recipe = _object(folder / "recipe.json")
    environment = _object(folder / "environment.json")
    rows, times = _rows(folder / "metrics.jsonl")
    start = int(1000 * (folder / "recipe.json").stat().st_mtime)
    summary, status = {}, "RUNNING"
    if (folder / "metrics.json").is_file():
        metrics = _object(folder / "metrics.json")
        status = "KILLED" if metrics.get("interrupted") else "FINISHED"
        summary = _numbers({name: metrics.get(name) for name in _SUMMARY})
        if (folder / "predictions" / "test.npz").is_file():
            test = Predictions.load(folder / "predictions" / "test.npz")
            summary["test/accuracy"] = float(test.correct.mean())
    data = str(recipe.get("data", ""))
    tags = {f"atelier.{k}": _text(v)[:_LONGEST_TAG] for k, v in environment.items() if v}
    tags["atelier.run"] = str(folder.resolve())
    return RunFacts(
        name=folder.resolve().name,
        data=Path(data).name or data,
        params={path: _text(value)[:_LONGEST_PARAM] for path, value in _flat(recipe)},
        tags=tags,
        rows=rows,
        times=times,
        start=min([start, *times]),
        summary=summary,
        status=status,
    )


def files_of(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files that a tracker shows, each with the folder to put it into."""
    for pattern in _FILES:
        for path in sorted(folder.glob(pattern)):
            if path.name not in (STATE, "model.json"):
                yield path, ""
    for pattern in _FIGURES:
        for path in sorted((folder / "figures").glob(pattern)):
            yield path, "figures"


def weights_digest(folder: Path) -> str | None:
    """SHA-256 (hex) of the weights; None where there are none."""
    path = folder / "model.safetensors"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _object(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        raise ValueError(f"{path} is not a JSON object")
    return value


def _rows(path: Path) -> tuple[list[dict[str, float]], list[int]]:
    """The epochs, and when each ended: the file is written after the last of them."""
    if not path.is_file():
        return [], []
    ended = path.stat().st_mtime
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    times = []
    for row in reversed(rows):
        times.append(int(1000 * ended))
        ended -= row.get("seconds", 0.0) + row.get("validation_seconds", 0.0)
    return [_numbers(row) for row in rows], times[::-1]


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield prefix + key, item


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
