"""The compact convolutional transformer (Hassani et al. 2021, arXiv:2104.05704)."""

from __future__ import annotations

from torch import nn

from ..config import CCTConfig
from .classifier import Classifier, ImageShape, output_shape
from .cnn import pooled_convolution
from .tokens import SequencePooling, Tokens
from .transformer import transformer_blocks


def build_cct(config: CCTConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Pooled convolutions whose places become tokens with learned positions, transformer blocks,
    then norm and sequence pooling.

    The tokenizer's batch norm and its 2x2 pooling before the ReLU are not the paper's, which has
    3x3 pooling after the ReLU and no norm: so it costs less and learns in fewer epochs.

    Raises:
        ValueError: the images are too small for so many poolings.
    """
    dim = config.dim
    layers: list[nn.Module] = []
    channels = image_shape[0]
    for filters in (*config.channels, dim):
        layers += pooled_convolution(channels, filters, batch_norm=True)
        channels = filters
    tokenizer = nn.Sequential(*layers)
    _, _, height, width = output_shape(tokenizer, image_shape)
    features = nn.Sequential(
        tokenizer,
        Tokens(dim, height * width),
        nn.Dropout(config.dropout),
        *transformer_blocks(config),
        nn.LayerNorm(dim),
        SequencePooling(dim),
    )
    return Classifier(features, nn.Linear(dim, num_classes))
