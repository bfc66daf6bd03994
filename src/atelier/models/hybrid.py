"""A convolutional stem with a transformer, whose tokens come from convolutions as in the compact
convolutional transformer (Hassani et al. 2021, arXiv:2104.05704)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import HybridConfig
from .classifier import Classifier, ImageShape, output_shape
from .cnn import pooled_convolution


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762).

    Written as plain matrix products, which are counted as multiply-adds.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, dim) to (N, T, dim)."""
        n, tokens, dim = x.shape
        qkv = self.to_qkv(x).view(n, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, T, dim / heads)
        weights = (q * (dim // self.heads) ** -0.5 @ k.mT).softmax(dim=-1)
        mixed: Tensor = self.mix((weights @ v).transpose(1, 2).reshape(n, tokens, dim))
        return mixed


class TransformerBlock(nn.Module):
    """Attention and a feedforward part, each normalized first and added to its input."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(dim), Attention(dim, heads))
        self.feed = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, dim) to (N, T, dim)."""
        x = x + self.attend(x)
        result: Tensor = x + self.feed(x)
        return result


class Tokens(nn.Module):
    """A feature map as tokens, one for each place, with a learned position added."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, count, dim))
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(N, dim, H, W) to (N, H * W, dim)."""
        return x.flatten(2).transpose(1, 2) + self.position


def build_hybrid(config: HybridConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Two pooled convolutions down to a quarter of the side, then a transformer over the places,
    then a dense layer."""
    dim = config.dim
    stem = nn.Sequential(
        *pooled_convolution(image_shape[0], config.channels, batch_norm=True),
        *pooled_convolution(config.channels, dim, batch_norm=True),
    )
    _, _, height, width = output_shape(stem, image_shape)
    hidden = max(1, round(dim * config.mlp_ratio))
    blocks = [TransformerBlock(dim, config.heads, hidden) for _ in range(config.depth)]
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
