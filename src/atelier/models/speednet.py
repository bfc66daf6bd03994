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


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3, without a bias, for what follows normalizes."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


class Members(nn.Module):
    """Networks side by side; their embeddings are put one behind the other."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, members * D)."""
        return torch.cat([network(images) for network in self.networks], dim=1)


def build_speednet(config: SpeedNetConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """A stem at half the resolution, then groups of 3x3 convolutions, the first of each followed by
    2x2 max-pooling before norm and ReLU, then the maximum over what places are left, or all."""
    networks = [_features(config, image_shape[0]) for _ in range(config.members)]
    features = networks[0] if config.members == 1 else Members(networks)
    inputs = math.prod(output_shape(features, image_shape))
    head = nn.Linear(inputs, num_classes, bias=False)
    return Classifier(features, head, members=config.members)


def _features(config: SpeedNetConfig, image_channels: int) -> nn.Module:
    channels = config.stem_filters
    layers: list[nn.Module]
    if config.stem == "whitening":
        layers = [WhiteningConv(image_channels, channels), nn.ReLU(inplace=True)]
    else:
        layers = [
            nn.Conv2d(image_channels, channels, 4, stride=2, padding=1, bias=False),
            *norm_and_relu(channels),
        ]
    for _ in range(config.stem_convolutions):
        layers += [convolution(channels, channels), *norm_and_relu(channels)]
    for width, convolutions in zip(config.widths, config.convolutions, strict=True):
        layers += [convolution(channels, width), nn.MaxPool2d(2), *norm_and_relu(width)]
        for _ in range(convolutions - 1):
            block = [convolution(width, width), *norm_and_relu(width)]
            layers += [Residual(nn.Sequential(*block))] if config.residual else block
        channels = width
    if config.pooling == "max":
        layers.append(nn.AdaptiveMaxPool2d(1))
    layers.append(nn.Flatten())
    if config.dropout:
        layers.append(nn.Dropout(config.dropout))
    # Small logits at first, so that the head does not outrun the filters; and the share of a member
    # in the mean, so that the head's sum over all members is that mean.
    return nn.Sequential(*layers, Scale(config.scale / config.members))


def norm_and_relu(channels: int) -> list[nn.Module]:
    """Batch norm with quick statistics, for a training of a few hundred steps, and ReLU."""
    return [nn.BatchNorm2d(channels, momentum=0.4), nn.ReLU(inplace=True)]
