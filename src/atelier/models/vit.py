"""The vision transformer (Dosovitskiy et al. 2020, arXiv:2010.11929), small enough for small
images."""

from __future__ import annotations

from torch import nn

from ..config import ViTConfig
from .classifier import Classifier, ImageShape, output_shape
from .tokens import ClassToken, MeanToken, Tokens, patch_embedding
from .transformer import transformer_blocks


def build_vit(config: ViTConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Patches with learned positions, transformer blocks, then norm and what is read.

    Raises:
        ValueError: the patches do not divide the images.
    """
    dim = config.dim
    if config.embedding == "patches":
        embed: nn.Module = patch_embedding(image_shape, dim, config.patch)
    else:
        embed = convolutional_embedding(image_shape[0], dim, config.patch)
    _, _, height, width = output_shape(embed, image_shape)
    by_class = config.readout == "class-token"
    features = nn.Sequential(
        embed,
        Tokens(dim, height * width, class_token=by_class),
        nn.Dropout(config.dropout),
        *transformer_blocks(config),
        nn.LayerNorm(dim),
        ClassToken() if by_class else MeanToken(),
    )
    return Classifier(features, nn.Linear(dim, num_classes))


def convolutional_embedding(channels: int, dim: int, patch: int) -> nn.Sequential:
    """3x3 convolutions of stride 2, each of twice the filters of the one before, then a 1x1
    convolution: (N, channels, H, W) to (N, dim, H / patch, W / patch), rounded up (Xiao et al.
    2021, "Early convolutions help transformers see better", arXiv:2106.14881, section 4).

    Args:
        channels: of the images.
        dim: channels that come out, and filters of the last 3x3 convolution.
        patch: a power of two.
    """
    layers: list[nn.Module] = []
    halvings = patch.bit_length() - 1
    for left in reversed(range(halvings)):
        filters = max(1, dim >> left)
        layers += [
            nn.Conv2d(channels, filters, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
        ]
        channels = filters
    return nn.Sequential(*layers, nn.Conv2d(channels, dim, 1))
