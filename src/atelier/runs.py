"""The run folder, which every later verb reads.

::

    recipe.json environment.json          written first
    metrics.jsonl checkpoint.safetensors  after every epoch; of short ones the latter after some
    predictions/validation.npz            at the end, with
    calibration.json                      the temperature that they give, if any were held out
    model.safetensors model.json
    metrics.json                          last: its presence says that the run is whole
    predictions/test.npz                  by the first evaluation

Weights are safetensors and the rest is JSON or plain arrays: nothing here is ever unpickled.
"""

from __future__ import annotations

import functools
import json
import shlex
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from .config import ModelConfig, Recipe
from .data import Dataset
from .errors import RunError
from .models import Classifier, ImageShape, build_model
from .predictions import Predictions
from .recipes import is_recipe, nearest_named
from .storage import explained

FORMAT_VERSION = 1


class ModelCard(BaseModel):
    """`model.json`: what the weights need beside them to be a classifier.

    Attributes:
        model: the options of the network.
        classes: names, in the order of the logits.
        image_shape: channels, height, width.
        mean: of each channel over the training part, as a share of 255.
        std: likewise.
        background: median byte at the edges of the training images: what pictures are padded with.
        mirror_average: whether an image is judged together with its mirror image.
        shift_average: whether an image is judged together with itself shifted by a pixel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format_version: int = FORMAT_VERSION
    model: ModelConfig
    classes: tuple[str, ...]
    image_shape: ImageShape
    mean: tuple[float, ...]
    std: tuple[float, ...]
    background: int
    mirror_average: bool = False
    shift_average: bool = False


class Run:
    """A handle on a finished, or cleanly interrupted, run folder.

    Raises:
        RunError: the folder is missing, half written, or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            hint = "Train one first: `atelier train cnn`"
            if is_recipe(str(path)):
                hint = f"{path!r} names a recipe: train it first with `atelier train {path}`"
            raise RunError("there is no run folder here", got=str(path), fix=hint)
        if not (self.path / "recipe.json").is_file():
            raise RunError(f"{self.path} is not a run folder: it has no recipe.json")
        if not (self.path / "metrics.json").is_file():
            raise RunError(
                f"{self.path} is half written: its training did not end",
                fix=f"Go on with `atelier train --resume {shlex.quote(str(self.path))}`",
            )
        version = self._json("metrics.json").get("format_version")
        if version != FORMAT_VERSION:
            raise RunError(
                f"{self.path} is of another version of the run format",
                got=version,
                allowed=[FORMAT_VERSION],
                fix="Train it anew with this version of atelier",
            )

    def __repr__(self) -> str:
        accuracy = self.metrics.get("best_validation_accuracy")
        words = f", validation accuracy {accuracy:.2%}" if accuracy is not None else ""
        return f"Run({str(self.path)!r}, recipe {self.recipe.name}, seed {self.recipe.seed}{words})"

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What the run was trained by, resolved."""
        return Recipe.load(self.path / "recipe.json")

    @functools.cached_property
    def card(self) -> ModelCard:
        """What the weights need beside them."""
        return read_card(self.path)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.card.classes

    @property
    def metrics(self) -> dict[str, Any]:
        """How the training ended: accuracy on validation, seconds, size."""
        return self._json("metrics.json")

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row for each epoch."""
        path = self.path / "metrics.jsonl"
        try:
            with explained(path, "read"):
                return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        except ValueError as error:
            raise RunError(f"{path} is not JSON: {error}") from error

    @property
    def environment(self) -> dict[str, Any]:
        """Versions and machine."""
        return self._json("environment.json")

    @property
    def command(self) -> str:
        """The command line that repeats this run."""
        if made_by := self.environment.get("command"):  # of other runs, not by a training
            return str(made_by)
        recipe = self.recipe
        # One that was written in Python is told as changes of the recipe that has its model.
        start = nearest_named(recipe).model_copy(update={"data": recipe.data, "seed": recipe.seed})
        name = start.name
        changes = _differences(
            start.model_dump(mode="json"), {**recipe.model_dump(mode="json"), "name": name}
        )
        words = ["atelier", "train", name, "--data", recipe.data, "--seed", str(recipe.seed)]
        for path, value in changes:
            path = "method" if path == "method.name" else path  # its name brings its settings
            text = value if isinstance(value, str) else json.dumps(value)
            words += ["--set", f"{path}={text}"]
        return shlex.join(words)

    @property
    def judged(self) -> str:
        """The part of the data that final results are read from: test, or validation where the
        data set has no test part."""
        return str(self.environment.get("judged", "test"))

    def has_predictions(self, split: str) -> bool:
        """Whether `split`, validation or test, has been predicted and kept."""
        return self._predictions_path(split).is_file()

    def predictions(self, split: str = "test") -> Predictions:
        """What the model said about `split`, as kept in the folder.

        Raises:
            RunError: nothing is kept for it; `atelier evaluate` makes the test predictions.
        """
        if not self.has_predictions(split):
            raise RunError(
                f"{self.path} has no predictions for the {split} images",
                fix=f"Make them with `atelier evaluate {shlex.quote(str(self.path))}"
                f"{'' if split == 'test' else f' --split {split}'}`",
            )
        return Predictions.load(self._predictions_path(split))

    def save_predictions(self, split: str, predictions: Predictions) -> None:
        """Keep `predictions` in the folder."""
        predictions.save(self._predictions_path(split))

    def model(self, *, weights: Path | None = None) -> Classifier:
        """The trained network, on the CPU and in evaluation mode.

        Args:
            weights: a file of other weights of the same network, as a snapshot; None is the kept.

        Raises:
            RunError: the weights are missing, corrupt, or not of this network.
        """
        path = self.path / "model.safetensors" if weights is None else weights
        model = build_model(self.card.model, self.card.image_shape, len(self.classes))
        try:
            with explained(path, "read"):
                model.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as error:
            raise RunError(
                f"the weights {path} are corrupt or not of this network: {error}"
            ) from error
        # The layout that convolutions on a CPU like best; the numbers are the same.
        model.to(memory_format=torch.channels_last)
        return model.eval()

    def _predictions_path(self, split: str) -> Path:
        return self.path / "predictions" / f"{split}.npz"

    def _json(self, name: str) -> dict[str, Any]:
        return read_json(self.path / name)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a run folder.

    Raises:
        RunError: the file is missing, or is no JSON object.
        StorageError: it cannot be read.
    """
    if not path.is_file():
        raise RunError(f"{path.parent} is half written: {path.name} is missing")
    try:
        with explained(path, "read"):
            value = json.loads(path.read_bytes())
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is not a JSON object")
    return value


def refuse_other_data(path: Path, dataset: Dataset) -> None:
    """Refuse a data set that is not the one that the run at `path` was trained on.

    Raises:
        RunError: images, labels, or the names or the order of the classes have changed.
    """
    if read_json(path / "environment.json").get("data_fingerprint") == dataset.fingerprint:
        return
    card = path / "model.json"
    known = read_json(card).get("classes", ()) if card.is_file() else dataset.classes
    raise RunError(
        f"{path} was trained on other data than {dataset.name} holds now"
        + _class_changes(list(known), list(dataset.classes)),
        fix="Put the old data back, or train anew",
    )


def _class_changes(old: list[str], new: list[str]) -> str:
    gone = [repr(name) for name in old if name not in new]
    added = [repr(name) for name in new if name not in old]
    said = [
        f"{what} {', '.join(names[:5])}{f' and {len(names) - 5} more' if names[5:] else ''}"
        for what, names in (("the run knows", gone), ("the data now have", added))
        if names
    ]
    if not said and old != new:
        k = next(k for k, name in enumerate(old) if new[k] != name)
        said = [f"class {k} of the run is {old[k]!r}, and of the data {new[k]!r}"]
    return f", with other classes: {' and '.join(said)}" if said else ""


def read_card(folder: Path) -> ModelCard:
    """What `folder`, whole or half written, says about its network.

    Raises:
        RunError: `model.json` is missing or not of this version.
    """
    try:
        return ModelCard.model_validate_json(json.dumps(read_json(folder / "model.json")))
    except ValidationError as error:
        raise RunError(
            f"{folder / 'model.json'} does not describe a model of this version"
        ) from error


def load_run(path: str | Path) -> Run:
    """A handle on the run folder at `path`.

    Raises:
        RunError: the folder is missing, half written, or of another version.
    """
    return Run(path)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any]]:
    """Dotted paths and new values of all leaves that changed."""
    changes: list[tuple[str, Any]] = []
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            changes += [(f"{key}.{path}", v) for path, v in _differences(old[key], value)]
        elif old.get(key) != value:
            changes.append((key, value))
    return changes
