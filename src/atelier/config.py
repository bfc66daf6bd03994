"""A recipe: everything that decides a training run, as frozen and strict data.

An unknown key, a wrong type or a value out of range is a `ConfigError` that names the nearest key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import ConfigError, RunError, did_you_mean
from .storage import explained, write_json

Probability = Annotated[float, Field(ge=0, le=1)]
DropRate = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=1, le=16384)]
Depth = Annotated[int, Field(ge=1, le=256)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class MLPConfig(_Strict):
    """A feedforward network on the flattened pixels."""

    name: Literal["mlp"] = "mlp"
    depth: Depth = 2
    """Hidden layers."""
    width: Width = 512
    """Units of each hidden layer."""
    dropout: DropRate = 0.2
    """Share of hidden units dropped in training."""
    batch_norm: bool = True
    """Batch normalization before each ReLU."""


class CNNConfig(_Strict):
    """The reference convolutional network: two 3x3 convolutions, each pooled, and a dense layer."""

    name: Literal["cnn"] = "cnn"
    channels: tuple[Width, Width] = (32, 64)
    """Filters of the first and the second convolution."""
    dense: Width = 128
    """Units of the dense layer."""
    dropout: DropRate = 0.0
    """Share of the dense layer's inputs and outputs dropped in training."""
    batch_norm: bool = False
    """Batch normalization after each pooling."""


class ResNetConfig(_Strict):
    """A small pre-activation residual network."""

    name: Literal["resnet"] = "resnet"
    widths: tuple[Width, ...] = Field(default=(24, 48, 96), min_length=1, max_length=8)
    """Channels of each stage; every stage but the first halves the resolution."""
    blocks: Depth = 1
    """Residual blocks in each stage."""
    stem_stride: Literal[1, 2, 4] = 2
    """What the stem divides the side by: 1 is a convolution alone, 2 pools after it, 4 is a
    convolution of stride 2 and pools after it, as ImageNet's residual networks do."""


class HybridConfig(_Strict):
    """A convolutional stem whose feature map becomes the tokens of a transformer."""

    name: Literal["hybrid"] = "hybrid"
    channels: Width = 32
    """Filters of the first convolution."""
    dim: Width = 64
    """Width of a token."""
    depth: Depth = 1
    """Transformer blocks."""
    heads: Width = 4
    """Attention heads; they divide `dim`."""
    mlp_ratio: Annotated[float, Field(gt=0, le=16)] = 2.0
    """Hidden width of a block's feedforward part, as a multiple of `dim`."""
    dense: Width = 128
    """Units of the dense layer that reads the tokens."""
    dropout: DropRate = 0.0
    """Share of the dense layer's inputs and outputs dropped in training."""

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide dim ({self.dim})")
        return self


class SpeedNetConfig(_Strict):
    """A convolutional network for short trainings, in the line of airbench."""

    name: Literal["speednet"] = "speednet"
    stem: Literal["whitening", "convolution"] = "whitening"
    """The 4x4 filters of stride 2 at the pixels: frozen and computed from the training images, or
    learned."""
    stem_filters: Annotated[int, Field(ge=2, le=16384, multiple_of=2)] = 32
    """Filters of the stem."""
    stem_convolutions: Annotated[int, Field(ge=0, le=256)] = 0
    """3x3 convolutions between the stem and the first pooling group, of the stem's width."""
    widths: tuple[Width, ...] = Field(default=(32, 64), min_length=1, max_length=8)
    """Channels of each group; every group halves the resolution."""
    convolutions: tuple[Depth, ...] = Field(default=(2, 2), min_length=1, max_length=8)
    """Convolutions of each group; the first is followed by the pooling."""
    residual: bool = False
    """Whether all but the first of a group add to what they are given."""
    dropout: DropRate = 0.0
    """Share of the head's inputs dropped in training."""
    scale: Annotated[float, Field(gt=0, le=100)] = 0.11
    """What the head's inputs are multiplied by."""
    members: Annotated[int, Field(ge=1, le=64)] = 1
    """Such networks side by side, each trained for itself, that predict by their mean logits."""

    @model_validator(mode="after")
    def _groups_agree(self) -> Self:
        if len(self.widths) != len(self.convolutions):
            raise ValueError(
                f"widths has {len(self.widths)} groups and convolutions {len(self.convolutions)}: "
                "set both to as many"
            )
        return self


ModelConfig = Annotated[
    MLPConfig | CNNConfig | ResNetConfig | HybridConfig | SpeedNetConfig,
    Field(discriminator="name"),
]


class AugmentConfig(_Strict):
    """Random changes of the training images, drawn anew for every image of every batch."""

    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation either way."""
    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift either way, as a share of the side."""
    scaling: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest relative change of size either way."""
    mirror: Literal["none", "random", "alternating"] = "none"
    """Left-right: never, by a coin, or the half in even epochs that odd epochs left alone."""
    crop_padding: Annotated[int, Field(ge=0, le=64)] = 0
    """Pixels of background added on each side before a random crop to the old size."""
    erase_probability: Probability = 0.0
    """Share of images in which a rectangle is filled with noise (Random Erasing)."""
    erase_area: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Largest share of the image that Random Erasing fills."""
    cutout: Annotated[int, Field(ge=0, le=512)] = 0
    """Side of a square set to the mean at a random place, in pixels; 0 for none."""


class TrainConfig(_Strict):
    """How the weights are found."""

    num_epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 128
    """Images per step."""
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = "adamw"
    """Adam, AdamW (decoupled weight decay), SGD with momentum, or Muon: orthogonalized momentum on
    the filters of convolutions, SGD on the rest."""
    lr: Annotated[float, Field(gt=0, le=100)] = 2e-3
    """Peak learning rate."""
    sgd_lr: Annotated[float, Field(gt=0, le=100)] = 0.1
    """With muon, the peak learning rate of all but the filters."""
    momentum: DropRate = 0.9
    """Of SGD and Muon."""
    nesterov: bool = True
    """Of SGD."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.01
    """On weights of two dimensions or more; biases and norms are left alone."""
    schedule: Literal["constant", "step", "plateau", "cosine", "one-cycle"] = "one-cycle"
    """How the learning rate moves after warm-up; one-cycle falls linearly to zero."""
    warmup_epochs: Annotated[float, Field(ge=0, le=1000)] = 0.5
    """Epochs, fractions allowed, over which the learning rate rises linearly."""
    step_epochs: Annotated[int, Field(ge=1)] = 5
    """Epochs between the drops of the step schedule; patience of the plateau schedule."""
    step_factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """What a drop of the step or plateau schedule multiplies the learning rate by."""
    label_smoothing: DropRate = 0.0
    """Share of the target spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weigh the loss by the inverse frequency of each class."""
    clip_grad_norm: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better validation accuracy before training stops; 0 never stops early."""
    keep: Literal["best", "last"] = "best"
    """Weights to keep: of the epoch with the best validation accuracy, or of the last."""
    ema_decay: DropRate = 0.0
    """Per-step decay of an exponential moving average of the weights; 0 for none."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of convolutions and matrix products in training; weights and predictions stay in float32.
    auto takes bfloat16 where the processor has matrix units for it."""
    compile: bool = False
    """Compile the network with torch.compile, for some time at the start. Measure whether it pays:
    on a CPU it did not (LOG.md)."""
    validate_every: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Epochs between two measurements on the validation images; the last epoch is always
    measured. Above 1 nothing can be chosen by them: it needs keep=last."""
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 1 / 12
    """Share of the training images held out, stratified: 5,000 of Fashion-MNIST's 60,000.
    0 trains on all images: then the schedule is fixed and the last weights are kept."""

    @model_validator(mode="after")
    def _choices_need_validation(self) -> Self:
        if self.validation_share == 0 or self.validate_every > 1:
            needs = [
                word
                for word, used in (
                    ("keep=best", self.keep == "best"),
                    ("patience", self.patience > 0),
                    ("schedule=plateau", self.schedule == "plateau"),
                )
                if used
            ]
            if needs:
                cause = "validation_share=0" if self.validation_share == 0 else "validate_every"
                raise ValueError(
                    f"{cause} leaves nothing to choose by, and {needs[0]} chooses: "
                    "set train.keep=last, train.patience=0 and a fixed schedule"
                    + ("" if self.validate_every == 1 else ", or train.validate_every=1")
                )
        if self.warmup_epochs >= self.num_epochs and self.warmup_epochs > 0:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be less than num_epochs "
                f"({self.num_epochs}): set train.warmup_epochs too"
            )
        return self


class Recipe(_Strict):
    """All that decides a run: the data, the model, the augmentation, the training and the seed."""

    name: str
    data: str = "fashion-mnist"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    model: ModelConfig
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    mirror_average: bool = False
    """Predict by the mean of the logits of each image and of its mirror image, for twice the time.
    Only where mirrored images mean the same, as in a training with `augment.mirror`."""
    shift_average: bool = False
    """Predict by the mean over each image and itself one pixel further up left and down right, the
    latter two at half its weight, for three times the time."""

    def with_overrides(self, overrides: Iterable[str]) -> Recipe:
        """A copy with fields changed.

        Args:
            overrides: ``path=value`` strings such as ``train.lr=0.01`` or ``model.width=256``.
                Values are JSON; what is not JSON is taken as text.

        Raises:
            ConfigError: an unknown path (with the nearest name) or a value that does not fit.
        """
        changed = self.model_dump(mode="json")
        for override in overrides:
            path, separator, text = override.partition("=")
            if not separator:
                raise ConfigError(
                    "an override needs a path and a value", got=override, allowed="train.lr=0.01"
                )
            *parents, last = _known_path(self, path.strip())
            place = changed
            for parent in parents:
                place = place[parent]
            place[last] = _value(text.strip())
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


def _known_path(recipe: Recipe, path: str) -> list[str]:
    """The parts of a dotted path, each checked against the fields at its level."""
    known = sorted(_paths(recipe))
    if path not in known:
        if path == "model.name":
            raise ConfigError(
                "the model of a recipe is fixed", got=path, fix="Name another recipe instead"
            )
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
        path = ".".join(map(str, [root, *(rest[1:] if root == "model" else rest)]))
        message = first["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        got = first["input"]
        detail = f"{path}: {message}" if path else message
        shown = None if isinstance(got, dict) or not path else got
        raise ConfigError(f"{where} has a bad value: {detail}", got=shown) from error
