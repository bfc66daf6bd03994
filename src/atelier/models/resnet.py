"""Residual networks with pre-activation (He et al. 2016, arXiv:1603.05027), narrow and deep or wide
(Zagoruyko and Komodakis 2016, arXiv:1605.07146)."""

from __future__ import annotations

from torch import Tensor, nn

from ..config import ResNetConfig
from .channel_attention import attention
from .classifier import Classifier, ImageShape, output_shape
from .droppath import DropPath, drop_rates


class PreActivationBlock(nn.Module):
    """``shortcut(x) + conv(relu(norm(conv(relu(norm(x))))))``, figure 4(e) of the paper.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: of the first convolution.
        dropout: share of the values dropped between the convolutions (Wide ResNet, figure 1(d)).
        attention_kind: at the end of the residual branch, as `attention` names it.
        drop_path: share of images whose residual branch is dropped.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        dropout: float = 0.0,
        attention_kind: str = "none",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.activate = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            *([nn.Dropout(dropout)] if dropout else []),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            *attention(attention_kind, outputs),
            *([DropPath(drop_path)] if drop_path else []),
        )
        same_shape = stride == 1 and inputs == outputs
        self.project = None if same_shape else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        activated = self.activate(x)
        shortcut = x
        if self.project is not None:
            # Where the shape changes, the paper projects the activated input. The stride is taken
            # here and not by the convolution: the same arithmetic, and oneDNN (torch 2.15)
            # corrupts memory in 1x1 convolutions of stride 2 with 3 to 5 channels.
            shortcut = self.project(activated[:, :, :: self.stride, :: self.stride])
        result: Tensor = shortcut + self.residual(activated)
        return result


def build_resnet(config: ResNetConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """A convolution, stages of residual blocks, then norm, ReLU and global average pooling.

    With three stages, of n blocks each, and the stem's stride at 1 it is the papers' network for
    small images: of 6n + 2 layers, or of 6n + 4 by the count of Wide ResNet, to which the
    projections are layers too.
    """
    channels = config.widths[0]
    layers = stem(image_shape[0], channels, config.stem_stride)
    rates = iter(drop_rates(config.drop_path, sum(config.depths)))
    for stage, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
        for block in range(depth):
            layers.append(
                PreActivationBlock(
                    channels,
                    width * config.widen,
                    2 if stage > 0 and block == 0 else 1,
                    dropout=config.dropout,
                    attention_kind=config.attention,
                    drop_path=next(rates),
                )
            )
            channels = width * config.widen
    layers += pooled_top(channels)
    return under_head(nn.Sequential(*layers), channels, image_shape, num_classes)


def stem(image_channels: int, channels: int, stride: int) -> list[nn.Module]:
    """A 3x3 convolution at the pixels that, with its pooling, divides the side by `stride`: 1, 2
    or 4."""
    conv_stride = 2 if stride == 4 else 1
    first = nn.Conv2d(image_channels, channels, 3, conv_stride, padding=1, bias=False)
    return [first, nn.MaxPool2d(2)] if stride > 1 else [first]


def pooled_top(channels: int) -> list[nn.Module]:
    """Norm and ReLU, then the mean over all places: (N, channels, H, W) to (N, channels)."""
    return [
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]


def under_head(
    features: nn.Module, width: int, image_shape: ImageShape, num_classes: int
) -> Classifier:
    """`features` under a linear head, with filters drawn for ReLU (He et al. 2015,
    arXiv:1502.01852).

    Raises:
        ValueError: the image is too small for the strides and poolings of `features`.
    """
    output_shape(features, image_shape)
    network = Classifier(features, nn.Linear(width, num_classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
