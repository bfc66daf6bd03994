"""A recipe: everything that decides a training run, as frozen and strict data.

An unknown key, a wrong type or a value out of range is a `ConfigError` that names the nearest key.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from ..errors import ConfigError, RunError, did_you_mean
from ..storage import explained, write_json
from .augmentation import AugmentConfig
from .classical import ClassicalConfig, changed_settings
from .methods import MethodConfig, SupervisedConfig, method_configs
from .networks import ModelConfig
from .photos import PhotosConfig
from .strict import Strict
from .training import TrainConfig


class Recipe(Strict):
    """All that decides a run: the data, the model, the augmentation, the training and the seed."""

    name: str
    data: str = "fashion-mnist"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    photos: PhotosConfig = PhotosConfig()
    model: ModelConfig
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    method: MethodConfig = SupervisedConfig()
    mirror_average: bool = False
    """Predict by the mean of the logits of each image and of its mirror image, for twice the time.
    Only where mirrored images mean the same, as in a training with `augment.mirror`."""
    shift_average: bool = False
    """Predict by the mean over each image and itself one pixel further up left and down right, the
    latter two at half its weight, for three times the time."""
    plan: bool = False
    """Fit batch, epochs and sampling to the data before training; what is set by hand stays."""

    @model_validator(mode="after")
    def _scikit_learn_gets_what_it_knows(self) -> Self:
        if not isinstance(self.model, ClassicalConfig):
            return self
        set_by_hand = [
            *changed_settings(self.train, "train"),
            *changed_settings(self.augment, "augment"),
            *(["plan"] if self.plan else []),
        ]
        if self.method != SupervisedConfig():
            raise ValueError(
                f"scikit-learn fits {self.model.name} to the labels, and knows no "
                f"method={self.method.name}: leave the method out"
            )
        if set_by_hand:
            raise ValueError(
                f"scikit-learn fits {self.model.name}, in one go, and knows no "
                f"{', '.join(set_by_hand)}: leave that out, for the model's own settings are "
                f"{', '.join('model.' + field for field in _own_fields(self.model))}"
            )
        return self

    @property
    def split_seed(self) -> int:
        """What decides which images are held out."""
        return self.seed if self.train.split_seed is None else self.train.split_seed

    def with_overrides(self, overrides: Iterable[str]) -> Recipe:
        """A copy with fields changed.

        Args:
            overrides: ``path=value`` strings such as ``train.lr=0.01`` or ``model.width=256``.
                Values are JSON; what is not JSON is taken as text.

        Raises:
            ConfigError: an unknown path (with the nearest name) or a value that does not fit.
        """
        values = {}
        for override in overrides:
            path, separator, text = override.partition("=")
            if not separator:
                raise ConfigError(
                    "an override needs a path and a value", got=override, allowed="train.lr=0.01"
                )
            values[path.strip()] = _value(text.strip())
        return self.changed(values)

    def changed(self, values: Mapping[str, Any]) -> Recipe:
        """A copy with fields changed.

        Args:
            values: by dotted paths such as ``train.lr``. ``method`` takes the name of a method,
                whose options ``method.…`` then are.

        Raises:
            ConfigError: an unknown path (with the nearest name) or a value that does not fit.
        """
        changed = self.model_dump(mode="json")
        known = set(_paths(self))
        if "method" in values:
            known -= set(_paths(self.method, "method."))
            chosen = _method(values["method"])
            known |= {f"method.{field}" for field in chosen.model_fields if field != "name"}
            changed["method"] = {"name": chosen.model_fields["name"].default}
        for path, value in values.items():
            if path == "method":
                continue
            *parents, last = _known_path(path, known)
            place = changed
            for parent in parents:
                place = place[parent]
            place[last] = value
        return _validated(changed, "the recipe")

    def without_seed(self) -> Recipe:
        """The same recipe with seed 0: equal for runs that differ by nothing but the seed."""
        return self.model_copy(update={"seed": 0})

    def save(self, path: Path) -> None:
        """Write the recipe as JSON, whole or not at all."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read what `save` wrote.

        Raises:
            StorageError: the file cannot be read.
            RunError: it is not JSON.
            ConfigError: it holds an unknown key or a value out of range.
        """
        with explained(path, "read"):
            text = path.read_bytes()
        try:
            return _validated(json.loads(text), str(path))
        except ValueError as error:
            raise RunError(f"{path} is not a recipe: {error}") from error


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # not JSON, or a number of over 4,300 digits
        # Shells pass True and None as people write them in Python.
        return {"True": True, "False": False, "None": None}.get(text, text)


def _own_fields(config: BaseModel) -> list[str]:
    return [field for field in type(config).model_fields if field != "name"]


def _method(name: Any) -> type[BaseModel]:
    """The class of a method's options."""
    methods = method_configs()
    if name not in methods:
        fix = did_you_mean(str(name), methods)
        raise ConfigError("unknown method", got=name, allowed=list(methods), fix=fix)
    return methods[name]


def _known_path(path: str, known: Collection[str]) -> list[str]:
    """The parts of a dotted path that is among the known ones."""
    if path not in known:
        if path == "model.name":
            raise ConfigError(
                "the model of a recipe is fixed", got=path, fix="Name another recipe instead"
            )
        owners = [
            name
            for name, options in method_configs().items()
            if path.removeprefix("method.") in options.model_fields and path.startswith("method.")
        ]
        if owners and not path.endswith(".name"):
            raise ConfigError(
                "this setting belongs to another method",
                got=path,
                fix=f"Set method={owners[0]} too",
            )
        known = sorted(known)
        same_end = [name for name in known if name.split(".")[-1] == path.split(".")[-1]]
        fix = f"Did you mean {same_end[0]!r}?" if same_end else did_you_mean(path, known)
        raise ConfigError("unknown setting", got=path, fix=fix)
    return path.split(".")


def _paths(config: BaseModel, prefix: str = "") -> Iterable[str]:
    for field in type(config).model_fields:
        value = getattr(config, field)
        if isinstance(value, BaseModel):
            yield from _paths(value, f"{prefix}{field}.")
        elif field != "name":
            yield prefix + field


def _validated(values: Any, where: str) -> Recipe:
    try:
        # Through JSON: strict mode then takes a list for a tuple, and nothing else by coercion.
        return Recipe.model_validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # The discriminator's tag stands in the location of a model's field; users never wrote it.
        root, *rest = first["loc"] or ("",)
        path = ".".join(map(str, [root, *(rest[1:] if root in ("model", "method") else rest)]))
        message = first["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        got = first["input"]
        detail = f"{path}: {message}" if path else message
        shown = None if isinstance(got, dict) or not path else got
        raise ConfigError(f"{where} has a bad value: {detail}", got=shown) from error
