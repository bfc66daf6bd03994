"""What the page asks about runs of the table: curves, confusions, images, thresholds, tests.

All is read from run folders; the names that requests give are looked up among the rows and are
never paths.
"""

from __future__ import annotations

import base64
import functools
import io
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import RunError
from ..evaluation import calibration_of, compare_predictions, evaluate_predictions, seed_interval
from ..predictions import Predictions
from .index import RunIndex, RunRow, read_history

if TYPE_CHECKING:
    from ..data import ImageSplit
    from ..runs import Run

Part = Literal["test", "validation"]
_PARTS: tuple[Part, ...] = ("test", "validation")
_PACKAGE = __name__.partition(".")[0]
_IMAGES = 24
_SIDE = 96
_THRESHOLDS = np.arange(0, 101) / 100
_MOST_CURVES = 30


class Answers:
    """Answers to the page's questions, as plain values for JSON.

    Every method raises `RunError` for a run that the table has not, or that cannot be used.

    Args:
        index: the table.
    """

    def __init__(self, index: RunIndex) -> None:
        self._index = index
        self._images = functools.lru_cache(maxsize=2)(_load_images)
        self._loading = threading.Lock()

    def runs(self) -> dict[str, Any]:
        """The table."""
        rows, pending = self._index.rows()
        known = [row for row in rows if row.settings]
        first = known[0].settings if known else {}
        # Most settings are the same everywhere: said once, 500 runs take a third of the bytes.
        common = {
            key: value
            for key, value in first.items()
            if all(row.settings.get(key, self) == value for row in known)
        }
        runs = [
            {
                **vars(row),
                "settings": {k: v for k, v in row.settings.items() if k not in common},
                "readable": bool(row.settings),
            }
            for row in rows
        ]
        return {
            "folder": str(self._index.folder),
            "common": common,
            "runs": runs,
            "pending": pending,
        }

    def curves(self, names: Sequence[str]) -> dict[str, Any]:
        """The history of some runs, at most 30: lists of one length, by what is measured."""
        curves = {}
        for name in names[:_MOST_CURVES]:
            history = read_history(self._index.path(name))
            keys = dict.fromkeys(key for row in history for key in row)
            curves[name] = {key: [row.get(key) for row in history] for key in keys}
        return {"curves": curves, "left_out": max(0, len(names) - _MOST_CURVES)}

    def confusion(self, name: str, part: Part) -> dict[str, Any]:
        """The scores of a run on a part, with its confusion matrix."""
        predictions = self._predictions(name, part)
        # Images and thresholds will need `runs`, and with it torch, which takes its time.
        threading.Thread(target=import_module, args=(f"{_PACKAGE}.runs",), daemon=True).start()
        return {
            **evaluate_predictions(predictions).to_dict(),
            "classes": list(predictions.classes),
        }

    def cell(self, name: str, part: Part, true: int, predicted: int, start: int) -> dict[str, Any]:
        """Images of one cell of the confusion matrix, the surest first: 24 from `start` on."""
        predictions = self._predictions(name, part)
        probs = predictions.probs
        inside = np.flatnonzero((predictions.labels == true) & (predictions.predicted == predicted))
        inside = inside[np.argsort(-probs[inside].max(axis=1), kind="stable")]
        chosen = inside[start : start + _IMAGES]
        shown: list[dict[str, Any]] = []
        if len(chosen):
            run = self._run(name)
            with self._loading:  # once, however often one clicks meanwhile
                split, files = self._images(run.path, run.environment["data_fingerprint"], part)
            places = {int(image): place for place, image in enumerate(split.ids)}
            for row in chosen:
                image = int(predictions.ids[row])
                shown.append(
                    {
                        "id": image,
                        "file": None if files is None else files[image],
                        "source": _png(split.images[places[image]]),
                        "probability": float(probs[row, predicted]),
                        "true_probability": float(probs[row, true]),
                    }
                )
        return {"total": len(inside), "start": start, "images": shown}

    def thresholds(self, name: str) -> dict[str, Any]:
        """For thresholds from 0 to 1, what share of each part is answered and how much of it right,
        by calibrated probabilities where the run has a temperature."""
        run = self._run(name)
        calibration = calibration_of(run)
        parts = {}
        for part in _PARTS:
            if not run.has_predictions(part):
                continue
            predictions = self._predictions(name, part)
            if calibration is not None:
                predictions = calibration.apply(predictions)
            confidence = predictions.probs.max(axis=1)
            answered = _reaching(confidence)
            right = _reaching(confidence[predictions.correct])
            parts[part] = {
                "images": len(predictions),
                "coverage": (answered / len(predictions)).tolist(),
                "accuracy": [
                    None if not n else float(r / n) for r, n in zip(right, answered, strict=True)
                ],
            }
        return {
            "thresholds": _THRESHOLDS.tolist(),
            "parts": parts,
            "temperature": None if calibration is None else calibration.temperature,
        }

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """McNemar's exact test of two trained models, in words and numbers."""
        if first == second:
            raise RunError("a run is not compared with itself", fix="Choose two runs")
        both = (first, second)
        common = [part for part in _PARTS if all(self._file(one, part).is_file() for one in both)]
        if not common:
            raise RunError(
                "these runs have no predictions of the same part",
                fix=f"Run `atelier evaluate` on {first} and on {second}",
            )
        part = common[0]
        seeds = {row.name: row.seed for row in self._index.rows()[0]}
        members = {name: [(seeds.get(name) or 0, self._predictions(name, part))] for name in both}
        return compare_predictions(members, images=f"{part} images").to_dict()

    def seeds(self) -> dict[str, Any]:
        """Runs that differ by nothing but the seed, with the mean and the spread of each group."""
        rows, _ = self._index.rows()
        groups: dict[tuple[Any, ...], list[RunRow]] = {}
        for row in rows:
            if row.state == "finished":
                key = (row.recipe, row.data, row.judged, *sorted(map(str, row.settings.items())))
                groups.setdefault(key, []).append(row)
        return {"groups": [_spread(group) for group in groups.values()]}

    def _run(self, name: str) -> Run:
        from ..runs import Run

        return Run(self._index.path(name))

    def _file(self, name: str, part: Part) -> Path:
        return self._index.path(name) / "predictions" / f"{part}.npz"

    def _predictions(self, name: str, part: Part) -> Predictions:
        path = self._file(name, part)
        if not path.is_file():
            fix = f"Run `atelier evaluate --split {part}` on it"
            raise RunError(f"{name} has no predictions for the {part} images", fix=fix)
        return Predictions.load(path)


def _load_images(
    path: Path, _fingerprint: str, part: Part
) -> tuple[ImageSplit, tuple[str, ...] | None]:
    """The images of a part of a run's data, and the names of photos by their ids."""
    from ..data import load_dataset
    from ..evaluation import judged_images
    from ..runs import Run

    run = Run(path)
    dataset = load_dataset(run.recipe.data, run.recipe.photos)
    files = None if dataset.photos is None else dataset.photos.files
    return judged_images(run, dataset, part), files


def _reaching(confidence: Any) -> Any:
    """(T,) how many are at least as sure as each threshold."""
    return len(confidence) - np.searchsorted(np.sort(confidence), _THRESHOLDS)


def _png(image: Any) -> str:
    """A (C, H, W) uint8 image as a data address, at most 96 pixels large."""
    from PIL import Image

    picture = Image.fromarray(image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0))
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _spread(group: Sequence[RunRow]) -> dict[str, Any]:
    """Over one part only: a mean of test and validation accuracies would say nothing."""
    tested = all(row.accuracy is not None for row in group)
    values = [row.accuracy if tested else row.validation_accuracy for row in group]
    known = [value for value in values if value is not None]
    mean, low, high = seed_interval(known) if known else (None, None, None)
    several = len(known) > 1
    return {
        "recipe": group[0].recipe,
        "data": group[0].data,
        "settings": dict(group[0].settings),
        "runs": [row.name for row in group],
        "seeds": [row.seed for row in group],
        "part": "test" if tested else "validation",
        "n": len(known),
        "mean": mean,
        "deviation": float(np.std(known, ddof=1)) if several else None,
        "interval": [max(0.0, low), min(1.0, high)]
        if several and low is not None and high is not None
        else None,
        "least": min(known, default=None),
        "most": max(known, default=None),
    }
