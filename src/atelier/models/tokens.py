"""An image as a sequence of tokens, and a sequence as one embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .classifier import ImageShape


def patch_embedding(image_shape: ImageShape, dim: int, patch: int) -> nn.Conv2d:
    """One linear map for all patches, (N, C, H, W) to (N, dim, H / patch, W / patch).

    Args:
        image_shape: of the images.
        dim: channels that come out.
        patch: side of the square patches in pixels.

    Raises:
        ValueError: the patches do not divide the images.
    """
    channels, height, width = image_shape
    if height % patch or width % patch:
        fitting = [k for k in range(2, min(height, width)) if height % k == width % k == 0]
        allowed = f"set model.patch to {' or '.join(map(str, fitting))}, or " if fitting else ""
        raise ValueError(
            f"images of {height} x {width} pixels cannot be cut into patches of {patch} x {patch}: "
            f"{allowed}take images whose sides are multiples of {patch}"
        )
    return nn.Conv2d(channels, dim, patch, stride=patch)


def as_tokens(maps: Tensor) -> Tensor:
    """(N, D, H, W) to (N, H * W, D), row by row."""
    return maps.flatten(2).transpose(1, 2)


class Tokens(nn.Module):
    """A feature map as tokens, one for each place, with a learned position added.

    Args:
        dim: of a token.
        count: places of the map.
        class_token: put a learned token before them, which says nothing of the image itself and
            takes in what is read in the end (Dosovitskiy et al. 2020, arXiv:2010.11929,
            equation 1).
    """

    def __init__(self, dim: int, count: int, *, class_token: bool = False) -> None:
        super().__init__()
        self.prefix = int(class_token)
        self.position = nn.Parameter(torch.zeros(1, count + self.prefix, dim))
        nn.init.trunc_normal_(self.position, std=0.02)
        # Its position is learned too, and would be enough; two parts are what the paper writes.
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim)) if class_token else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, dim, H, W) to (N, H * W, dim), or to one token more."""
        tokens = as_tokens(x)
        if self.class_token is not None:
            first = self.class_token.expand(tokens.shape[0], -1, -1)
            tokens = torch.cat([first, tokens], dim=1)
        return tokens + self.position


class ClassToken(nn.Module):
    """The first token."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) to (N, D)."""
        return x[:, 0]


class MeanToken(nn.Module):
    """The mean over all tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) to (N, D)."""
        return x.mean(dim=1)


class SequencePooling(nn.Module):
    """A weighted mean over all tokens, whose weights a linear map of each token decides (Hassani et
    al. 2021, arXiv:2104.05704, section 3.2)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def weights(self, x: Tensor) -> Tensor:
        """(N, T, D) to the (N, 1, T) weight of each token; they sum to 1."""
        scores: Tensor = self.score(x)
        return scores.mT.softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) to (N, D)."""
        return (self.weights(x) @ x)[:, 0]
