"""The options of the convolutional networks beyond the reference ones."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from .strict import Depth, DropRate, Strict, Width

Stages = Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
Depths = Annotated[tuple[Depth, ...], Field(min_length=1, max_length=8)]
StemStride = Literal[1, 2, 4]


def _as_tuple(value: Any) -> Any:
    """One number stands for all stages. pydantic takes a list for a tuple where nothing of ours
    comes before it, and not after this."""
    if isinstance(value, int):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


class LeNetConfig(Strict):
    """LeNet-5: two 5x5 convolutions, each pooled, and two dense layers below the head."""

    name: Literal["lenet"] = "lenet"
    channels: tuple[Width, Width] = (6, 16)
    """Filters of the first and the second convolution."""
    dense: tuple[Width, Width] = (120, 84)
    """Units of the first and the second dense layer."""
    dropout: DropRate = 0.0
    """Share of the inputs of each dense layer and of the head dropped in training."""


class VGGConfig(Strict):
    """Stages of 3x3 convolutions, each followed by pooling, and a dense layer."""

    name: Literal["vgg"] = "vgg"
    widths: Stages = (32, 64, 128)
    """Channels of each stage; pooling halves the resolution after every stage."""
    convolutions: Depths = (2, 2, 2)
    """Convolutions of each stage."""
    batch_norm: bool = True
    """Batch normalization after each convolution."""
    dense: Width = 256
    """Units of the dense layer."""
    dropout: DropRate = 0.5
    """Share of the dense layer's inputs and outputs dropped in training."""

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        agree(self.widths, convolutions=self.convolutions)
        return self


class ResNetConfig(Strict):
    """A pre-activation residual network, wide where `widen` says so."""

    name: Literal["resnet"] = "resnet"
    widths: Stages = (24, 48, 96)
    """Channels of each stage; every stage but the first halves the resolution."""
    widen: Annotated[int, Field(ge=1, le=64)] = 1
    """What the channels of all stages, but not those of the stem, are multiplied by."""
    blocks: Annotated[Depths, BeforeValidator(_as_tuple)] = (1,)
    """Residual blocks of each stage, of two convolutions each: a number for each, or one for
    all."""
    stem_stride: StemStride = 2
    """What the stem divides the side by: 1 is a convolution alone, 2 pools after it, 4 is a
    convolution of stride 2 and pools after it, as ImageNet's residual networks do."""
    attention: Literal["none", "se", "cbam"] = "none"
    """Attention at the end of each residual branch: none, squeeze-and-excitation on the channels,
    or CBAM on the channels and then on the places."""
    dropout: DropRate = 0.0
    """Share of the values dropped in training between the two convolutions of a block."""
    drop_path: DropRate = 0.0
    """Share of residual branches dropped in training (stochastic depth), of the last block; the
    share grows from none at the first."""

    @property
    def depths(self) -> tuple[int, ...]:
        """Residual blocks of each stage."""
        return self.blocks * len(self.widths) if len(self.blocks) == 1 else self.blocks

    @model_validator(mode="after")
    def _blocks_agree(self) -> Self:
        agree(self.widths, blocks=self.depths)
        return self


class DenseNetConfig(Strict):
    """A densely connected network with bottlenecks and compression (DenseNet-BC)."""

    name: Literal["densenet"] = "densenet"
    growth: Width = 12
    """Channels that each layer adds to those that it reads."""
    layers: Depths = (8, 8, 8)
    """Layers of each dense block, of two convolutions each; a transition between two blocks halves
    the resolution."""
    compression: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the channels that a transition keeps."""
    stem_stride: StemStride = 2
    """What the stem divides the side by, as that of `resnet` does."""
    dropout: DropRate = 0.0
    """Share of the values dropped in training after each convolution of a dense block."""


class ShakeShakeConfig(Strict):
    """A residual network of two branches whose shares in their sum are drawn at random."""

    name: Literal["shake-shake"] = "shake-shake"
    width: Width = 32
    """Channels of the first stage; each of the other two has twice as many as the one before."""
    blocks: Depth = 4
    """Residual blocks in each of the three stages: 4 make a network of 26 layers."""


class InvertedResidualConfig(Strict):
    """What all networks of inverted residuals have."""

    widths: Stages = (24, 48, 96)
    """Channels between the blocks of each stage; every stage but the first halves the
    resolution."""
    blocks: Depths = (2, 3, 3)
    """Blocks of each stage."""
    expand: Annotated[int, Field(ge=1, le=16)] = 4
    """Channels within a block, as a multiple of those that come in."""
    top: Width = 256
    """Channels that the head reads, made of the last stage's by a 1x1 convolution."""
    stem_stride: StemStride = 2
    """What the stem divides the side by, as that of `resnet` does."""
    dropout: DropRate = 0.0
    """Share of the head's inputs dropped in training."""

    @model_validator(mode="after")
    def _blocks_agree(self) -> Self:
        agree(self.widths, blocks=self.blocks)
        return self


class MobileConfig(InvertedResidualConfig):
    """Inverted residuals around depthwise convolutions, as in MobileNetV2."""

    name: Literal["mobile"] = "mobile"


class EfficientConfig(InvertedResidualConfig):
    """Inverted residuals with squeeze-and-excitation and SiLU, as in EfficientNet."""

    name: Literal["efficient"] = "efficient"
    kernels: Annotated[tuple[Literal[3, 5, 7], ...], Field(min_length=1, max_length=8)] = (3, 5, 5)
    """Side of the depthwise filters of each stage."""
    drop_path: DropRate = 0.0
    """Share of residual branches dropped in training (stochastic depth), of the last block; the
    share grows from none at the first."""

    @model_validator(mode="after")
    def _kernels_agree(self) -> Self:
        agree(self.widths, kernels=self.kernels)
        return self


def agree(widths: tuple[int, ...], **others: tuple[int, ...]) -> None:
    """Check that what is said of each stage is said of as many stages.

    Raises:
        ValueError: it is not.
    """
    for name, values in others.items():
        if len(values) != len(widths):
            raise ValueError(
                f"widths has {len(widths)} stages and {name} {len(values)}: set both to as many"
            )
