"""The reference convolutional network, in the line of LeNet-5 (LeCun et al. 1998)."""

from __future__ import annotations

import math

from torch import nn

from ..config import CNNConfig
from .classifier import Classifier, ImageShape, output_shape


def pooled_convolution(inputs: int, outputs: int, *, batch_norm: bool) -> list[nn.Module]:
    """3x3 convolution, 2x2 max-pooling, batch norm if asked for, ReLU.

    Pooling first leaves norm and ReLU a quarter of the work. For ReLU alone the numbers are the
    same as in the usual order; with batch norm it is another network, which normalizes the maxima.
    """
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not batch_norm)
    return [convolution, nn.MaxPool2d(2), *norm, nn.ReLU(inplace=True)]


def build_cnn(config: CNNConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Two 3x3 convolutions, each with ReLU and 2x2 max-pooling, then a dense layer."""
    layers: list[nn.Module] = []
    channels = image_shape[0]
    for filters in config.channels:
        layers += pooled_convolution(channels, filters, batch_norm=config.batch_norm)
        channels = filters
    layers.append(nn.Flatten())
    inputs = math.prod(output_shape(nn.Sequential(*layers), image_shape))
    if config.dropout:
        layers.append(nn.Dropout(config.dropout))
    layers += [nn.Linear(inputs, config.dense), nn.ReLU(inplace=True)]
    if config.dropout:
        layers.append(nn.Dropout(config.dropout))
    return Classifier(nn.Sequential(*layers), nn.Linear(config.dense, num_classes))
