"""A convolutional stem with a transformer, whose tokens come from convolutions as in the compact
convolutional transformer (Hassani et al. 2021, arXiv:2104.05704)."""

from __future__ import annotations

from torch import nn

from ..config import HybridConfig
from .classifier import Classifier, ImageShape, output_shape
from .cnn import pooled_convolution
from .tokens import Tokens
from .transformer import Attention, TransformerBlock, hidden_width


def build_hybrid(config: HybridConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Two pooled convolutions down to a quarter of the side, then a transformer over the places,
    then a dense layer."""
    dim = config.dim
    stem = nn.Sequential(
        *pooled_convolution(image_shape[0], config.channels, batch_norm=True),
        *pooled_convolution(config.channels, dim, batch_norm=True),
    )
    _, _, height, width = output_shape(stem, image_shape)
    hidden = hidden_width(dim, config.mlp_ratio)
    blocks = [
        TransformerBlock(dim, Attention(dim, config.heads), hidden) for _ in range(config.depth)
    ]
    tokens = height * width
    # Garments stand upright in the middle: a dense layer over all places, as in `cnn`, makes more
    # of that than a mean over the tokens does.
    readout = [
        nn.LayerNorm(dim),
        nn.Flatten(),
        nn.Dropout(config.dropout),
        nn.Linear(tokens * dim, config.dense),
        nn.ReLU(inplace=True),
        nn.Dropout(config.dropout),
    ]
    features = nn.Sequential(stem, Tokens(dim, tokens), *blocks, *readout)
    return Classifier(features, nn.Linear(config.dense, num_classes))
