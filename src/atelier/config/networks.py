"""The options of each network."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .attention import CCTConfig, CoAtNetConfig, ViTConfig
from .classical import (
    HistGradientBoostingConfig,
    HOGSVMConfig,
    KNearestNeighborsConfig,
    LogisticConfig,
    RandomForestConfig,
)
from .convolutional import (
    DenseNetConfig,
    EfficientConfig,
    LeNetConfig,
    MobileConfig,
    ResNetConfig,
    ShakeShakeConfig,
    VGGConfig,
)
from .feedforward import MixerConfig, ResidualMLPConfig
from .strict import Depth, DropRate, Strict, Width


class MLPConfig(Strict):
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


class CNNConfig(Strict):
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


class HybridConfig(Strict):
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


class SpeedNetConfig(Strict):
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
    pooling: Literal["max", "none"] = "max"
    """What the head reads: the maximum of each channel over the places that are left, or all of
    them. All keep apart what differs by place alone; they take a few more weights, and one size."""
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


class TimmConfig(Strict):
    """A backbone of timm (Wightman 2019, "PyTorch Image Models") with a linear head."""

    name: Literal["timm"] = "timm"
    backbone: Annotated[str, Field(min_length=1)] = "resnet18"
    """timm's name, with or without the tag of its weights: ``resnet18.a1_in1k``."""
    weights: Annotated[str, Field(min_length=1)] = "none"
    """What the backbone starts from: ``none`` draws them, ``pretrained`` takes those of the hub or
    of its cache, and anything else is a file: .safetensors, .pth or .bin."""
    dropout: DropRate = 0.0
    """Share of the head's inputs dropped in training."""
    drop_path: DropRate = 0.0
    """Share of residual branches dropped in training (stochastic depth), of the last block; the
    share grows from none at the first."""


class MemberConfig(Strict):
    """One network of an ensemble, with all that its own run makes of pixels."""

    model: ModelConfig
    """Of any network but another ensemble."""
    mean: tuple[float, ...]
    """What normalizing takes away from each channel, as a share of 255."""
    std: tuple[float, ...]
    """What normalizing divides each channel by, as a share of 255."""
    background: Annotated[int, Field(ge=0, le=255)] = 0
    """The byte that comes in at the edges of shifted views."""
    mirror_average: bool = False
    """Whether it judges by the mirror image too, beside what the whole ensemble does."""
    shift_average: bool = False
    """Whether it judges by shifted images too, beside what the whole ensemble does."""


class EnsembleConfig(Strict):
    """Networks that were trained each for itself and predict by the mean of their probabilities."""

    name: Literal["ensemble"] = "ensemble"
    mean: tuple[float, ...]
    """Of the normalization that the images come with."""
    std: tuple[float, ...]
    """Likewise."""
    members: Annotated[tuple[MemberConfig, ...], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _members_are_networks(self) -> Self:
        if any(isinstance(member.model, EnsembleConfig) for member in self.members):
            raise ValueError("a member of an ensemble is an ensemble: name its members instead")
        return self


ModelConfig = Annotated[
    MLPConfig
    | CNNConfig
    | ResNetConfig
    | LeNetConfig
    | VGGConfig
    | DenseNetConfig
    | ShakeShakeConfig
    | MobileConfig
    | EfficientConfig
    | HybridConfig
    | SpeedNetConfig
    | TimmConfig
    | EnsembleConfig
    | LogisticConfig
    | HOGSVMConfig
    | RandomForestConfig
    | HistGradientBoostingConfig
    | KNearestNeighborsConfig
    | ResidualMLPConfig
    | MixerConfig
    | ViTConfig
    | CCTConfig
    | CoAtNetConfig,
    Field(discriminator="name"),
]

# Their fields name the union, which is not known before.
MemberConfig.model_rebuild()
EnsembleConfig.model_rebuild()
