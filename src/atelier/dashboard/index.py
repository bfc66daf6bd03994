"""What stands in a folder of runs, read without torch, and only where it has changed.

A run that is half written, damaged or of another version is a row that says so. The accuracy on
the test images has to be counted from predictions, which for hundreds of runs takes seconds: a
thread does that after the rows are there.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import AtelierError, RunError
from ..predictions import Predictions
from ..storage import explained

State = Literal["finished", "interrupted", "unfinished", "damaged"]
_FORMAT = 1  # of run folders, as in `runs`, which imports torch
_DEPTH = 3
_READ = ("recipe.json", "metrics.json", "metrics.jsonl", "environment.json")
_TEST = "predictions/test.npz"

_Stamp = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True)
class RunRow:
    """One run folder, as the table shows it. What could not be read is None or empty.

    Attributes:
        name: its path within the folder of runs.
        state: whether its training has ended, was stopped, has not ended, or nobody can say.
        problem: what is wrong with it.
        recipe, data, seed: of its recipe.
        accuracy: on the test images, in 0..1, once it is counted.
        validation_accuracy: of the kept weights, or of the last epoch of an unfinished run.
        parameters: how many are trained.
        seconds: of training.
        epochs: that it has made.
        changed: when its last file was written, in seconds since 1970.
        settings: the leaves of the recipe by dotted paths, without name, data and seed.
        judged: the part that it is judged by, test or validation.
    """

    name: str
    state: State
    problem: str = ""
    recipe: str = ""
    data: str = ""
    seed: int | None = None
    accuracy: float | None = None
    validation_accuracy: float | None = None
    parameters: float | None = None
    seconds: float | None = None
    epochs: int | None = None
    changed: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    judged: str = "test"


class RunIndex:
    """The runs below a folder; thread-safe.

    Args:
        folder: that holds run folders, at most three levels deep.

    Raises:
        RunError: there is no such folder, or it is itself a run folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise RunError(
                "there is no folder of runs here",
                got=str(folder),
                fix="Train something first, or name the folder that holds your runs",
            )
        if (self.folder / "recipe.json").is_file():
            raise RunError(
                f"{folder} is a run folder, not a folder of them",
                fix=f"Name the one above: `atelier dashboard {self.folder.resolve().parent}`",
            )
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[_Stamp, RunRow]] = {}
        self._scores: dict[str, tuple[tuple[int, int], float | None]] = {}
        self._counting: threading.Thread | None = None

    def rows(self) -> tuple[list[RunRow], int]:
        """The rows as they are now, and of how many the test accuracy is still to be counted.

        Raises:
            StorageError: the folder cannot be read.
        """
        with explained(self.folder, "read"):
            found = dict(self._found())
        with self._lock:
            fresh = {}
            for name, path in found.items():
                stamp = tuple(_stamp(path / one) for one in _READ)
                known = self._rows.get(name)
                same = known is not None and known[0] == stamp
                fresh[name] = known if known and same else (stamp, read_row(path, name))
            self._rows = fresh
            rows, waiting = [], {}
            for name, (_, row) in fresh.items():
                scored = self._scores.get(name)
                predicted = _stamp(found[name] / _TEST)
                if predicted is not None and (scored is None or scored[0] != predicted):
                    waiting[name] = predicted
                elif predicted is not None and scored is not None:
                    row = replace(row, accuracy=scored[1])
                rows.append(row)
            if waiting and (self._counting is None or not self._counting.is_alive()):
                self._counting = threading.Thread(
                    target=self._count, args=(waiting,), name="accuracies", daemon=True
                )
                self._counting.start()
        return rows, len(waiting)

    def path(self, name: str) -> Path:
        """The folder of a run that the table has.

        Raises:
            RunError: it has none of this name.
        """
        with self._lock:
            known = name in self._rows
        if not known:
            raise RunError("the table has no such run", got=name, fix="Refresh the page")
        return self.folder / name

    def _count(self, waiting: Mapping[str, tuple[int, int]]) -> None:
        for name, stamp in waiting.items():
            try:
                predictions = Predictions.load(self.folder / name / _TEST)
                accuracy = float(predictions.correct.mean()) if len(predictions) else None
            except (AtelierError, ValueError):
                accuracy = None  # the page says why to whoever opens the run
            with self._lock:
                self._scores[name] = (stamp, accuracy)

    def _found(self) -> Iterator[tuple[str, Path]]:
        level = [self.folder]
        for _ in range(_DEPTH):
            deeper = []
            for parent in level:
                try:
                    inside = sorted(parent.iterdir())
                except OSError:
                    if parent == self.folder:
                        raise
                    continue  # another user's folder within is no reason to show nothing
                for path in inside:
                    if path.name.startswith(".") or not path.is_dir():
                        continue
                    if (path / "recipe.json").is_file() or (path / "metrics.json").is_file():
                        yield path.relative_to(self.folder).as_posix(), path
                    else:
                        deeper.append(path)
            level = deeper


def read_row(path: Path, name: str) -> RunRow:
    """The run folder at `path`, whatever state it is in."""
    changed = max((stamp[0] for one in _READ if (stamp := _stamp(path / one))), default=0) / 1e9
    row = RunRow(name, "damaged", changed=changed)
    try:
        recipe = _json(path / "recipe.json")
        settings = dict(leaves(recipe))
        seed = _number(recipe.get("seed"))
        row = replace(
            row,
            recipe=str(recipe.get("name", "")),
            data=str(recipe.get("data", "")),
            seed=None if seed is None else int(seed),
            settings={k: v for k, v in settings.items() if k not in ("name", "data", "seed")},
        )
        environment = _json(path / "environment.json")
        row = replace(
            row, judged="validation" if environment.get("judged") == "validation" else "test"
        )
        if not (path / "metrics.json").is_file():
            return _unfinished(row, path)
        metrics = _json(path / "metrics.json")
    except (OSError, ValueError) as error:
        return replace(row, problem=_why(error))
    if metrics.get("format_version") != _FORMAT:
        return replace(row, problem="of another version of the run format")
    epochs = _number(metrics.get("num_epochs"))
    return replace(
        row,
        state="interrupted" if metrics.get("interrupted") else "finished",
        validation_accuracy=_number(metrics.get("best_validation_accuracy")),
        parameters=_number(metrics.get("parameters")),
        seconds=_number(metrics.get("train_seconds")),
        epochs=None if epochs is None else int(epochs),
    )


def read_history(path: Path) -> list[dict[str, Any]]:
    """One row for each epoch of a run folder; lines that are no JSON objects are left out."""
    try:
        lines = (path / "metrics.jsonl").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    history = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # of a run that is being copied, say
        if isinstance(row, dict):
            history.append({key: _number(value) for key, value in row.items()})
    return history


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths and values of all that is no object; lists are JSON text."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            plain = value is None or isinstance(value, str | bool | int)
            plain = plain or (isinstance(value, float) and math.isfinite(value))
            yield prefix + key, value if plain else json.dumps(value)


def _unfinished(row: RunRow, path: Path) -> RunRow:
    history = read_history(path)
    last: Mapping[str, Any] = history[-1] if history else {}
    return replace(
        row,
        state="unfinished",
        problem="its training has not ended",
        epochs=len(history),
        validation_accuracy=last.get("validation/accuracy"),
        seconds=sum(one.get("seconds") or 0 for one in history) or None,
    )


def _stamp(path: Path) -> tuple[int, int] | None:
    """When a file was written, in ns, and its size; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _json(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return value


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is missing"
    if isinstance(error, OSError):
        return f"{Path(error.filename or '').name}: {error.strerror}"
    return str(error) if "JSON object" in str(error) else "a file of it is not JSON"


def _number(value: Any) -> float | None:
    """A finite number as it is, and None for all else: JSON has no NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value
