"""The feedforward network."""

from __future__ import annotations

import math

from torch import nn

from ..config import MLPConfig
from .classifier import Classifier, ImageShape


def build_mlp(config: MLPConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Flatten, then `depth` times linear, batch norm, ReLU, dropout."""
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(image_shape)
    for _ in range(config.depth):
        # Batch norm brings its own bias.
        layers.append(nn.Linear(width, config.width, bias=not config.batch_norm))
        if config.batch_norm:
            layers.append(nn.BatchNorm1d(config.width))
        layers.append(nn.ReLU(inplace=True))
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
        width = config.width
    return Classifier(nn.Sequential(*layers), nn.Linear(width, num_classes))
