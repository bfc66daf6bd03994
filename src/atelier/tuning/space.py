"""What may be searched: ranges and choices of a recipe's fields, checked against their limits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Recipe, TimmConfig
from ..errors import ConfigError
from ..storage import explained

if TYPE_CHECKING:
    from optuna import Trial

_FORMS = "1e-4..1e-1:log, 0..0.5, 0..8:2, or none,random"
_RANGE = re.compile(r"(?P<low>[^,\[\]]+?)\.\.(?P<high>[^,\[\]:]+)(?::(?P<scale>.+))?")
# They decide what is measured: scores of different images cannot be compared.
_FIXED = {
    "data",
    "seed",
    "plan",
    "train.init",
    "train.validation_share",
    "photos.columns.image",
    "photos.columns.label",
    "photos.columns.split",
    "photos.columns.group",
    "photos.columns.weight",
    "photos.keep_duplicates",
    "photos.skip_bad",
    "photos.test_share",
}
# Learning rates within which good ones were found for nearly all networks; arXiv:1206.5533, 3.1.1
# for SGD. Adam's per-weight steps want less, and orthogonalized ones more.
_LEARNING_RATES = {
    "adam": (1e-4, 3e-2),
    "adamw": (1e-4, 3e-2),
    "nadam": (1e-4, 3e-2),
    "rmsprop": (3e-5, 1e-2),
    "lion": (1e-5, 3e-3),
    "sgd": (1e-3, 1.0),
    "muon": (5e-3, 0.5),
    "muon-adamw": (1e-4, 3e-2),
}
_FINE_TUNING_RATES = (1e-5, 5e-3)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        path: of the field, dotted.
        low: the least.
        high: the most.
        log: whether equal ratios are equally likely, and not equal differences.
        step: between neighbors; None for any number.
        whole: whether the field takes whole numbers alone.
    """

    path: str
    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def suggest(self, trial: Trial) -> Any:
        """What Optuna wants tried next."""
        if self.whole:
            step = 1 if self.step is None else int(self.step)
            low, high = int(self.low), int(self.high)
            return trial.suggest_int(self.path, low, high, step=step, log=self.log)
        return trial.suggest_float(self.path, self.low, self.high, step=self.step, log=self.log)

    def stored(self, value: Any) -> Any:
        """A value of the field as Optuna's storage has it; None where it lies outside."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return value if math.isclose(steps, round(steps), abs_tol=1e-9) else None

    def value_of(self, stored: Any) -> Any:
        """The value of the field."""
        return stored

    def __str__(self) -> str:
        scale = ":log" if self.log else "" if self.step is None else f":{self.step:g}"
        return f"{self.low:g}..{self.high:g}{scale}"


@dataclass(frozen=True)
class Choice:
    """One of several values: words, switches, numbers or lists.

    Attributes:
        path: of the field, dotted.
        words: the values as JSON.
    """

    path: str
    words: tuple[str, ...]

    def suggest(self, trial: Trial) -> Any:
        """What Optuna wants tried next."""
        return json.loads(trial.suggest_categorical(self.path, self.words))

    def stored(self, value: Any) -> Any:
        """A value of the field as Optuna's storage has it; None where it is not among them."""
        return next((word for word in self.words if json.loads(word) == value), None)

    def value_of(self, stored: Any) -> Any:
        """The value of the field."""
        return json.loads(stored)

    def __str__(self) -> str:
        return ",".join(self.words)


Dimension = Range | Choice
Space = tuple[Dimension, ...]


def read_space(recipe: Recipe, searches: Iterable[str], file: str | Path | None = None) -> Space:
    """The space that ``--search`` and ``--space`` describe, or else the recipe's usual one.

    Args:
        recipe: whose fields are searched.
        searches: ``PATH=SPEC``, where SPEC is a range ``1e-4..1e-1:log``, ``0..0.5`` or ``0..8:2``
            (the last number is a step), or choices ``none,random``.
        file: a JSON object of such paths with specs, or with lists of values.

    Raises:
        ConfigError: an unknown path (with the nearest name), a value that the field does not take,
            or a path that stands twice.
        StorageError: the file cannot be read.
    """
    found: dict[str, Dimension] = {}
    described: list[tuple[str, Any]] = [] if file is None else list(_read_file(Path(file)))
    for search in searches:
        path, separator, spec = search.partition("=")
        if not separator:
            raise ConfigError(
                "a search needs a path and what to try", got=search, allowed=f"train.lr={_FORMS}"
            )
        described.append((path.strip(), spec.strip()))
    for path, spec in described:
        if path in found:
            raise ConfigError(f"{path} is searched twice", fix="Name each field once")
        found[path] = _dimension(recipe, path, spec)
    return tuple(found.values()) or usual_space(recipe)


# What scikit-learn's documentation, and practice, calls these models' main settings.
_CLASSICAL: dict[str, Space] = {
    "logistic": (Range("model.inverse_penalty", 1e-4, 1.0, log=True),),
    "hog-svm": (
        Range("model.gamma", 0.25, 16.0, log=True),
        Range("model.penalty", 1e-3, 10.0, log=True),
    ),
    "random-forest": (Range("model.least_in_leaf", 1, 20, log=True, whole=True),),
    "hist-gradient-boosting": (
        Range("model.learning_rate", 0.02, 0.5, log=True),
        Range("model.leaves", 8, 128, log=True, whole=True),
    ),
    "k-nearest-neighbors": (
        Range("model.neighbors", 1, 50, log=True, whole=True),
        Choice("model.weights", ('"uniform"', '"distance"')),
    ),
}


def usual_space(recipe: Recipe) -> Space:
    """What is worth searching in nearly every recipe: rates, weight decay, dropout, smoothing and
    a little augmentation. Each range contains the recipe's own value, unless that is zero on a
    logarithmic scale."""
    if recipe.model.name in _CLASSICAL:
        return _CLASSICAL[recipe.model.name]
    train, fine_tuned = recipe.train, False
    if isinstance(recipe.model, TimmConfig):
        fine_tuned = recipe.model.weights != "none"
    low, high = _FINE_TUNING_RATES if fine_tuned else _LEARNING_RATES[train.optimizer]
    wanted: list[tuple[str, float, float, bool]] = [("train.lr", low, high, True)]
    if train.optimizer == "muon":
        wanted.append(("train.sgd_lr", 0.05, 5.0, True))
    if train.weight_decay:
        wanted.append(("train.weight_decay", 1e-4, 0.3, True))
    wanted.append(("train.label_smoothing", 0.0, 0.2, False))
    if hasattr(recipe.model, "dropout"):
        wanted.append(("model.dropout", 0.0, 0.5, False))
    wanted.append(("augment.translation", 0.0, 0.1, False))
    dimensions: list[Dimension] = []
    for path, low, high, log in wanted:
        own = float(_current(recipe, path))
        dimensions.append(Range(path, min(low, own), max(high, own), log))
    cutouts = sorted({0, 4, 8, recipe.augment.cutout})
    return (*dimensions, Choice("augment.cutout", tuple(map(str, cutouts))))


def starting_point(recipe: Recipe, space: Space) -> dict[str, Any]:
    """The recipe's own values, as Optuna's storage has them, where the space holds them."""
    own = {d.path: d.stored(_current(recipe, d.path)) for d in space}
    return {path: value for path, value in own.items() if value is not None}


def values_of(space: Space, stored: dict[str, Any]) -> dict[str, Any]:
    """The values of the recipe's fields, by path, of what Optuna's storage has of a trial."""
    return {d.path: d.value_of(stored[d.path]) for d in space if d.path in stored}


def _read_file(path: Path) -> Iterable[tuple[str, Any]]:
    with explained(path, "read"):
        text = path.read_bytes()
    try:
        described = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(described, dict) or not described:
        raise ConfigError(
            f"{path} describes no search space", allowed='{"train.lr": "1e-4..1e-1:log"}'
        )
    return described.items()


def _dimension(recipe: Recipe, path: str, spec: Any) -> Dimension:
    if path in _FIXED:
        raise ConfigError(
            "this decides what is measured, and cannot be searched",
            got=path,
            fix="Set it with --set, for all trials alike",
        )
    match = _RANGE.fullmatch(spec) if isinstance(spec, str) else None
    if match is not None:
        return _range(recipe, path, spec, match)
    values = spec if isinstance(spec, list) else _words(str(spec))
    words = tuple(dict.fromkeys(json.dumps(value) for value in values))
    for word in words:
        recipe.changed({path: json.loads(word)})
    if len(words) < 2:
        raise ConfigError(f"{path} has nothing to choose from", got=str(spec), allowed=_FORMS)
    return Choice(path, words)


def _range(recipe: Recipe, path: str, spec: str, match: re.Match[str]) -> Range:
    scale = match["scale"]
    try:
        low, high = float(match["low"]), float(match["high"])
        step = None if scale in (None, "log") else float(scale)
    except ValueError:
        raise ConfigError(
            f"the range of {path} is not of numbers", got=spec, allowed=_FORMS
        ) from None
    own = _current(recipe, path)
    whole = isinstance(own, int) and not isinstance(own, bool)
    if whole and any(n is not None and n != int(n) for n in (low, high, step)):
        raise ConfigError(f"{path} takes whole numbers", got=spec, allowed="as 2..8 or 2..8:2")
    for end in (low, high):
        recipe.changed({path: int(end) if whole else end})
    if not low < high:
        raise ConfigError(f"the range of {path} is empty", got=spec, allowed="LOW..HIGH")
    log = scale == "log"
    if log and low <= 0:
        raise ConfigError(f"the range of {path} is logarithmic and begins at zero", got=spec)
    if step is not None and not 0 < step <= high - low:
        raise ConfigError(f"the step of {path} does not fit into its range", got=spec)
    return Range(path, low, high, log, step, whole)


def _words(text: str) -> list[Any]:
    try:
        return list(json.loads(f"[{text}]"))
    except ValueError:
        return [_word(word.strip()) for word in text.split(",") if word.strip()]


def _word(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _current(recipe: Recipe, path: str) -> Any:
    value: Any = recipe.model_dump(mode="json")
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            recipe.changed({path: None})  # unknown: it finds the nearest name
        value = value[name]
    return value
