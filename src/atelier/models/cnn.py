"""The reference convolutional network, in the line of LeNet-5 (LeCun et al. 1998)."""

from __future__ import annotations

import math

from torch import nn

from ..config import CNNConfig
from .classifier import Classifier, ImageShape, output_shape


def build_cnn(config: CNNConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Two 3x3 convolutions, each with ReLU and 2x2 max-pooling, then a dense layer."""
    layers: list[nn.Module] = []
    channels = image_shape[0]
    for filters in config.channels:
        # Pooling first leaves norm and ReLU a quarter of the work. For ReLU the numbers are the
        # same: it never changes which value is the largest, unless it makes all of them zero.
        layers += [
            nn.Conv2d(channels, filters, 3, padding=1, bias=not config.batch_norm),
            nn.MaxPool2d(2),
        ]
        if config.batch_norm:
            layers.append(nn.BatchNorm2d(filters))
        layers.append(nn.ReLU(inplace=True))
        channels = filters
    layers.append(nn.Flatten())
    inputs = math.prod(output_shape(nn.Sequential(*layers), image_shape))
    if config.dropout:
        layers.append(nn.Dropout(config.dropout))
    layers += [nn.Linear(inputs, config.dense), nn.ReLU(inplace=True)]
    if config.dropout:
        layers.append(nn.Dropout(config.dropout))
    return Classifier(nn.Sequential(*layers), nn.Linear(config.dense, num_classes))
