"""The MLP-Mixer (Tolstikhin et al. 2021, arXiv:2105.01601)."""

from __future__ import annotations

from torch import Tensor, nn

from ..config import MixerConfig
from .classifier import Classifier, ImageShape, output_shape
from .droppath import DropPath, drop_rates
from .tokens import MeanToken, as_tokens, patch_embedding
from .transformer import feedforward


class Patches(nn.Module):
    """A feature map as one token for each place, without a position: dense layers across patches
    know them apart."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, dim, H, W) to (N, H * W, dim)."""
        return as_tokens(x)


class MixerBlock(nn.Module):
    """Dense layers across patches, the same for each channel, then across channels, the same for
    each patch (the paper's equation 1).

    Args:
        patches: of an image.
        dim: channels of a patch.
        patch_hidden: hidden units across patches.
        channel_hidden: hidden units across channels.
        dropout: share of what each branch adds that is dropped in training.
        drop_path: share of branches dropped in training.
    """

    def __init__(
        self,
        patches: int,
        dim: int,
        patch_hidden: int,
        channel_hidden: int,
        *,
        dropout: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.across_patches = nn.Sequential(
            *feedforward(patches, patch_hidden), nn.Dropout(dropout), DropPath(drop_path)
        )
        self.across_channels = nn.Sequential(
            nn.LayerNorm(dim),
            *feedforward(dim, channel_hidden),
            nn.Dropout(dropout),
            DropPath(drop_path),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, patches, dim) to the same shape."""
        x = x + self.across_patches(self.norm(x).mT).mT
        result: Tensor = x + self.across_channels(x)
        return result


def build_mixer(config: MixerConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """Patches, blocks, then norm and the mean over the patches.

    Raises:
        ValueError: the patches do not divide the images.
    """
    dim = config.dim
    embed = patch_embedding(image_shape, dim, config.patch)
    _, _, height, width = output_shape(embed, image_shape)
    blocks = [
        MixerBlock(
            height * width,
            dim,
            config.patch_hidden,
            config.channel_hidden,
            dropout=config.dropout,
            drop_path=rate,
        )
        for rate in drop_rates(config.drop_path, config.depth)
    ]
    features = nn.Sequential(embed, Patches(), *blocks, nn.LayerNorm(dim), MeanToken())
    return Classifier(features, nn.Linear(dim, num_classes))
