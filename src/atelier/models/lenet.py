"""LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition")."""

from __future__ import annotations

import math

from torch import nn

from ..config import LeNetConfig
from .classifier import Classifier, ImageShape, output_shape


def build_lenet(config: LeNetConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """The layers C1 to F6 of the paper, then a linear head.

    Read as today: ReLU for the scaled tanh, max-pooling for the weighted mean, every map of C3
    connected to all of S2, a softmax for the radial basis functions. The paper pads images of 28
    pixels to 32, and so does the first convolution. At that size C5 sees its maps whole; at a
    larger one it does too, with as many more weights.
    """
    first, second = config.channels
    layers: list[nn.Module] = [
        nn.Conv2d(image_shape[0], first, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
    ]
    width = math.prod(output_shape(nn.Sequential(*layers), image_shape))
    for units in config.dense:
        layers += [nn.Dropout(config.dropout)] if config.dropout else []
        layers += [nn.Linear(width, units), nn.ReLU(inplace=True)]
        width = units
    layers += [nn.Dropout(config.dropout)] if config.dropout else []
    return Classifier(nn.Sequential(*layers), nn.Linear(width, num_classes))
