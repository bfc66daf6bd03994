"""Inverted residuals around depthwise convolutions, as in MobileNetV2 (Sandler et al. 2018,
arXiv:1801.04381), with its strides where 28 pixels allow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ..config import MobileConfig
from ..config.convolutional import InvertedResidualConfig
from .channel_attention import SqueezeExcitation
from .classifier import Classifier, ImageShape
from .droppath import DropPath, drop_rates
from .resnet import stem, under_head


@dataclass(frozen=True)
class Style:
    """In what the networks made of inverted residuals differ.

    Attributes:
        activation: after every norm but that of a block's last convolution.
        expand: channels within a block, as a multiple of those that come in.
        squeeze: hidden channels of squeeze-and-excitation, as a share of those that come in; 0 for
            none of it.
    """

    activation: type[nn.Module]
    expand: int
    squeeze: float = 0.0


class InvertedResidual(nn.Module):
    """A 1x1 convolution to more channels, a depthwise one, and a 1x1 convolution back, which has no
    activation (MobileNetV2, table 1). The input is added where the shape stays.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: of the depthwise convolution.
        style: of the network.
        kernel: side of the depthwise filters.
        drop_path: share of images whose branch is dropped where the input is added.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        style: Style,
        *,
        kernel: int = 3,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = inputs * style.expand
        self.adds = stride == 1 and inputs == outputs
        layers: list[nn.Module] = []
        if style.expand > 1:
            layers += [nn.Conv2d(inputs, hidden, 1, bias=False), *_normed(hidden, style)]
        layers += [
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            *_normed(hidden, style),
        ]
        if style.squeeze:
            squeezed = max(1, round(inputs * style.squeeze))
            layers.append(SqueezeExcitation(hidden, squeezed, style.activation))
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        if drop_path and self.adds:
            layers.append(DropPath(drop_path))
        self.residual = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        result: Tensor = self.residual(x)
        return x + result if self.adds else result


def build_mobile(config: MobileConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """A convolution, stages of inverted residuals with ReLU6, a 1x1 convolution, then global
    average pooling."""
    return inverted_residual_network(
        config,
        Style(nn.ReLU6, config.expand),
        [3] * len(config.widths),
        image_shape,
        num_classes,
    )


def inverted_residual_network(
    config: InvertedResidualConfig,
    style: Style,
    kernels: Sequence[int],
    image_shape: ImageShape,
    num_classes: int,
    *,
    drop_path: float = 0.0,
) -> Classifier:
    """A network of inverted residuals.

    Args:
        config: widths, blocks and all that such networks have in common.
        style: of its blocks.
        kernels: side of the depthwise filters of each stage.
        image_shape: of the images.
        num_classes: K, the number of logits.
        drop_path: share of images whose last branch is dropped.
    """
    channels = config.widths[0]
    layers = [*stem(image_shape[0], channels, config.stem_stride), *_normed(channels, style)]
    rates = iter(drop_rates(drop_path, sum(config.blocks)))
    stages = zip(config.widths, config.blocks, kernels, strict=True)
    for stage, (width, blocks, kernel) in enumerate(stages):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(
                InvertedResidual(
                    channels, width, stride, style, kernel=kernel, drop_path=next(rates)
                )
            )
            channels = width
    layers += [
        nn.Conv2d(channels, config.top, 1, bias=False),
        *_normed(config.top, style),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        *([nn.Dropout(config.dropout)] if config.dropout else []),
    ]
    return under_head(nn.Sequential(*layers), config.top, image_shape, num_classes)


def _normed(channels: int, style: Style) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), style.activation()]
