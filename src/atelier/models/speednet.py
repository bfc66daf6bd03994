"""A convolutional network for short trainings, in the line of airbench (Jordan 2024,
arXiv:2404.00498): what it computes at a fine resolution is little and not learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..config import SpeedNetConfig
from .classifier import Classifier, ImageShape, output_shape
from .stems import WhiteningConv


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        return x * self.factor


class Residual(nn.Module):
    """``x + module(x)``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        result: Tensor = x + self.module(x)
        return result


def dirac_convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that at first hands its input on (Zagoruyko and Komodakis 2017,
    arXiv:1706.00388); what it has more of outputs starts random."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(convolution.weight[: min(inputs, outputs)])
    return convolution


def build_speednet(config: SpeedNetConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """A stem at half the resolution, then groups of 3x3 convolutions, the first of each followed by
    2x2 max-pooling before norm and ReLU, then the maximum over what places are left."""
    channels = config.stem_filters
    layers: list[nn.Module]
    if config.stem == "whitening":
        layers = [WhiteningConv(image_shape[0], channels), nn.ReLU(inplace=True)]
    else:
        layers = [
            nn.Conv2d(image_shape[0], channels, 4, stride=2, padding=1, bias=False),
            *norm_and_relu(channels),
        ]
    for width, convolutions in zip(config.widths, config.convolutions, strict=True):
        layers += [dirac_convolution(channels, width), nn.MaxPool2d(2), *norm_and_relu(width)]
        for _ in range(convolutions - 1):
            block = [dirac_convolution(width, width), *norm_and_relu(width)]
            layers += [Residual(nn.Sequential(*block))] if config.residual else block
        channels = width
    layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten()]
    if config.dropout:
        layers.append(nn.Dropout(config.dropout))
    # Small logits at first, so that the head does not outrun the filters.
    layers.append(Scale(config.scale))
    features = nn.Sequential(*layers)
    inputs = math.prod(output_shape(features, image_shape))
    return Classifier(features, nn.Linear(inputs, num_classes, bias=False))


def norm_and_relu(channels: int) -> list[nn.Module]:
    """Batch norm with quick statistics, for a training of a few hundred steps, and ReLU."""
    return [nn.BatchNorm2d(channels, momentum=0.4), nn.ReLU(inplace=True)]
