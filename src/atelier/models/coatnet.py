"""Convolutions below, attention with relative positions above, in the manner of CoAtNet (Dai et al.
2021, arXiv:2106.04803)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import CoAtNetConfig
from .channel_attention import SqueezeExcitation
from .classifier import Classifier, ImageShape, output_shape
from .droppath import DropPath, drop_rates
from .tokens import as_tokens
from .transformer import Attention, TransformerBlock, hidden_width


class InvertedBottleneck(nn.Module):
    """``shortcut(x) + project(gate(depthwise(expand(norm(x)))))``: the paper's MBConv with
    pre-activation (its appendix A.1), where the stride is the depthwise convolution's.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        hidden: channels in between.
        stride: 1 or 2.
        drop_path: share of images whose residual branch is dropped.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: int, stride: int, drop_path: float
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.GELU(),
            nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.GELU(),
            # A quarter of what comes into the block, as in the paper.
            SqueezeExcitation(hidden, max(1, inputs // 4), nn.GELU),
            nn.Conv2d(hidden, outputs, 1),
            DropPath(drop_path),
        )
        self.shortcut = nn.Sequential(*reshaped(inputs, outputs, stride))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up."""
        result: Tensor = self.shortcut(x) + self.residual(x)
        return result


class RelativeAttention(Attention):
    """Self-attention with a learned bias for each pair's distance along both sides (the paper's
    equation 3), which knows of no place but only of neighbors.

    Args:
        dim: of a token.
        heads: they divide `dim`.
        places: height and width of the map whose places the tokens are.
    """

    index: Tensor

    def __init__(self, dim: int, heads: int, places: tuple[int, int]) -> None:
        super().__init__(dim, heads)
        height, width = places
        self.table = nn.Parameter(torch.zeros(heads, (2 * height - 1) * (2 * width - 1)))
        nn.init.trunc_normal_(self.table, std=0.02)
        rows = torch.arange(height).repeat_interleave(width)
        columns = torch.arange(width).repeat(height)
        down = rows[:, None] - rows + height - 1
        right = columns[:, None] - columns + width - 1
        self.register_buffer("index", down * (2 * width - 1) + right, persistent=False)

    def bias(self) -> Tensor:
        """(heads, T, T), row by row of the map."""
        return self.table[:, self.index]


class OnMap(nn.Module):
    """A transformer block whose tokens are the places of a feature map."""

    def __init__(self, block: TransformerBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """(N, dim, H, W) to the same shape."""
        tokens: Tensor = self.block(as_tokens(x))
        return tokens.transpose(1, 2).view(x.shape)


def reshaped(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """Pooling and a 1x1 convolution, each where it is needed."""
    layers: list[nn.Module] = []
    if stride > 1:
        layers.append(nn.MaxPool2d(stride, ceil_mode=True))
    if inputs != outputs:
        layers.append(nn.Conv2d(inputs, outputs, 1))
    return layers


def build_coatnet(config: CoAtNetConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Two 3x3 convolutions at half the resolution, the stages, then the mean over the places.

    Small images leave no room for the paper's five halvings: `config.strides` says where there is
    one. A stage with attention pools and widens before its first block and not within it.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(image_shape[0], config.stem, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(config.stem),
        nn.GELU(),
        nn.Conv2d(config.stem, config.stem, 3, padding=1),
    ]
    channels = config.stem
    convolutional = len(config.widths) - config.attention_stages
    rates = iter(drop_rates(config.drop_path, sum(config.blocks)))
    stages = zip(config.widths, config.blocks, config.strides, strict=True)
    for stage, (width, blocks, stride) in enumerate(stages):
        if stage < convolutional:
            for block in range(blocks):
                hidden = hidden_width(width, config.expansion)
                by = stride if block == 0 else 1
                layers.append(InvertedBottleneck(channels, width, hidden, by, next(rates)))
                channels = width
            continue
        layers += reshaped(channels, width, stride)
        channels = width
        _, _, *places = output_shape(nn.Sequential(*layers), image_shape)
        for _ in range(blocks):
            attention = RelativeAttention(width, width // config.head_dim, (places[0], places[1]))
            hidden = hidden_width(width, config.mlp_ratio)
            layers.append(OnMap(TransformerBlock(width, attention, hidden, drop_path=next(rates))))
    features = nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(channels),
        nn.Dropout(config.dropout),
    )
    return Classifier(features, nn.Linear(channels, num_classes))
