"""A residual feedforward network: the ResNet-like one of Gorishniy et al. 2021 (arXiv:2106.11959,
section 3.2), which they found the strongest of the plain ones."""

from __future__ import annotations

import math

from torch import nn

from ..config import ResidualMLPConfig
from .classifier import Classifier, ImageShape
from .droppath import DropPath, drop_rates
from .speednet import Residual


def build_residual_mlp(
    config: ResidualMLPConfig, image_shape: ImageShape, num_classes: int
) -> Classifier:
    """Flatten, a linear map, then blocks ``x + linear(dropout(relu(linear(norm(x)))))``, then norm
    and ReLU. The paper's second dropout, of what a block adds, is left to stochastic depth."""
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(math.prod(image_shape), config.width)]
    for rate in drop_rates(config.drop_path, config.depth):
        block = nn.Sequential(
            nn.BatchNorm1d(config.width),
            nn.Linear(config.width, config.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.width),
            DropPath(rate),
        )
        layers.append(Residual(block))
    layers += [nn.BatchNorm1d(config.width), nn.ReLU(inplace=True)]
    return Classifier(nn.Sequential(*layers), nn.Linear(config.width, num_classes))
