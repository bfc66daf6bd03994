"""A plain deep convolutional network (Simonyan and Zisserman 2014, arXiv:1409.1556) with batch
normalization (Ioffe and Szegedy 2015, arXiv:1502.03167)."""

from __future__ import annotations

import math

from torch import nn

from ..config import VGGConfig
from .classifier import Classifier, ImageShape, output_shape


def build_vgg(config: VGGConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Stages of 3x3 convolutions with ReLU, 2x2 max-pooling after each stage, then one dense layer:
    the two of 4096 units that the paper has are for larger images and more classes."""
    layers: list[nn.Module] = []
    channels = image_shape[0]
    for width, convolutions in zip(config.widths, config.convolutions, strict=True):
        for _ in range(convolutions):
            layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=not config.batch_norm))
            layers += [nn.BatchNorm2d(width)] if config.batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            channels = width
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.Flatten())
    inputs = math.prod(output_shape(nn.Sequential(*layers), image_shape))
    layers += [nn.Dropout(config.dropout)] if config.dropout else []
    layers += [nn.Linear(inputs, config.dense), nn.ReLU(inplace=True)]
    layers += [nn.Dropout(config.dropout)] if config.dropout else []
    network = Classifier(nn.Sequential(*layers), nn.Linear(config.dense, num_classes))
    for module in network.modules():
        # Without it the deepest stages get nothing where no norm restores the scale.
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network
