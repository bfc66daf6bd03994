"""DenseNet-BC: each layer reads what all layers before it made (Huang et al. 2016,
arXiv:1608.06993)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import DenseNetConfig
from .classifier import Classifier, ImageShape
from .resnet import pooled_top, stem, under_head


class DenseLayer(nn.Module):
    """The input with `growth` channels more, made by a bottleneck (the paper's section 3): norm,
    ReLU, 1x1 convolution to 4 times `growth` channels, norm, ReLU, 3x3 convolution.

    Args:
        inputs: channels that come in.
        growth: channels that are added.
        dropout: share of the values dropped after each convolution.
    """

    def __init__(self, inputs: int, growth: int, dropout: float) -> None:
        super().__init__()
        drop = [nn.Dropout(dropout)] if dropout else []
        self.made = nn.Sequential(
            *_normed_convolution(inputs, 4 * growth, 1),
            *drop,
            *_normed_convolution(4 * growth, growth, 3),
            *drop,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, inputs + growth, H, W)."""
        return torch.cat([x, self.made(x)], dim=1)


def build_densenet(config: DenseNetConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """A convolution to twice the growth, dense blocks with a transition between two, then norm,
    ReLU and global average pooling."""
    channels = 2 * config.growth
    layers = stem(image_shape[0], channels, config.stem_stride)
    for block, count in enumerate(config.layers):
        if block > 0:
            kept = max(1, int(channels * config.compression))
            layers += [*_normed_convolution(channels, kept, 1), nn.AvgPool2d(2)]
            channels = kept
        for _ in range(count):
            layers.append(DenseLayer(channels, config.growth, config.dropout))
            channels += config.growth
    layers += pooled_top(channels)
    return under_head(nn.Sequential(*layers), channels, image_shape, num_classes)


def _normed_convolution(inputs: int, outputs: int, side: int) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False),
    ]
