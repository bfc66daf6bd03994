"""Where a training starts from, if not from random weights: a pretrained backbone, or a run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ..config import ModelConfig, Recipe, TimmConfig
from ..errors import ConfigError
from ..models import Classifier, ImageShape, fit_weights
from ..models.backbones import (
    Normalization,
    load_backbone,
    load_pretrained,
    pretraining_normalization,
)
from ..runs import Run


@dataclass(frozen=True)
class Start:
    """What was put into a network before its training.

    Attributes:
        normalization: of the images that its weights have learned from. They go on with it, for a
            pixel has to mean to them what it meant.
        facts: what `environment.json` says of it.
    """

    normalization: Normalization
    facts: dict[str, str] = field(default_factory=dict)


def start_of(
    recipe: Recipe, model: Classifier, image_shape: ImageShape, classes: tuple[str, ...]
) -> Start | None:
    """Put the weights that `recipe` names into `model`; None where it names none.

    Args:
        recipe: its `train.init` goes before its `model.weights`.
        model: as `recipe.model` describes it.
        image_shape: of the images to be trained on.
        classes: their classes, in the order of the logits.

    Raises:
        ConfigError: the run is of another architecture, or the file or the hub has no such weights.
        RunError: `train.init` is no finished run.
    """
    if recipe.train.init is not None:
        return _from_run(Run(recipe.train.init), recipe.model, model, image_shape, classes)
    if isinstance(recipe.model, TimmConfig) and recipe.model.weights != "none":
        load_pretrained(model, recipe.model, image_shape)
        facts = {}
        if recipe.model.weights != "pretrained":
            facts["weights_sha256"] = _digest(Path(recipe.model.weights).expanduser())
        return Start(pretraining_normalization(recipe.model, image_shape[0]), facts)
    return None


def _from_run(
    run: Run,
    config: ModelConfig,
    model: Classifier,
    image_shape: ImageShape,
    classes: tuple[str, ...],
) -> Start:
    """Put a run's weights into `model`, and its head too where the classes are the same.

    A whitening stem is copied like any filter, and not computed anew: what follows has learned to
    read its filters in their order and with their signs, and another data set's would come in
    another order. From gray to colors it therefore goes on seeing brightness alone.
    """
    card = run.card
    if card.model.name != config.name:
        raise ConfigError(
            f"{run.path} holds a network of another kind",
            got=card.model.name,
            allowed=[config.name],
            fix="Train the recipe that it was trained by, or start from another run",
        )
    weights = run.model().state_dict()
    own = _below(weights, "features.")
    channels = (card.image_shape[0], image_shape[0])
    problem = f"{run.path} does not fit this network{_differences(card.model, config)}"
    if isinstance(config, TimmConfig):
        load_backbone(model.features, own, channels, problem)
    else:
        fit = fit_weights(own, model.features, channels)
        if not fit.whole:
            raise ConfigError(f"{problem}: {fit}", fix=_mend(card.image_shape, image_shape))
        model.features.load_state_dict(fit.tensors)
    if card.classes == classes:
        model.head.load_state_dict(_below(weights, "head."))
    digest = _digest(run.path / "model.safetensors")
    normalization = tuple(_of_channels(v, image_shape[0]) for v in (card.mean, card.std))
    return Start(
        (normalization[0], normalization[1]), {"init_run": run.name, "init_sha256": digest}
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _below(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _of_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """A value for each channel; where their number has changed, the mean for all."""
    if len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels


def _differences(theirs: ModelConfig, ours: ModelConfig) -> str:
    old, new = theirs.model_dump(), ours.model_dump()
    changed = [f"model.{k}={old[k]} there, {new[k]} here" for k in old if old[k] != new[k]]
    return f" ({'; '.join(changed)})" if changed else ""


def _mend(theirs: ImageShape, ours: ImageShape) -> str:
    if theirs[1:] != ours[1:]:
        return (
            f"It was trained on {theirs[1]} x {theirs[2]} pixels and these images have "
            f"{ours[1]} x {ours[2]}: resnet and speednet, which pool over all places, take any size"
        )
    return "Set the options of model as they were there"
